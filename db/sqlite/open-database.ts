import { Database } from 'bun:sqlite'
import { chmodSync, closeSync, existsSync, linkSync, mkdirSync, openSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { Sqlite } from './engine.ts'
import { openingError, refuseDamagedFile, refuseDamagedPages, refuseLogAlone } from './integrity.ts'
import { migrate } from './migrate.ts'
import type { Migration } from './migrations/migration.ts'

/** The services whose files were numbered before ids were derived from names. */
const NUMBERED: Record<string, number> = { auth: 1, users: 2, modules: 3 }

/**
 * The `PRAGMA application_id` in the header of a service's file: files of other programs, and of other services, are
 * refused.
 */
export function applicationIdOf(service: string): number {
  return 0x63680000 + (NUMBERED[service] ?? 0x100 + (Bun.hash.crc32(service) % 0xff00))
}

/** Milliseconds that a start waits for another process's write. */
const BUSY_TIMEOUT_AT_START = 5000
/** Milliseconds that a statement may wait inside SQLite, and so stop the event loop: `Sqlite.write` waits outside. */
const BUSY_TIMEOUT = 5

/**
 * Opens a service's database and applies the migrations that it lacks. A missing file is created under another name and
 * linked into place when it is complete, so that a file of this name is never empty or cut short.
 * @throws DatabaseError that names the file and its fault
 */
export function openDatabase(path: string, name: string, migrations: readonly Migration[]): Sqlite {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    if (!existsSync(path)) {
      refuseLogAlone(path)
      createDatabase(path, name, migrations)
    }
    refuseDamagedFile(path, { name, id: applicationIdOf(name) })
    chmodSync(path, 0o600)
    const raw = new Database(path, { readwrite: true, create: false, strict: true })
    try {
      configure(raw)
      refuseDamagedPages(raw, path)
      migrate(raw, path, migrations)
      raw.run(`PRAGMA busy_timeout = ${BUSY_TIMEOUT}`)
    } catch (error) {
      raw.close()
      throw error
    }
    return new Sqlite(raw, path)
  } catch (error) {
    throw openingError(path, error)
  }
}

function createDatabase(path: string, name: string, migrations: readonly Migration[]): void {
  const draft = `${path}.new-${process.pid}`
  rmSync(draft, { force: true })
  closeSync(openSync(draft, 'wx', 0o600))
  try {
    writeSchema(draft, name, migrations)
    linkSync(draft, path)
  } catch (error) {
    // Another process created the file first: it has the same schema.
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    rmSync(draft, { force: true })
    rmSync(`${draft}-journal`, { force: true })
  }
}

function writeSchema(path: string, name: string, migrations: readonly Migration[]): void {
  const raw = new Database(path, { readwrite: true, create: false, strict: true })
  try {
    raw.run(`PRAGMA application_id = ${applicationIdOf(name)}`)
    raw.run('PRAGMA synchronous = FULL')
    migrate(raw, path, migrations)
  } finally {
    raw.close()
  }
}

function configure(raw: Database): void {
  // bun:sqlite leaves busy_timeout and foreign_keys off.
  raw.run(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_AT_START}`)
  raw.run('PRAGMA journal_mode = WAL')
  raw.run('PRAGMA synchronous = FULL')
  raw.run('PRAGMA foreign_keys = ON')
  raw.run('PRAGMA trusted_schema = OFF')
  // Overwrites what is deleted or changed, so that the file has nothing left of it.
  raw.run('PRAGMA secure_delete = ON')
  // Makes a damaged page an error when it is read, instead of wrong data.
  raw.run('PRAGMA cell_size_check = ON')
  raw.run('PRAGMA temp_store = MEMORY')
  // KiB, allocated as needed. With SQLite's default of 2 MiB a lookup among a million users reads from the file.
  raw.run('PRAGMA cache_size = -16000')
}
