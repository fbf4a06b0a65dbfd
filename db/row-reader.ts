import { getTableColumns, getTableName } from 'drizzle-orm'
import type { SQLiteColumn, SQLiteTable } from 'drizzle-orm/sqlite-core'
import { type Body, type Transaction, text, type Values } from './engine.ts'

type Row<T extends SQLiteTable, Without extends keyof T['$inferSelect']> = Omit<T['$inferSelect'], Without>

/**
 * Makes a read of one row that takes half of the query builder's time on SQLite, and gives the same row: for rows
 * that every request reads.
 * @param where the condition, with `$name` for each parameter
 * @param without properties of columns to leave out
 */
export function rowReader<T extends SQLiteTable, Without extends keyof T['$inferSelect'] & string = never>(
  table: T,
  where: string,
  without: readonly Without[] = [],
): (tx: Transaction, values: Values) => Body<Row<T, Without> | null> {
  const columns: [string, SQLiteColumn][] = Object.entries(getTableColumns(table))
  const selected = columns.filter(([property]) => !without.some((name) => name === property))
  const aliases = selected.map(([property, { name }]) => `"${name}" AS "${property}"`)
  const statement = text<Record<string, unknown>>(
    `SELECT ${aliases.join(', ')} FROM "${getTableName(table)}" WHERE ${where}`,
  )
  // Tables have no booleans and no JSON, but numbers and text.
  const converted = selected.filter(([, { dataType }]) => dataType === 'boolean' || dataType === 'json')
  return function* (tx, values) {
    const row = yield* tx.get(statement, values)
    if (row === undefined) return null
    for (const [property, column] of converted)
      if (row[property] !== null) row[property] = column.mapFromDriverValue(row[property])
    return row as Row<T, Without>
  }
}
