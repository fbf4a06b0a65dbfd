import { and, eq, getTableColumns, gt, lte, sql } from 'drizzle-orm'
import type { BunSQLiteDatabase } from 'drizzle-orm/bun-sqlite'
import type { Delivery } from '../../services/auth/store/index.ts'
import { prepared } from '../prepared.ts'
import { deliveries, events } from '../schema/auth.ts'
import type { Sqlite } from '../sqlite/engine.ts'
import { BATCH } from '../sqlite/write-in-batches.ts'

const COLUMNS = { delivery: getTableColumns(deliveries), event: getTableColumns(events) }

/** Selects deliveries with their events. */
export function selectDeliveries(db: BunSQLiteDatabase) {
  return db.select(COLUMNS).from(deliveries).innerJoin(events, eq(events.id, deliveries.eventId))
}

interface Row {
  delivery: typeof deliveries.$inferSelect
  event: typeof events.$inferSelect
}

export function deliveryOf({ delivery: { eventId, ...delivery }, event }: Row): Delivery {
  return { ...delivery, event }
}

export function prepareReads({ raw }: Sqlite, db: BunSQLiteDatabase) {
  const pending = and(eq(deliveries.target, sql.placeholder('target')), sql`${deliveries.status} = 'pending'`)
  return prepared({
    due: () =>
      selectDeliveries(db)
        .where(and(pending, lte(deliveries.nextAt, sql.placeholder('now'))))
        .orderBy(deliveries.nextAt, deliveries.seq)
        .limit(sql.placeholder('limit'))
        .prepare(),
    tooFarAhead: () =>
      selectDeliveries(db)
        .where(and(pending, gt(deliveries.nextAt, sql.placeholder('latest'))))
        .limit(sql.placeholder('limit'))
        .prepare(),
    oldest: () => selectDeliveries(db).where(pending).orderBy(deliveries.seq).limit(sql.placeholder('limit')).prepare(),
    next: () =>
      db
        .select({ nextAt: deliveries.nextAt })
        .from(deliveries)
        .where(and(pending, gt(deliveries.nextAt, sql.placeholder('now'))))
        .orderBy(deliveries.nextAt)
        .limit(1)
        .prepare(),
    // Two counts, each by a partial index: delivered ones, which are many, are never read.
    counts: () =>
      raw.query<{ pending: number; dead: number }, []>(`
        SELECT (SELECT count(*) FROM deliveries WHERE status = 'pending') AS pending,
          (SELECT count(*) FROM deliveries WHERE status = 'dead') AS dead`),
  })
}

/** The parameters of an attempt: `since` identifies the state before it, as a replay changes it. */
type Attempt = { seq: number; since: number; lastStatus: number | null; lastError: string | null }

export function prepareChanges({ raw }: Sqlite) {
  return prepared({
    finish: () =>
      raw.query<unknown, Attempt & { status: string; now: number }>(`
        UPDATE deliveries SET status = $status, tries = tries + 1, last_status = $lastStatus, last_error = $lastError,
          finished_at = $now
        WHERE seq = $seq AND status = 'pending' AND ($status = 'delivered' OR since = $since)`),
    postpone: () =>
      raw.query<unknown, Attempt & { nextAt: number }>(`
        UPDATE deliveries SET tries = tries + 1, next_at = $nextAt, last_status = $lastStatus, last_error = $lastError
        WHERE seq = $seq AND status = 'pending' AND since = $since`),
    giveUp: () =>
      raw.query<unknown, { target: string; before: number; now: number }>(`
        UPDATE deliveries SET status = 'dead', finished_at = $now WHERE seq IN (
          SELECT seq FROM deliveries WHERE target = $target AND status = 'pending' AND since < $before LIMIT ${BATCH})`),
    // Always changes `since`, so that the result of an attempt that began before the replay is recognised as older.
    replay: () =>
      raw.query<unknown, { now: number; seqs: string }>(`
        UPDATE deliveries
        SET status = 'pending', tries = 0, since = max($now, since + 1), next_at = $now, finished_at = NULL
        WHERE seq IN (SELECT value FROM json_each($seqs))`),
    forget: () =>
      raw.query<unknown, { status: string; before: number }>(`
        DELETE FROM deliveries WHERE seq IN (
          SELECT seq FROM deliveries WHERE status = $status AND status <> 'pending' AND finished_at < $before
          LIMIT ${BATCH})`),
    // A deletion that was interrupted leaves deliveries without a webhook. Each step finds the next target by the index.
    deleteOrphans: () =>
      raw.query<unknown, []>(`
        WITH RECURSIVE targets (target) AS (
          SELECT min(target) FROM deliveries UNION ALL
          SELECT (SELECT min(target) FROM deliveries WHERE target > targets.target)
          FROM targets WHERE target IS NOT NULL)
        DELETE FROM deliveries WHERE seq IN (
          SELECT seq FROM deliveries WHERE target IN (
            SELECT target FROM targets WHERE target <> 'amqp' AND target NOT IN (SELECT id FROM webhooks))
          LIMIT ${BATCH})`),
    giveUpDisabled: () =>
      raw.query<unknown, { now: number }>(`
        UPDATE deliveries SET status = 'dead', last_error = 'webhook_disabled', finished_at = $now WHERE seq IN (
          SELECT seq FROM deliveries
          WHERE status = 'pending' AND target IN (SELECT id FROM webhooks WHERE status = 'disabled') LIMIT ${BATCH})`),
  })
}
