import { Database } from 'bun:sqlite'
import { randomUUID } from 'node:crypto'
import { mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { isBusy } from './errors.ts'

const LOCK = 'lock'
/** The beginning of the names of directories that are being removed. */
export const STALE_DRAFT = '.stale-'

export interface Draft {
  path: string
  /** Makes the draft, now complete, an ordinary directory. */
  release(): void
  /** Removes the directory, if it is still a draft. */
  discard(): void
}

/**
 * Creates a directory for files that are not complete yet. A lock marks it as in use while this process lives: a process
 * id could be another program's after a restart of the machine.
 * @param prefix starts with a dot, so that lists of backups skip the directory
 */
export function newDraft(root: string, prefix: string): Draft {
  const path = join(root, `${prefix}${randomUUID()}`)
  mkdirSync(path, { mode: 0o700 })
  const lock = new Database(join(path, LOCK), { readwrite: true, create: true })
  lock.run('BEGIN EXCLUSIVE')
  const release = () => {
    lock.close()
    rmSync(join(path, LOCK), { force: true })
  }
  return {
    path,
    release,
    discard() {
      release()
      rmSync(path, { recursive: true, force: true })
    },
  }
}

/** Removes the drafts of processes that have ended. @returns whether another process still uses one */
export function removeStaleDrafts(root: string, prefix: string): boolean {
  let inUse = false
  for (const name of readdirSync(root).filter((entry) => entry.startsWith(prefix))) {
    const path = join(root, name)
    if (isLocked(join(path, LOCK))) {
      inUse = true
      continue
    }
    // Renamed first: if its process is giving it its final name at this moment, only one of the two renames succeeds.
    const stale = join(root, STALE_DRAFT + randomUUID())
    try {
      renameSync(path, stale)
    } catch {
      continue
    }
    rmSync(stale, { recursive: true, force: true })
  }
  for (const name of readdirSync(root).filter((entry) => entry.startsWith(STALE_DRAFT)))
    rmSync(join(root, name), { recursive: true, force: true })
  return inUse
}

function isLocked(lock: string): boolean {
  try {
    const raw = new Database(lock, { readwrite: true, create: false })
    try {
      raw.run('BEGIN EXCLUSIVE')
      return false
    } finally {
      raw.close()
    }
  } catch (error) {
    return isBusy(error)
  }
}
