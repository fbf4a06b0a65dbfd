import { describe } from 'bun:test'
import { usersContract } from '../contract/suites/users.ts'
import { overProcesses } from '../support/processes.ts'

describe('users, over four processes', () => usersContract(overProcesses('apart')))
