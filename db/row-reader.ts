import type { Database } from 'bun:sqlite'
import { getTableColumns } from 'drizzle-orm'
import { getTableConfig, type SQLiteColumn, type SQLiteTable } from 'drizzle-orm/sqlite-core'

type Row<T extends SQLiteTable, Without extends keyof T['$inferSelect']> = Omit<T['$inferSelect'], Without>

/**
 * Prepares a read of one row that takes a quarter of the query builder's time, and gives the same row: for rows that every
 * request reads.
 * @param where the condition, with `$name` for each parameter
 * @param without columns to leave out
 */
export function rowReader<T extends SQLiteTable, Without extends keyof T['$inferSelect'] & string = never>(
  raw: Database,
  table: T,
  where: string,
  without: readonly Without[] = [],
): (parameters: Record<string, string | number | null>) => Row<T, Without> | null {
  const columns: [string, SQLiteColumn][] = Object.entries(getTableColumns(table))
  const selected = columns.filter(([property]) => !without.some((name) => name === property))
  const aliases = selected.map(([property, { name }]) => `"${name}" AS "${property}"`)
  const statement = raw.query<Record<string, unknown>, [Record<string, string | number | null>]>(
    `SELECT ${aliases.join(', ')} FROM "${getTableConfig(table).name}" WHERE ${where}`,
  )
  // SQLite has no booleans and no JSON: it stores numbers and text.
  const converted = selected.filter(([, { dataType }]) => dataType === 'boolean' || dataType === 'json')
  return (parameters) => {
    const row = statement.get(parameters)
    if (row === null) return null
    for (const [property, column] of converted)
      if (row[property] !== null) row[property] = column.mapFromDriverValue(row[property])
    return row as Row<T, Without>
  }
}
