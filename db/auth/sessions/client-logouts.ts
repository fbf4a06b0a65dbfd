import { eq, sql } from 'drizzle-orm'
import type { AuthStore, ClientLogout, DueLogout } from '../../../services/auth/store/index.ts'
import type { AuditEvent } from '../../../services/kit/outbox/audit.ts'
import { type Body, built, type Engine, type Transaction, text } from '../../engine.ts'
import { placeholders } from '../../placeholders.ts'
import { clientLogouts } from '../../schema/auth.ts'
import { BATCH, writeInBatches } from '../../write-in-batches.ts'
import type { Audit } from '../audit/audit.ts'

export type ClientLogouts = ReturnType<typeof clientLogoutStore>

/** The end of a session that a client is to be told of. */
export type NewClientLogout = Pick<ClientLogout, 'at' | 'clientId' | 'reason' | 'sessionId' | 'userId'>

const { placeholder } = sql
const byId = eq(clientLogouts.id, placeholder('id'))

const statements = {
  // One that is not acknowledged yet gets another id: an attempt under way may be about the earlier end of the session alone.
  insert: built((db) =>
    db
      .insert(clientLogouts)
      .values(placeholders(clientLogouts))
      .onConflictDoUpdate({
        target: [clientLogouts.clientId, clientLogouts.sessionId],
        set: {
          id: sql`excluded.id`,
          reason: sql`excluded.reason`,
          at: sql`excluded.at`,
          nextAt: sql`excluded.next_at`,
        },
      }),
  ),
  // One look into the index for each client, however many notices one of them has.
  due: text<DueLogout>(`
    SELECT l.id, l.client_id AS "clientId", l.user_id AS "userId", l.session_id AS "sessionId", l.at, l.tries,
      c.backchannel_logout_uri AS uri, c.id_token_alg AS alg
    FROM clients c JOIN client_logouts l ON l.id = (
      SELECT id FROM client_logouts WHERE client_id = c.id AND next_at <= $now ORDER BY next_at, id LIMIT 1)
    WHERE c.status = 'active' AND c.backchannel_logout_uri IS NOT NULL
    ORDER BY l.next_at, l.id`),
  remove: built((db) => db.delete(clientLogouts).where(byId)),
  postpone: built((db) =>
    db
      .update(clientLogouts)
      .set({
        tries: sql`${clientLogouts.tries} + 1`,
        nextAt: sql`${placeholder('nextAt')}`,
        lastError: sql`${placeholder('error')}`,
      })
      .where(byId),
  ),
  old: text<ClientLogout>(`
    SELECT id, client_id AS "clientId", user_id AS "userId", session_id AS "sessionId", reason, at, tries,
      next_at AS "nextAt", last_error AS "lastError"
    FROM client_logouts WHERE client_id = $clientId AND at < $before LIMIT ${BATCH}`),
  dropUnwanted: text(`
    DELETE FROM client_logouts WHERE id IN (
      SELECT id FROM client_logouts WHERE client_id NOT IN (
        SELECT id FROM clients WHERE status = 'active' AND backchannel_logout_uri IS NOT NULL)
      LIMIT ${BATCH})`),
  hasten: text('UPDATE client_logouts SET next_at = 0 WHERE next_at > $latest'),
}

/** The clients that are still to be told of the end of a session. */
export function clientLogoutStore(engine: Engine, { audit }: { audit: Audit }) {
  const listeners: (() => void)[] = []

  return {
    /**
     * Adds notices, in the transaction that ends the sessions. They are due whatever the time is: the clock of the node that
     * sends may be behind.
     */
    *addClientLogouts(tx: Transaction, notices: readonly NewClientLogout[]): Body<void> {
      if (notices.length === 0) return
      yield* tx.runEach(
        statements.insert,
        notices.map((notice) => ({ ...notice, id: Bun.randomUUIDv7(), tries: 0, nextAt: 0, lastError: null })),
      )
      for (const listener of listeners) tx.afterCommit(() => setImmediate(listener))
    },
    clientLogoutsDue: (now: number) => engine.all(statements.due, { now }),
    async finishClientLogout(id: string, event: AuditEvent) {
      await engine.write(function* (tx): Body<void> {
        if ((yield* tx.run(statements.remove, { id })) > 0) yield* audit.writeEvents(tx, [event])
      })
    },
    async postponeClientLogout(id: string, nextAt: number, error: string) {
      await engine.write((tx) => tx.run(statements.postpone, { id, nextAt, error }))
    },
    async giveUpClientLogouts(clientId: string, before: number, event: (notice: ClientLogout) => AuditEvent) {
      await writeInBatches(engine, function* (tx): Body<number> {
        const old = yield* tx.all(statements.old, { clientId, before })
        yield* tx.runEach(
          statements.remove,
          old.map(({ id }) => ({ id })),
        )
        yield* audit.writeEvents(tx, old.map(event))
        return old.length
      })
    },
    async settleClientLogouts(latest: number) {
      await writeInBatches(engine, (tx) => tx.run(statements.dropUnwanted))
      await engine.write((tx) => tx.run(statements.hasten, { latest }))
    },
    onClientLogouts(listener: () => void) {
      listeners.push(listener)
    },
  } satisfies Partial<AuthStore> & Record<string, unknown>
}
