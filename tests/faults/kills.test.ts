import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { startSystem, WAYS } from '../support/system.ts'
import { killRounds } from './rounds.ts'

setDefaultTimeout(60_000)

describe.each([...WAYS])('%s', (way) => {
  test.concurrent('check 32: nothing acknowledged is lost, and nothing revoked comes back, when it is killed under sixteen writers', async () => {
    const system = await startSystem(way, { RATE_LIMIT: 'off', LOG_LEVEL: 'silent' })
    const seed = Date.now()
    try {
      const { acknowledged, differences } = await killRounds(system, seed, { rounds: 4 })
      expect([seed, differences]).toEqual([seed, []])
      expect(acknowledged).toBeGreaterThan(50)
    } finally {
      await system.stop()
    }
  })
})
