import type { LimitStore, PaceRule } from '../services/kit/limits.ts'
import type { Sqlite } from './sqlite/engine.ts'

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
  // A row for each time: its subject ends with it, and `count` says how many came in that millisecond.
  const dropOthers = sqlite.raw.query<unknown, { rule: string; subject: string; after: number; now: number }>(`
    DELETE FROM limits WHERE rule = $rule AND subject > $subject || ' ' AND subject < $subject || '!'
      AND (window_start <= $after OR window_start > $now)`)
  const times = sqlite.raw.query<{ at: number; count: number }, { rule: string; subject: string }>(`
    SELECT window_start AS at, count FROM limits
    WHERE rule = $rule AND subject > $subject || ' ' AND subject < $subject || '!' ORDER BY window_start`)
  const addTime = sqlite.raw.query<unknown, { rule: string; subject: string; now: number }>(`
    INSERT INTO limits (rule, subject, window_start, count) VALUES ($rule, $subject || ' ' || $now, $now, 1)
    ON CONFLICT DO UPDATE SET count = count + 1`)
  let hits = 0
  const forgetAtTimes = (now: number) => {
    if (++hits % FORGET_EVERY === 0) forget.run(now - FORGET_AFTER)
  }
  return {
    countHit: (rule, subject, window, now) =>
      sqlite.write(() => {
        forgetAtTimes(now)
        const row = hit.get({ rule, subject, now, window })
        return { count: row?.count ?? 1, since: row?.windowStart ?? now }
      }),
    keepPace: ({ name: rule, next, window }: PaceRule, subject, now) =>
      sqlite.write(() => {
        forgetAtTimes(now)
        dropOthers.run({ rule, subject, after: now - window, now })
        const kept = times.all({ rule, subject }).flatMap(({ at, count }) => Array<number>(count).fill(at))
        const at = next(kept)
        if (at <= now) addTime.run({ rule, subject, now })
        return at
      }),
    async clearHits(rule, subject) {
      await sqlite.write(() => clear.run(rule, subject))
    },
  }
}
