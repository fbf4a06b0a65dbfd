import type { PostgresMigration } from '../postgres/migrate.ts'
import type { Sqlite } from './engine.ts'
import type { Migration } from './migrations/migration.ts'

/** The database of a service, as migrations, backups and restores see it. */
export interface ServiceDatabase {
  /** In the order in which they are applied. */
  migrations: readonly Migration[]
  /** The same for its schema in a PostgreSQL database. */
  postgres: readonly PostgresMigration[]
  /** Loads the tables, as the query builder knows them. */
  schema(): Promise<Record<string, unknown>>
  /** The tables whose rows the manifest of a backup counts. */
  mainTables: readonly string[]
  /**
   * Loads the function that a restore calls with the ids of deleted users: some may have been deleted after this database
   * was copied and before users was.
   */
  restored?(): Promise<{ forgetUsers(sqlite: Sqlite, ids: readonly string[]): Promise<void> }>
}

export interface DatabaseFile extends ServiceDatabase {
  /** The name of its service. */
  name: string
  path: string
}
