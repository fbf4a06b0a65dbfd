import { isInFuture } from '../../../services/kit/process/verified-backup.ts'

const WEEK = 7 * 24 * 60 * 60 * 1000
/** 1970-01-05, a Monday: weeks begin on Mondays, at midnight UTC. */
const FIRST_MONDAY = 4 * 24 * 60 * 60 * 1000

/** Which backups to keep. */
export interface Retention {
  /** Milliseconds: every backup that is younger is kept. */
  keep: number
  /** The number of weeks before that of which the newest backup is kept. Weeks without a backup are not counted. */
  keepWeekly: number
}

/**
 * Chooses the backups that may be removed. The newest is always kept, and so is the newest that was verified: a copy that
 * is known to work is worth more than younger ones that are not. One that is dated in the future is neither, and is kept.
 * @param now milliseconds since the epoch
 * @returns in the order in which they were given
 */
export function expiredBackups<T extends { created_at: string; verified_at?: string | null }>(
  backups: readonly T[],
  { keep, keepWeekly }: Retention,
  now: number,
): T[] {
  const newestFirst = backups.toSorted((a, b) => Date.parse(b.created_at) - Date.parse(a.created_at))
  const dated = newestFirst.filter(({ created_at }) => !isInFuture(Date.parse(created_at), now))
  const [newest] = dated
  const verified = dated.find(({ verified_at }) => typeof verified_at === 'string')
  const ofWeeks = new Map<number, T>()
  for (const backup of newestFirst) {
    const at = Date.parse(backup.created_at)
    const week = Math.floor((at - FIRST_MONDAY) / WEEK)
    if (now - at >= keep && !ofWeeks.has(week) && ofWeeks.size < keepWeekly) ofWeeks.set(week, backup)
  }
  const weekly = new Set(ofWeeks.values())
  return backups.filter(
    (backup) =>
      backup !== newest && backup !== verified && !weekly.has(backup) && now - Date.parse(backup.created_at) >= keep,
  )
}
