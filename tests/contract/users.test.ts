import { describe } from 'bun:test'
import { inProcess } from '../support/system.ts'
import { usersContract } from './suites/users.ts'

describe('users', () => usersContract(inProcess))
