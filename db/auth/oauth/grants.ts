import { and, eq, isNull, sql } from 'drizzle-orm'
import { isUsable } from '../../../services/auth/sessions/rotation.ts'
import type {
  Account,
  AuthorizationCode,
  AuthStore,
  CodeResult,
  CodeUse,
  ConsentOfUser,
  Ended,
  Grant,
  GrantEnding,
  ListedGrant,
  Session,
} from '../../../services/auth/store/index.ts'
import { HOUR, MINUTE } from '../../../services/kit/clock.ts'
import type { AuditEvent } from '../../../services/kit/outbox/audit.ts'
import { type Body, built, type Engine, type Transaction, text } from '../../engine.ts'
import { placeholders } from '../../placeholders.ts'
import { authorizationCodes, consents, grants } from '../../schema/auth.ts'
import { BATCH, writeInBatches } from '../../write-in-batches.ts'
import type { Audit } from '../audit/audit.ts'
import type { Feed } from '../feed/revocations.ts'
import type { ClientLogouts } from '../sessions/client-logouts.ts'
import { endGrantsOfSessions, grantRevocation } from '../sessions/grant-ending.ts'
import { STATEMENTS as sessionStatements } from '../sessions/statements.ts'

/** Milliseconds for which a code is remembered after it has expired, so that a late second use is recognized. */
const CODES_STAY = HOUR

const placeholder = sql.placeholder

const LIVE = `
  FROM grants g
  JOIN clients c ON c.id = g.client_id AND g.client_version >= c.grants_from AND c.status = 'active'
  JOIN sessions s ON s.id = CASE WHEN g.offline = 1 THEN g.id ELSE g.session_id END`

const statements = {
  addCode: built((db) => db.insert(authorizationCodes).values(placeholders(authorizationCodes))),
  code: built((db) =>
    db
      .select()
      .from(authorizationCodes)
      .where(eq(authorizationCodes.hash, placeholder('hash'))),
  ),
  useCode: built((db) =>
    db
      .update(authorizationCodes)
      .set({ usedAt: sql`${placeholder('usedAt')}`, grantId: sql`${placeholder('grantId')}` })
      .where(and(eq(authorizationCodes.hash, placeholder('hash')), isNull(authorizationCodes.usedAt))),
  ),
  add: built((db) => db.insert(grants).values(placeholders(grants))),
  byId: built((db) =>
    db
      .select()
      .from(grants)
      .where(eq(grants.id, placeholder('id'))),
  ),
  online: built((db) =>
    db
      .select()
      .from(grants)
      .where(
        and(
          eq(grants.sessionId, placeholder('sessionId')),
          eq(grants.clientId, placeholder('clientId')),
          eq(grants.offline, false),
        ),
      ),
  ),
  update: built((db) =>
    db
      .update(grants)
      .set(placeholders(grants, ['id', 'userId', 'clientId', 'sessionId', 'createdAt', 'offline']))
      .where(eq(grants.id, placeholder('id'))),
  ),
  remove: built((db) => db.delete(grants).where(eq(grants.id, placeholder('id')))),
  isLive: text<{ id: string }>(`SELECT g.id ${LIVE} WHERE g.id = $id`),
  ofUser: text<{
    id: string
    clientId: string
    clientName: string
    scopes: string
    offline: number
    createdAt: number
    lastUsedAt: number
  }>(`
    SELECT g.id, g.client_id AS "clientId", c.name AS "clientName", g.scopes, g.offline, g.created_at AS "createdAt",
      CASE WHEN g.offline = 1 THEN s.last_used_at ELSE g.last_used_at END AS "lastUsedAt"
    ${LIVE} JOIN accounts a ON a.user_id = g.user_id
    WHERE g.user_id = $userId AND s.expires_at > $now AND s.ends_at > $now AND s.version >= a.sessions_from
      AND g.version >= a.sessions_from AND a.status = 'active'
    ORDER BY g.created_at DESC, g.id DESC`),
  ofClient: text<{ id: string }>(
    `SELECT id FROM grants WHERE client_id = $clientId AND client_version < $version LIMIT ${BATCH}`,
  ),
  consent: built((db) =>
    db
      .select()
      .from(consents)
      .where(and(eq(consents.userId, placeholder('userId')), eq(consents.clientId, placeholder('clientId')))),
  ),
  addConsent: built((db) => db.insert(consents).values(placeholders(consents))),
  removeConsent: built((db) =>
    db
      .delete(consents)
      .where(and(eq(consents.userId, placeholder('userId')), eq(consents.clientId, placeholder('clientId')))),
  ),
  removeCodes: text(
    `DELETE FROM authorization_codes
      WHERE expires_at > $expiresAfter AND user_id = $userId AND client_id = $clientId AND used_at IS NULL`,
  ),
  removeCodesOf: text(
    `DELETE FROM authorization_codes WHERE hash IN (
      SELECT hash FROM authorization_codes WHERE client_id = $clientId LIMIT ${BATCH})`,
  ),
  forgetCodes: text(
    `DELETE FROM authorization_codes WHERE hash IN (
      SELECT hash FROM authorization_codes WHERE expires_at < $before ORDER BY expires_at LIMIT ${BATCH})`,
  ),
  forget: text(
    `DELETE FROM grants WHERE id IN (SELECT id FROM grants WHERE ends_at < $before ORDER BY ends_at LIMIT ${BATCH})`,
  ),
}

