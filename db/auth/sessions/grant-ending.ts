import { REVOCATION_MARGIN } from '../../../services/auth/sessions/ending.ts'
import type { Grant } from '../../../services/auth/store/index.ts'
import type { Revocation } from '../../../services/kit/tokens/revocations.ts'
import { type Body, type Transaction, text } from '../../engine.ts'
import type { ClientLogouts } from './client-logouts.ts'

/** A session that ends, and why. */
export interface EndingSession {
  id: string
  reason: string
  now: number
}

interface EndingGrant {
  id: string
  clientId: string
  userId: string
  sessionId: string
  accessUntil: number
  offline: number | boolean
  /** Whether the client is to be told. */
  notifies: number | boolean
}

const COLUMNS = `
  g.id, g.client_id AS "clientId", g.user_id AS "userId", g.session_id AS "sessionId", g.access_until AS "accessUntil",
  g.offline, CASE WHEN c.status = 'active' AND c.backchannel_logout_uri IS NOT NULL THEN 1 ELSE 0 END AS notifies`
const FROM = 'FROM grants g LEFT JOIN clients c ON c.id = g.client_id'

const SQLITE_IDS = '(SELECT value FROM json_each($ids))'
const POSTGRES_IDS = '(SELECT jsonb_array_elements_text(CAST($ids AS text)::jsonb))'
/** Two reads by an index each: with OR, PostgreSQL would read every grant. */
const ofSessions = (ids: string) => `
  SELECT ${COLUMNS} ${FROM} WHERE g.session_id IN ${ids}
  UNION
  SELECT ${COLUMNS} ${FROM} WHERE g.id IN ${ids}`

const statements = {
  ofSessions: text<EndingGrant>({ sqlite: ofSessions(SQLITE_IDS), postgres: ofSessions(POSTGRES_IDS) }),
  remove: text({
    sqlite: `DELETE FROM grants WHERE id IN ${SQLITE_IDS}`,
    postgres: `DELETE FROM grants WHERE id IN ${POSTGRES_IDS}`,
  }),
}

/**
 * Ends the grants of sessions that end, in the same transaction: those that do not outlive their session, and an offline
 * grant whose own session ends. Every client with a grant in such a session is to be told of its end.
 * @returns the revocations of the grants whose own ids the feed does not have yet
 */
export function* endGrantsOfSessions(
  tx: Transaction,
  logouts: ClientLogouts,
  sessions: readonly EndingSession[],
): Body<Revocation[]> {
  const bySession = new Map(sessions.map((session) => [session.id, session]))
  const rows = yield* tx.all(statements.ofSessions, { ids: JSON.stringify([...bySession.keys()]) })
  if (rows.length === 0) return []
  const ended = rows.filter(({ id, offline }) => !offline || bySession.has(id))
  yield* tx.run(statements.remove, { ids: JSON.stringify(ended.map(({ id }) => id)) })
  yield* addNotices(
    tx,
    logouts,
    rows.map((grant) => ({
      grant,
      session: (bySession.get(grant.sessionId) ?? bySession.get(grant.id)) as EndingSession,
    })),
  )
  return ended.filter(({ offline }) => !offline).map(grantRevocation)
}

/** The revocation of the access tokens of a grant. */
export function grantRevocation({ accessUntil, id }: Pick<Grant, 'accessUntil' | 'id'>): Revocation {
  return { kind: 'session', subject: id, version: 0, until: accessUntil + REVOCATION_MARGIN }
}

/** Adds a notice for each client and session. */
function* addNotices(
  tx: Transaction,
  logouts: ClientLogouts,
  endings: readonly { grant: EndingGrant; session: EndingSession }[],
): Body<void> {
  const notices = new Map(
    endings
      .filter(({ grant }) => grant.notifies)
      .map(({ grant: { clientId, sessionId, userId }, session: { now, reason } }) => [
        `${clientId} ${sessionId}`,
        { clientId, userId, sessionId, reason, at: now },
      ]),
  )
  yield* logouts.addClientLogouts(tx, [...notices.values()])
}
