import { join } from 'node:path'
import { SERVICE_NAMES } from '../../services/kit/services.ts'
import type { DatabaseName, Migration } from './engine.ts'
import { authMigrations } from './migrations/auth.ts'
import { modulesMigrations } from './migrations/modules.ts'
import { usersMigrations } from './migrations/users.ts'

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

/** Every database of a data directory: for what works on files, with the services down. */
export function databases(dataDir: string): DatabaseFile[] {
  return SERVICE_NAMES.map((name) => ({
    name,
    path: join(dataDir, `${name}.sqlite`),
    migrations: MIGRATIONS[name],
  }))
}
