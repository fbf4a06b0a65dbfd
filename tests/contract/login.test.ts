import { describe } from 'bun:test'
import { inProcess } from '../support/system.ts'
import { loginContract } from './suites/login.ts'

describe('logging in', () => loginContract(inProcess))
