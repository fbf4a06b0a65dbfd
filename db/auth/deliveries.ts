import { and, desc, eq, gt, gte, lt, lte, max, type SQL, sql } from 'drizzle-orm'
import type { BunSQLiteDatabase } from 'drizzle-orm/bun-sqlite'
import type {
  AttemptedDelivery,
  AttemptResult,
  AuthStore,
  Delivery,
  DeliveryFilter,
} from '../../services/auth/store/index.ts'
import type { AuditEvent } from '../../services/kit/outbox/audit.ts'
import type { PageRequest, Slice } from '../../services/kit/schema/page.ts'
import { pageBounds, sliceOf } from '../page-bounds.ts'
import { deliveries } from '../schema/auth.ts'
import type { Sqlite, Transaction } from '../sqlite/engine.ts'
import { BATCH, writeInBatches } from '../sqlite/write-in-batches.ts'
import type { Audit } from './audit.ts'
import { COUNT, countOf } from './count.ts'
import { deliveryOf, prepareChanges, prepareReads, selectDeliveries } from './delivery-statements.ts'
import type { Events } from './events.ts'

interface Parts {
  audit: Audit
  events: Events
}

/** Deliveries of events to webhooks and to the message broker. */
export function deliveryStore(sqlite: Sqlite, db: BunSQLiteDatabase, { audit, events }: Parts) {
  const reads = prepareReads(sqlite, db)
  const changes = prepareChanges(sqlite)

  return {
    async deliveriesDue(target: string, now: number, latest: number, limit: number) {
      const rows = reads.due.all({ target, now, limit })
      // Two queries, because no index skips the deliveries between the two times: many, while a receiver is unreachable.
      return (rows.length > 0 ? rows : reads.tooFarAhead.all({ target, latest, limit })).map(deliveryOf)
    },
    oldestDeliveries: async (target: string, limit: number) => reads.oldest.all({ target, limit }).map(deliveryOf),
    nextDelivery: async (target: string, now: number) => reads.next.get({ target, now })?.nextAt ?? null,
    async finishDelivery(
      attempted: AttemptedDelivery,
      status: 'delivered' | 'dead',
      tried: AttemptResult,
      now: number,
    ) {
      await sqlite.write((tx) => tx.run(changes.finish, { ...attemptOf(attempted, tried), status, now }))
    },
    async postponeDelivery(attempted: AttemptedDelivery, nextAt: number, tried: AttemptResult) {
      await sqlite.write((tx) => tx.run(changes.postpone, { ...attemptOf(attempted, tried), nextAt }))
    },
    giveUpDeliveries: (target: string, before: number, now: number) =>
      writeInBatches(sqlite, (tx) => tx.run(changes.giveUp, { target, before, now }).changes),
    async settleDeliveries(now: number) {
      await writeInBatches(sqlite, (tx) => tx.run(changes.deleteOrphans).changes)
      await writeInBatches(sqlite, (tx) => tx.run(changes.giveUpDisabled, { now }).changes)
    },
    async listDeliveries(filter: DeliveryFilter, request: PageRequest): Promise<Slice<Delivery>> {
      const where = matching(filter)
      const from = 'after' in request ? lt(deliveries.seq, Number(request.after[0])) : undefined
      const { limit, offset } = pageBounds(request)
      const rows = selectDeliveries(db)
        .where(and(where, from))
        .orderBy(desc(deliveries.seq))
        .limit(limit)
        .offset(offset)
        .all()
      const count = () => countOf(db.select(COUNT).from(deliveries).where(where).get())
      const slice = sliceOf(rows, request, count, ({ delivery }) => [delivery.seq])
      return { ...slice, rows: slice.rows.map(deliveryOf) }
    },
    async replayDeliveries(filter: DeliveryFilter, now: number, event: (count: number) => AuditEvent) {
      const where = replayable(filter)
      const last = await sqlite.write((tx) => {
        const query = db
          .select({ ...COUNT, last: max(deliveries.seq) })
          .from(deliveries)
          .where(where)
        const row = tx.get(query)
        audit.writeEvent(tx, event(countOf(row)))
        return row?.last ?? 0
      })
      let after = 0
      let replayed = 0
      const replayBatch = (tx: Transaction): number => {
        const range = and(where, gt(deliveries.seq, after), lte(deliveries.seq, last))
        const query = db.select({ seq: deliveries.seq }).from(deliveries).where(range).orderBy(deliveries.seq)
        const seqs = tx.all(query.limit(BATCH)).map(({ seq }) => seq)
        if (seqs.length === 0) return 0
        tx.run(changes.replay, { now, seqs: JSON.stringify(seqs) })
        events.wakeAfterCommit(tx)
        after = seqs.at(-1) ?? last
        replayed += seqs.length
        return seqs.length
      }
      await writeInBatches(sqlite, replayBatch)
      return replayed
    },
    countDeliveries: async () => reads.counts.get() ?? { pending: 0, dead: 0 },
    async forgetDeliveries(times: { delivered: number; dead: number }) {
      for (const status of ['delivered', 'dead'] as const) {
        const before = times[status]
        await writeInBatches(sqlite, (tx) => tx.run(changes.forget, { status, before }).changes)
      }
    },
  } satisfies Partial<AuthStore>
}

/** The parameters that every result of an attempt has. */
function attemptOf({ seq, since }: AttemptedDelivery, { error, status }: AttemptResult) {
  return { seq, since, lastStatus: status, lastError: error }
}

function matching({ seq, target, status, since }: DeliveryFilter): SQL | undefined {
  return and(
    seq === undefined ? undefined : eq(deliveries.seq, seq),
    target === undefined ? undefined : eq(deliveries.target, target),
    // As text and not as a parameter, so that SQLite uses the partial index.
    status === undefined ? undefined : sql`${deliveries.status} = ${sql.raw(`'${status}'`)}`,
    since === undefined ? undefined : gte(deliveries.since, since),
  )
}

/** Includes pending deliveries only when the filter names a status or one delivery. */
function replayable(filter: DeliveryFilter): SQL | undefined {
  const finishedOnly = filter.seq === undefined && filter.status === undefined
  return and(matching(filter), finishedOnly ? sql`${deliveries.status} <> 'pending'` : undefined, HAS_RECEIVER)
}

/** Leaves out the deliveries to disabled webhooks: they would stay pending for ever. */
const HAS_RECEIVER = sql`(${deliveries.target} = 'amqp' OR ${deliveries.target} IN (SELECT id FROM webhooks WHERE status = 'active'))`
