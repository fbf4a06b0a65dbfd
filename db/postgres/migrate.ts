import { createHash } from 'node:crypto'
import type { SQL } from 'bun'
import { DatabaseError, FROM_NEWER } from '../database-error.ts'
import { isConflict, sqlState } from './errors.ts'
import { explained } from './failure.ts'
import { connect } from './pools.ts'
import { withoutTimeouts } from './time-limits.ts'

export interface PostgresMigration {
  name: string
  /** Statements that name the service's tables without a schema. */
  sql: string
}

/** Codes of SQL for what two nodes that create the same thing at once may get: both then find it there. */
const CREATED_MEANWHILE = new Set(['23505', '42710', '42P06', '42P07'])
const TRIES = 5

/**
 * Creates the schema of a service and applies the migrations that it lacks, all in one transaction, under the lock of one
 * row: several nodes may start at once.
 * @returns the names of the applied migrations
 * @throws PostgresFailure when the database cannot be reached or refuses; DatabaseError when its encoding is not UTF8, the
 * schema is newer than the program, or a migration was edited after it had landed
 */
export function migrate(url: string, schema: string, migrations: readonly PostgresMigration[]): Promise<string[]> {
  return withConnection(url, schema, async (sql) => {
    await refuseEncoding(sql)
    await repeated(() => createMigrationTable(sql, schema))
    return await repeated(() => applyPending(sql, schema, migrations))
  })
}

/** At READ COMMITTED, whatever the server's default is: what another node has applied is seen once it gives up the lock. */
function applyPending(sql: SQL, schema: string, migrations: readonly PostgresMigration[]): Promise<string[]> {
  return sql.begin('ISOLATION LEVEL READ COMMITTED', async (tx) => {
    await withoutTimeouts(tx)
    // Of this transaction alone: no other statement has a search path.
    await tx.unsafe(`SET LOCAL search_path TO "${schema}", public`)
    await tx.unsafe("SELECT name FROM schema_migrations WHERE name = '' FOR UPDATE")
    const pending = pendingMigrations(await appliedMigrations(tx, schema), schema, migrations)
    for (const { name, sql: text } of pending) {
      await tx.unsafe(text).simple()
      await tx.unsafe('INSERT INTO schema_migrations VALUES ($1, $2, $3)', [name, checksumOf(text), Date.now()])
    }
    return pending.map(({ name }) => name)
  })
}

/** Runs steps again when another node runs the same at once. */
async function repeated<Result>(run: () => Promise<Result>): Promise<Result> {
  for (let tries = 1; ; tries++)
    try {
      return await run()
    } catch (error) {
      const isMeanwhile = isConflict(error) || CREATED_MEANWHILE.has(sqlState(error) ?? '')
      if (!isMeanwhile || tries === TRIES) throw error
    }
}

/** In another encoding, the first name in another script would be an error. */
async function refuseEncoding(sql: SQL): Promise<void> {
  const [{ encoding }] = await sql.unsafe("SELECT current_setting('server_encoding') AS encoding")
  if (encoding !== 'UTF8')
    throw new DatabaseError(
      `The database has the encoding ${encoding}, which cannot store every name: create one with createdb --encoding UTF8 --template template0`,
    )
}

/** The names of the migrations that the next start would apply. @throws DatabaseError as `migrate` does */
export function plannedMigrations(
  url: string,
  schema: string,
  migrations: readonly PostgresMigration[],
): Promise<string[]> {
  return withConnection(url, schema, async (sql) => {
    await refuseEncoding(sql)
    const [{ exists }] = await sql.unsafe('SELECT to_regclass($1) IS NOT NULL AS exists', [
      `"${schema}".schema_migrations`,
    ])
    const applied = exists ? await appliedMigrations(sql, schema) : []
    return pendingMigrations(applied, schema, migrations).map(({ name }) => name)
  })
}

async function withConnection<Result>(
  url: string,
  schema: string,
  run: (sql: SQL) => Promise<Result>,
): Promise<Result> {
  const sql = connect(url, { max: 1 })
  try {
    return await run(sql)
  } catch (error) {
    throw explained(error, url, `The schema ${schema} cannot be opened: `)
  } finally {
    await sql.close({ timeout: 0 })
  }
}

interface AppliedMigration {
  name: string
  checksum: string
}

function appliedMigrations(sql: Pick<SQL, 'unsafe'>, schema: string): Promise<AppliedMigration[]> {
  return sql.unsafe(`SELECT name, checksum FROM "${schema}".schema_migrations WHERE name <> ''`)
}

async function createMigrationTable(sql: SQL, schema: string): Promise<void> {
  // A role that may not create a schema, even one that exists, may own one that an operator has created.
  const [{ exists }] = await sql.unsafe('SELECT to_regnamespace($1) IS NOT NULL AS exists', [schema])
  if (!exists) await sql.unsafe(`CREATE SCHEMA IF NOT EXISTS "${schema}"`)
  await sql.unsafe(`CREATE TABLE IF NOT EXISTS "${schema}".schema_migrations (
    name text COLLATE "C" PRIMARY KEY, checksum text COLLATE "C" NOT NULL, applied_at bigint NOT NULL)`)
  // The row that migrations lock.
  await sql.unsafe(`INSERT INTO "${schema}".schema_migrations VALUES ('', '', 0) ON CONFLICT (name) DO NOTHING`)
}

function pendingMigrations(
  applied: AppliedMigration[],
  schema: string,
  migrations: readonly PostgresMigration[],
): PostgresMigration[] {
  for (const { name, checksum } of applied) {
    const migration = migrations.find((candidate) => candidate.name === name)
    if (!migration)
      throw new DatabaseError(
        `The schema ${schema} is newer than this program: it has the migration ${name}. ${FROM_NEWER}`,
      )
    if (checksumOf(migration.sql) !== checksum)
      throw new DatabaseError(`The schema ${schema} was made by another version of the migration ${name}`)
  }
  return migrations.filter(({ name }) => !applied.some((row) => row.name === name))
}

function checksumOf(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
