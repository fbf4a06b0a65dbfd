import { asc, count, eq, gt, lte, or, sql } from 'drizzle-orm'
import type { BunSQLiteDatabase } from 'drizzle-orm/bun-sqlite'
import type { AuthStore, MailRequest } from '../../services/auth/store/index.ts'
import { placeholders } from '../placeholders.ts'
import { prepared } from '../prepared.ts'
import { mailRequests } from '../schema/auth.ts'
import type { Sqlite } from '../sqlite/engine.ts'

/** The queue of mails to send. */
export function mailRequestStore(sqlite: Sqlite, db: BunSQLiteDatabase) {
  const id = sql.placeholder('id')
  const statements = prepared({
    add: () =>
      db
        .insert(mailRequests)
        .values(placeholders(mailRequests))
        // Other services repeat a notice until it is acknowledged.
        .onConflictDoNothing()
        .prepare(),
    due: () =>
      db
        .select()
        .from(mailRequests)
        .where(or(lte(mailRequests.nextAt, sql.placeholder('now')), gt(mailRequests.nextAt, sql.placeholder('latest'))))
        .orderBy(asc(mailRequests.nextAt), asc(mailRequests.id))
        .limit(sql.placeholder('limit'))
        .prepare(),
    next: () =>
      db
        .select({ nextAt: mailRequests.nextAt })
        .from(mailRequests)
        .where(gt(mailRequests.nextAt, sql.placeholder('now')))
        .orderBy(asc(mailRequests.nextAt))
        .limit(1)
        .prepare(),
    postpone: () =>
      db
        .update(mailRequests)
        .set({
          tries: sql`${mailRequests.tries} + 1`,
          nextAt: sql`${sql.placeholder('nextAt')}`,
          lastError: sql`${sql.placeholder('lastError')}`,
        })
        .where(eq(mailRequests.id, id))
        .prepare(),
    hasten: () =>
      db
        .update(mailRequests)
        .set({ nextAt: sql`${sql.placeholder('now')}` })
        .where(gt(mailRequests.nextAt, sql.placeholder('now')))
        .prepare(),
    count: () => db.select({ count: count() }).from(mailRequests).prepare(),
    remove: () => db.delete(mailRequests).where(eq(mailRequests.id, id)).prepare(),
  })

  return {
    async addMailRequest(request: MailRequest) {
      await sqlite.write((tx) => tx.run(statements.add, { ...request }))
    },
    mailRequestsDue: async (now: number, latest: number, limit: number) => statements.due.all({ now, latest, limit }),
    nextMailRequest: async (now: number) => statements.next.get({ now })?.nextAt ?? null,
    async postponeMailRequest(requestId: string, nextAt: number, lastError: string) {
      await sqlite.write((tx) => tx.run(statements.postpone, { id: requestId, nextAt, lastError }))
    },
    async hastenMailRequests(now: number) {
      await sqlite.write((tx) => tx.run(statements.hasten, { now }))
    },
    countMailRequests: async () => statements.count.get()?.count ?? 0,
    async removeMailRequest(requestId: string) {
      await sqlite.write((tx) => tx.run(statements.remove, { id: requestId }))
    },
  } satisfies Partial<AuthStore>
}
