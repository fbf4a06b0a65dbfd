/**
 * Whether the long tables of tests run whole, as `bun run soak --postgres --only whole` makes them. In the suite a slice of
 * them runs: each table has a row of each kind in it.
 */
export const WHOLE = process.env.CH202_TESTS === 'whole'

/** The rows of a long table that run: all, or every `step`th one in the suite. */
export function sliced<T>(rows: readonly T[], step: number): T[] {
  return WHOLE ? [...rows] : rows.filter((_, index) => index % step === 0)
}
