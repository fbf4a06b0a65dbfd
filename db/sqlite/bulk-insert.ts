import type { Database } from 'bun:sqlite'
import { getTableColumns, getTableName } from 'drizzle-orm'
import type { SQLiteColumn, SQLiteTable } from 'drizzle-orm/sqlite-core'

/**
 * Inserts any number of rows by one statement. A full-text index writes what it has gathered at the end of each
 * statement: of 500 rows at once it makes one piece, where row by row it makes 500 and merges them (three times the
 * work).
 * @returns a function that gives the keys of the rows that were inserted: one that has a unique value of another row is
 * left out, as if the rows came one after the other
 */
export function bulkInsert<T extends SQLiteTable>(
  raw: Database,
  table: T,
  key: SQLiteColumn,
  without: string[] = [],
): (rows: readonly T['$inferInsert'][]) => Set<unknown> {
  const columns = Object.entries<SQLiteColumn>(getTableColumns(table)).filter(([name]) => !without.includes(name))
  const statement = raw.query<Record<string, unknown>, [string]>(`
    INSERT INTO ${getTableName(table)} (${columns.map(([, { name }]) => name)})
    SELECT ${columns.map((_, place) => `value->>${place}`)} FROM json_each(?) WHERE true ORDER BY key
    ON CONFLICT DO NOTHING RETURNING ${key.name}`)
  const stored = (row: Record<string, unknown>) =>
    columns.map(([name, column]) => (row[name] == null ? null : column.mapToDriverValue(row[name])))
  return (rows) => new Set(statement.all(JSON.stringify(rows.map(stored))).map((row) => row[key.name]))
}
