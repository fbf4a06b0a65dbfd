import { describe, expect, test } from 'bun:test'
import { running } from '../support/running.ts'
import { cluster } from './cluster.ts'
import { endsOf } from './ends.ts'
import { Faults } from './faults.ts'
import { switchModules } from './gates.ts'
import { refreshTokens } from './refreshes.ts'
import { endTokens, wrongIn } from './revocations.ts'

// A small part of faults.soak.ts: three processes of each service, and one fault of each kind. It is not part of every run
// yet: on a busy machine a node that was frozen may accept a token when it continues, because a database that is slower
// than a second counts as lost (`NodeTokenCheck`).

describe('three nodes of each service', () => {
  const here = running((env) => cluster(env, { lines: true }), {
    RATE_LIMIT: 'off',
    LOG_LEVEL: 'silent',
    // A busy machine may need longer than a client for the answer that it repeats.
    REFRESH_REUSE_GRACE: '2m',
  })

  test.each([
    ['kill', 'users'],
    ['freeze', 'auth'],
    ['cut', 'auth'],
  ] as const)(
    'check 16: a %s of a node of %s: no node accepts a token after the answer to its end',
    async (kind, service) => {
      const ends = Object.entries(endsOf(here.system))
      const faults = new Faults(here.system)
      const fault = faults.once(kind, here.system.node(service, 2))
      const figures = await endTokens(here.system, ends.length, ends, faults)
      await fault
      expect(wrongIn(figures)).toEqual({ accepted: [], early: [], refused: [] })
      expect(figures.checks).toBeGreaterThan(ends.length)
    },
  )

  test('check 12: a node is killed during refreshes: one token is left', async () => {
    const faults = new Faults(here.system)
    const fault = faults.once('kill', here.system.node('auth', 1))
    const { wrong } = await refreshTokens(here.system, 2, faults)
    await fault
    expect(wrong).toEqual([])
  })

  test('a node freezes while modules are switched: one that is off is off for every gate and node', async () => {
    const faults = new Faults(here.system)
    const fault = faults.once('freeze', here.system.node('modules', 3))
    const { open } = await switchModules(here.system, 4, faults)
    await fault
    expect(open).toEqual([])
  })
})
