import { asc, count, eq, gt, lte, or, sql } from 'drizzle-orm'
import type { AuthStore, MailRequest } from '../../services/auth/store/index.ts'
import { built, type Engine, text } from '../engine.ts'
import { placeholders } from '../placeholders.ts'
import { mailRequests } from '../schema/auth.ts'
import { BATCH, writeInBatches } from '../write-in-batches.ts'

const { placeholder } = sql
const byId = eq(mailRequests.id, placeholder('id'))
const later = gt(mailRequests.nextAt, placeholder('now'))

const statements = {
  add: built((db) =>
    db
      .insert(mailRequests)
      .values(placeholders(mailRequests))
      // Other services repeat a notice until it is acknowledged.
      .onConflictDoNothing(),
  ),
  due: built((db) =>
    db
      .select()
      .from(mailRequests)
      .where(or(lte(mailRequests.nextAt, placeholder('now')), gt(mailRequests.nextAt, placeholder('latest'))))
      .orderBy(asc(mailRequests.nextAt), asc(mailRequests.id))
      .limit(placeholder('limit')),
  ),
  next: built((db) =>
    db
      .select({ nextAt: mailRequests.nextAt })
      .from(mailRequests)
      .where(later)
      .orderBy(asc(mailRequests.nextAt))
      .limit(1),
  ),
  postpone: built((db) =>
    db
      .update(mailRequests)
      .set({
        tries: sql`${mailRequests.tries} + 1`,
        nextAt: sql`${placeholder('nextAt')}`,
        lastError: sql`${placeholder('lastError')}`,
      })
      .where(byId),
  ),
  /** Changes a batch, which then does not match any more. Its order makes PostgreSQL read the index. */
  hasten: text(`
    UPDATE mail_requests SET next_at = $now WHERE id IN (
      SELECT id FROM mail_requests WHERE next_at > $now ORDER BY next_at LIMIT ${BATCH})`),
  count: built((db) => db.select({ count: count() }).from(mailRequests)),
  remove: built((db) => db.delete(mailRequests).where(byId)),
}

/** The queue of mails to send. */
export function mailRequestStore(engine: Engine) {
  return {
    async addMailRequest(request: MailRequest) {
      await engine.write((tx) => tx.run(statements.add, { ...request }))
    },
    mailRequestsDue: (now: number, latest: number, limit: number) => engine.all(statements.due, { now, latest, limit }),
    nextMailRequest: async (now: number) => (await engine.get(statements.next, { now }))?.nextAt ?? null,
    async postponeMailRequest(requestId: string, nextAt: number, lastError: string) {
      await engine.write((tx) => tx.run(statements.postpone, { id: requestId, nextAt, lastError }))
    },
    async hastenMailRequests(now: number) {
      await writeInBatches(engine, (tx) => tx.run(statements.hasten, { now }))
    },
    countMailRequests: async () => (await engine.get(statements.count))?.count ?? 0,
    async removeMailRequest(requestId: string) {
      await engine.write((tx) => tx.run(statements.remove, { id: requestId }))
    },
  } satisfies Partial<AuthStore>
}
