import { expect, test } from 'bun:test'
import { cutCommits } from './cut-commits.ts'

/** `CUT_WRITES=2000` runs longer and prints the figures. */
const WRITES = Number(process.env.CUT_WRITES ?? 150)

test('commits whose connection breaks: what was acknowledged is there once, what failed at most once', async () => {
  const seed = Number(process.env.CUT_SEED ?? Date.now())
  const { acknowledged, cuts, differences, unavailable } = await cutCommits(seed, WRITES)
  if (process.env.CUT_WRITES !== undefined)
    console.log(
      `figures: ${acknowledged} acknowledged writes, ${cuts.before} commits cut before, ${cuts.after} commits cut after, ${unavailable} answers 503, ${differences.length} differences`,
    )
  expect([seed, differences]).toEqual([seed, []])
  // Commits did break, at both moments, and clients repeated requests.
  for (const times of [cuts.before, cuts.after, unavailable]) expect(times).toBeGreaterThan(5)
}, 1_800_000)
