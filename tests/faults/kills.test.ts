import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { processes } from '../support/processes.ts'
import { LAYOUTS } from '../support/settings.ts'
import { sliced, WHOLE } from '../support/whole.ts'
import { killRounds } from './rounds.ts'

setDefaultTimeout(120_000)

const ROUNDS = WHOLE ? 4 : 2
/** The least number of acknowledged writes: kills come at random moments, so that two rounds may have very few. */
const WRITES = 100

describe.each(sliced(LAYOUTS, 2))('services %s', (layout) => {
  test.concurrent('check 32: kills under sixteen writers lose no acknowledged write and restore no revoked token', async () => {
    const system = await processes(layout, { RATE_LIMIT: 'off', LOG_LEVEL: 'silent' })
    const seed = Date.now()
    try {
      const { acknowledged, differences } = await killRounds(system, seed, {
        rounds: ROUNDS,
        acknowledged: WRITES,
      })
      expect([seed, differences]).toEqual([seed, []])
      expect(acknowledged).toBeGreaterThanOrEqual(WRITES)
    } finally {
      await system.stop()
    }
  })
})
