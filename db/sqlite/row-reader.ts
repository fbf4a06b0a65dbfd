import type { Database } from 'bun:sqlite'
import { getTableColumns } from 'drizzle-orm'
import { getTableConfig, type SQLiteColumn, type SQLiteTable } from 'drizzle-orm/sqlite-core'

type Row<T extends SQLiteTable, Without extends keyof T['$inferSelect']> = Omit<T['$inferSelect'], Without>

/**
 * Reads a row of a table as the query builder would give it, in a quarter of its time: for what every request reads.
 * @param where the condition, with `$name` for each parameter
 * @param without columns that are not wanted
 */
export function rowReader<T extends SQLiteTable, Without extends keyof T['$inferSelect'] & string = never>(
  raw: Database,
  table: T,
  where: string,
  without: readonly Without[] = [],
): (parameters: Record<string, string | number | null>) => Row<T, Without> | null {
  const columns: [string, SQLiteColumn][] = Object.entries(getTableColumns(table))
  const wanted = columns.filter(([property]) => !without.some((name) => name === property))
  const named = wanted.map(([property, { name }]) => `"${name}" AS "${property}"`)
  const statement = raw.query<Record<string, unknown>, [Record<string, string | number | null>]>(
    `SELECT ${named.join(', ')} FROM "${getTableConfig(table).name}" WHERE ${where}`,
  )
  // What SQLite keeps as something else than it is: booleans, JSON.
  const kept = wanted.filter(([, { dataType }]) => dataType === 'boolean' || dataType === 'json')
  return (parameters) => {
    const row = statement.get(parameters)
    if (row === null) return null
    for (const [property, column] of kept)
      if (row[property] !== null) row[property] = column.mapFromDriverValue(row[property])
    return row as Row<T, Without>
  }
}
