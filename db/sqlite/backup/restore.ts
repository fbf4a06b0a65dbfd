import { Database } from 'bun:sqlite'
import { existsSync, linkSync, mkdirSync, renameSync } from 'node:fs'
import { basename, join } from 'node:path'
import { databases } from '../../../services/databases.ts'
import { newDraft, removeStaleDrafts } from '../drafts.ts'
import { flush, nameOf } from '../durable.ts'
import { isBusy } from '../engine.ts'
import type { Check, OpensKey } from './checks.ts'
import { readStub, type Unfinished, writeStub } from './interrupted.ts'
import { BackupError } from './manifest.ts'
import { restoreInto } from './verify.ts'

const DRAFT = '.restore-draft-'
/** What SQLite keeps beside a database. One of an old database beside a new one would ruin it. */
const BESIDE = ['-wal', '-shm', '-journal']

export interface Restored {
  checks: Check[]
  /** Where what was there before is now; null: there was nothing. */
  aside: string | null
}

/**
 * Whether `target` holds a database that a restore would put aside. What an unfinished restore into an empty directory
 * left does not count.
 */
export function holdsData(target: string): boolean {
  const files = databases(target).map(({ path }) => path)
  if (files.some((path) => readStub(path)?.aside === null)) return false
  return files.some((path) => existsSync(path) && !readStub(path))
}

/**
 * Puts the databases of a backup into a data directory, as an instance whose sessions have all ended. What is there is
 * put aside, never deleted. Cut short at any point, it leaves either what was there, or databases that refuse to open,
 * and the same call again finishes it.
 * @param opens null: CH202_SECRET need not be that of the backup
 * @param now milliseconds since the epoch
 * @returns `checks`: when one failed, nothing was changed
 * @throws BackupError `in_use` while a service, or anything else, has one of the databases open
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
    // Preparing takes a while: a service may have been started.
    assertUnused(target)
    const aside = putAside(target, draft.path, basename(path), now)
    for (const { path: place } of databases(target)) renameSync(join(draft.path, basename(place)), place)
    flush(target)
    return { checks, aside }
  } finally {
    draft.discard()
  }
}

/**
 * Every database of a directory gives way to a stub that is none, which no service opens; not before all have, the
 * first restored one takes its place. So at no moment an old and a restored database can be served together.
 */
function putAside(target: string, draft: string, backup: string, now: number): string | null {
  const files = databases(target).map(({ path }) => path)
  const going = files.filter((path) => existsSync(path) && !readStub(path))
  const earlier = files.map(readStub).find((stub) => stub?.aside)?.aside
  const aside = asideFor(target, [...going, ...files.flatMap(besides)], earlier, now)
  // Where an unfinished restore has put the databases that were served, it is that which counts.
  const said: Unfinished = { backup, aside: earlier ?? (aside && basename(aside)) }
  const stub = join(draft, 'stub')
  for (const path of files) {
    if (aside && going.includes(path)) {
      linkSync(path, join(aside, basename(path)))
      flush(aside)
    }
    writeStub(stub, said)
    renameSync(stub, path)
    if (aside) for (const file of besides(path)) renameSync(file, join(aside, basename(file)))
  }
  if (aside) flush(aside)
  flush(target)
  return said.aside && join(target, said.aside)
}

/** Where the files that stand in the way go: with those of an unfinished restore, unless they were there already. */
function asideFor(target: string, files: readonly string[], earlier: string | null | undefined, now: number) {
  if (files.length === 0) return null
  const inside = (aside: string) => files.some((file) => existsSync(join(aside, basename(file))))
  if (earlier && !inside(join(target, earlier))) return join(target, earlier)
  for (let at = now; ; at++) {
    const aside = join(target, `before-restore-${nameOf(at)}`)
    if (existsSync(aside)) continue
    mkdirSync(aside, { mode: 0o700 })
    return aside
  }
}

function besides(path: string): string[] {
  return BESIDE.map((ending) => path + ending).filter((file) => existsSync(file))
}

/**
 * Only a database that no other process has open leaves the WAL mode; what was in its WAL is in the file then. One that
 * can't be opened at all is put aside as it is.
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
