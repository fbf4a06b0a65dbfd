import { describe } from 'bun:test'
import { loginContract } from '../contract/suites/login.ts'
import { overProcesses } from '../support/processes.ts'

describe('logging in, over four processes', () => loginContract(overProcesses('apart')))
