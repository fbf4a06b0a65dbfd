import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { type System, startSystem, WAYS } from '../support/system.ts'
import { RACES, repeated } from './races.ts'

setDefaultTimeout(60_000)

const TIMES = 10

describe.each([...WAYS])('checks 12 and 13: %s', (way) => {
  let system: System
  beforeAll(async () => {
    system = await startSystem(way, { RATE_LIMIT: 'off', LOG_LEVEL: 'silent' })
  })
  afterAll(() => system.stop())

  test.each(Object.entries(RACES))('%s', async (_, race) => {
    expect(await repeated(system, race, TIMES)).toEqual([])
  })
})
