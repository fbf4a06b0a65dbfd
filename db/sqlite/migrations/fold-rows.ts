import type { Database } from 'bun:sqlite'
import { searchTextOf } from '../../../services/kit/schema/search-text.ts'

const BATCH = 1000

interface FoldedTable {
  table: string
  key: string
  /** A value below the key of every row. */
  start: string | number
  /** The columns that a search covers. */
  fields: string[]
}

/** Fills `search_text` of the accounts that were stored before the column was introduced. */
export function foldAccounts(raw: Database): void {
  foldRows(raw, { table: 'accounts', key: 'user_id', start: '', fields: ['email', 'email_key', 'username'] })
}

/** Fills `search_text` of the users who were stored before the column was introduced, and indexes them. */
export function foldUsers(raw: Database): void {
  foldRows(raw, {
    table: 'users',
    key: 'seq',
    start: Number.MIN_SAFE_INTEGER,
    fields: ['email', 'email_key', 'username', 'name'],
  })
  raw.run("INSERT INTO users_search (users_search) VALUES ('rebuild')")
}

/**
 * Folds rows in batches: the end of a migration, in its transaction. The folding itself may change later; such a change
 * brings a migration that folds all rows again, after this one.
 */
function foldRows(raw: Database, { fields, key, start, table }: FoldedTable): void {
  const page = raw.query<Record<string, unknown>, [string | number]>(
    `SELECT ${[key, ...fields].join(', ')} FROM ${table} WHERE ${key} > ? ORDER BY ${key} LIMIT ${BATCH}`,
  )
  const update = raw.query<unknown, [string, string | number]>(`UPDATE ${table} SET search_text = ? WHERE ${key} = ?`)
  for (let after: string | number | undefined = start; after !== undefined; ) {
    const rows = page.values(after) as [string | number, ...(string | null)[]][]
    for (const [rowKey, ...values] of rows) update.run(searchTextOf(...values), rowKey)
    after = rows.at(-1)?.[0]
  }
}
