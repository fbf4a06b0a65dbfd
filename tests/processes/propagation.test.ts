import { describe } from 'bun:test'
import { propagationContract } from '../contract/suites/propagation.ts'
import { overProcesses } from '../support/processes.ts'

describe('notices from users to auth, over four processes', () => propagationContract(overProcesses('apart')))
