import { Database } from 'bun:sqlite'
import { randomUUID } from 'node:crypto'
import { mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { isBusy } from './engine.ts'

const LOCK = 'lock'
const STALE = '.stale-'

export interface Draft {
  path: string
  /** It is whole: from now on it is a directory like any other. */
  release(): void
  /** Takes it away, if it is still a draft. */
  discard(): void
}

/**
 * Makes a directory for what is not whole yet. It is its maker's while that process lives, which a lock shows: a process
 * id would be another's after a restart of the machine.
 * @param prefix begins with a dot, so that no list shows it
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

/** Takes away the drafts of processes that are gone. @returns whether another process has one */
export function removeStaleDrafts(root: string, prefix: string): boolean {
  let held = false
  for (const name of readdirSync(root).filter((found) => found.startsWith(prefix))) {
    const path = join(root, name)
    if (isHeld(join(path, LOCK))) {
      held = true
      continue
    }
    // Renamed first: its maker may be giving it its name at this moment, and then has been quicker, or finds nothing.
    const stale = join(root, STALE + randomUUID())
    try {
      renameSync(path, stale)
    } catch {
      continue
    }
    rmSync(stale, { recursive: true, force: true })
  }
  for (const name of readdirSync(root).filter((found) => found.startsWith(STALE)))
    rmSync(join(root, name), { recursive: true, force: true })
  return held
}

function isHeld(lock: string): boolean {
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
