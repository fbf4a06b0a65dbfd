import { getTableColumns, getTableName } from 'drizzle-orm'
import type { SQLiteColumn, SQLiteTable } from 'drizzle-orm/sqlite-core'
import { type Body, type Transaction, text } from './engine.ts'

/**
 * Makes an insert of any number of rows in one statement. A full-text index of SQLite writes a segment at the end of each
 * statement: 500 rows make one segment, while 500 statements make 500 segments and merge them (three times the work).
 * @param key the column whose values tell which rows were inserted
 * @param without properties of columns that the database fills itself
 * @returns a function that inserts rows and gives the keys of those inserted. A row that shares a unique value with an
 * earlier one is skipped.
 */
export function bulkInsert<T extends SQLiteTable>(
  table: T,
  key: SQLiteColumn,
  without: string[] = [],
): (tx: Transaction, rows: readonly T['$inferInsert'][]) => Body<Set<unknown>> {
  const columns = Object.entries<SQLiteColumn>(getTableColumns(table)).filter(([name]) => !without.includes(name))
  const insert = `INSERT INTO ${getTableName(table)} (${columns.map(([, { name }]) => name).join(', ')})`
  // Any unique column may conflict.
  const skipping = `ORDER BY key ON CONFLICT DO NOTHING RETURNING ${key.name} AS "key"`
  const statement = text<{ key: unknown }>({
    sqlite: `
      ${insert} SELECT ${columns.map((_, place) => `value->>${place}`).join(', ')}
      FROM json_each($rows) WHERE true ${skipping}`,
    postgres: `
      ${insert} SELECT ${columns.map(([, column], place) => `CAST(value->>${place} AS ${typeInPostgres(column)})`).join(', ')}
      FROM jsonb_array_elements(CAST($rows AS text)::jsonb) WITH ORDINALITY AS list (value, key) ${skipping}`,
  })
  const valuesOf = (row: Record<string, unknown>) =>
    columns.map(([name, column]) => (row[name] == null ? null : column.mapToDriverValue(row[name])))
  return function* (tx, rows) {
    const inserted = yield* tx.all(statement, { rows: JSON.stringify(rows.map(valuesOf)) })
    return new Set(inserted.map((row) => row.key))
  }
}

/** @throws Error for a column of binary values, which JSON cannot hold */
function typeInPostgres(column: SQLiteColumn): 'text' | 'bigint' {
  const type = column.getSQLType()
  if (type === 'text') return 'text'
  if (type === 'integer') return 'bigint'
  throw new Error(`A bulk insert cannot fill the column ${column.name}`)
}
