import { and, desc, eq, getTableColumns, gt, gte, lt, lte, max, type SQL, sql } from 'drizzle-orm'
import type { BunSQLiteDatabase } from 'drizzle-orm/bun-sqlite'
import type { Attempted, AuthStore, Delivery, DeliveryFilter, Tried } from '../../services/auth/store/index.ts'
import type { AuditEvent } from '../../services/kit/outbox/audit.ts'
import type { PageRequest, Slice } from '../../services/kit/schema/page.ts'
import { pageBounds, sliceOf } from '../page-bounds.ts'
import { prepared } from '../prepared.ts'
import { deliveries, events as happened } from '../schema/auth.ts'
import type { Sqlite } from '../sqlite/engine.ts'
import { PIECE, writeInBatches } from '../sqlite/write-in-batches.ts'
import { type Audit, COUNT, countOf } from './audit.ts'
import type { Events } from './events.ts'

/** Events on their way to who wants them. */
export function deliveryStore(
  sqlite: Sqlite,
  db: BunSQLiteDatabase,
  { audit, events }: { audit: Audit; events: Events },
) {
  const { raw } = sqlite
  const columns = { delivery: getTableColumns(deliveries), event: getTableColumns(happened) }
  const selected = () => db.select(columns).from(deliveries).innerJoin(happened, eq(happened.id, deliveries.eventId))
  const pending = and(eq(deliveries.target, sql.placeholder('target')), sql`${deliveries.status} = 'pending'`)
  const statements = prepared({
    due: () =>
      selected()
        .where(and(pending, lte(deliveries.nextAt, sql.placeholder('now'))))
        .orderBy(deliveries.nextAt, deliveries.seq)
        .limit(sql.placeholder('limit'))
        .prepare(),
    putOff: () =>
      selected()
        .where(and(pending, gt(deliveries.nextAt, sql.placeholder('latest'))))
        .limit(sql.placeholder('limit'))
        .prepare(),
    inOrder: () => selected().where(pending).orderBy(deliveries.seq).limit(sql.placeholder('limit')).prepare(),
    next: () =>
      db
        .select({ nextAt: deliveries.nextAt })
        .from(deliveries)
        .where(and(pending, gt(deliveries.nextAt, sql.placeholder('now'))))
        .orderBy(deliveries.nextAt)
        .limit(1)
        .prepare(),
  })
  const finish = raw.query(`
    UPDATE deliveries SET status = ?2, tries = tries + 1, last_status = ?3, last_error = ?4, finished_at = ?5
    WHERE seq = ?1 AND status = 'pending' AND (?2 = 'delivered' OR since = ?6)`)
  const postpone = raw.query(`
    UPDATE deliveries SET tries = tries + 1, next_at = ?2, last_status = ?3, last_error = ?4
    WHERE seq = ?1 AND status = 'pending' AND since = ?5`)
  const giveUp = raw.query(`
    UPDATE deliveries SET status = 'dead', finished_at = ?3 WHERE seq IN (
      SELECT seq FROM deliveries WHERE target = ?1 AND status = 'pending' AND since < ?2 LIMIT ${PIECE})`)
  // Always another `since`, so that an attempt that is under way is known to be of before.
  const again = raw.query(`
    UPDATE deliveries SET status = 'pending', tries = 0, since = max(?1, since + 1), next_at = ?1, finished_at = NULL
    WHERE seq IN (SELECT value FROM json_each(?2))`)
  // As the partial indexes have it: they are few, and what was delivered is not.
  const counts = raw.query<{ pending: number; dead: number }, []>(`
    SELECT (SELECT count(*) FROM deliveries WHERE status = 'pending') AS pending,
      (SELECT count(*) FROM deliveries WHERE status = 'dead') AS dead`)
  const forget = raw.query(`
    DELETE FROM deliveries WHERE seq IN (
      SELECT seq FROM deliveries WHERE status = ? AND status <> 'pending' AND finished_at < ? LIMIT ${PIECE})`)
  // What is left where the service ended while a webhook was deleted, or disabled. The targets by one look each.
  const forgetOrphans = raw.query(`
    WITH RECURSIVE targets (target) AS (
      SELECT min(target) FROM deliveries UNION ALL
      SELECT (SELECT min(target) FROM deliveries WHERE target > targets.target) FROM targets WHERE target IS NOT NULL)
    DELETE FROM deliveries WHERE seq IN (
      SELECT seq FROM deliveries WHERE target IN (
        SELECT target FROM targets WHERE target <> 'amqp' AND target NOT IN (SELECT id FROM webhooks))
      LIMIT ${PIECE})`)
  const giveUpDisabled = raw.query(`
    UPDATE deliveries SET status = 'dead', last_error = 'webhook_disabled', finished_at = ? WHERE seq IN (
      SELECT seq FROM deliveries
      WHERE status = 'pending' AND target IN (SELECT id FROM webhooks WHERE status = 'disabled') LIMIT ${PIECE})`)

  return {
    async deliveriesDue(target: string, now: number, latest: number, limit: number) {
      const rows = statements.due.all({ target, now, limit })
      // Two queries: what lies between the two times is much where a receiver is away, and no index skips it.
      return (rows.length > 0 ? rows : statements.putOff.all({ target, latest, limit })).map(deliveryOf)
    },
    oldestDeliveries: async (target: string, limit: number) =>
      statements.inOrder.all({ target, limit }).map(deliveryOf),
    nextDelivery: async (target: string, now: number) => statements.next.get({ target, now })?.nextAt ?? null,
    async finishDelivery({ seq, since }: Attempted, status: 'delivered' | 'dead', tried: Tried, now: number) {
      await sqlite.write(() => finish.run(seq, status, tried.status, tried.error, now, since))
    },
    async postponeDelivery({ seq, since }: Attempted, nextAt: number, tried: Tried) {
      await sqlite.write(() => postpone.run(seq, nextAt, tried.status, tried.error, since))
    },
    giveUpDeliveries: (target: string, before: number, now: number) =>
      writeInBatches(sqlite, () => giveUp.run(target, before, now).changes),
    async settleDeliveries(now: number) {
      await writeInBatches(sqlite, () => forgetOrphans.run().changes)
      await writeInBatches(sqlite, () => giveUpDisabled.run(now).changes)
    },
    async listDeliveries(filter: DeliveryFilter, request: PageRequest): Promise<Slice<Delivery>> {
      const where = matching(filter)
      const from = 'after' in request ? lt(deliveries.seq, Number(request.after[0])) : undefined
      const { limit, offset } = pageBounds(request)
      const rows = selected().where(and(where, from)).orderBy(desc(deliveries.seq)).limit(limit).offset(offset).all()
      const count = () => countOf(db.select(COUNT).from(deliveries).where(where).get())
      const slice = sliceOf(rows, request, count, ({ delivery }) => [delivery.seq])
      return { ...slice, rows: slice.rows.map(deliveryOf) }
    },
    async replayDeliveries(filter: DeliveryFilter, now: number, event: (count: number) => AuditEvent) {
      // What waits for its next attempt is meant where it is named.
      const isOver = filter.seq === undefined && filter.status === undefined
      const where = and(matching(filter), isOver ? sql`${deliveries.status} <> 'pending'` : undefined, SOMEONE_LISTENS)
      const last = await sqlite.write(() => {
        const all = db
          .select({ ...COUNT, last: max(deliveries.seq) })
          .from(deliveries)
          .where(where)
          .get()
        audit.writeEvent(event(countOf(all)))
        return all?.last ?? 0
      })
      let after = 0
      let replayed = 0
      await writeInBatches(sqlite, () => {
        const some = db
          .select({ seq: deliveries.seq })
          .from(deliveries)
          .where(and(where, gt(deliveries.seq, after), lte(deliveries.seq, last)))
          .orderBy(deliveries.seq)
          .limit(PIECE)
          .all()
        if (some.length > 0) again.run(now, JSON.stringify(some.map(({ seq }) => seq)))
        after = some.at(-1)?.seq ?? last
        replayed += some.length
        if (some.length > 0) events.wake()
        return some.length
      })
      return replayed
    },
    countDeliveries: async () => counts.get() ?? { pending: 0, dead: 0 },
    async forgetDeliveries(times: { delivered: number; dead: number }) {
      await writeInBatches(sqlite, () => forget.run('delivered', times.delivered).changes)
      await writeInBatches(sqlite, () => forget.run('dead', times.dead).changes)
    },
  } satisfies Partial<AuthStore>
}

/** What is sent again to a webhook that is disabled would wait for ever. */
const SOMEONE_LISTENS = sql`(${deliveries.target} = 'amqp' OR ${deliveries.target} IN (SELECT id FROM webhooks WHERE status = 'active'))`

function matching({ seq, target, status, since }: DeliveryFilter): SQL | undefined {
  return and(
    seq === undefined ? undefined : eq(deliveries.seq, seq),
    target === undefined ? undefined : eq(deliveries.target, target),
    // As text, so that a partial index is found by it.
    status === undefined ? undefined : sql`${deliveries.status} = ${sql.raw(`'${status}'`)}`,
    since === undefined ? undefined : gte(deliveries.since, since),
  )
}

interface Row {
  delivery: typeof deliveries.$inferSelect
  event: typeof happened.$inferSelect
}

function deliveryOf({ delivery: { eventId, ...delivery }, event }: Row): Delivery {
  return { ...delivery, event }
}
