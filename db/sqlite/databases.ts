import { join } from 'node:path'
import { SERVICE_NAMES } from '../../services/kit/services.ts'
import { authMigrations } from './migrations/auth.ts'
import type { Migration } from './migrations/migration.ts'
import { modulesMigrations } from './migrations/modules.ts'
import { usersMigrations } from './migrations/users.ts'
import type { DatabaseName } from './open-database.ts'

export interface DatabaseFile {
  name: DatabaseName
  path: string
  migrations: readonly Migration[]
}

const MIGRATIONS: Record<DatabaseName, readonly Migration[]> = {
  auth: authMigrations,
  users: usersMigrations,
  modules: modulesMigrations,
}

/** The database of a service in a data directory. */
export function databaseOf(dataDir: string, name: DatabaseName): DatabaseFile {
  return { name, path: join(dataDir, `${name}.sqlite`), migrations: MIGRATIONS[name] }
}

/** The databases of all services in a data directory. */
export function databases(dataDir: string): DatabaseFile[] {
  return SERVICE_NAMES.map((name) => databaseOf(dataDir, name))
}
