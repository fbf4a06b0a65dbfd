import { join } from 'node:path'
import { getTableName, is, Table } from 'drizzle-orm'
import type { Engine } from './engine.ts'
import type { Postgres } from './postgres/engine.ts'
import type { PostgresMigration } from './postgres/migrate.ts'
import * as nodeSchema from './schema/nodes.ts'
import { subscribers } from './schema/subscribers.ts'
import type { Migration } from './sqlite/migrations/migration.ts'
import { openDatabase } from './sqlite/open-database.ts'

/** The settings that say where the databases are. */
export interface DatabaseConfig {
  /** The directory of the SQLite files. */
  dataDir: string
  /** The PostgreSQL database that takes the place of the files; null: files. */
  databaseUrl?: string | null
  /** The name of this process among those that use a PostgreSQL database; without it, the host and the process. */
  nodeName?: string | undefined
  /** Milliseconds within which PostgreSQL must answer; without it, what requests allow. Tests on a busy machine set more. */
  databasePatience?: number
}

/** The database of a service, in both kinds. */
export interface DatabaseDefinition {
  /** The name of the service: of its file, and of its schema. */
  name: string
  /** The tables, as the query builder knows them. */
  schema: Record<string, unknown>
  sqlite: readonly Migration[]
  postgres: readonly PostgresMigration[]
}

/**
 * Opens the database of a service, and creates it when it is missing: a SQLite file in the data directory, or a schema of
 * the PostgreSQL database.
 * @param makeStore builds the service's store on the open database
 * @returns the store. Its methods throw `DatabaseUnavailable` when the database fails
 * @throws DatabaseError when the database cannot be opened
 */
export async function openStore<Store extends object>(
  { databasePatience, databaseUrl, dataDir, nodeName }: DatabaseConfig,
  definition: DatabaseDefinition,
  makeStore: (engine: Engine) => Store | Promise<Store>,
): Promise<Store> {
  const { name, sqlite } = definition
  const engine = databaseUrl
    ? await openSchema(databaseUrl, definition, { nodeName, patience: databasePatience })
    : openDatabase(join(dataDir, `${name}.sqlite`), name, sqlite)
  try {
    return await makeStore(engine)
  } catch (error) {
    await engine.close()
    throw error
  }
}

async function openSchema(
  url: string,
  { name, postgres, schema }: DatabaseDefinition,
  { nodeName, patience }: { nodeName: string | undefined; patience: number | undefined },
): Promise<Postgres> {
  // Loaded when needed: a node with files does without 2 MB.
  const { Postgres } = await import('./postgres/engine.ts')
  const { migrate } = await import('./postgres/migrate.ts')
  await migrate(url, name, postgres)
  const tables = Object.values<unknown>({ ...schema, ...nodeSchema, subscribers }).filter((value): value is Table =>
    is(value, Table),
  )
  return new Postgres({
    url,
    schema: name,
    tables: new Set(tables.map(getTableName)),
    nodeName,
    ...(patience === undefined ? {} : { patience }),
  })
}
