import { eq, sql } from 'drizzle-orm'
import type { AuthStore, LoginFailures } from '../../services/auth/store/index.ts'
import { DAY } from '../../services/kit/clock.ts'
import type { AuditEvent } from '../../services/kit/outbox/audit.ts'
import { type Body, built, type Engine, type Transaction, text } from '../engine.ts'
import { ABANDONED } from '../nodes.ts'
import { placeholders } from '../placeholders.ts'
import { loginFailures } from '../schema/auth.ts'
import { BATCH, writeInBatches } from '../write-in-batches.ts'
import type { Audit } from './audit.ts'

/** Milliseconds for which a failure is stored. */
const KEPT_FOR = DAY
/** Times stored for a subject: more than any rule counts. */
const MOST_TIMES = 400

const NO_FAILURES: LoginFailures = { times: [], clearedAt: 0 }

const statements = {
  select: built((db) =>
    db
      .select()
      .from(loginFailures)
      .where(eq(loginFailures.subject, sql.placeholder('subject'))),
  ),
  put: built((db) =>
    db
      .insert(loginFailures)
      .values(placeholders(loginFailures))
      .onConflictDoUpdate({
        target: loginFailures.subject,
        set: { times: sql`excluded.times`, clearedAt: sql`excluded.cleared_at` },
      }),
  ),
  /** Deletes a batch. The last of the times is the latest; PostgreSQL has an index of it. */
  deleteOld: text({
    sqlite: `
      DELETE FROM login_failures WHERE subject IN (
        SELECT subject FROM login_failures WHERE json_extract(times, '$[#-1]') < $before LIMIT ${BATCH})`,
    postgres: `
      DELETE FROM login_failures WHERE subject IN (
        SELECT subject FROM login_failures WHERE CAST(CAST(times AS jsonb)->>-1 AS bigint) < $before
        ORDER BY CAST(CAST(times AS jsonb)->>-1 AS bigint) LIMIT ${BATCH})`,
  }),
}

/** The attempts under way, which only nodes on PostgreSQL store. Those of a node that is gone do not count. */
const places = {
  /**
   * Gives the failures of each subject, and its attempts under way, in the order of the list. Each subject is looked up in
   * the index: a join might read the whole table, and conflict with every failure that is recorded.
   */
  state: text<{ times: string | null; clearedAt: number | null; attempts: number }>({
    sqlite: '',
    postgres: `
      SELECT times, cleared_at AS "clearedAt", (
        SELECT count(*) FROM login_attempts WHERE subject = list.value AND NOT (${ABANDONED})) AS attempts
      FROM jsonb_array_elements_text(CAST($subjects AS text)::jsonb) WITH ORDINALITY AS list (value, key)
      LEFT JOIN LATERAL (SELECT * FROM login_failures WHERE subject = list.value LIMIT 1) AS failures ON true
      ORDER BY list.key`,
  }),
  take: text({
    sqlite: '',
    postgres: `
      INSERT INTO login_attempts (subject, owner, attempt)
      SELECT value, $node, CAST($attempt AS bigint)
      FROM jsonb_array_elements_text(CAST($subjects AS text)::jsonb) AS list (value)`,
  }),
  /** Gives those that counted until now: not those of a node that the others removed meanwhile. */
  leave: text<{ attempt: number }>({
    sqlite: '',
    postgres: `
      WITH removed AS (
        DELETE FROM login_attempts WHERE owner = $node
          AND attempt IN (SELECT CAST(jsonb_array_elements_text(CAST($attempts AS text)::jsonb) AS bigint))
        RETURNING owner, attempt)
      SELECT DISTINCT attempt FROM removed WHERE owner IN (SELECT name FROM nodes)`,
  }),
  forget: text(`DELETE FROM login_attempts WHERE ${ABANDONED}`),
}

/** The times of failed logins, by account and by address, and the attempts under way. */
export function failureStore(engine: Engine, audit: Audit) {
  function* record(tx: Transaction, subject: string, now: number): Body<LoginFailures> {
    const before = (yield* tx.get(statements.select, { subject })) ?? NO_FAILURES
    // A time ahead of the clock was written before the clock was set back: it counts as now.
    const recent = before.times.map((at) => Math.min(at, now)).filter((at) => now - at < KEPT_FOR)
    const failures = { times: [...recent, now].slice(-MOST_TIMES), clearedAt: Math.min(before.clearedAt, now) }
    yield* tx.run(statements.put, { subject, ...failures })
    return failures
  }

  return {
    takePlaces: (
      attempt: number,
      subjects: string[],
      isFree: (index: number, failures: LoginFailures, underWay: number) => boolean,
    ) =>
      // Two statements, however many subjects: the logins of an account wait for one another.
      engine.write(function* (tx) {
        const values = { subjects: JSON.stringify(subjects) }
        const states = yield* tx.all(places.state, values)
        const failures = states.map(({ clearedAt, times }) => ({
          times: times === null ? [] : JSON.parse(times),
          clearedAt: clearedAt ?? 0,
        }))
        const hasPlaces = states.every(({ attempts }, index) => isFree(index, failures[index] ?? NO_FAILURES, attempts))
        if (hasPlaces) yield* tx.run(places.take, { ...values, attempt, node: engine.node?.current ?? '' })
        return { hasPlaces, failures }
      }),
    async leavePlaces(attempts: number[]) {
      const node = engine.node?.current ?? ''
      const rows = await engine.write((tx) => tx.all(places.leave, { node, attempts: JSON.stringify(attempts) }))
      return rows.map(({ attempt }) => attempt)
    },
    async forgetFailures(now: number) {
      if (engine.node !== null) await engine.write((tx) => tx.run(places.forget))
      await writeInBatches(engine, (tx) => tx.run(statements.deleteOld, { before: now - KEPT_FOR }))
    },
    loginFailures: async (subject: string): Promise<LoginFailures> =>
      (await engine.get(statements.select, { subject })) ?? NO_FAILURES,
    async recordFailure(subjects: string[], now: number, events: (failures: LoginFailures[]) => AuditEvent[]) {
      await engine.write(function* (tx) {
        const failures: LoginFailures[] = []
        for (const subject of subjects) failures.push(yield* record(tx, subject, now))
        yield* audit.writeEvents(tx, events(failures))
      })
    },
    async clearFailures(subject: string, now: number, times: 'keep' | 'forget') {
      const stored = await engine.get(statements.select, { subject })
      if ((stored?.times.length ?? 0) === 0) return
      await engine.write(function* (tx) {
        const failures = times === 'forget' ? [] : ((yield* tx.get(statements.select, { subject }))?.times ?? [])
        yield* tx.run(statements.put, { subject, times: failures, clearedAt: now })
      })
    },
  } satisfies Partial<AuthStore>
}
