import { describe } from 'bun:test'
import { inProcessApart } from '../support/system.ts'
import { modulesContract } from './suites/modules.ts'

describe('modules', () => modulesContract(inProcessApart))
