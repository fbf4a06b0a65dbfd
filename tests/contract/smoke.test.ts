import { describe } from 'bun:test'
import { inProcess } from '../support/system.ts'
import { firstSteps } from './suites/smoke.ts'

describe('the first steps of a user', () => firstSteps(inProcess))
