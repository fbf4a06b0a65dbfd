import { describe } from 'bun:test'
import { inProcessApart } from '../support/system.ts'
import { propagationContract } from './suites/propagation.ts'

describe('what users tells auth', () => propagationContract(inProcessApart))
