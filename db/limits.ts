import type { LimitStore, PaceRule } from '../services/kit/limits.ts'
import { type Body, type Engine, type Transaction, text } from './engine.ts'
import { groupedBodies } from './grouped-bodies.ts'

/** Old rows are deleted at one hit of this many. */
const FORGET_EVERY = 1000
/** Old rows that are deleted at once: the hit waits for it. More than hits add meanwhile, so that none are left for long. */
const FORGET_AT_ONCE = 2 * FORGET_EVERY
/** Milliseconds after which a row is old. */
const FORGET_AFTER = 24 * 3600 * 1000
/** Milliseconds by which the clocks of two nodes may differ. Requests of one node overtake each other by less. */
const CLOCK_SKEW = 2000

// A pace rule has one row per time: the subject, a blank and the time in milliseconds. `count` is the number of hits at
// that time. The range needs the order of bytes.
const TIMES_OF_SUBJECT = "rule = $rule AND subject > $subject || ' ' AND subject < $subject || '!'"

const statements = {
  hit: text<{ windowStart: number; count: number }>(`
    INSERT INTO limits (rule, subject, window_start, count) VALUES ($rule, $subject, $now, 1)
    ON CONFLICT (rule, subject) DO UPDATE SET
      count = CASE WHEN $now - limits.window_start BETWEEN ${-CLOCK_SKEW} AND $window - 1 THEN limits.count + 1 ELSE 1 END,
      window_start = CASE WHEN $now - limits.window_start BETWEEN ${-CLOCK_SKEW} AND $window - 1 THEN limits.window_start ELSE $now END
    RETURNING window_start AS "windowStart", count`),
  // The order makes PostgreSQL read an index.
  forget: text(`
    DELETE FROM limits WHERE (rule, subject) IN (
      SELECT rule, subject FROM limits WHERE window_start < $before ORDER BY window_start LIMIT ${FORGET_AT_ONCE})`),
  clear: text('DELETE FROM limits WHERE rule = $rule AND subject = $subject'),
  dropOutside: text(
    `DELETE FROM limits WHERE ${TIMES_OF_SUBJECT} AND (window_start <= $after OR window_start > $latest)`,
  ),
  times: text<{ at: number; count: number }>(
    `SELECT window_start AS at, count FROM limits WHERE ${TIMES_OF_SUBJECT} ORDER BY window_start`,
  ),
  addTime: text(`
    INSERT INTO limits (rule, subject, window_start, count) VALUES ($rule, $subject || ' ' || $now, $now, 1)
    ON CONFLICT (rule, subject) DO UPDATE SET count = limits.count + 1`),
}

interface Hit {
  rule: string
  subject: string
  window: number
  now: number
}

interface Pace {
  rule: PaceRule
  subject: string
  now: number
}

/**
 * The table `limits`: the hits that rate limits count. If the clock was set back, a new window starts, so that nobody is
 * locked out; a hit that is only slightly earlier than those before it counts in theirs.
 */
export function limitStore(engine: Engine): LimitStore {
  let calls = 0
  function* forgetSometimes(tx: Transaction, now: number) {
    if (++calls % FORGET_EVERY === 0) yield* tx.run(statements.forget, { before: now - FORGET_AFTER })
  }
  function* countHit(tx: Transaction, { now, rule, subject, window }: Hit): Body<{ count: number; since: number }> {
    yield* forgetSometimes(tx, now)
    const row = yield* tx.get(statements.hit, { rule, subject, now, window })
    return { count: row?.count ?? 1, since: row?.windowStart ?? now }
  }

  function* keepPace(tx: Transaction, { now, rule, subject }: Pace): Body<number> {
    const { name, next, window } = rule
    yield* forgetSometimes(tx, now)
    yield* tx.run(statements.dropOutside, { rule: name, subject, after: now - window, latest: now + CLOCK_SKEW })
    const rows = yield* tx.all(statements.times, { rule: name, subject })
    const at = next(rows.flatMap((row) => Array<number>(row.count).fill(row.at)))
    if (at <= now) yield* tx.run(statements.addTime, { rule: name, subject, now })
    return at
  }

  // Hits of one subject may share a transaction: each is one statement, which counts those before it.
  const hit = groupedBodies(engine, countHit, () => [])
  const keep = groupedBodies(engine, keepPace, ({ rule, subject }) => `${rule.name} ${subject}`)

  return {
    countHit: (rule, subject, window, now) => hit({ rule, subject, window, now }),
    keepPace: (rule, subject, now) => keep({ rule, subject, now }),
    async clearHits(rule, subject) {
      await engine.write((tx) => tx.run(statements.clear, { rule, subject }))
    },
  }
}
