import type { LimitStore } from '../services/kit/limits.ts'
import type { Sqlite } from './sqlite.ts'

interface Row {
  windowStart: number
  count: number
}

const FORGET_EVERY = 1000
const FORGET_AFTER = 24 * 3600 * 1000

/** The table `limits`. A clock that was set back begins a new window, so that no one stays shut out by it. */
export function limitStore(sqlite: Sqlite): LimitStore {
  const hit = sqlite.raw.query<Row, { rule: string; subject: string; now: number; window: number }>(`
    INSERT INTO limits (rule, subject, window_start, count) VALUES ($rule, $subject, $now, 1)
    ON CONFLICT DO UPDATE SET
      count = CASE WHEN $now - window_start BETWEEN 0 AND $window - 1 THEN count + 1 ELSE 1 END,
      window_start = CASE WHEN $now - window_start BETWEEN 0 AND $window - 1 THEN window_start ELSE $now END
    RETURNING window_start AS windowStart, count`)
  const forget = sqlite.raw.query('DELETE FROM limits WHERE window_start < ?')
  const clear = sqlite.raw.query('DELETE FROM limits WHERE rule = ? AND subject = ?')
  let hits = 0
  return {
    countHit: (rule, subject, window, now) =>
      sqlite.write(() => {
        if (++hits % FORGET_EVERY === 0) forget.run(now - FORGET_AFTER)
        const row = hit.get({ rule, subject, now, window })
        return { count: row?.count ?? 1, since: row?.windowStart ?? now }
      }),
    async clearHits(rule, subject) {
      await sqlite.write(() => clear.run(rule, subject))
    },
  }
}
