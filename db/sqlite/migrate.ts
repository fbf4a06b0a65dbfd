import { Database } from 'bun:sqlite'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { DatabaseError, FROM_NEWER } from '../database-error.ts'
import { refuseDamagedFile } from './integrity.ts'
import type { Migration } from './migrations/migration.ts'

interface AppliedMigration {
  name: string
  checksum: string
}

/** Applies the migrations that a database lacks, each in a transaction. @throws DatabaseError; SQLite's error */
export function migrate(raw: Database, path: string, migrations: readonly Migration[]): void {
  raw.run(
    'CREATE TABLE IF NOT EXISTS schema_migrations (name TEXT PRIMARY KEY, checksum TEXT NOT NULL, applied_at INTEGER NOT NULL) STRICT',
  )
  for (const migration of pendingMigrations(raw, path, migrations)) {
    raw.run('BEGIN IMMEDIATE')
    try {
      // Another process may have applied it while this one waited for the lock.
      const isApplied = raw.query('SELECT 1 FROM schema_migrations WHERE name = ?').get(migration.name) !== null
      if (!isApplied) {
        raw.run(migration.sql)
        migration.finish?.(raw)
        raw
          .query('INSERT INTO schema_migrations VALUES (?, ?, ?)')
          .run(migration.name, checksumOf(migration), Date.now())
      }
      raw.run('COMMIT')
    } catch (error) {
      if (raw.inTransaction) raw.run('ROLLBACK')
      throw error
    }
  }
}

/** @throws DatabaseError when the file is newer than the program, or a migration was edited after it had landed */
function pendingMigrations(raw: Database, path: string, migrations: readonly Migration[]): Migration[] {
  const applied = raw.query<AppliedMigration, []>('SELECT name, checksum FROM schema_migrations ORDER BY name').all()
  for (const { name, checksum } of applied) {
    const migration = migrations.find((candidate) => candidate.name === name)
    if (!migration)
      throw new DatabaseError(`${path} is newer than this program: it has the migration ${name}. ${FROM_NEWER}`)
    if (checksumOf(migration) !== checksum)
      throw new DatabaseError(`${path} was made by another version of the migration ${name}`)
  }
  return migrations.filter(({ name }) => !applied.some((row) => row.name === name))
}

/** The checksum that `schema_migrations` holds for an applied migration. */
export function checksumOf(migration: Migration): string {
  return createHash('sha256').update(migration.sql).digest('hex')
}

/** The names of the migrations that the next start would apply to a file. @throws DatabaseError */
export function plannedMigrations(path: string, migrations: readonly Migration[]): string[] {
  if (!existsSync(path)) return migrations.map(({ name }) => name)
  refuseDamagedFile(path)
  const raw = new Database(path, { readonly: true })
  try {
    return pendingMigrations(raw, path, migrations).map(({ name }) => name)
  } finally {
    raw.close()
  }
}
