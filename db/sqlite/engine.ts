import { Database, type Statement } from 'bun:sqlite'
import { createHash } from 'node:crypto'
import { chmodSync, closeSync, existsSync, linkSync, mkdirSync, openSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseError, openingError, refuseDamagedFile, refuseDamagedPages, refuseLogAlone } from './integrity.ts'

/** One step of a schema: forward only, and never edited once it has landed. */
export interface Migration {
  name: string
  sql: string
  /** What SQL can't say: run after it, in its transaction. It must do for ever what it did when it landed. */
  finish?(raw: Database): void
}

/** The services whose files were numbered before ids were derived from names. */
const NUMBERED: Record<string, number> = { auth: 1, users: 2, modules: 3 }

/**
 * The `PRAGMA application_id` of a service's files, which stands in their header: it keeps other files, and those of
 * other services, from being opened as its database.
 */
export function applicationIdOf(service: string): number {
  return 0x63680000 + (NUMBERED[service] ?? 0x100 + (Bun.hash.crc32(service) % 0xff00))
}

/** How long reads share one look at the file, in milliseconds: so late at most is seen what another process writes. */
const LOOK = 2
const BUSY_FIRST_WAIT = 5
const BUSY_PATIENCE = 2000

type Job = () => void

/** Refuses an async function at compile time: its rows would be kept whatever becomes of its promise. */
type Synchronous<F extends () => unknown> = F & (ReturnType<F> extends PromiseLike<unknown> ? never : unknown)

/**
 * One open SQLite file. Reads run at once, those of a moment over one look at it; writes are grouped: those that arrive
 * in one turn of the event loop share one durable commit, and each is answered only after the commit that holds it.
 */
export class Sqlite {
  private waiting: { run: Job; settle: (error?: unknown) => void }[] = []
  private scheduled = false
  private closed = false
  private looking = false
  private readonly begin: Statement
  private readonly commit: Statement
  private readonly version: Statement<{ data_version: number }, []>
  private versionSeen: number | undefined
  private readonly strangers = new Set<() => void>()

  constructor(
    readonly raw: Database,
    readonly path: string,
  ) {
    this.begin = raw.query('BEGIN')
    this.commit = raw.query('COMMIT')
    this.version = raw.query('PRAGMA data_version')
  }

  /**
   * Runs a read, and sees all that was written here. The first takes SQLite's lock for those that come in the moment
   * after it: taking it and giving it back is three system calls, and costs twenty times what most reads do.
   */
  read<T>(job: () => T): T {
    if (!this.looking && !this.raw.inTransaction) {
      this.begin.run()
      this.looking = true
      this.lookForStrangers()
      setTimeout(() => this.lookAway(), LOOK)
    }
    return job()
  }

  /** Whether a change is under way: what is read now may yet be undone. */
  get changing(): boolean {
    return this.raw.inTransaction && !this.looking
  }

  /** `changed` is called before the next read when another process has written to the file. */
  changedElsewhere(changed: () => void): void {
    this.strangers.add(changed)
  }

  /** The version of a file changes with what other connections write, and not with what this one does. */
  private lookForStrangers(): void {
    const version = this.version.get()?.data_version
    if (version !== this.versionSeen) for (const changed of this.strangers) changed()
    this.versionSeen = version
  }

  private lookAway(): void {
    if (!this.looking) return
    this.looking = false
    try {
      // A damaged page, or a disk that fails, has ended it already.
      if (this.raw.inTransaction) this.commit.run()
    } catch {
      // Nothing was written: there is nothing to lose, and no one to be told.
      if (this.raw.inTransaction) this.raw.run('ROLLBACK')
    }
  }

  /**
   * Runs `job` in a transaction of its own meaning: what it throws undoes what it wrote, and nothing else of the commit
   * it shares. Resolves with what it returned, once that is on the disk.
   * @throws what `job` throws, or SQLite's error when the commit fails: then nothing of it was written
   */
  write<F extends () => unknown>(job: Synchronous<F>): Promise<ReturnType<F>> {
    if (this.closed) return Promise.reject(new DatabaseError(`${this.path} is closed`))
    return new Promise((resolve, reject) => {
      let result: ReturnType<F>
      this.waiting.push({
        run: () => {
          result = job() as ReturnType<F>
        },
        settle: (error) => (error === undefined ? resolve(result) : reject(error)),
      })
      this.schedule()
    })
  }

  /** Writes what is still waiting and closes the file, whatever the disk says: what was answered is on it. */
  close(): void {
    if (this.closed) return
    this.flush()
    this.lookAway()
    this.closed = true
    for (const { settle } of this.waiting.splice(0)) settle(new DatabaseError(`${this.path} is closed`))
    try {
      this.raw.run('PRAGMA wal_checkpoint(TRUNCATE)')
    } catch {
      // A disk that is full, or fails: the next start reads the write-ahead log.
    }
    this.raw.close()
  }

  private schedule(): void {
    if (this.scheduled) return
    this.scheduled = true
    setImmediate(() => this.flush())
  }

