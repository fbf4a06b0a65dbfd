/**
 * Whether the long tables of tests run whole, as `bun run soak --postgres --only whole` makes them. In the suite a slice of
 * them runs: each table has a row of each kind in it.
 */
export const WHOLE = process.env.CH202_TESTS === 'whole'

/**
 * The rows of a long table that run: all, or every `step`th one in the suite.
 * @param kindOf the kind of a row: the first one of each kind runs too
 */
export function sliced<T>(rows: readonly T[], step: number, kindOf?: (row: T) => unknown): T[] {
  if (WHOLE) return [...rows]
  const kinds = new Set<unknown>()
  return rows.filter((row, index) => {
    const before = kinds.size
    if (kindOf) kinds.add(kindOf(row))
    return index % step === 0 || kinds.size > before
  })
}
