import { expect, test } from 'bun:test'
import { cutCommits } from './cut-commits.ts'

test('commits whose connection breaks: what was acknowledged is there once, what failed at most once', async () => {
  const seed = Number(process.env.CUT_SEED ?? Date.now())
  const { cuts, differences, unavailable } = await cutCommits(seed, Number(process.env.CUT_WRITES ?? 300))
  expect([seed, differences]).toEqual([seed, []])
  // Commits did break, at both moments, and clients repeated requests.
  for (const times of [cuts.before, cuts.after, unavailable]) expect(times).toBeGreaterThan(5)
}, 600_000)
