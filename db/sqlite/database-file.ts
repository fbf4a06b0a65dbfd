import type { Sqlite } from './engine.ts'
import type { Migration } from './migrations/migration.ts'

/** What migrations, backups and restores need to know about the database of a service. */
export interface ServiceDatabase {
  /** In the order in which they are applied. */
  migrations: readonly Migration[]
  /** The tables whose rows the manifest of a backup counts. */
  mainTables: readonly string[]
  /**
   * Loads what a restore calls for users who were deleted after this database was copied and before that of users was.
   */
  restored?(): Promise<{ forgetUsers(sqlite: Sqlite, ids: readonly string[]): Promise<void> }>
}

export interface DatabaseFile extends ServiceDatabase {
  /** The name of its service. */
  name: string
  path: string
}
