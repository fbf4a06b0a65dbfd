import { describe } from 'bun:test'
import { inProcessApart } from '../support/system.ts'
import { restartOfAuth, withoutAuth } from './suites/revocation.ts'

describe('a restart of auth', () => restartOfAuth(inProcessApart))
describe('without auth', () => withoutAuth(inProcessApart))
