import { Database } from 'bun:sqlite'
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SQL } from 'bun'
import { generateSQLiteDrizzleJson, generateSQLiteMigration } from 'drizzle-kit/api'
import { getTableName } from 'drizzle-orm'
import { migrate } from '../../db/postgres/migrate.ts'
import * as attemptSchema from '../../db/schema/login-attempts.ts'
import * as nodeSchema from '../../db/schema/nodes.ts'
import * as refusalSchema from '../../db/schema/refused-logins.ts'
import * as subscriberSchema from '../../db/schema/subscribers.ts'
import * as unchainedSchema from '../../db/schema/unchained-audit.ts'
import { openDatabase } from '../../db/sqlite/open-database.ts'
import { databases as databaseFiles } from '../../services/databases.ts'
import { sharedPostgres } from '../support/postgres/shared.ts'

/**
 * The tables are defined three times: by the migrations of SQLite and those of PostgreSQL, which create them, and in
 * `db/schema`, which types the queries. This test creates a database from each and compares what the databases report.
 * Checks and plain indexes are in the migrations only. So may a foreign key be, but one that `db/schema` defines must
 * exist.
 */
const databases = await Promise.all(
  databaseFiles('').map(async ({ migrations, name, postgres, schema }) => ({
    name,
    migrations,
    postgres,
    schema: await schema(),
  })),
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

/** Creates the schema of a service in a new PostgreSQL database, and runs `read` on it. */
async function onPostgres<Result>(
  { name, migrations }: { name: string; migrations: Parameters<typeof migrate>[2] },
  read: (sql: SQL, url: string) => Promise<Result>,
): Promise<Result> {
  const { newDatabase } = await sharedPostgres()
  const url = await newDatabase()
  await migrate(url, name, migrations)
  const sql = new SQL({ url, max: 1 })
  try {
    return await read(sql, url)
  } finally {
    await sql.close()
  }
}

/** The types of PostgreSQL that stand for those of SQLite, so that a row is the same in both. */
const TYPES: Record<string, string> = { TEXT: 'text C', INTEGER: 'bigint', BLOB: 'bytea' }

/** Columns that SQLite got by `ALTER TABLE`, which cannot add one that is never null; every row has a value. */
const NEVER_NULL = new Set(['audit.prev_hash'])

/** Columns that only PostgreSQL has: who owns a row, where several nodes may run. No row is moved with them. */
const OWNED_TABLES = new Set(['mail_requests', 'outbox'])
const OWNER = { owner: { type: 'text C', notNull: true, primaryKey: 0 } }

/** Tables that only nodes of the version before use: a later release removes them. */
const FORMER_TABLES = ['password_resets']

/** Tables of PostgreSQL alone, for what its nodes share. A service has those that it needs. */
const SHARED_TABLES = { ...attemptSchema, ...nodeSchema, ...refusalSchema, ...subscriberSchema, ...unchainedSchema }

/** The shared tables that migrations create. */
function sharedTablesOf(migrations: readonly { sql: string }[]) {
  const created = new Set(
    migrations.flatMap(({ sql }) => [...sql.matchAll(/^CREATE TABLE (\w+)/gm)].map(([, name]) => name)),
  )
  return Object.fromEntries(Object.entries(SHARED_TABLES).filter(([, table]) => created.has(getTableName(table))))
}

interface TableShape {
  columns: Record<string, { type: string; notNull: boolean; primaryKey: number }>
  unique: { columns: string; partial: boolean }[]
}

/** The tables of a SQLite database, with the types that PostgreSQL has for them. */
function expectedTables(raw: Database): Record<string, TableShape> {
  return Object.fromEntries(
    describeDatabase(raw).map(({ columns, table, unique }) => [
      table,
      {
        columns: {
          ...Object.fromEntries(
            columns.map(({ name, notNull, primaryKey, type }) => [
              name,
              {
                type: TYPES[type] ?? `no type for ${type}`,
                notNull: notNull || NEVER_NULL.has(`${table}.${name}`),
                primaryKey,
              },
            ]),
          ),
          ...(OWNED_TABLES.has(table) && OWNER),
        },
        unique,
      },
    ]),
  )
}

/** The tables of a schema, as PostgreSQL reports them: without that of the migrations, and without computed columns. */
async function postgresTables(sql: SQL, schema: string): Promise<Record<string, TableShape>> {
  const columns: { table: string; name: string; type: string; not_null: boolean; primary_key: number }[] =
    await sql.unsafe(
      `SELECT c.table_name AS table, c.column_name AS name, concat_ws(' ', c.data_type, c.collation_name) AS type,
         c.is_nullable = 'NO' AS not_null, coalesce(k.ordinal_position, 0) AS primary_key
       FROM information_schema.columns c
       LEFT JOIN information_schema.table_constraints p
         ON (p.table_schema, p.table_name, p.constraint_type) = (c.table_schema, c.table_name, 'PRIMARY KEY')
       LEFT JOIN information_schema.key_column_usage k
         ON (k.constraint_schema, k.constraint_name, k.column_name) = (p.constraint_schema, p.constraint_name, c.column_name)
       WHERE c.table_schema = $1 AND c.table_name <> 'schema_migrations' AND c.is_generated = 'NEVER'
       ORDER BY c.table_name, c.ordinal_position`,
      [schema],
    )
  const indexes: { table: string; columns: string; partial: boolean }[] = await sql.unsafe(
    `SELECT c.relname AS table, i.indpred IS NOT NULL AS partial, (
       SELECT string_agg(pg_get_indexdef(i.indexrelid, place::int, true), ', ' ORDER BY place)
       FROM generate_series(1, i.indnatts) AS place) AS columns
     FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
     WHERE c.relnamespace = CAST($1 AS text)::regnamespace AND i.indisunique AND NOT i.indisprimary ORDER BY columns`,
    [schema],
  )
  const tables: Record<string, TableShape> = {}
  for (const { name, not_null: notNull, primary_key: primaryKey, table, type } of columns) {
    tables[table] ??= { columns: {}, unique: [] }
    tables[table].columns[name] = { type, notNull, primaryKey }
  }
  for (const { table, ...index } of indexes) tables[table]?.unique.push(index)
  return tables
}

function postgresForeignKeys(sql: SQL, schema: string): Promise<ForeignKey[]> {
  return sql.unsafe(
    `SELECT f.relname || '.' || a.attname AS "from", t.relname AS "table", b.attname AS "to",
       CASE k.confdeltype WHEN 'c' THEN 'CASCADE' WHEN 'a' THEN 'NO ACTION' END AS on_delete
     FROM pg_constraint k
     JOIN pg_class f ON f.oid = k.conrelid JOIN pg_attribute a ON a.attrelid = f.oid AND a.attnum = k.conkey[1]
     JOIN pg_class t ON t.oid = k.confrelid JOIN pg_attribute b ON b.attrelid = t.oid AND b.attnum = k.confkey[1]
     WHERE k.contype = 'f' AND k.connamespace = CAST($1 AS text)::regnamespace`,
    [schema],
  )
}

describe.each(databases)('the database of $name on PostgreSQL', ({ name, postgres, schema }) => {
  test('has the tables, columns, keys and unique indexes of schema.ts; texts are compared by their bytes', async () => {
    const typed = await databaseOf({
      ...schema,
      ...sharedTablesOf(postgres),
    })
    await onPostgres({ name, migrations: postgres }, async (sql) => {
      const tables = Object.entries(await postgresTables(sql, name)).filter(([table]) => !FORMER_TABLES.includes(table))
      expect(Object.fromEntries(tables)).toEqual(expectedTables(typed))
      expect([...(await postgresForeignKeys(sql, name))]).toEqual(expect.arrayContaining(foreignKeysOf(typed)))
    })
    typed.close()
  })

  test('migrates from each earlier version to the same schema, and once only', async () => {
    const newest = await onPostgres({ name, migrations: postgres }, (sql) => postgresTables(sql, name))
    for (const count of postgres.keys())
      await onPostgres({ name, migrations: postgres.slice(0, count) }, async (sql, url) => {
        const pending = postgres.slice(count).map((migration) => migration.name)
        expect(await migrate(url, name, postgres)).toEqual(pending)
        expect(await migrate(url, name, postgres)).toEqual([])
        expect([count, await postgresTables(sql, name)]).toEqual([count, newest])
      })
  })
})