/** The grants of users to clients, their codes, and what users have allowed. */
export function grantStore(
  engine: Engine,
  { audit, feed, logouts }: { audit: Audit; feed: Feed; logouts: ClientLogouts },
) {
  /** Ends a grant, with the session that an offline one has. */
  function* end(tx: Transaction, grant: Grant, reason: string, now: number): Body<Ended> {
    const session = grant.offline ? yield* tx.get(sessionStatements.byId, { id: grant.id }) : undefined
    const accessUntil = Math.max(grant.accessUntil, session?.accessUntil ?? 0)
    yield* endGrantsOfSessions(tx, logouts, [{ id: grant.id, reason, now }])
    if (session) yield* tx.run(sessionStatements.remove, { ids: JSON.stringify([grant.id]) })
    return yield* feed.writeRevocations(tx, [grantRevocation({ id: grant.id, accessUntil })])
  }

  /** Ends what the first use of a code gave. */
  function* endReused(tx: Transaction, code: AuthorizationCode, { event, now }: CodeUse): Body<CodeResult> {
    const grant = yield* tx.get(statements.byId, { id: code.grantId })
    if (!grant) return { outcome: 'used', ended: yield* feed.writeRevocations(tx, []) }
    yield* audit.writeEvents(tx, [{ ...event(code, grant.id), type: 'grant.code_reused' }])
    return { outcome: 'used', ended: yield* end(tx, grant, 'reuse_detected', now) }
  }

  function* grantFor(
    tx: Transaction,
    code: AuthorizationCode,
    account: Account,
    { accessUntil, clientVersion, grantId, now, offlineSession }: CodeUse,
    session: Session,
  ): Body<{ grant: Grant; session: Session }> {
    const { clientId, resource, scopes, sessionId, userId } = code
    const offline = scopes.includes('offline_access')
    const values = { scopes, resource, version: account.version, clientVersion, lastUsedAt: now, accessUntil }
    const before = offline ? undefined : yield* tx.get(statements.online, { sessionId, clientId })
    if (before) {
      const grant = {
        ...before,
        ...values,
        accessUntil: Math.max(before.accessUntil, accessUntil),
        endsAt: session.endsAt,
      }
      yield* tx.run(statements.update, { ...grant })
      return { grant, session }
    }
    const ownSession = offline ? offlineSession(account, code) : undefined
    const endsAt = ownSession?.endsAt ?? session.endsAt
    const grant: Grant = { ...values, id: grantId, userId, clientId, sessionId, offline, createdAt: now, endsAt }
    yield* tx.run(statements.add, { ...grant })
    if (ownSession) yield* tx.run(sessionStatements.insert, { ...ownSession, refreshesSince: now, refreshes: 0 })
    return { grant, session: ownSession ?? session }
  }

  /** Whether the user still allows the client what a code is for. */
  function* isAllowed(tx: Transaction, { clientId, scopes, userId }: AuthorizationCode): Body<boolean> {
    const consent = yield* tx.get(statements.consent, { userId, clientId })
    return scopes.every((scope) => consent?.scopes.includes(scope))
  }

  return {
    async addCode(code: AuthorizationCode) {
      await engine.write((tx) => tx.run(statements.addCode, { ...code, hash: Buffer.from(code.hash) }))
    },
    code: async (hash: Uint8Array): Promise<AuthorizationCode | null> =>
      (await engine.get(statements.code, { hash: Buffer.from(hash) })) ?? null,
    useCode: (use: CodeUse) =>
      engine.write(function* (tx): Body<CodeResult> {
        const hash = Buffer.from(use.hash)
        const code = yield* tx.get(statements.code, { hash })
        if (!code) return { outcome: 'gone' }
        // Also when it has expired: what the first use gave may live on.
        if (code.usedAt !== null) return yield* endReused(tx, code, use)
        if (code.expiresAt <= use.now) return { outcome: 'gone' }
        const session = yield* tx.get(sessionStatements.byId, { id: code.sessionId })
        const row = yield* tx.get(sessionStatements.account, { userId: code.userId })
        const account = row && !row.deleted ? row : undefined
        if (!session || !isUsable(session, account, use.now) || code.version < account.sessionsFrom)
          return { outcome: 'gone' }
        // The user may have withdrawn the consent while the code was issued.
        if (!use.firstParty && !(yield* isAllowed(tx, code))) return { outcome: 'gone' }
        const access = yield* grantFor(tx, code, account, use, session)
        yield* tx.run(statements.useCode, { hash, usedAt: use.now, grantId: access.grant.id })
        // The end of the session revokes the tokens of its grants too, for as long as any of them is valid.
        const accessUntil = Math.max(session.accessUntil, use.accessUntil)
        yield* tx.run(sessionStatements.update, { ...session, accessUntil })
        yield* audit.writeEvents(tx, [use.event(code, access.grant.id)])
        return { outcome: 'granted', ...access, account }
      }),
    async grant(id: string): Promise<Grant | null> {
      const isLive = await engine.get(statements.isLive, { id })
      return isLive ? ((await engine.get(statements.byId, { id })) ?? null) : null
    },
    grantsOf: async (userId: string, now: number): Promise<ListedGrant[]> =>
      (await engine.all(statements.ofUser, { userId, now })).map(({ offline, scopes, ...row }) => ({
        ...row,
        scopes: JSON.parse(scopes) as string[],
        offline: Number(offline) === 1,
      })),
    endGrant: ({ forgetsConsent, id, now, reason, userId }: GrantEnding, event: AuditEvent) =>
      engine.write(function* (tx): Body<Ended | null> {
        const grant = yield* tx.get(statements.byId, { id })
        if (!grant || (userId !== null && grant.userId !== userId)) return null
        const { clientId, userId: owner } = grant
        if (forgetsConsent) {
          yield* tx.run(statements.removeConsent, { userId: owner, clientId })
          // By the clock of another node, one may not have expired yet.
          yield* tx.run(statements.removeCodes, { userId: owner, clientId, expiresAfter: now - MINUTE })
        }
        const detail = { ...event.detail, client_id: clientId, grant_id: id }
        yield* audit.writeEvents(tx, [{ ...event, userId: owner, detail }])
        return yield* end(tx, grant, reason, now)
      }),
    async removeGrantsOf(clientId: string, version: number) {
      await writeInBatches(engine, (tx) => tx.run(statements.removeCodesOf, { clientId }))
      await writeInBatches(engine, function* (tx) {
        const rows = yield* tx.all(statements.ofClient, { clientId, version })
        if (rows.length === 0) return 0
        const ids = JSON.stringify(rows.map(({ id }) => id))
        yield* endGrantsOfSessions(
          tx,
          logouts,
          rows.map(({ id }) => ({ id, reason: 'client_disabled', now: 0 })),
        )
        yield* tx.run(sessionStatements.remove, { ids })
        return rows.length
      })
    },
    consent: async (userId: string, clientId: string): Promise<string[]> =>
      (await engine.get(statements.consent, { userId, clientId }))?.scopes ?? [],
    giveConsent: ({ clientId, givenAt, scopes, sessionId, userId }: ConsentOfUser, event: AuditEvent) =>
      engine.write(function* (tx): Body<boolean> {
        const session = yield* tx.get(sessionStatements.byId, { id: sessionId })
        const account = yield* tx.get(sessionStatements.account, { userId })
        if (!session || account?.deleted || !isUsable(session, account, givenAt)) return false
        const before = yield* tx.get(statements.consent, { userId, clientId })
        yield* tx.run(statements.removeConsent, { userId, clientId })
        const all = [...new Set([...(before?.scopes ?? []), ...scopes])]
        yield* tx.run(statements.addConsent, { userId, clientId, scopes: all, givenAt })
        yield* audit.writeEvents(tx, [event])
        return true
      }),
    async forgetGrants(now: number) {
      await writeInBatches(engine, (tx) => tx.run(statements.forgetCodes, { before: now - CODES_STAY }))
      await writeInBatches(engine, (tx) => tx.run(statements.forget, { before: now }))
    },
  } satisfies Partial<AuthStore>
}
