import { eq, sql } from 'drizzle-orm'
import type { BunSQLiteDatabase } from 'drizzle-orm/bun-sqlite'
import type { AuthStore, LoginFailures } from '../../services/auth/store/index.ts'
import type { AuditEvent } from '../../services/kit/outbox/audit.ts'
import { placeholders } from '../placeholders.ts'
import { loginFailures } from '../schema/auth.ts'
import type { Sqlite } from '../sqlite/engine.ts'
import type { Audit } from './audit.ts'

const REMEMBERED = 24 * 3600 * 1000
/** More than any rule counts. */
const TIMES_MAX = 400

/** When logins failed, by account and by address. */
export function failureStore(sqlite: Sqlite, db: BunSQLiteDatabase, audit: Audit) {
  const subject = sql.placeholder('subject')
  const get = db.select().from(loginFailures).where(eq(loginFailures.subject, subject)).prepare()
  const put = db
    .insert(loginFailures)
    .values(placeholders(loginFailures))
    .onConflictDoUpdate({
      target: loginFailures.subject,
      set: { times: sql`excluded.times`, clearedAt: sql`excluded.cleared_at` },
    })
    .prepare()
  const read = (of: string): LoginFailures => get.get({ subject: of }) ?? { times: [], clearedAt: 0 }

  // The last of the times is the youngest.
  const forget = sqlite.raw.query("DELETE FROM login_failures WHERE json_extract(times, '$[#-1]') < ?")

  return {
    async forgetFailures(now: number) {
      await sqlite.write(() => forget.run(now - REMEMBERED))
    },
    loginFailures: async (of: string) => read(of),
    async recordFailure(subjects: string[], now: number, events: (failures: LoginFailures[]) => AuditEvent[]) {
      await sqlite.write(() => {
        const failures = subjects.map((of) => {
          const before = read(of)
          // Times ahead of the clock were written before it was set back: they count as now.
          const kept = before.times.map((at) => Math.min(at, now)).filter((at) => now - at < REMEMBERED)
          const times = [...kept, now].slice(-TIMES_MAX)
          const clearedAt = Math.min(before.clearedAt, now)
          put.run({ subject: of, times, clearedAt })
          return { times, clearedAt }
        })
        for (const event of events(failures)) audit.writeEvent(event)
      })
    },
    async clearFailures(of: string, now: number, keepOrForget: 'keep' | 'forget') {
      const { times } = read(of)
      if (times.length === 0) return
      await sqlite.write(() =>
        put.run({ subject: of, times: keepOrForget === 'forget' ? [] : read(of).times, clearedAt: now }),
      )
    },
  } satisfies Partial<AuthStore>
}
