import { describe } from 'bun:test'
import { firstSteps } from '../contract/suites/smoke.ts'
import { overProcesses } from '../support/processes.ts'
import { LAYOUTS } from '../support/settings.ts'

describe.each(LAYOUTS)('the first steps of a user, services %s in processes', (layout) =>
  firstSteps(overProcesses(layout)),
)
