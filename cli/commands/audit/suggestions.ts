import { searchFor } from '../../client/search.ts'
import type { Tool } from '../../tool/command.ts'

const SLIPS = 2
const PIECE_LEAST = 3
const SIZE = '100'
const TOLD = 3

/**
 * The emails or usernames that are nearest to one that no one has, at most two slips away. Two slips leave one of three
 * pieces as it was, so each piece is searched for.
 */
export async function nearNames(tool: Tool, name: string): Promise<string[]> {
  const wanted = name.toLowerCase()
  const api = await tool.api()
  const pieces = piecesOf(wanted)
  const pages = await Promise.all(
    pieces.map((piece) => api.users((users) => users.users.get({ query: { search: searchFor(piece), size: SIZE } }))),
  )
  const names = pages.flatMap(({ items }) =>
    items.flatMap(({ email, username }) => (wanted.includes('@') ? [email] : username === null ? [] : [username])),
  )
  return [...new Set(names)]
    .map((one) => ({ one, slips: distance([...wanted], [...one.toLowerCase()]) }))
    .filter(({ slips }) => slips <= SLIPS)
    .sort((a, b) => a.slips - b.slips)
    .slice(0, TOLD)
    .map(({ one }) => one)
}

/** In whole characters: half of one is found nowhere, and can't be sent. */
function piecesOf(name: string): string[] {
  const letters = [...name]
  const length = Math.max(PIECE_LEAST, Math.ceil(letters.length / 3))
  const pieces = [0, 1, 2].map((n) => letters.slice(n * length, (n + 1) * length))
  return [...new Set(pieces.filter((piece) => piece.length >= PIECE_LEAST).map((piece) => piece.join('')))]
}

/** Letters put in, left out or taken for another; two that changed places are one slip (Damerau). */
function distance(one: readonly string[], other: readonly string[]): number {
  if (Math.abs(one.length - other.length) > SLIPS) return SLIPS + 1
  let [older, before]: number[][] = [[], [...Array(other.length + 1).keys()]]
  for (let i = 1; i <= one.length; i++) {
    const row = [i]
    for (let j = 1; j <= other.length; j++) {
      const same = one[i - 1] === other[j - 1]
      const swapped = i > 1 && j > 1 && one[i - 1] === other[j - 2] && one[i - 2] === other[j - 1]
      row[j] = Math.min(
        (before?.[j] ?? 0) + 1,
        (row[j - 1] ?? 0) + 1,
        (before?.[j - 1] ?? 0) + (same ? 0 : 1),
        swapped ? (older?.[j - 2] ?? 0) + 1 : Number.POSITIVE_INFINITY,
      )
    }
    ;[older, before] = [before ?? [], row]
  }
  return before?.at(-1) ?? SLIPS + 1
}
