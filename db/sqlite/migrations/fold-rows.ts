import type { Database } from 'bun:sqlite'
import { searchTextOf } from '../../../services/kit/schema/search-text.ts'

const ROWS_AT_ONCE = 1000

interface Folded {
  table: string
  key: string
  /** Below the key of every row. */
  start: string | number
  /** The columns that a search looks into. */
  fields: string[]
}

/**
 * Gives rows from before there was a `search_text` theirs: the end of a migration, in its transaction, in batches. It may
 * change with the folding: such a change brings a migration that folds all rows again, and that comes after this one.
 */
export function foldRows(raw: Database, { fields, key, start, table }: Folded): void {
  const page = raw.query<Record<string, unknown>, [string | number]>(
    `SELECT ${[key, ...fields].join(', ')} FROM ${table} WHERE ${key} > ? ORDER BY ${key} LIMIT ${ROWS_AT_ONCE}`,
  )
  const put = raw.query<unknown, [string, string | number]>(`UPDATE ${table} SET search_text = ? WHERE ${key} = ?`)
  for (let after: string | number | undefined = start; after !== undefined; ) {
    const rows = page.values(after) as [string | number, ...(string | null)[]][]
    for (const [place, ...values] of rows) put.run(searchTextOf(...values), place)
    after = rows.at(-1)?.[0]
  }
}
