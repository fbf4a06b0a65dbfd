import { and, desc, eq, getTableColumns, gt, gte, lt, lte, type SQL, sql } from 'drizzle-orm'
import type { BunSQLiteDatabase } from 'drizzle-orm/bun-sqlite'
import type { AuthStore, Delivery, DeliveryFilter, Tried } from '../../services/auth/store.ts'
import type { AuditEvent } from '../../services/kit/audit.ts'
import type { PageRequest, Slice } from '../../services/kit/page.ts'
import { sliceOf, window } from '../pages.ts'
import { prepared } from '../prepared.ts'
import type { Sqlite } from '../sqlite.ts'
import { type Audit, COUNT, countOf } from './audit.ts'
import type { Events } from './events.ts'
import { deliveries, events as happened } from './schema.ts'

/** How many rows are forgotten in one go: the event loop waits for them. */
const FORGOTTEN_AT_ONCE = 5000

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
    WHERE seq = ?1 AND status = 'pending'`)
  const postpone = raw.query(`
    UPDATE deliveries SET tries = tries + 1, next_at = ?2, last_status = ?3, last_error = ?4
    WHERE seq = ?1 AND status = 'pending'`)
  const giveUp = raw.query(`
    UPDATE deliveries SET status = 'dead', finished_at = ?3 WHERE target = ?1 AND status = 'pending' AND since < ?2`)
  // As the partial indexes have it: they are few, and what was delivered is not.
  const counts = raw.query<{ pending: number; dead: number }, []>(`
    SELECT (SELECT count(*) FROM deliveries WHERE status = 'pending') AS pending,
      (SELECT count(*) FROM deliveries WHERE status = 'dead') AS dead`)
  const forget = raw.query(`
    DELETE FROM deliveries WHERE seq IN (
      SELECT seq FROM deliveries WHERE status = ? AND status <> 'pending' AND finished_at < ? LIMIT ${FORGOTTEN_AT_ONCE})`)

  return {
    async deliveriesDue(target: string, now: number, latest: number, limit: number) {
      const rows = statements.due.all({ target, now, limit })
      // Two queries: what lies between the two times is much where a receiver is away, and no index skips it.
      return (rows.length > 0 ? rows : statements.putOff.all({ target, latest, limit })).map(deliveryOf)
    },
    oldestDeliveries: async (target: string, limit: number) =>
      statements.inOrder.all({ target, limit }).map(deliveryOf),
    nextDelivery: async (target: string, now: number) => statements.next.get({ target, now })?.nextAt ?? null,
    async finishDelivery(seq: number, status: 'delivered' | 'dead', tried: Tried, now: number) {
      await sqlite.write(() => finish.run(seq, status, tried.status, tried.error, now))
    },
    async postponeDelivery(seq: number, nextAt: number, tried: Tried) {
      await sqlite.write(() => postpone.run(seq, nextAt, tried.status, tried.error))
    },
    giveUpDeliveries: (target: string, before: number, now: number) =>
      sqlite.write(() => giveUp.run(target, before, now).changes),
    async listDeliveries(filter: DeliveryFilter, request: PageRequest): Promise<Slice<Delivery>> {
      const where = matching(filter)
      const from = 'after' in request ? lt(deliveries.seq, Number(request.after[0])) : undefined
      const { limit, offset } = window(request)
      const rows = selected().where(and(where, from)).orderBy(desc(deliveries.seq)).limit(limit).offset(offset).all()
      const count = () => countOf(db.select(COUNT).from(deliveries).where(where).get())
      const slice = sliceOf(rows, request, count, ({ delivery }) => [delivery.seq])
      return { ...slice, rows: slice.rows.map(deliveryOf) }
    },
    replayDeliveries: (filter: DeliveryFilter, now: number, event: (count: number) => AuditEvent) =>
      sqlite.write(() => {
        const again = db
          .update(deliveries)
          .set({ status: 'pending', tries: 0, since: now, nextAt: now, finishedAt: null })
          .where(and(matching(filter), sql`${deliveries.status} <> 'pending'`, SOMEONE_LISTENS))
          .returning({ seq: deliveries.seq })
          .all()
        audit.writeEvent(event(again.length))
        if (again.length > 0) events.wake()
        return again.length
      }),
    countDeliveries: async () => counts.get() ?? { pending: 0, dead: 0 },
    async forgetDeliveries(times: { delivered: number; dead: number }) {
      await sqlite.write(() => {
        forget.run('delivered', times.delivered)
        forget.run('dead', times.dead)
      })
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
