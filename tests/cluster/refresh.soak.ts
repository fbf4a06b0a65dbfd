import { describe, expect, test } from 'bun:test'
import { running } from '../support/running.ts'
import { cluster } from './cluster.ts'
import { refreshTokens, reportRefreshes } from './refreshes.ts'

/** Tokens that are each used fifty times at once. */
const ROUNDS = Number(process.env.SOAK_REFRESHES ?? 500)
// A busy machine may need longer than a client for the answer that it repeats.
const QUIET = { RATE_LIMIT: 'off', LOG_LEVEL: 'silent', REFRESH_REUSE_GRACE: '2m' }

describe('check 12: refreshes of one token at all nodes at once', () => {
  const here = running(cluster, QUIET)

  test('end with one refresh token, which works at each node', async () => {
    const figures = await refreshTokens(here.system, ROUNDS)
    reportRefreshes('quiet', figures)
    expect(figures.wrong.slice(0, 9)).toEqual([])
  }, 1_800_000)
})
