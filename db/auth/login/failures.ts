import { eq, sql } from 'drizzle-orm'
import type { AuthStore, LoginFailures } from '../../../services/auth/store/index.ts'
import { DAY } from '../../../services/kit/clock.ts'
import type { AuditEvent } from '../../../services/kit/outbox/audit.ts'
import { type Body, built, type Engine, type Transaction, text } from '../../engine.ts'
import { ABANDONED } from '../../nodes.ts'
import { placeholders } from '../../placeholders.ts'
import { loginFailures } from '../../schema/auth.ts'
import { BATCH, writeInBatches } from '../../write-in-batches.ts'
import type { Audit } from '../audit/audit.ts'

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
      SELECT value->>0, $node, CAST(value->>1 AS bigint) FROM jsonb_array_elements(CAST($rows AS text)::jsonb) AS list (value)`,
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

interface FailureCall {
  subjects: string[]
  now: number
  events(failures: LoginFailures[]): AuditEvent[]
}

interface PlacesCall {
  attempt: number
  subjects: string[]
  isFree(index: number, failures: LoginFailures, underWay: number): boolean
}
type Places = Awaited<ReturnType<AuthStore['takePlaces']>>

/** The times of failed logins, by account and by address, and the attempts under way. */
export function failureStore(engine: Engine, audit: Audit) {
  /** Records the failures of each call, one call after another: several may be about one address. */
  function* recordEach(tx: Transaction, calls: readonly FailureCall[]): Body<undefined[]> {
    const subjects = [...new Set(calls.flatMap((call) => call.subjects))]
    const stored = yield* tx.getEach(
      statements.select,
      subjects.map((subject) => ({ subject })),
    )
    const failuresOf = new Map(subjects.map((subject, index) => [subject, stored[index] ?? NO_FAILURES]))
    const record = (subject: string, now: number) => {
      const failures = withFailure(failuresOf.get(subject) ?? NO_FAILURES, now)
      failuresOf.set(subject, failures)
      return failures
    }
    const events = calls.flatMap((call) => call.events(call.subjects.map((subject) => record(subject, call.now))))
    yield* tx.together([
      tx.runEach(
        statements.put,
        [...failuresOf].map(([subject, { clearedAt, times }]) => ({ subject, times, clearedAt })),
      ),
      audit.writeEvents(tx, events),
    ])
    return calls.map(() => undefined)
  }
  // Any calls may share a transaction.
  const record = engine.grouped(recordEach, () => [])

  /** Takes the places of each call, one call after another: those that earlier ones took are under way for later ones. */
  function* takeEach(tx: Transaction, calls: readonly PlacesCall[]): Body<Places[]> {
    const states = yield* tx.all(places.state, { subjects: JSON.stringify(calls.flatMap(({ subjects }) => subjects)) })
    const rows: [subject: string, attempt: number][] = []
    let place = 0
    const results = calls.map(({ attempt, isFree, subjects }) => {
      const read = subjects.map((subject) => ({ subject, ...stateOf(states[place++]) }))
      const underWay = (subject: string) => rows.filter(([other]) => other === subject).length
      const hasPlaces = read.every(({ attempts, failures, subject }, index) =>
        isFree(index, failures, attempts + underWay(subject)),
      )
      if (hasPlaces) rows.push(...subjects.map((subject): [string, number] => [subject, attempt]))
      return { hasPlaces, failures: read.map(({ failures }) => failures) }
    })
    if (rows.length > 0) yield* tx.run(places.take, { rows: JSON.stringify(rows), node: engine.node?.current ?? '' })
    return results
  }
  const take = engine.grouped(takeEach, () => [])

  const leave = engine.grouped(
    function* (tx, calls: readonly number[][]) {
      const values = { node: engine.node?.current ?? '', attempts: JSON.stringify(calls.flat()) }
      const counted = new Set((yield* tx.all(places.leave, values)).map(({ attempt }) => attempt))
      return calls.map((attempts) => attempts.filter((attempt) => counted.delete(attempt)))
    },
    () => [],
  )

  return {
    takePlaces: (attempt: number, subjects: string[], isFree: PlacesCall['isFree']) =>
      take({ attempt, subjects, isFree }),
    leavePlaces: (attempts: number[]) => leave(attempts),
    async forgetFailures(now: number) {
      if (engine.node !== null) await engine.write((tx) => tx.run(places.forget))
      await writeInBatches(engine, (tx) => tx.run(statements.deleteOld, { before: now - KEPT_FOR }))
    },
    loginFailures: async (subject: string): Promise<LoginFailures> =>
      (await engine.get(statements.select, { subject })) ?? NO_FAILURES,
    async recordFailure(subjects: string[], now: number, events: FailureCall['events']) {
      await record({ subjects, now, events })
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

function withFailure({ clearedAt, times }: LoginFailures, now: number): LoginFailures {
  // A time ahead of the clock was written before the clock was set back: it counts as now.
  const recent = times.map((at) => Math.min(at, now)).filter((at) => now - at < KEPT_FOR)
  return { times: [...recent, now].slice(-MOST_TIMES), clearedAt: Math.min(clearedAt, now) }
}

/** Reads a row of the failures of a subject, and of its attempts under way. */
function stateOf(row: { times: string | null; clearedAt: number | null; attempts: number } | undefined) {
  const times: number[] = row?.times ? JSON.parse(row.times) : []
  return { failures: { times, clearedAt: row?.clearedAt ?? 0 }, attempts: row?.attempts ?? 0 }
}
