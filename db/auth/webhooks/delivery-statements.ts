import { and, eq, getTableColumns, gt, lte, sql } from 'drizzle-orm'
import type { Delivery } from '../../../services/auth/store/index.ts'
import { type Builder, built, text } from '../../engine.ts'
import { deliveries, events } from '../../schema/auth.ts'
import { BATCH } from '../../write-in-batches.ts'

const COLUMNS = { delivery: getTableColumns(deliveries), event: getTableColumns(events) }

/** Selects deliveries with their events. */
export function selectDeliveries(db: Builder) {
  return db.select(COLUMNS).from(deliveries).innerJoin(events, eq(events.id, deliveries.eventId))
}

interface Row {
  delivery: typeof deliveries.$inferSelect
  event: typeof events.$inferSelect
}

export function deliveryOf({ delivery: { eventId, ...delivery }, event }: Row): Delivery {
  // One that was not attempted yet may have no time of its own.
  return { ...delivery, nextAt: Math.max(delivery.nextAt, delivery.since), event }
}

const { placeholder } = sql
const pending = and(eq(deliveries.target, placeholder('target')), sql`${deliveries.status} = 'pending'`)

export const READS = {
  due: built((db) =>
    selectDeliveries(db)
      .where(and(pending, lte(deliveries.nextAt, placeholder('now'))))
      .orderBy(deliveries.nextAt, deliveries.seq)
      .limit(placeholder('limit')),
  ),
  tooFarAhead: built((db) =>
    selectDeliveries(db)
      .where(and(pending, gt(deliveries.nextAt, placeholder('latest'))))
      .limit(placeholder('limit')),
  ),
  oldest: built((db) => selectDeliveries(db).where(pending).orderBy(deliveries.seq).limit(placeholder('limit'))),
  next: built((db) =>
    db
      .select({ nextAt: deliveries.nextAt })
      .from(deliveries)
      .where(and(pending, gt(deliveries.nextAt, placeholder('now'))))
      .orderBy(deliveries.nextAt)
      .limit(1),
  ),
  targetsDue: text<{ target: string }>({
    sqlite: `
      SELECT value AS target FROM json_each($targets)
      WHERE EXISTS (SELECT 1 FROM deliveries WHERE target = value AND status = 'pending' AND next_at <= $now)`,
    postgres: `
      SELECT name AS target FROM jsonb_array_elements_text(CAST($targets AS text)::jsonb) AS list (name)
      WHERE EXISTS (SELECT 1 FROM deliveries WHERE target = name AND status = 'pending' AND next_at <= $now)`,
  }),
  /** Finds the first target after another: each target takes one look into the index, however many deliveries it has. */
  nextTarget: text<{ target: string | null }>('SELECT min(target) AS target FROM deliveries WHERE target > $after'),
  webhook: text<{ one: 1 }>('SELECT 1 AS one FROM webhooks WHERE id = $id'),
}

// `$since` identifies the state before an attempt, as a replay changes it.
export const CHANGES = {
  finish: text(`
    UPDATE deliveries SET status = $status, tries = tries + 1, last_status = $lastStatus, last_error = $lastError,
      finished_at = $now
    WHERE seq = $seq AND status = 'pending' AND ($status = 'delivered' OR since = $since)`),
  postpone: text(`
    UPDATE deliveries SET tries = tries + 1, next_at = $nextAt, last_status = $lastStatus, last_error = $lastError
    WHERE seq = $seq AND status = 'pending' AND since = $since`),
  giveUp: text(`
    UPDATE deliveries SET status = 'dead', finished_at = $now WHERE seq IN (
      SELECT seq FROM deliveries WHERE target = $target AND status = 'pending' AND since < $before
      ORDER BY seq LIMIT ${BATCH})`),
  // Always changes `since`, so that the result of an attempt that began before the replay is recognised as older.
  replay: text({
    sqlite: replay('SELECT value FROM json_each($seqs)'),
    postgres: replay('SELECT jsonb_array_elements_text(CAST($seqs AS text)::jsonb)::bigint'),
  }),
  giveUpDisabled: text(`
    UPDATE deliveries SET status = 'dead', last_error = 'webhook_disabled', finished_at = $now WHERE seq IN (
      SELECT seq FROM deliveries
      WHERE status = 'pending' AND target IN (SELECT id FROM webhooks WHERE status = 'disabled') LIMIT ${BATCH})`),
}

/** The statements for `removeDeliveries`. Their order makes PostgreSQL read an index, not the table from its beginning. */
export const REMOVALS = {
  forget: text<{ eventId: string }>(`
    DELETE FROM deliveries WHERE seq IN (
      SELECT seq FROM deliveries WHERE status = $status AND status <> 'pending' AND finished_at < $before
      ORDER BY finished_at LIMIT ${BATCH})
    RETURNING event_id AS "eventId"`),
  ofTarget: text<{ eventId: string }>(`
    DELETE FROM deliveries WHERE seq IN (
      SELECT seq FROM deliveries WHERE target = $target ORDER BY seq LIMIT ${BATCH})
    RETURNING event_id AS "eventId"`),
}

function replay(seqs: string): string {
  return `
    UPDATE deliveries SET status = 'pending', tries = 0, next_at = $now, finished_at = NULL,
      since = CASE WHEN since < $now THEN $now ELSE since + 1 END
    WHERE seq IN (${seqs})`
}
