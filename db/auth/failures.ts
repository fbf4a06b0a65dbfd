import { eq, sql } from 'drizzle-orm'
import type { BunSQLiteDatabase } from 'drizzle-orm/bun-sqlite'
import type { AuthStore, LoginFailures } from '../../services/auth/store/index.ts'
import { DAY } from '../../services/kit/clock.ts'
import type { AuditEvent } from '../../services/kit/outbox/audit.ts'
import { placeholders } from '../placeholders.ts'
import { loginFailures } from '../schema/auth.ts'
import type { Sqlite, Transaction } from '../sqlite/engine.ts'
import type { Audit } from './audit.ts'

/** Milliseconds for which a failure is stored. */
const KEPT_FOR = DAY
/** Times stored for a subject: more than any rule counts. */
const MOST_TIMES = 400

const NO_FAILURES: LoginFailures = { times: [], clearedAt: 0 }

/** The times of failed logins, by account and by address. */
export function failureStore(sqlite: Sqlite, db: BunSQLiteDatabase, audit: Audit) {
  const select = db
    .select()
    .from(loginFailures)
    .where(eq(loginFailures.subject, sql.placeholder('subject')))
    .prepare()
  const put = db
    .insert(loginFailures)
    .values(placeholders(loginFailures))
    .onConflictDoUpdate({
      target: loginFailures.subject,
      set: { times: sql`excluded.times`, clearedAt: sql`excluded.cleared_at` },
    })
    .prepare()
  // The last of the times is the latest.
  const deleteOld = sqlite.raw.query<unknown, { before: number }>(
    "DELETE FROM login_failures WHERE json_extract(times, '$[#-1]') < $before",
  )

  const record = (tx: Transaction, subject: string, now: number): LoginFailures => {
    const before = tx.get(select, { subject }) ?? NO_FAILURES
    // A time ahead of the clock was written before the clock was set back: it counts as now.
    const recent = before.times.map((at) => Math.min(at, now)).filter((at) => now - at < KEPT_FOR)
    const failures = { times: [...recent, now].slice(-MOST_TIMES), clearedAt: Math.min(before.clearedAt, now) }
    tx.run(put, { subject, ...failures })
    return failures
  }

  return {
    async forgetFailures(now: number) {
      await sqlite.write((tx) => tx.run(deleteOld, { before: now - KEPT_FOR }))
    },
    loginFailures: async (subject: string): Promise<LoginFailures> => select.get({ subject }) ?? NO_FAILURES,
    async recordFailure(subjects: string[], now: number, events: (failures: LoginFailures[]) => AuditEvent[]) {
      await sqlite.write((tx) => {
        const failures = subjects.map((subject) => record(tx, subject, now))
        for (const event of events(failures)) audit.writeEvent(tx, event)
      })
    },
    async clearFailures(subject: string, now: number, times: 'keep' | 'forget') {
      if ((select.get({ subject })?.times.length ?? 0) === 0) return
      await sqlite.write((tx) => {
        const failures = times === 'forget' ? [] : (tx.get(select, { subject })?.times ?? [])
        tx.run(put, { subject, times: failures, clearedAt: now })
      })
    },
  } satisfies Partial<AuthStore>
}
