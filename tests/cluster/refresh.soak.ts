import { describe, expect, test } from 'bun:test'
import { running } from '../support/running.ts'
import { cluster } from './cluster.ts'
import { Faults } from './faults.ts'
import { Probes } from './probes.ts'
import { type RefreshFigures, refreshTokens } from './refreshes.ts'

/** Tokens that are each used fifty times at once: half of them while nodes have faults. */
const ROUNDS = Number(process.env.SOAK_REFRESHES ?? 1000)
// A busy machine may need longer than a client for the answer that it repeats.
const QUIET = { RATE_LIMIT: 'off', LOG_LEVEL: 'silent', REFRESH_REUSE_GRACE: '2m' }

const report = (name: string, { refreshes, repeated, wrong }: RefreshFigures) =>
  console.log(`${name}\nfigures: ${refreshes} refreshes, ${repeated} repeated refreshes, ${wrong.length} wrong answers`)

describe('check 12: refreshes of one token at all nodes at once', () => {
  const here = running((env) => cluster(env, { lines: true }), QUIET)

  test('end with one refresh token, which works at each node', async () => {
    const figures = await refreshTokens(here.system, Math.ceil(ROUNDS / 2))
    report('quiet', figures)
    expect(figures.wrong.slice(0, 9)).toEqual([])
  }, 1_800_000)

  test('end with one refresh token while nodes and the database have faults', async () => {
    const faults = new Faults(here.system)
    const probes = new Probes(here.system, faults)
    await probes.start()
    faults.start()
    const figures = await refreshTokens(here.system, Math.ceil(ROUNDS / 2), faults)
    const happened = await faults.stop()
    for (const line of await probes.stop()) console.log(line)
    report(`while ${happened}`, figures)
    expect(figures.wrong.slice(0, 9)).toEqual([])
  }, 1_800_000)
})
