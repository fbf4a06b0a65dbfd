import { searchFor } from '../../client/search.ts'
import type { Tool } from '../../tool/command.ts'
import { nearest } from '../../tool/nearest.ts'

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
  return nearest(lowerName, names).slice(0, SUGGESTIONS_MAX)
}

/** Splits a name into three pieces. Splits by Unicode characters, since half a surrogate pair cannot be sent. */
function piecesOf(name: string): string[] {
  const letters = [...name]
  const length = Math.max(PIECE_MIN, Math.ceil(letters.length / 3))
  const pieces = [0, 1, 2].map((n) => letters.slice(n * length, (n + 1) * length))
  return [...new Set(pieces.filter((piece) => piece.length >= PIECE_MIN).map((piece) => piece.join('')))]
}
