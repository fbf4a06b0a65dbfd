import { asc, eq, sql } from 'drizzle-orm'
import type { BunSQLiteDatabase } from 'drizzle-orm/bun-sqlite'
import type { AuthStore, Webhook, WebhookStatusChange } from '../../services/auth/store/index.ts'
import type { AuditEvent } from '../../services/kit/outbox/audit.ts'
import { placeholders } from '../placeholders.ts'
import { prepared } from '../prepared.ts'
import { webhooks } from '../schema/auth.ts'
import type { Sqlite } from '../sqlite/engine.ts'
import { PIECE, writeInBatches } from '../sqlite/write-in-batches.ts'
import { type Audit, COUNT, countOf } from './audit.ts'
import type { Events } from './events.ts'

/** Where the outside wants to be told. A change has a place in the feed: the other services write only what is wanted. */
export function webhookStore(
  sqlite: Sqlite,
  db: BunSQLiteDatabase,
  { audit, events }: { audit: Audit; events: Events },
) {
  const id = sql.placeholder('id')
  const statements = prepared({
    all: () => db.select().from(webhooks).orderBy(asc(webhooks.createdAt), asc(webhooks.id)).prepare(),
    count: () => db.select(COUNT).from(webhooks).prepare(),
    insert: () => db.insert(webhooks).values(placeholders(webhooks)).prepare(),
    reseal: () =>
      db
        .update(webhooks)
        .set({ sealedSecret: sql`${sql.placeholder('sealed')}` })
        .where(eq(webhooks.id, id))
        .prepare(),
  })
  const setStatus = sqlite.raw.query('UPDATE webhooks SET status = ?2 WHERE id = ?1 AND status <> ?2')
  const exists = sqlite.raw.query('SELECT 1 FROM webhooks WHERE id = ?')
  const remove = sqlite.raw.query('DELETE FROM webhooks WHERE id = ?')
  const removeDeliveries = sqlite.raw.query(
    `DELETE FROM deliveries WHERE seq IN (SELECT seq FROM deliveries WHERE target = ? LIMIT ${PIECE})`,
  )
  const giveUp = sqlite.raw.query(`
    UPDATE deliveries SET status = 'dead', last_error = 'webhook_disabled', finished_at = ?1
    WHERE seq IN (
      SELECT seq FROM deliveries WHERE target = ?2 AND status = 'pending'
      AND EXISTS (SELECT 1 FROM webhooks WHERE id = ?2 AND status = 'disabled') LIMIT ${PIECE})`)
  const giveUpSome = (of: string, now: number) => giveUp.run(now, of).changes

  /** What is wanted is in memory before anyone can read the place of the change in the feed. */
  const change = (now: number, write: () => boolean): Promise<number | null> =>
    sqlite
      .write(() => (write() ? events.tellWanted(now) : null))
      .catch((error) => {
        events.readWanted()
        throw error
      })

  return {
    webhooks: async (): Promise<Webhook[]> => statements.all.all(),
    addWebhook: (webhook: Webhook, most: number, event: AuditEvent) =>
      change(webhook.createdAt, () => {
        if (countOf(statements.count.get()) >= most) return false
        statements.insert.run({ ...webhook, sealedSecret: Buffer.from(webhook.sealedSecret) })
        audit.writeEvent(event)
        return true
      }),
    async setWebhookStatus(
      of: string,
      status: Webhook['status'],
      now: number,
      event: AuditEvent,
    ): Promise<WebhookStatusChange> {
      let isFound = false
      const seq = await change(now, () => {
        isFound = exists.get(of) !== null
        // What a disabling that is under way has left.
        if (status === 'active') while (giveUpSome(of, now) > 0);
        if (setStatus.run(of, status).changes === 0) return false
        audit.writeEvent(event)
        return true
      })
      if (status === 'disabled') await writeInBatches(sqlite, () => giveUpSome(of, now))
      if (seq !== null) return { outcome: 'changed', seq }
      return { outcome: isFound ? 'unchanged' : 'not_found' }
    },
    async removeWebhook(of: string, now: number, event: AuditEvent) {
      const seq = await change(now, () => {
        if (remove.run(of).changes === 0) return false
        audit.writeEvent(event)
        return true
      })
      if (seq !== null) await writeInBatches(sqlite, () => removeDeliveries.run(of).changes)
      return seq
    },
    async resealWebhook(of: string, sealedSecret: Uint8Array) {
      await sqlite.write(() => statements.reseal.run({ id: of, sealed: Buffer.from(sealedSecret) }))
    },
  } satisfies Partial<AuthStore>
}
