import { and, desc, eq, gt, gte, lt, lte, max, type SQL, sql } from 'drizzle-orm'
import type {
  AttemptedDelivery,
  AttemptResult,
  AuthStore,
  Delivery,
  DeliveryFilter,
} from '../../../services/auth/store/index.ts'
import type { AuditEvent } from '../../../services/kit/outbox/audit.ts'
import type { PageRequest, Slice } from '../../../services/kit/schema/page.ts'
import { COUNT, countOf } from '../../count.ts'
import { type Body, dynamic, type Engine, type Transaction } from '../../engine.ts'
import { holdsLease } from '../../nodes.ts'
import { pageBounds, sliceOf } from '../../page-bounds.ts'
import { deliveries } from '../../schema/auth.ts'
import { BATCH, writeInBatches } from '../../write-in-batches.ts'
import type { Audit } from '../audit/audit.ts'
import { removeDeliveries } from './delivery-removal.ts'
import { CHANGES, deliveryOf, READS, REMOVALS, selectDeliveries } from './delivery-statements.ts'
import type { Events } from './events.ts'

interface Parts {
  audit: Audit
  events: Events
}

/** Deliveries of events to webhooks and to the message broker. */
export function deliveryStore(engine: Engine, { audit, events }: Parts) {
  /** Replays the first deliveries that match. @returns their numbers */
  const replayBatch = (where: SQL | undefined, now: number): Promise<number[]> => {
    const query = dynamic((db) =>
      db.select({ seq: deliveries.seq }).from(deliveries).where(where).orderBy(deliveries.seq).limit(BATCH),
    )
    return engine.write(function* (tx) {
      const seqs = (yield* tx.all(query)).map(({ seq }) => seq)
      if (seqs.length === 0) return seqs
      yield* tx.run(CHANGES.replay, { now, seqs: JSON.stringify(seqs) })
      events.wakeAfterCommit(tx)
      return seqs
    })
  }

  function* holds(tx: Transaction, { lease }: AttemptedDelivery): Body<boolean> {
    return lease === undefined || (yield* holdsLease(engine, tx, lease))
  }

  return {
    targetsDue: async (targets: readonly string[], now: number) =>
      (await engine.all(READS.targetsDue, { targets: JSON.stringify(targets), now })).map(({ target }) => target),
    async deliveriesDue(target: string, now: number, latest: number, limit: number) {
      const rows = await engine.all(READS.due, { target, now, limit })
      if (rows.length > 0) return rows.map(deliveryOf)
      // Two queries, because no index skips the deliveries between the two times: many, while a receiver is unreachable.
      return (await engine.all(READS.tooFarAhead, { target, latest, limit })).map(deliveryOf)
    },
    oldestDeliveries: async (target: string, limit: number) =>
      (await engine.all(READS.oldest, { target, limit })).map(deliveryOf),
    nextDelivery: async (target: string, now: number) =>
      (await engine.get(READS.next, { target, now }))?.nextAt ?? null,
    async finishDelivery(
      attempted: AttemptedDelivery,
      status: 'delivered' | 'dead',
      tried: AttemptResult,
      now: number,
    ) {
      await engine.write(function* (tx) {
        if (status === 'delivered' || (yield* holds(tx, attempted)))
          yield* tx.run(CHANGES.finish, { ...attemptOf(attempted, tried), status, now })
      })
    },
    async postponeDelivery(attempted: AttemptedDelivery, nextAt: number, tried: AttemptResult) {
      await engine.write(function* (tx) {
        if (yield* holds(tx, attempted)) yield* tx.run(CHANGES.postpone, { ...attemptOf(attempted, tried), nextAt })
      })
    },
    giveUpDeliveries: (target: string, before: number, now: number) =>
      writeInBatches(engine, (tx) => tx.run(CHANGES.giveUp, { target, before, now })),
    async settleDeliveries(now: number) {
      // A deletion that was interrupted leaves deliveries without a webhook.
      for (const target of await targetsWithoutWebhook(engine))
        await writeInBatches(engine, (tx) => removeDeliveries(tx, REMOVALS.ofTarget, { target }))
      await writeInBatches(engine, (tx) => tx.run(CHANGES.giveUpDisabled, { now }))
    },
    async listDeliveries(filter: DeliveryFilter, request: PageRequest): Promise<Slice<Delivery>> {
      const where = matching(filter)
      const from = 'after' in request ? lt(deliveries.seq, Number(request.after[0])) : undefined
      const { limit, offset } = pageBounds(request)
      const query = dynamic((db) =>
        selectDeliveries(db).where(and(where, from)).orderBy(desc(deliveries.seq)).limit(limit).offset(offset),
      )
      const total = dynamic((db) => db.select(COUNT).from(deliveries).where(where))
      const slice = await sliceOf(
        await engine.all(query),
        request,
        async () => countOf(await engine.get(total)),
        ({ delivery }) => [delivery.seq],
      )
      return { ...slice, rows: slice.rows.map(deliveryOf) }
    },
    async replayDeliveries(filter: DeliveryFilter, now: number, event: (count: number) => AuditEvent) {
      const where = replayable(filter)
      const totals = dynamic((db) =>
        db
          .select({ ...COUNT, last: max(deliveries.seq) })
          .from(deliveries)
          .where(where),
      )
      const last = await engine.write(function* (tx) {
        const row = yield* tx.get(totals)
        yield* audit.writeEvents(tx, [event(countOf(row))])
        return row?.last ?? 0
      })
      let [after, replayed] = [0, 0]
      let seqs: number[]
      do {
        seqs = await replayBatch(and(where, gt(deliveries.seq, after), lte(deliveries.seq, last)), now)
        after = seqs.at(-1) ?? last
        replayed += seqs.length
      } while (seqs.length === BATCH)
      return replayed
    },
    async forgetDeliveries(times: { delivered: number; dead: number }) {
      for (const status of ['delivered', 'dead'] as const) {
        const before = times[status]
        await writeInBatches(engine, (tx) => removeDeliveries(tx, REMOVALS.forget, { status, before }))
      }
    },
  } satisfies Partial<AuthStore>
}

/** Finds the targets of deliveries that are no webhooks any more. */
function targetsWithoutWebhook(engine: Engine): Promise<string[]> {
  return engine.read(function* (tx) {
    const targets: string[] = []
    for (let after = ''; ; ) {
      const target = (yield* tx.get(READS.nextTarget, { after }))?.target
      if (!target) return targets
      if (target !== 'amqp' && !(yield* tx.get(READS.webhook, { id: target }))) targets.push(target)
      after = target
    }
  })
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
