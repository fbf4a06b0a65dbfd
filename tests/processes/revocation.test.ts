import { describe } from 'bun:test'
import { restartOfAuth, withoutAuth } from '../contract/suites/revocation.ts'
import { overProcesses } from '../support/processes.ts'

describe('a restart of auth, over four processes', () => restartOfAuth(overProcesses('apart')))
describe('without auth, over four processes', () => withoutAuth(overProcesses('apart')))
