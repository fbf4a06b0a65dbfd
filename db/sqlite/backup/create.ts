import { Database } from 'bun:sqlite'
import { existsSync, mkdirSync, renameSync, statfsSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { databases } from '../../../services/databases.ts'
import { MANIFEST } from '../../../services/kit/process/verified-backup.ts'
import type { DatabaseFile } from '../database-file.ts'
import { type Draft, newDraft, removeStaleDrafts } from '../drafts.ts'
import { flush, nameOfTime, sha256Of } from '../durable.ts'
import { plannedMigrations } from '../migrate.ts'
import { interruptedRestore } from './interrupted.ts'
import { BackupError, type DatabaseCopy, type Manifest, newManifest } from './manifest.ts'

/** Milliseconds that a copy waits for a process that has locked a database. */
const BUSY_TIMEOUT = 10_000
export const BACKUP_DRAFT = '.draft-'

/**
 * Copies every database of a data directory into a new directory in `root`, named after the time, with a manifest. The
 * services may run. The directory gets its name once the backup is complete and on the disk.
 * @param now milliseconds since the epoch
 * @throws BackupError with the reason; no backup is left then
 */
export async function createBackup(
  dataDir: string,
  root: string,
  now: () => number = Date.now,
): Promise<{ path: string; manifest: Manifest }> {
  const sources = inCopyOrder(databases(dataDir))
  assertComplete(dataDir, sources)
  mkdirSync(root, { recursive: true, mode: 0o700 })
  removeStaleDrafts(root, BACKUP_DRAFT)
  checkSpace(root, sources)

  const startedAt = now()
  const draft = newDraft(root, BACKUP_DRAFT)
  try {
    const services: Record<string, DatabaseCopy> = {}
    for (const source of sources) services[source.name] = await copy(source, draft.path, now)
    return nameDraft(draft, root, startedAt, services as Manifest['services'])
  } catch (error) {
    draft.discard()
    throw asBackupError(error, root)
  }
}

/** @throws BackupError when a database is missing, or a restore was interrupted */
function assertComplete(dataDir: string, sources: readonly DatabaseFile[]): void {
  const missing = sources.find(({ path }) => !existsSync(path))
  if (missing) {
    const isInstance = sources.some(({ path }) => existsSync(path))
    const reason = isInstance
      ? 'if its service is new, ch202 migrate or the next start creates it'
      : `${dataDir} is not the data directory of an instance`
    throw new BackupError('backup_failed', `${missing.path} is missing: ${reason}`)
  }
  const interrupted = interruptedRestore(dataDir)
  if (interrupted)
    throw new BackupError(
      'backup_failed',
      `A restore of ${interrupted.backup} into ${dataDir} was interrupted: finish it with ch202 restore ${interrupted.backup}`,
    )
}

/**
 * Orders the databases so that all that send notices to auth are copied before auth: a notice that is delivered in between
 * is then in both copies, never in neither. Users comes after the services that it notifies of deletions, so a deletion may
 * be missing from their copies: a restore repeats it, and fills the password cache from users (`reconcile.ts`).
 */
function inCopyOrder(files: DatabaseFile[]): DatabaseFile[] {
  const last = ['users', 'auth']
  return files.sort((a, b) => last.indexOf(a.name) - last.indexOf(b.name))
}

async function copy(
  { mainTables, name, path, migrations }: DatabaseFile,
  draft: string,
  now: () => number,
): Promise<DatabaseCopy> {
  const file = `${name}.sqlite`
  const target = join(draft, file)
  // SQLite would create the file readable by other users.
  writeFileSync(target, '', { mode: 0o600 })
  const takenAt = now()
  const source = new Database(path, { readonly: true })
  try {
    source.run(`PRAGMA busy_timeout = ${BUSY_TIMEOUT}`)
    source.query('VACUUM INTO ?').run(target)
  } finally {
    source.close()
  }
  // Fails when the source is newer than this program, which could not restore it.
  plannedMigrations(target, migrations)
  flush(target)
  return {
    file,
    bytes: statSync(target).size,
    sha256: await sha256Of(target),
    taken_at: new Date(takenAt).toISOString(),
    ...contentsOf(target, mainTables),
  }
}

function contentsOf(path: string, tables: readonly string[]): Pick<DatabaseCopy, 'migrations' | 'rows'> {
  const raw = new Database(path, { readonly: true })
  try {
    const count = (table: string) => raw.query<{ rows: number }, []>(`SELECT count(*) AS rows FROM ${table}`).get()
    return {
      migrations: raw
        .query<{ name: string; checksum: string }, []>('SELECT name, checksum FROM schema_migrations ORDER BY name')
        .all(),
      rows: Object.fromEntries(tables.map((table) => [table, count(table)?.rows ?? 0])),
    }
  } finally {
    raw.close()
  }
}

/** Gives a complete draft its name. Two backups of the same millisecond get two names. */
function nameDraft(draft: Draft, root: string, startedAt: number, services: Manifest['services']) {
  for (let at = startedAt; ; at++) {
    const path = join(root, nameOfTime(at))
    if (existsSync(path)) continue
    const manifest = newManifest({ name: nameOfTime(at), created_at: new Date(startedAt).toISOString(), services })
    writeFileSync(join(draft.path, MANIFEST), `${JSON.stringify(manifest, null, 2)}\n`, { mode: 0o600, flush: true })
    draft.release()
    flush(draft.path)
    try {
      renameSync(draft.path, path)
    } catch (error) {
      // Another process took the name at this moment.
      if (/^(ENOTEMPTY|EEXIST)$/.test((error as NodeJS.ErrnoException).code ?? '')) continue
      throw error
    }
    flush(root)
    return { path, manifest }
  }
}

function checkSpace(root: string, sources: readonly DatabaseFile[]): void {
  const needed = sources.reduce((sum, { path }) => sum + statSync(path).size, 0)
  const { bavail, bsize } = statfsSync(root)
  if (bavail * bsize < needed)
    throw new BackupError(
      'backup_failed',
      `Not enough space in ${root}: ${needed} bytes are needed, ${bavail * bsize} are free`,
    )
}

function asBackupError(error: unknown, root: string): BackupError {
  if (error instanceof BackupError) return error
  const { code, message } = error as { code?: unknown; message?: string }
  const isFull = /^(SQLITE_FULL|SQLITE_IOERR_WRITE|ENOSPC|EDQUOT|EFBIG)$/.test(String(code))
  const reason = isFull ? 'the disk is full, or refuses a file of this size' : (message ?? 'unknown error')
  return new BackupError('backup_failed', `No backup was made in ${root}: ${reason}`, { cause: error })
}
