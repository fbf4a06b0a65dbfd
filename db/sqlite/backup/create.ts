import { Database } from 'bun:sqlite'
import { existsSync, mkdirSync, renameSync, statfsSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { databases } from '../../../services/databases.ts'
import type { DatabaseFile } from '../database-file.ts'
import { type Draft, newDraft, removeStaleDrafts } from '../drafts.ts'
import { flush, nameOf, sha256Of } from '../durable.ts'
import { plannedMigrations } from '../engine.ts'
import { unfinishedRestore } from './interrupted.ts'
import { type BackedUp, BackupError, MANIFEST, type Manifest, newManifest } from './manifest.ts'

/** How long a copy waits for one who has a database to itself. */
const BUSY_PATIENCE = 10_000
export const BACKUP_DRAFT = '.draft-'

/** Where the backups of a data directory are, unless another place is named. */
export function backupsOf(dataDir: string): string {
  return join(dataDir, 'backups')
}

/**
 * Copies every database of a data directory into a new directory in `root`, named after the time, with a manifest. The
 * services may run. It has its name only when it is whole and on the disk.
 * @param now milliseconds since the epoch
 * @throws BackupError that says what is in the way: then there is no new backup
 */
export async function createBackup(
  dataDir: string,
  root: string,
  now: () => number = Date.now,
): Promise<{ path: string; manifest: Manifest }> {
  const sources = inCopyOrder(databases(dataDir))
  for (const { path } of sources)
    if (!existsSync(path))
      throw new BackupError(
        'backup_failed',
        sources.some((source) => existsSync(source.path))
          ? `${path} is not there: ch202 migrate, or the next start, makes it where its service is new`
          : `${path} is not there: ${dataDir} is not the data of an instance`,
      )
  const unfinished = unfinishedRestore(dataDir)
  if (unfinished)
    throw new BackupError(
      'backup_failed',
      `A restore of ${unfinished.backup} into ${dataDir} was cut short: finish it with ch202 restore ${unfinished.backup}`,
    )
  mkdirSync(root, { recursive: true, mode: 0o700 })
  removeStaleDrafts(root, BACKUP_DRAFT)
  checkRoom(root, sources)

  const begun = now()
  const draft = newDraft(root, BACKUP_DRAFT)
  try {
    const services: Record<string, BackedUp> = {}
    for (const source of sources) services[source.name] = await copy(source, draft.path, now)
    return name(draft, root, begun, services as Manifest['services'])
  } catch (error) {
    draft.discard()
    throw asBackupError(error, root)
  }
}

/**
 * One who tells others something is copied before them: what was told in between then stands in both copies, and never
 * in none. What auth so knows beyond users is put right by a restore (`restored.ts`).
 */
function inCopyOrder(files: DatabaseFile[]): DatabaseFile[] {
  const last = ['users', 'auth']
  return files.sort((a, b) => last.indexOf(a.name) - last.indexOf(b.name))
}

async function copy(
  { mainTables, name, path, migrations }: DatabaseFile,
  draft: string,
  now: () => number,
): Promise<BackedUp> {
  const file = `${name}.sqlite`
  const target = join(draft, file)
  // SQLite would make it readable by others.
  writeFileSync(target, '', { mode: 0o600 })
  const takenAt = now()
  const source = new Database(path, { readonly: true })
  try {
    source.run(`PRAGMA busy_timeout = ${BUSY_PATIENCE}`)
    source.query('VACUUM INTO ?').run(target)
  } finally {
    source.close()
  }
  // A source that this program can't open makes no backup that it could.
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

function contentsOf(path: string, tables: readonly string[]): Pick<BackedUp, 'migrations' | 'rows'> {
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

/** Gives a draft that is complete its name; two of one moment get two. */
function name(draft: Draft, root: string, begun: number, services: Manifest['services']) {
  for (let at = begun; ; at++) {
    const path = join(root, nameOf(at))
    if (existsSync(path)) continue
    const manifest = newManifest({ name: nameOf(at), created_at: new Date(begun).toISOString(), services })
    writeFileSync(join(draft.path, MANIFEST), `${JSON.stringify(manifest, null, 2)}\n`, { mode: 0o600, flush: true })
    draft.release()
    flush(draft.path)
    try {
      renameSync(draft.path, path)
    } catch (error) {
      // Another one took the name in this moment.
      if (/^(ENOTEMPTY|EEXIST)$/.test((error as NodeJS.ErrnoException).code ?? '')) continue
      throw error
    }
    flush(root)
    return { path, manifest }
  }
}

function checkRoom(root: string, sources: readonly DatabaseFile[]): void {
  const needed = sources.reduce((sum, { path }) => sum + statSync(path).size, 0)
  const { bavail, bsize } = statfsSync(root)
  if (bavail * bsize < needed)
    throw new BackupError('backup_failed', `No room in ${root}: ${needed} bytes are needed, ${bavail * bsize} are free`)
}

function asBackupError(error: unknown, root: string): BackupError {
  if (error instanceof BackupError) return error
  const { code, message } = error as { code?: unknown; message?: string }
  const full = /^(SQLITE_FULL|SQLITE_IOERR_WRITE|ENOSPC|EDQUOT|EFBIG)$/.test(String(code))
  const why = full ? `the disk is full, or takes no file of this size` : (message ?? 'unknown error')
  return new BackupError('backup_failed', `No backup was made in ${root}: ${why}`, { cause: error })
}
