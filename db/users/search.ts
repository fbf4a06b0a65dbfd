import { type SQL, sql } from 'drizzle-orm'
import { searchTextOf } from '../../services/kit/schema/search-text.ts'
import { type Dialect, text } from '../engine.ts'
import { users } from '../schema/users.ts'

/** The full-text index of `search_text` in SQLite. PostgreSQL uses its index of `search_text`, if it has one, by itself. */
export const INDEX = sql`users_search`
/** Joins a user to their row in the index. */
export const BY_INDEX = sql`${users.seq} = users_search.rowid`

/** The index holds every sequence of this many characters (FTS5's trigram tokenizer). */
const RUN = 3
/** The most runs that one search asks the index for: enough to cover all of the 200 characters that a search may have. */
const MOST_RUNS = 67

/**
 * Gives the runs of characters that the index is asked for: at most `MOST_RUNS`, each once.
 * @param part the folded search
 * @returns an empty list when the search is shorter than a run
 */
export function runsOf(part: string): string[] {
  const letters = [...part]
  const last = letters.length - RUN
  if (last < 0) return []
  const step = Math.max(1, Math.ceil(last / (MOST_RUNS - 1)))
  const starts = Array.from({ length: Math.ceil(last / step) + 1 }, (_, index) => Math.min(index * step, last))
  return [...new Set(starts.map((start) => letters.slice(start, start + RUN).join('')))]
}

/**
 * Makes the condition that a row has all runs of a search, by the index. `contains` then checks the few rows that match.
 * A phrase query for the whole search would cost a hundred times as much when a name repeats a letter, because FTS5
 * compares it position by position.
 * @param part the folded search
 * @returns undefined when the search is shorter than a run
 */
export function inIndex(part: string): SQL | undefined {
  const runs = runsOf(part).map((run) => `"${run.replaceAll('"', '""')}"`)
  return runs.length === 0 ? undefined : sql`users_search MATCH ${runs.join(' AND ')}`
}

/** Makes the condition that the text of a row contains a search. @param part the folded search */
export function contains(dialect: Dialect, part: string): SQL {
  return dialect === 'sqlite'
    ? sql`instr(${users.searchText}, ${part}) > 0`
    : sql`${users.searchText} LIKE ${`%${part.replaceAll(/[\\%_]/g, '\\$&')}%`}`
}

/**
 * Lets PostgreSQL plan the statements of a transaction by their values. After some runs of a statement it would use one
 * plan for all values, but a rare search needs the index, while a common one must not read all of its matches.
 */
export const PLAN_BY_VALUES = text({ sqlite: '', postgres: 'SET LOCAL plan_cache_mode = force_custom_plan' })

/** Gives the text that a search of users covers: the email as typed and as compared, the username and the name. */
export function searchTextOfUser(user: SearchedFields): string {
  return searchTextOf(user.email, user.emailKey, user.username, user.name)
}

type SearchedFields = Pick<typeof users.$inferSelect, 'email' | 'emailKey' | 'username' | 'name'>
