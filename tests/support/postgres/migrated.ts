import { openAuthStore } from '../../../db/auth/store.ts'
import { openModulesStore } from '../../../db/modules/store.ts'
import type { DatabaseConfig } from '../../../db/open.ts'
import { openUsersStore } from '../../../db/users/store.ts'
import { PATIENCE } from '../eventually.ts'
import { newDatabaseConfig, sharedPostgres } from './shared.ts'

let template: Promise<string> | undefined

/**
 * The settings of stores in a database that has the schemas of all services, and what a first start writes. It is a copy of
 * one that was migrated once: a copy takes a fraction of the time of the migrations.
 */
export async function migratedDatabaseConfig(): Promise<DatabaseConfig & { databaseUrl: string }> {
  const { newDatabase } = await sharedPostgres()
  template ??= migrateOne()
  return { dataDir: '', databaseUrl: await newDatabase(await template), databasePatience: PATIENCE }
}

/** Creates the database that is copied. @returns its name */
async function migrateOne(): Promise<string> {
  const { server } = await sharedPostgres()
  const config = await newDatabaseConfig()
  for (const open of [openAuthStore, openUsersStore, openModulesStore]) await (await open(config)).close()
  const name = new URL(config.databaseUrl).pathname.slice(1)
  // A pooler keeps connections, and a database that has some is not copied.
  await server.run('postgres', `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${name}'`)
  return name
}
