import { asc, eq, sql } from 'drizzle-orm'
import type { BunSQLiteDatabase } from 'drizzle-orm/bun-sqlite'
import type { AuthStore, Webhook, WebhookStatusChange } from '../../services/auth/store/index.ts'
import type { AuditEvent } from '../../services/kit/outbox/audit.ts'
import { placeholders } from '../placeholders.ts'
import { prepared } from '../prepared.ts'
import { webhooks } from '../schema/auth.ts'
import type { Sqlite, Transaction } from '../sqlite/engine.ts'
import { BATCH, writeInBatches } from '../sqlite/write-in-batches.ts'
import type { Audit } from './audit.ts'
import { COUNT, countOf } from './count.ts'
import type { Events } from './events.ts'

interface Parts {
  audit: Audit
  events: Events
}

/** Webhooks. Each change has an entry in the feed, because the other services write only the events subscribed to. */
export function webhookStore(sqlite: Sqlite, db: BunSQLiteDatabase, { audit, events }: Parts) {
  const statements = prepare(sqlite, db)

  /**
   * Runs a change and publishes the event types that are subscribed to after it.
   * @param write gives whether it changed anything
   */
  const change = (now: number, event: AuditEvent, write: (tx: Transaction) => boolean): Promise<number | null> =>
    sqlite.write((tx) => {
      if (!write(tx)) return null
      audit.writeEvent(tx, event)
      return events.publishTypes(tx, now)
    })

  return {
    webhooks: async (): Promise<Webhook[]> => statements.all.all(),
    addWebhook: (webhook: Webhook, most: number, event: AuditEvent) =>
      change(webhook.createdAt, event, (tx) => {
        if (countOf(tx.get(statements.count)) >= most) return false
        tx.run(statements.insert, { ...webhook, sealedSecret: Buffer.from(webhook.sealedSecret) })
        return true
      }),
    async setWebhookStatus(
      id: string,
      status: Webhook['status'],
      now: number,
      event: AuditEvent,
    ): Promise<WebhookStatusChange> {
      const failBatch = (tx: Transaction) => tx.run(statements.failDeliveries, { id, now }).changes
      let exists = false
      const seq = await change(now, event, (tx) => {
        exists = tx.get(statements.exists, { id }) !== null
        // Finishes an earlier disabling: otherwise its deliveries would be sent again.
        if (status === 'active') while (failBatch(tx) > 0);
        return tx.run(statements.setStatus, { id, status }).changes > 0
      })
      if (status === 'disabled') await writeInBatches(sqlite, failBatch)
      if (seq !== null) return { outcome: 'changed', seq }
      return { outcome: exists ? 'unchanged' : 'not_found' }
    },
    async removeWebhook(id: string, now: number, event: AuditEvent) {
      const seq = await change(now, event, (tx) => tx.run(statements.remove, { id }).changes > 0)
      if (seq !== null) await writeInBatches(sqlite, (tx) => tx.run(statements.removeDeliveries, { id }).changes)
      return seq
    },
    async resealWebhook(id: string, sealedSecret: Uint8Array) {
      await sqlite.write((tx) => tx.run(statements.reseal, { id, sealed: Buffer.from(sealedSecret) }))
    },
  } satisfies Partial<AuthStore>
}

function prepare({ raw }: Sqlite, db: BunSQLiteDatabase) {
  return prepared({
    all: () => db.select().from(webhooks).orderBy(asc(webhooks.createdAt), asc(webhooks.id)).prepare(),
    count: () => db.select(COUNT).from(webhooks).prepare(),
    insert: () => db.insert(webhooks).values(placeholders(webhooks)).prepare(),
    reseal: () =>
      db
        .update(webhooks)
        .set({ sealedSecret: sql`${sql.placeholder('sealed')}` })
        .where(eq(webhooks.id, sql.placeholder('id')))
        .prepare(),
    setStatus: () =>
      raw.query<unknown, { id: string; status: string }>(
        'UPDATE webhooks SET status = $status WHERE id = $id AND status <> $status',
      ),
    exists: () => raw.query<unknown, { id: string }>('SELECT 1 FROM webhooks WHERE id = $id'),
    remove: () => raw.query<unknown, { id: string }>('DELETE FROM webhooks WHERE id = $id'),
    removeDeliveries: () =>
      raw.query<unknown, { id: string }>(
        `DELETE FROM deliveries WHERE seq IN (SELECT seq FROM deliveries WHERE target = $id LIMIT ${BATCH})`,
      ),
    failDeliveries: () =>
      raw.query<unknown, { id: string; now: number }>(`
        UPDATE deliveries SET status = 'dead', last_error = 'webhook_disabled', finished_at = $now
        WHERE seq IN (
          SELECT seq FROM deliveries WHERE target = $id AND status = 'pending'
          AND EXISTS (SELECT 1 FROM webhooks WHERE id = $id AND status = 'disabled') LIMIT ${BATCH})`),
  })
}
