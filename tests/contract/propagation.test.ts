import { describe } from 'bun:test'
import { inProcessApart } from '../support/system.ts'
import { propagationContract } from './suites/propagation.ts'

describe('notices from users to auth', () => propagationContract(inProcessApart))
