import { randomUUID } from 'node:crypto'
import { renameSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type Command, InvalidArgumentError } from 'commander'
import type { Retention } from '../../../db/sqlite/backup/retention.ts'
import { STALE_DRAFT } from '../../../db/sqlite/drafts.ts'
import { usage } from '../../exit.ts'
import { durationIn } from '../../terminal/times.ts'

export interface RetentionOptions {
  keep?: number
  keepWeekly?: number
}

/** Adds the options that say which backups to keep. */
export function withRetention(command: Command): Command {
  return command
    .option('--keep <duration>', 'then remove backups that are older, such as 7d; the newest verified one stays', age)
    .option('--keep-weekly <n>', 'but keep the newest of each of the last n weeks before', weeks)
}

/** The retention of the options; undefined: everything is kept. @throws Failure if only the weeks are given */
export function retentionOf({ keep, keepWeekly = 0 }: RetentionOptions): Retention | undefined {
  if (keep === undefined && keepWeekly > 0) throw usage('--keep-weekly needs --keep, such as --keep 7d --keep-weekly 4')
  return keep === undefined ? undefined : { keep, keepWeekly }
}

/**
 * Removes the directory of a backup, unless another run has just done so. Renamed first: a backup with its name is complete,
 * whenever this is killed.
 */
export async function removeBackup(path: string): Promise<void> {
  const stale = join(dirname(path), STALE_DRAFT + randomUUID())
  try {
    renameSync(path, stale)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
    throw error
  }
  await rm(stale, { recursive: true, force: true })
}

function age(text: string): number {
  const ms = durationIn(text)
  if (ms === undefined) throw new InvalidArgumentError('It must be a duration such as 7d or 36h')
  return ms
}

function weeks(text: string): number {
  if (!/^\d{1,4}$/.test(text)) throw new InvalidArgumentError('It must be a whole number')
  return Number(text)
}
