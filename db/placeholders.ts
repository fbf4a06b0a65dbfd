import { getTableColumns, sql } from 'drizzle-orm'
import type { SQLiteColumn, SQLiteTable } from 'drizzle-orm/sqlite-core'

/**
 * Makes a placeholder for each column of a table, named after the column's property: the values of a prepared insert or
 * update of a whole row. Columns that are added to the schema later are included.
 * @param without properties to leave out
 */
export function placeholders<T extends SQLiteTable>(table: T, without: string[] = []): T['$inferInsert'] {
  const columns: Record<string, SQLiteColumn> = getTableColumns(table)
  const names = Object.keys(columns).filter((name) => !without.includes(name))
  return Object.fromEntries(names.map((name) => [name, sql.placeholder(name)])) as T['$inferInsert']
}
