import type { Database } from 'bun:sqlite'
import { getTableColumns, getTableName } from 'drizzle-orm'
import type { SQLiteColumn, SQLiteTable } from 'drizzle-orm/sqlite-core'
import type { Transaction } from './engine.ts'

/**
 * Prepares an insert of any number of rows in one statement. A full-text index writes a segment at the end of each
 * statement: 500 rows make one segment, while 500 statements make 500 segments and merge them (three times the work).
 * @returns a function that inserts rows and gives the keys of those inserted. A row that shares a unique value with an
 * earlier one is skipped.
 */
export function bulkInsert<T extends SQLiteTable>(
  raw: Database,
  table: T,
  key: SQLiteColumn,
  without: string[] = [],
): (tx: Transaction, rows: readonly T['$inferInsert'][]) => Set<unknown> {
  const columns = Object.entries<SQLiteColumn>(getTableColumns(table)).filter(([name]) => !without.includes(name))
  const statement = raw.query<Record<string, unknown>, { rows: string }>(`
    INSERT INTO ${getTableName(table)} (${columns.map(([, { name }]) => name)})
    SELECT ${columns.map((_, place) => `value->>${place}`)} FROM json_each($rows) WHERE true ORDER BY key
    ON CONFLICT DO NOTHING RETURNING ${key.name}`)
  const valuesOf = (row: Record<string, unknown>) =>
    columns.map(([name, column]) => (row[name] == null ? null : column.mapToDriverValue(row[name])))
  return (tx, rows) =>
    new Set(tx.all(statement, { rows: JSON.stringify(rows.map(valuesOf)) }).map((row) => row[key.name]))
}
