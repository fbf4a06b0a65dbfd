import { searchFor } from '../../client/search.ts'
import type { Tool } from '../../tool/command.ts'

/** Maximum number of edits between a name and a suggestion. */
const DISTANCE_MAX = 2
/** Minimum length of a piece, in characters. */
const PIECE_MIN = 3
const PAGE_SIZE = '100'
const SUGGESTIONS_MAX = 3

/**
 * Finds existing emails or usernames within two edits of a name. Two edits leave one of three pieces unchanged, so
 * each piece is searched for.
 */
export async function similarNames(tool: Tool, name: string): Promise<string[]> {
  const lowerName = name.toLowerCase()
  const api = await tool.api()
  const pieces = piecesOf(lowerName)
  const pages = await Promise.all(
    pieces.map((piece) =>
      api.users((users) => users.users.get({ query: { search: searchFor(piece), size: PAGE_SIZE } })),
    ),
  )
  const names = pages.flatMap(({ items }) =>
    items.flatMap(({ email, username }) => (lowerName.includes('@') ? [email] : username === null ? [] : [username])),
  )
  return [...new Set(names)]
    .map((candidate) => ({ candidate, edits: distance([...lowerName], [...candidate.toLowerCase()]) }))
    .filter(({ edits }) => edits <= DISTANCE_MAX)
    .sort((a, b) => a.edits - b.edits)
    .slice(0, SUGGESTIONS_MAX)
    .map(({ candidate }) => candidate)
}

/** Splits a name into three pieces. Splits by Unicode characters, since half a surrogate pair cannot be sent. */
function piecesOf(name: string): string[] {
  const letters = [...name]
  const length = Math.max(PIECE_MIN, Math.ceil(letters.length / 3))
  const pieces = [0, 1, 2].map((n) => letters.slice(n * length, (n + 1) * length))
  return [...new Set(pieces.filter((piece) => piece.length >= PIECE_MIN).map((piece) => piece.join('')))]
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
