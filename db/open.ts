import { join } from 'node:path'
import type { Engine } from './engine.ts'
import { withNeutralErrors } from './sqlite/errors.ts'
import type { Migration } from './sqlite/migrations/migration.ts'
import { openDatabase } from './sqlite/open-database.ts'

/** The settings that say where the databases are. */
export interface DatabaseConfig {
  dataDir: string
}

/**
 * Opens the database of a service, a SQLite file in the data directory, and creates it when it is missing.
 * @param name of the service
 * @param makeStore builds the service's store on the open database
 * @returns the store. Its methods throw `DatabaseUnavailable` when the database fails
 * @throws DatabaseError when the database cannot be opened
 */
export async function openStore<Store extends object>(
  { dataDir }: DatabaseConfig,
  { migrations, name }: { name: string; migrations: readonly Migration[] },
  makeStore: (engine: Engine) => Store | Promise<Store>,
): Promise<Store> {
  const sqlite = openDatabase(join(dataDir, `${name}.sqlite`), name, migrations)
  try {
    return withNeutralErrors(await makeStore(sqlite))
  } catch (error) {
    await sqlite.close()
    throw error
  }
}
