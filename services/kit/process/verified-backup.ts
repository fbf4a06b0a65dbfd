import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

export const MANIFEST = 'manifest.json'
export const VERIFIED = 'verified.json'

/** The default directory of a data directory's backups. */
export function backupsOf(dataDir: string): string {
  return join(dataDir, 'backups')
}

/** Milliseconds by which clocks may differ, such as those of two machines with one bucket. */
const CLOCK_TOLERANCE = 5 * 60_000

/**
 * Whether a backup, or a trial, is dated in the future: it was made while the clock was ahead, so nothing shows its age.
 * @param time milliseconds since the epoch, as `now`
 */
export function isInFuture(time: number, now: number): boolean {
  return time > now + CLOCK_TOLERANCE
}

export function manifestHash(path: string): string {
  return createHash('sha256')
    .update(readFileSync(join(path, MANIFEST)))
    .digest('hex')
}

/** When the last trial restore of a backup succeeded; null: never, or its manifest has changed since. */
export function verifiedAt(path: string): string | null {
  try {
    const { verified_at, manifest_sha256 } = JSON.parse(readFileSync(join(path, VERIFIED), 'utf8'))
    return manifest_sha256 === manifestHash(path) && typeof verified_at === 'string' ? verified_at : null
  } catch {
    return null
  }
}

/**
 * Finds the newest verified backup in a directory that is not dated in the future. Backups are named after their time, so
 * that few are read.
 * @param now milliseconds since the epoch
 * @returns when it was made, in milliseconds since the epoch; null: no backup is verified
 */
export function lastVerifiedBackup(root: string, now: number): number | null {
  for (const name of namesIn(root).sort().reverse()) {
    const path = join(root, name)
    if (verifiedAt(path) === null) continue
    const madeAt = Date.parse(JSON.parse(readFileSync(join(path, MANIFEST), 'utf8')).created_at)
    if (!Number.isNaN(madeAt) && !isInFuture(madeAt, now)) return madeAt
  }
  return null
}

/** Skips drafts, whose names begin with a dot. */
function namesIn(root: string): string[] {
  try {
    return readdirSync(root).filter((name) => !name.startsWith('.'))
  } catch {
    return []
  }
}
