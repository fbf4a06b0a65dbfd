import { Database } from 'bun:sqlite'
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { generateSQLiteDrizzleJson, generateSQLiteMigration } from 'drizzle-kit/api'
import { openDatabase } from '../../db/sqlite/open-database.ts'
import { databases as databaseFiles } from '../../services/databases.ts'

/**
 * The tables are defined twice: by the migrations, which create them, and in `db/schema`, which types the queries. This
 * test creates a database from each and compares what SQLite reports. Checks and plain indexes are in the migrations
 * only. So may a foreign key be, but one that `db/schema` defines must exist.
 */
const databases = await Promise.all(
  databaseFiles('').map(async ({ migrations, name }) => {
    const schema: Record<string, unknown> = await import(`../../db/schema/${name}.ts`)
    return { name, migrations, schema }
  }),
)

interface Column {
  name: string
  type: string
  notnull: number
  dflt_value: string | null
  pk: number
}

interface Index {
  name: string
  unique: number
  origin: 'c' | 'u' | 'pk'
  partial: number
}

/** Names of our tables, without those of SQLite, of a full-text index and of the migrations. */
function tablesOf(raw: Database): string[] {
  return raw
    .query<{ name: string }, []>(
      `SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table'
       AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name <> 'schema_migrations' ORDER BY name`,
    )
    .all()
    .map(({ name }) => name)
}

function describeTable(raw: Database, table: string) {
  const columns = raw
    .query<Column, [string]>('SELECT * FROM pragma_table_info(?)')
    .all(table)
    .map(({ name, type, notnull, dflt_value, pk }) => ({
      name,
      type: type.toUpperCase(),
      // A primary key can't be null in a STRICT table, with or without NOT NULL.
      notNull: notnull === 1 || pk > 0,
      default: dflt_value,
      primaryKey: pk,
    }))
  const unique = raw
    .query<Index, [string]>('SELECT * FROM pragma_index_list(?)')
    .all(table)
    .filter((index) => index.unique === 1 && index.origin !== 'pk')
    .map(({ name, partial }) => ({
      columns: raw
        .query<{ name: string }, [string]>('SELECT name FROM pragma_index_info(?) ORDER BY seqno')
        .all(name)
        .map((column) => column.name)
        .join(', '),
      partial: partial === 1,
    }))
    .sort((a, b) => a.columns.localeCompare(b.columns))
  const sql = raw.query<{ sql: string }, [string]>('SELECT sql FROM sqlite_schema WHERE name = ?').get(table)?.sql ?? ''
  return { table, columns, unique, autoincrement: /\bAUTOINCREMENT\b/i.test(sql) }
}

function describeDatabase(raw: Database) {
  return tablesOf(raw).map((table) => describeTable(raw, table))
}

interface ForeignKey {
  table: string
  from: string
  to: string
  on_delete: string
}

function foreignKeysOf(raw: Database): ForeignKey[] {
  return tablesOf(raw).flatMap((table) =>
    raw
      .query<ForeignKey, [string]>(
        'SELECT ?1 || \'.\' || "from" AS "from", "table", "to", on_delete FROM pragma_foreign_key_list(?1)',
      )
      .all(table),
  )
}

/** Creates a database from a `schema.ts`, as drizzle-kit would. */
async function databaseOf(schema: Record<string, unknown>): Promise<Database> {
  const steps = await generateSQLiteMigration(
    await generateSQLiteDrizzleJson({}),
    await generateSQLiteDrizzleJson(schema),
  )
  const raw = new Database(':memory:')
  for (const step of steps) raw.run(step)
  return raw
}

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ch202-schema-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

describe.each(databases)('the database of $name', ({ name, migrations, schema }) => {
  test('is the same in the migrations and in schema.ts', async () => {
    const migrated = openDatabase(join(folder, `${name}.db`), name, migrations)
    const typed = await databaseOf(schema)
    expect(tablesOf(typed)).not.toBeEmpty()
    expect(describeDatabase(migrated.raw)).toEqual(describeDatabase(typed))
    expect(foreignKeysOf(migrated.raw)).toEqual(expect.arrayContaining(foreignKeysOf(typed)))
    typed.close()
    migrated.close()
  })

  test('check 36: migrates from each earlier version to the same schema', () => {
    const newest = openDatabase(join(folder, `${name}.db`), name, migrations)
    for (const count of migrations.keys()) {
      const path = join(folder, `${name}-${count}.db`)
      if (count > 0) openDatabase(path, name, migrations.slice(0, count)).close()
      const migrated = openDatabase(path, name, migrations)
      expect([count, describeDatabase(migrated.raw)]).toEqual([count, describeDatabase(newest.raw)])
      migrated.close()
    }
    newest.close()
  })

  test('has only STRICT tables', () => {
    const migrated = openDatabase(join(folder, `${name}.db`), name, migrations)
    const strict = migrated.raw
      .query<{ name: string; strict: number }, []>("SELECT name, strict FROM pragma_table_list WHERE type = 'table'")
      .all()
    const lax = strict.filter((table) => table.strict === 0 && !table.name.startsWith('sqlite_'))
    expect(lax).toEqual([])
    migrated.close()
  })
})
