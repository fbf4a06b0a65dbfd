import { Database } from 'bun:sqlite'
import { existsSync, linkSync, mkdirSync, renameSync } from 'node:fs'
import { basename, join } from 'node:path'
import { databases } from '../../../services/databases.ts'
import { newDraft, removeStaleDrafts } from '../drafts.ts'
import { flush, nameOfTime } from '../durable.ts'
import { isBusy } from '../errors.ts'
import type { Check, OpensKey } from './checks.ts'
import { type RestoreStub, readStub, writeStub } from './interrupted.ts'
import { BackupError } from './manifest.ts'
import { restoreInto } from './verify.ts'

const DRAFT = '.restore-draft-'
/** The endings of the files that SQLite keeps beside a database. Those of another database would damage it. */
const COMPANIONS = ['-wal', '-shm', '-journal']

export interface Restored {
  checks: Check[]
  /** The directory to which the earlier databases were moved; null: the target had no databases. */
  aside: string | null
}

/**
 * Whether `target` holds a database that a restore would put aside. What an interrupted restore into an empty directory
 * left does not count.
 */
export function holdsData(target: string): boolean {
  const files = databases(target).map(({ path }) => path)
  if (files.some((path) => readStub(path)?.aside === null)) return false
  return files.some((path) => existsSync(path) && !readStub(path))
}

/**
 * Puts the databases of a backup into a data directory, and ends all sessions. The earlier databases are put aside, never
 * deleted. If it is interrupted, the data directory has either the earlier databases or stubs that no service opens, and
 * the same call again finishes the restore.
 * @param opens null: CH202_SECRET need not be that of the backup
 * @param now milliseconds since the epoch
 * @returns `checks`: when one failed, nothing was changed
 * @throws BackupError `in_use` while a process has one of the databases open
 */
export async function restoreBackup(
  path: string,
  target: string,
  opens: OpensKey | null,
  now: number,
): Promise<Restored> {
  mkdirSync(target, { recursive: true, mode: 0o700 })
  assertUnused(target)
  if (removeStaleDrafts(target, DRAFT)) throw new BackupError('in_use', `Another restore into ${target} is under way`)
  const draft = newDraft(target, DRAFT)
  try {
    const checks = await restoreInto(draft.path, path, opens, now)
    if (!checks.every(({ ok }) => ok)) return { checks, aside: null }
    flush(draft.path)
    // A service may have started meanwhile.
    assertUnused(target)
    const aside = putAside(target, draft.path, basename(path), now)
    for (const { path: file } of databases(target)) renameSync(join(draft.path, basename(file)), file)
    flush(target)
    return { checks, aside }
  } finally {
    draft.discard()
  }
}

/**
 * Replaces every database of a directory by a stub, which no service opens. Only then does the first restored database
 * take its place, so that an old and a restored database are never served together.
 */
function putAside(target: string, draft: string, backup: string, now: number): string | null {
  const files = databases(target).map(({ path }) => path)
  const current = files.filter((path) => existsSync(path) && !readStub(path))
  const earlier = files.map(readStub).find((stub) => stub?.aside)?.aside
  const aside = asideFor(target, [...current, ...files.flatMap(companionsOf)], earlier, now)
  // An interrupted restore has already put the earlier databases aside: its directory counts.
  const contents: RestoreStub = { backup, aside: earlier ?? (aside && basename(aside)) }
  const stub = join(draft, 'stub')
  for (const path of files) {
    if (aside && current.includes(path)) {
      linkSync(path, join(aside, basename(path)))
      flush(aside)
    }
    writeStub(stub, contents)
    renameSync(stub, path)
    if (aside) for (const file of companionsOf(path)) renameSync(file, join(aside, basename(file)))
  }
  if (aside) flush(aside)
  flush(target)
  return contents.aside && join(target, contents.aside)
}

/** Gives the directory for the earlier files: that of an interrupted restore, unless it has files of these names. */
function asideFor(target: string, files: readonly string[], earlier: string | null | undefined, now: number) {
  if (files.length === 0) return null
  const holdsOne = (aside: string) => files.some((file) => existsSync(join(aside, basename(file))))
  if (earlier && !holdsOne(join(target, earlier))) return join(target, earlier)
  for (let at = now; ; at++) {
    const aside = join(target, `before-restore-${nameOfTime(at)}`)
    if (existsSync(aside)) continue
    mkdirSync(aside, { mode: 0o700 })
    return aside
  }
}

function companionsOf(path: string): string[] {
  return COMPANIONS.map((ending) => path + ending).filter((file) => existsSync(file))
}

/**
 * Checks that no other process has a database open: only then can the database leave WAL mode, which also writes the log
 * back into the file. A database that cannot be opened at all is put aside as it is.
 * @throws BackupError `in_use`
 */
function assertUnused(target: string): void {
  for (const { name, path } of databases(target)) {
    if (!existsSync(path) || readStub(path)) continue
    try {
      const raw = new Database(path, { readwrite: true, create: false })
      try {
        raw.query('PRAGMA journal_mode = DELETE').get()
      } finally {
        raw.close()
      }
    } catch (error) {
      if (isBusy(error))
        throw new BackupError('in_use', `${path} is in use: the ${name} service, or another program, has it open`)
    }
  }
}
