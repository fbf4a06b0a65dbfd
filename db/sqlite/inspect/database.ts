import { constants, Database } from 'bun:sqlite'
import { existsSync, statSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import type { DatabaseFile } from '../database-file.ts'
import { checksumOf } from '../migrate.ts'
import { applicationIdOf } from '../open-database.ts'

/** Thrown when a database cannot be inspected now without a change to a file. */
export class InspectionUnavailable extends Error {
  override name = 'InspectionUnavailable'
}

/** Bytes above which `integrity` does not compare tables with their indexes. */
const LARGE = 256 * 1024 * 1024
/** Milliseconds. */
const BUSY_TIMEOUT = 2000

/** A database that is only read: no file on the disk is created, changed or given another owner. */
export class InspectedDatabase {
  private constructor(
    readonly raw: Database,
    readonly file: DatabaseFile,
  ) {}

  /**
   * Opens a database for reading. Even a reader makes SQLite create files beside the database, owned by the reader: root
   * would lock the service out. So a database without such files is read as immutable, one with a write-ahead log and
   * its index is read without a write to the index, and any other state is refused.
   * @throws InspectionUnavailable; SQLite's error when the file is not a database or cannot be read
   */
  static open(file: DatabaseFile): InspectedDatabase {
    const { path } = file
    const hasLog = existsSync(`${path}-wal`) && statSync(`${path}-wal`).size > 0
    const hasIndex = existsSync(`${path}-shm`)
    if (hasLog && !hasIndex)
      throw new InspectionUnavailable(
        'A write-ahead log is left without its index: the next start of the service reads it',
      )
    const mode = hasIndex ? 'mode=ro&readonly_shm=1' : 'mode=ro&immutable=1'
    return new InspectedDatabase(openReadOnly(`${pathToFileURL(path).href}?${mode}`), file)
  }

  close(): void {
    this.raw.close()
  }

  /** Reports that the file belongs to another service; undefined when it is the right one. */
  foreign(): string | undefined {
    const id = this.one<{ application_id: number }>('PRAGMA application_id')?.application_id
    const { name } = this.file
    return id === applicationIdOf(name) ? undefined : `It is not the database of the ${name} service`
  }

  /** Checks every page. @returns the first faults; `quick`: tables were not compared with their indexes */
  integrity(): { faults: string[]; quick: boolean } {
    const quick = statSync(this.file.path).size > LARGE
    const rows = this.raw.query<Record<string, string>, []>(`PRAGMA ${quick ? 'quick' : 'integrity'}_check(5)`).all()
    const findings = rows.map((row) => Object.values(row)[0] ?? '').filter((text) => text !== 'ok')
    const orphans = this.raw.query<{ table: string; parent: string }, []>('PRAGMA foreign_key_check').all()
    const missing = orphans.slice(0, 5).map(({ parent, table }) => `a row of ${table} without its row of ${parent}`)
    return { faults: [...findings, ...missing], quick }
  }

  /** Compares the migrations of the file with those of this program. */
  schema(): { pending: string[]; unknown: string[]; edited: string[] } {
    const applied = this.raw
      .query<{ name: string; checksum: string }, []>('SELECT name, checksum FROM schema_migrations ORDER BY name')
      .all()
    const checksums = new Map(this.file.migrations.map((migration) => [migration.name, checksumOf(migration)]))
    const names = new Set(applied.map(({ name }) => name))
    return {
      pending: [...checksums.keys()].filter((name) => !names.has(name)),
      unknown: [...names].filter((name) => !checksums.has(name)),
      edited: applied
        .filter(({ checksum, name }) => (checksums.get(name) ?? checksum) !== checksum)
        .map(({ name }) => name),
    }
  }

  /** The latest time in the database, in milliseconds since the epoch; 0 when it holds none. */
  latest(): number {
    return Math.max(0, ...(LATEST[this.file.name] ?? []).map((sql) => this.one<{ at: number }>(sql)?.at ?? 0))
  }

  private one<Row>(sql: string): Row | null {
    return this.raw.query<Row, []>(sql).get()
  }
}

/** Queries that read the newest row by an index. */
const LATEST: Record<string, readonly string[]> = {
  auth: [
    'SELECT at FROM audit ORDER BY seq DESC LIMIT 1',
    'SELECT created_at AS at FROM sessions ORDER BY id DESC LIMIT 1',
    "SELECT CAST(value AS INTEGER) AS at FROM facts WHERE name = 'alive_at'",
  ],
  users: ['SELECT updated_at AS at FROM users ORDER BY "change" DESC LIMIT 1'],
  modules: ['SELECT max(created_at) AS at FROM modules'],
}

function openReadOnly(uri: string): Database {
  const raw = new Database(uri, constants.SQLITE_OPEN_READONLY | constants.SQLITE_OPEN_URI)
  try {
    raw.run(`PRAGMA busy_timeout = ${BUSY_TIMEOUT}`)
    raw.run('PRAGMA query_only = ON')
    return raw
  } catch (error) {
    raw.close()
    throw error
  }
}
