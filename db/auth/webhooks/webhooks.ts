import { asc, eq, sql } from 'drizzle-orm'
import type { AuthStore, Webhook, WebhookStatusChange } from '../../../services/auth/store/index.ts'
import type { AuditEvent } from '../../../services/kit/outbox/audit.ts'
import { COUNT, countOf } from '../../count.ts'
import { type Body, built, type Engine, type Transaction, text } from '../../engine.ts'
import { placeholders } from '../../placeholders.ts'
import { webhooks } from '../../schema/auth.ts'
import { BATCH, writeInBatches } from '../../write-in-batches.ts'
import type { Audit } from '../audit/audit.ts'
import { removeDeliveries } from './delivery-removal.ts'
import { READS, REMOVALS } from './delivery-statements.ts'
import type { Events } from './events.ts'

interface Parts {
  audit: Audit
  events: Events
}

/** Webhooks. Each change has an entry in the feed, because the other services write only the events subscribed to. */
export function webhookStore(engine: Engine, { audit, events }: Parts) {
  /** Publishes the event types that are subscribed to after a change, and records the change. */
  function* publish(tx: Transaction, now: number, event: AuditEvent): Body<number> {
    const seq = yield* events.publishTypes(tx, now)
    yield* audit.writeEvents(tx, [event])
    return seq
  }

  return {
    webhooks: (): Promise<Webhook[]> => engine.all(STATEMENTS.all),
    addWebhook: (webhook: Webhook, most: number, event: AuditEvent) =>
      engine.write(function* (tx) {
        if (countOf(yield* tx.get(STATEMENTS.count)) >= most) return null
        yield* tx.run(STATEMENTS.insert, { ...webhook, sealedSecret: Buffer.from(webhook.sealedSecret) })
        return yield* publish(tx, webhook.createdAt, event)
      }),
    async setWebhookStatus(
      id: string,
      status: Webhook['status'],
      now: number,
      event: AuditEvent,
    ): Promise<WebhookStatusChange> {
      const failBatch = (tx: Transaction) => tx.run(STATEMENTS.failDeliveries, { id, now })
      // Finishes an earlier disabling: otherwise its deliveries would be sent again.
      if (status === 'active') await writeInBatches(engine, failBatch)
      const change = await engine.write(function* (tx): Body<WebhookStatusChange> {
        // Fails those that another replay or disabling left meanwhile.
        if (status === 'active') while ((yield* failBatch(tx)) > 0);
        if ((yield* tx.run(STATEMENTS.setStatus, { id, status })) > 0)
          return { outcome: 'changed', seq: yield* publish(tx, now, event) }
        return { outcome: (yield* tx.get(READS.webhook, { id })) ? 'unchanged' : 'not_found' }
      })
      if (status === 'disabled') await writeInBatches(engine, failBatch)
      return change
    },
    async removeWebhook(id: string, now: number, event: AuditEvent) {
      const seq = await engine.write(function* (tx) {
        return (yield* tx.run(STATEMENTS.remove, { id })) > 0 ? yield* publish(tx, now, event) : null
      })
      if (seq !== null) await writeInBatches(engine, (tx) => removeDeliveries(tx, REMOVALS.ofTarget, { target: id }))
      return seq
    },
    async resealWebhook(id: string, sealedSecret: Uint8Array) {
      await engine.write((tx) => tx.run(STATEMENTS.reseal, { id, sealed: Buffer.from(sealedSecret) }))
    },
  } satisfies Partial<AuthStore>
}

const STATEMENTS = {
  all: built((db) => db.select().from(webhooks).orderBy(asc(webhooks.createdAt), asc(webhooks.id))),
  count: built((db) => db.select(COUNT).from(webhooks)),
  insert: built((db) => db.insert(webhooks).values(placeholders(webhooks))),
  reseal: built((db) =>
    db
      .update(webhooks)
      .set({ sealedSecret: sql`${sql.placeholder('sealed')}` })
      .where(eq(webhooks.id, sql.placeholder('id'))),
  ),
  setStatus: text('UPDATE webhooks SET status = $status WHERE id = $id AND status <> $status'),
  remove: text('DELETE FROM webhooks WHERE id = $id'),
  failDeliveries: text(`
    UPDATE deliveries SET status = 'dead', last_error = 'webhook_disabled', finished_at = $now
    WHERE seq IN (
      SELECT seq FROM deliveries WHERE target = $id AND status = 'pending'
      AND EXISTS (SELECT 1 FROM webhooks WHERE id = $id AND status = 'disabled') ORDER BY seq LIMIT ${BATCH})`),
}
