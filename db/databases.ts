import { join } from 'node:path'
import { authMigrations } from './auth/migrations.ts'
import { modulesMigrations } from './modules/migrations.ts'
import type { DatabaseName, Migration } from './sqlite.ts'
import { usersMigrations } from './users/migrations.ts'

export interface DatabaseFile {
  name: DatabaseName
  path: string
  migrations: readonly Migration[]
}

/** Every database of a data directory: for what works on files, with the services down. */
export function databases(dataDir: string): DatabaseFile[] {
  const all = { auth: authMigrations, users: usersMigrations, modules: modulesMigrations }
  return (Object.keys(all) as DatabaseName[]).map((name) => ({
    name,
    path: join(dataDir, `${name}.sqlite`),
    migrations: all[name],
  }))
}
