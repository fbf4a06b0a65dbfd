import type { LimitStore, PaceRule } from '../services/kit/limits.ts'
import type { Sqlite, Transaction } from './sqlite/engine.ts'

interface Row {
  windowStart: number
  count: number
}

/** Old rows are deleted at one hit of this many. */
const FORGET_EVERY = 1000
/** Milliseconds after which a row is old. */
const FORGET_AFTER = 24 * 3600 * 1000

/**
 * The table `limits`: the hits that rate limits count. If the clock was set back, a new window starts, so that nobody is
 * locked out.
 */
export function limitStore(sqlite: Sqlite): LimitStore {
  const statements = prepare(sqlite)
  let calls = 0
  const forgetSometimes = (tx: Transaction, now: number) => {
    if (++calls % FORGET_EVERY === 0) tx.run(statements.forget, { before: now - FORGET_AFTER })
  }
  return {
    countHit: (rule, subject, window, now) =>
      sqlite.write((tx) => {
        forgetSometimes(tx, now)
        const row = tx.get(statements.hit, { rule, subject, now, window })
        return { count: row?.count ?? 1, since: row?.windowStart ?? now }
      }),
    keepPace: ({ name: rule, next, window }: PaceRule, subject, now) =>
      sqlite.write((tx) => {
        forgetSometimes(tx, now)
        tx.run(statements.dropOutside, { rule, subject, after: now - window, now })
        const rows = tx.all(statements.times, { rule, subject })
        const at = next(rows.flatMap((row) => Array<number>(row.count).fill(row.at)))
        if (at <= now) tx.run(statements.addTime, { rule, subject, now })
        return at
      }),
    async clearHits(rule, subject) {
      await sqlite.write((tx) => tx.run(statements.clear, { rule, subject }))
    },
  }
}

function prepare({ raw }: Sqlite) {
  // A pace rule has one row per time: the subject, a blank and the time in milliseconds. `count` is the number of hits at
  // that time.
  const timesOfSubject = "rule = $rule AND subject > $subject || ' ' AND subject < $subject || '!'"
  return {
    hit: raw.query<Row, { rule: string; subject: string; now: number; window: number }>(`
      INSERT INTO limits (rule, subject, window_start, count) VALUES ($rule, $subject, $now, 1)
      ON CONFLICT DO UPDATE SET
        count = CASE WHEN $now - window_start BETWEEN 0 AND $window - 1 THEN count + 1 ELSE 1 END,
        window_start = CASE WHEN $now - window_start BETWEEN 0 AND $window - 1 THEN window_start ELSE $now END
      RETURNING window_start AS windowStart, count`),
    forget: raw.query<unknown, { before: number }>('DELETE FROM limits WHERE window_start < $before'),
    clear: raw.query<unknown, { rule: string; subject: string }>(
      'DELETE FROM limits WHERE rule = $rule AND subject = $subject',
    ),
    dropOutside: raw.query<unknown, { rule: string; subject: string; after: number; now: number }>(
      `DELETE FROM limits WHERE ${timesOfSubject} AND (window_start <= $after OR window_start > $now)`,
    ),
    times: raw.query<{ at: number; count: number }, { rule: string; subject: string }>(
      `SELECT window_start AS at, count FROM limits WHERE ${timesOfSubject} ORDER BY window_start`,
    ),
    addTime: raw.query<unknown, { rule: string; subject: string; now: number }>(`
      INSERT INTO limits (rule, subject, window_start, count) VALUES ($rule, $subject || ' ' || $now, $now, 1)
      ON CONFLICT DO UPDATE SET count = count + 1`),
  }
}
