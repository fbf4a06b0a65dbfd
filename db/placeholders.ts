import { getTableColumns, sql } from 'drizzle-orm'
import type { SQLiteColumn, SQLiteTable } from 'drizzle-orm/sqlite-core'

/**
 * A placeholder for each column of a table, named as the column's property: what a prepared insert or update of a whole
 * row takes. A column that is added to the schema is bound from then on.
 */
export function placeholders<T extends SQLiteTable>(table: T, without: string[] = []): T['$inferInsert'] {
  const columns: Record<string, SQLiteColumn> = getTableColumns(table)
  const names = Object.keys(columns).filter((name) => !without.includes(name))
  return Object.fromEntries(names.map((name) => [name, sql.placeholder(name)])) as T['$inferInsert']
}