  private flush(startedAt = performance.now(), wait = BUSY_FIRST_WAIT): void {
    if (this.closed || this.waiting.length === 0) {
      this.scheduled = false
      return
    }
    this.lookAway()
    try {
      this.raw.run('BEGIN IMMEDIATE')
    } catch (error) {
      // Another process writes (a backup's checkpoint, a migration). Waiting inside SQLite would stop the event loop.
      if (isBusy(error) && performance.now() - startedAt < BUSY_PATIENCE) {
        setTimeout(() => this.flush(startedAt, Math.min(wait * 2, 100)), wait)
        return
      }
      this.scheduled = false
      for (const { settle } of this.waiting.splice(0)) settle(error)
      return
    }
    this.scheduled = false
    const batch = this.waiting
    this.waiting = []
    const failures = new Map<Job, unknown>()
    try {
      for (const { run } of batch) {
        const failure = batch.length === 1 ? this.attempt(run) : this.attemptApart(run)
        if (failure !== undefined) failures.set(run, failure)
      }
      this.raw.run('COMMIT')
    } catch (error) {
      if (this.raw.inTransaction) this.raw.run('ROLLBACK')
      for (const { settle } of batch) settle(error)
      return
    }
    for (const { run, settle } of batch) settle(failures.get(run))
  }

  /** Alone in its commit: what it throws ends the transaction. */
  private attempt(run: Job): unknown {
    try {
      run()
    } catch (error) {
      // A full disk has ended the transaction already.
      if (!this.raw.inTransaction) throw error
      this.raw.run('ROLLBACK')
      this.raw.run('BEGIN')
      return error ?? new DatabaseError('A write failed without a reason')
    }
    return undefined
  }

  /** Beside others: in a savepoint, so that what it throws undoes its own rows alone. */
  private attemptApart(run: Job): unknown {
    this.raw.run('SAVEPOINT job')
    try {
      run()
      this.raw.run('RELEASE job')
    } catch (error) {
      // A full disk ends the whole transaction; then there is no savepoint to go back to.
      if (!this.raw.inTransaction) throw error
      this.raw.run('ROLLBACK TO job')
      this.raw.run('RELEASE job')
      return error ?? new DatabaseError('A write failed without a reason')
    }
    return undefined
  }
}

/** Whether another process has the file at this moment. */
export function isBusy(error: unknown): boolean {
  const code = (error as { code?: unknown }).code
  return typeof code === 'string' && /^SQLITE_(BUSY|LOCKED)/.test(code)
}

/**
 * Opens a service's database, making it where there is none, and brings it up to date.
 * A new one is made under another name and linked into place when it is whole: an empty or cut file is never ours.
 * @throws DatabaseError that names the file and what is wrong with it
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
      // From now on waiting inside SQLite would stop the event loop: `flush` waits without.
      raw.run('PRAGMA busy_timeout = 5')
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
    // Another process was first: its file is as good as ours.
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
  // bun:sqlite begins with busy_timeout and foreign_keys off. A start may wait for another process's write.
  raw.run('PRAGMA busy_timeout = 5000')
  raw.run('PRAGMA journal_mode = WAL')
  raw.run('PRAGMA synchronous = FULL')
  raw.run('PRAGMA foreign_keys = ON')
  raw.run('PRAGMA trusted_schema = OFF')
  // A damaged page is an error when it is read, and not wrong data.
  raw.run('PRAGMA cell_size_check = ON')
  raw.run('PRAGMA temp_store = MEMORY')
  // KiB, as they are needed: with two MiB, which is SQLite's own, a lookup among a million users reads from the file.
  raw.run('PRAGMA cache_size = -16000')
}

interface Applied {
  name: string
  checksum: string
}

function migrate(raw: Database, path: string, migrations: readonly Migration[]): void {
  raw.run(
    'CREATE TABLE IF NOT EXISTS schema_migrations (name TEXT PRIMARY KEY, checksum TEXT NOT NULL, applied_at INTEGER NOT NULL) STRICT',
  )
  for (const migration of pendingMigrations(raw, path, migrations)) {
    raw.run('BEGIN IMMEDIATE')
    try {
      // Another process may have been first while this one waited for the lock.
      const done = raw.query('SELECT 1 FROM schema_migrations WHERE name = ?').get(migration.name)
      if (!done) {
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
  const applied = raw.query<Applied, []>('SELECT name, checksum FROM schema_migrations ORDER BY name').all()
  for (const { name, checksum } of applied) {
    const known = migrations.find((migration) => migration.name === name)
    if (!known)
      throw new DatabaseError(`${path} is newer than this program: it has the migration ${name}. Use a newer Ch202`)
    if (checksumOf(known) !== checksum)
      throw new DatabaseError(`${path} was made by another form of the migration ${name}`)
  }
  return migrations.filter(({ name }) => !applied.some((row) => row.name === name))
}

/** What stands in `schema_migrations` for a migration that was applied. */
export function checksumOf(migration: Migration): string {
  return createHash('sha256').update(migration.sql).digest('hex')
}

/** What `migrate` would do to a file, without doing it. */
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
