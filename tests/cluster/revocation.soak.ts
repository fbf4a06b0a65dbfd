import { describe, expect, test } from 'bun:test'
import { join } from 'node:path'
import { PROMPT } from '../support/eventually.ts'
import { running } from '../support/running.ts'
import { cluster } from './cluster.ts'
import { endsOf } from './ends.ts'
import { endTokens, report, wrongIn } from './revocations.ts'

/** Ends of a run, of every cause together. */
const ENDS = Number(process.env.SOAK_ENDS ?? 1000)
const NOTHING = { accepted: [], early: [], refused: [] }
const QUIET = { RATE_LIMIT: 'off', LOG_LEVEL: 'silent' }

describe.each(['balanced', 'same number'] as const)(
  'check 16: from the answer on, no node accepts the token, calls %s',
  (calls) => {
    const here = running((env) => cluster(env, { calls }), QUIET)
    const causes = Object.keys(endsOf({} as never))

    test.each(causes)('%s', async (cause) => {
      const figures = await endTokens(here.system, Math.ceil(ENDS / 2 / causes.length), [
        [cause, endsOf(here.system)[cause] as never],
      ])
      report(cause, figures)
      expect(wrongIn(figures)).toEqual(NOTHING)
      expect(Math.max(...figures.times)).toBeLessThan(PROMPT)
    })
  },
)

describe('the same checks, when an end is answered at once', () => {
  const preload = join(import.meta.dir, 'without-wait.ts')
  const here = running((env) => cluster(env, { preload }), QUIET)

  test('find tokens that are accepted', async () => {
    const figures = await endTokens(here.system, 60, Object.entries(endsOf(here.system)))
    report('without the wait', figures)
    expect(figures.accepted).not.toBeEmpty()
  })
})
