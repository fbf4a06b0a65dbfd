import type { InspectedDatabase } from './database.ts'

/** The notices that one target has not acknowledged. */
export interface WaitingNotices {
  target: string
  notices: number
  /** How many of them are known to have waited since before the given time. */
  late: number
  /** Milliseconds since the epoch: the oldest has waited since then, or longer. Null: no time is known. */
  oldest: number | null
}

/**
 * Counts the notices that wait in an outbox, by target. A notice has no time of its own: the time of its event or of its
 * user's record stands for it, and a notice is at least as old as any that was written after it.
 * @param before milliseconds since the epoch
 */
export function waitingNotices({ file, raw }: InspectedDatabase, before: number): WaitingNotices[] {
  const recordTime = file.name === 'users' ? '(SELECT updated_at FROM users WHERE id = subject)' : 'NULL'
  return raw
    .query<WaitingNotices, [number]>(`
      WITH notices AS (
        SELECT seq, target, coalesce(json_extract(payload, '$.at'), ${recordTime}) AS at FROM outbox
      ), latest AS (SELECT target, max(seq) AS seq FROM notices WHERE at < ?1 GROUP BY target)
      SELECT notices.target, count(*) AS notices, sum(notices.seq <= coalesce(latest.seq, 0)) AS late,
        min(notices.at) AS oldest
      FROM notices LEFT JOIN latest ON latest.target = notices.target GROUP BY notices.target`)
    .all(before)
}
