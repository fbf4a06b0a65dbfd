import type { Database } from 'bun:sqlite'
import { type SQL, sql } from 'drizzle-orm'
import { searchTextOf } from '../../services/kit/schema/search-text.ts'
import * as schema from '../schema/users.ts'
import { foldRows } from '../sqlite/migrations/fold-rows.ts'

const { users } = schema

/** The full-text index of what searches look into, and how a user stands in it. */
export const INDEX = sql`users_search`
export const BY_INDEX = sql`${users.seq} = users_search.rowid`

/** Pages of the index that are merged in one go: some milliseconds. */
const MERGED_AT_ONCE = 64
/** The index knows runs of so many characters. */
const RUN = 3
/** Runs of a search that the index is asked for: of 200 characters these are so many that none is left out. */
const RUNS_MOST = 67

/** Merges a part of some of the index's pieces that are of one size (FTS5, `merge`). Gives whether there were any. */
export function mergePieces(raw: Database): boolean {
  const changes = () => raw.query<{ rows: number }, []>('SELECT total_changes() AS rows').get()?.rows ?? 0
  const before = changes()
  raw.run(`INSERT INTO users_search (users_search, rank) VALUES ('merge', ${MERGED_AT_ONCE})`)
  // The command itself counts as one.
  return changes() - before > 1
}

/**
 * The runs by which the index is asked for a search: at most `RUNS_MOST`, each once.
 * @param part folded
 * @returns none for a search that is shorter than a run
 */
export function runsOf(part: string): string[] {
  const letters = [...part]
  const last = letters.length - RUN
  if (last < 0) return []
  const step = Math.max(1, Math.ceil(last / (RUNS_MOST - 1)))
  const starts = Array.from({ length: Math.ceil(last / step) + 1 }, (_, n) => Math.min(n * step, last))
  return [...new Set(starts.map((at) => letters.slice(at, at + RUN).join('')))]
}

/**
 * Whether a row has the runs of a search, by the index: what `contains` then finds among few rows. To ask for the search
 * as one phrase would cost a hundred times as much where a name repeats a letter: FTS5 compares it place by place.
 * @param part folded
 * @returns undefined for a search that is shorter than a run
 */
export function inIndex(part: string): SQL | undefined {
  const runs = runsOf(part).map((run) => `"${run.replaceAll('"', '""')}"`)
  return runs.length === 0 ? undefined : sql`users_search MATCH ${runs.join(' AND ')}`
}

/** Whether a row matches, by its text. @param part folded */
export function contains(part: string): SQL {
  return sql`instr(${users.searchText}, ${part}) > 0`
}

/** What a search of users looks into: the email as it was typed and as it is compared, the username, the name. */
export function searchTextOfUser(user: Searched): string {
  return searchTextOf(user.email, user.emailKey, user.username, user.name)
}

type Searched = Pick<typeof users.$inferSelect, 'email' | 'emailKey' | 'username' | 'name'>

/** Folds and indexes users from before searches looked into a folded text. */
export function foldUsers(raw: Database): void {
  foldRows(raw, {
    table: 'users',
    key: 'seq',
    start: Number.MIN_SAFE_INTEGER,
    fields: ['email', 'email_key', 'username', 'name'],
  })
  raw.run("INSERT INTO users_search (users_search) VALUES ('rebuild')")
}
