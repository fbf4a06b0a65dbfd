/** Maximum number of edits between a text and a suggestion. */
const DISTANCE_MAX = 2

/** The candidates within two edits of a text, the nearest first. Letter case does not count. */
export function nearest(text: string, candidates: readonly string[]): string[] {
  const letters = [...text.toLowerCase()]
  return [...new Set(candidates)]
    .map((candidate) => ({ candidate, edits: distance(letters, [...candidate.toLowerCase()]) }))
    .filter(({ edits }) => edits <= DISTANCE_MAX)
    .sort((a, b) => a.edits - b.edits)
    .map(({ candidate }) => candidate)
}

/** Edit distance of two texts, where a swap of neighbors counts as one edit (Damerau). */
function distance(one: readonly string[], other: readonly string[]): number {
  if (Math.abs(one.length - other.length) > DISTANCE_MAX) return DISTANCE_MAX + 1
  let [rowBeforeLast, lastRow]: number[][] = [[], [...Array(other.length + 1).keys()]]
  for (let i = 1; i <= one.length; i++) {
    const row = [i]
    for (let j = 1; j <= other.length; j++) {
      const isEqual = one[i - 1] === other[j - 1]
      const isSwap = i > 1 && j > 1 && one[i - 1] === other[j - 2] && one[i - 2] === other[j - 1]
      row[j] = Math.min(
        (lastRow?.[j] ?? 0) + 1,
        (row[j - 1] ?? 0) + 1,
        (lastRow?.[j - 1] ?? 0) + (isEqual ? 0 : 1),
        isSwap ? (rowBeforeLast?.[j - 2] ?? 0) + 1 : Number.POSITIVE_INFINITY,
      )
    }
    ;[rowBeforeLast, lastRow] = [lastRow ?? [], row]
  }
  return lastRow?.at(-1) ?? DISTANCE_MAX + 1
}
