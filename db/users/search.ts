import type { Database } from 'bun:sqlite'
import { or, sql } from 'drizzle-orm'
import * as schema from './schema.ts'

const { users } = schema

/** The full-text index of emails, usernames and names, and how a user stands in it. */
export const INDEX = sql`users_search`
export const BY_INDEX = sql`${users.seq} = users_search.rowid`

/** Pages of the index that are merged in one go: some milliseconds. */
const MERGED_AT_ONCE = 64

/** Merges a part of some of the index's pieces that are of one size (FTS5, `merge`). Gives whether there were any. */
export function mergePieces(raw: Database): boolean {
  const changes = () => raw.query<{ rows: number }, []>('SELECT total_changes() AS rows').get()?.rows ?? 0
  const before = changes()
  raw.run(`INSERT INTO users_search (users_search, rank) VALUES ('merge', ${MERGED_AT_ONCE})`)
  // The command itself counts as one.
  return changes() - before > 1
}

/** The text as the index takes it; undefined where it is too short: the index knows runs of three characters and more. */
export function phraseOf(search: string): string | undefined {
  return [...search].length < 3 ? undefined : `"${search.replaceAll('"', '""')}"`
}

export function matches(phrase: string) {
  return sql`users_search MATCH ${phrase}`
}

/** The same, looked for row by row. */
export function contains(search: string) {
  const part = search.toLowerCase()
  return or(
    sql`instr(${users.emailKey}, ${part}) > 0`,
    sql`instr(${users.username}, ${part}) > 0`,
    ...spellings(part).map((spelling) => sql`instr(lower(${users.name}), ${spelling}) > 0`),
  )
}

/** SQLite's `lower` knows ASCII alone: of any other letter both cases are looked for. */
function spellings(lowered: string): string[] {
  const cases = (letter: string) => [...new Set([letter, letter > '\u007f' ? letter.toUpperCase() : letter])]
  return [...lowered].reduce<string[]>(
    (begun, letter) => begun.flatMap((text) => cases(letter).map((spelled) => text + spelled)),
    [''],
  )
}
