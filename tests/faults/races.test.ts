import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { processes } from '../support/processes.ts'
import { LAYOUTS } from '../support/settings.ts'
import type { System } from '../support/system.ts'
import { WHOLE } from '../support/whole.ts'
import { RACES, repeated } from './races.ts'

setDefaultTimeout(120_000)

const TIMES = WHOLE ? 10 : 5

describe.each(LAYOUTS)('checks 12 and 13: races, services %s', (layout) => {
  let system: System
  beforeAll(async () => {
    system = await processes(layout, { RATE_LIMIT: 'off', LOG_LEVEL: 'silent' })
  })
  afterAll(() => system.stop())

  test.each(Object.entries(RACES))('%s', async (_, race) => {
    expect(await repeated(system, race, TIMES)).toEqual([])
  })
})
