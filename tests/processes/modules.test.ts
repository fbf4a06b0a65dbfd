import { describe } from 'bun:test'
import { modulesContract } from '../contract/suites/modules.ts'
import { overProcesses } from '../support/processes.ts'

describe('modules, over four processes', () => modulesContract(overProcesses('apart')))
