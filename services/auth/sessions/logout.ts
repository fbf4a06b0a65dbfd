import { actsForOperators } from '../../kit/access/clients.ts'
import { protectedRoles } from '../../kit/access/support.ts'
import type { Caller } from '../../kit/caller.ts'
import { invalid, Problem } from '../../kit/problem.ts'
import { isUuid } from '../../kit/random.ts'
import { type ClientClaims, type GrantClaims, isOfClient, isOfGrant } from '../../kit/tokens/access-token.ts'
import type { Codes } from '../../kit/tokens/sealing.ts'
import { type AuthorityContext, requireAuthority } from '../assurance/authority.ts'
import { type AuditRecordContext, auditEvent } from '../audit/record.ts'
import type { ClientStore, Ending, GrantStore, SessionStore } from '../store/index.ts'
import { revokedUntil } from './ending.ts'
import { namedUser, type SessionsOf, sessionsOfErrors } from './list.ts'
import type { AuthTokenCheck } from './node-tokens.ts'
import { readGrantRefreshToken } from './refresh-token.ts'
import { NOTHING_ENDED, type RevocationFeed } from './revocation-feed.ts'
import { placeOf } from './sessions.ts'

export interface LogoutContext extends AuditRecordContext {
  store: SessionStore
  feed: Pick<RevocationFeed, 'announce'>
  refreshCodes: Codes
}

export type TokenRevocationContext = LogoutContext & {
  store: Pick<ClientStore, 'revokeClientToken'> & Pick<GrantStore, 'endGrant'>
  tokens: Pick<AuthTokenCheck, 'claims'>
}

/** The type of the audit row for each reason for which someone ends a session. */
const ROW_TYPES = {
  logout: 'session.logout',
  logout_all: 'session.logout_all',
  token_revoked: 'session.token_revoked',
  user: 'session.revoked',
  operator: 'session.revoked',
} satisfies Partial<Record<Ending['reason'], string>>
type Reason = keyof typeof ROW_TYPES

/**
 * Logs out: ends the session of the access token and the session of the refresh token, even if they belong to different
 * users. The holder of a refresh token may end its session, and a 204 promises that it has ended.
 * @throws Problem `missing_token` without either token, `invalid_refresh_token`
 */
export async function logout(context: LogoutContext, caller: Caller, token: string | undefined): Promise<void> {
  if (token === undefined && caller.sessionId === null) throw new Problem('missing_token')
  const place = token === undefined ? undefined : await placeOf(context, token)
  if (caller.sessionId === null) {
    const hasEnded = place && (await endSession(context, place.sessionId, caller, 'logout'))
    if (!hasEnded) throw new Problem('invalid_refresh_token')
    return
  }
  if (place && place.sessionId !== caller.sessionId) await endSession(context, place.sessionId, caller, 'logout')
  await endSession(context, caller.sessionId, caller, 'logout')
}

/** Reports whether a body contains the refresh token of a live session: its holder may end that session. */
export async function holdsSession(context: LogoutContext, body: unknown): Promise<boolean> {
  const { refresh_token } = (body ?? {}) as { refresh_token?: unknown }
  const place = typeof refresh_token === 'string' ? await placeOf(context, refresh_token) : undefined
  const session = place && (await context.store.sessionById(place.sessionId))
  return session !== undefined && session !== null && context.clock.now() < session.expiresAt
}

/** Ends all sessions of the caller. Returns how many. @throws Problem `missing_token` when the caller is not a user */
export async function logoutAll(context: LogoutContext, caller: Caller): Promise<number> {
  if (caller.userId === null) throw new Problem('missing_token')
  return await endSessionsOf(context, caller.userId, caller, 'logout_all')
}

/**
 * Ends one session, for its owner, an operator, a client or a support person who may help its owner.
 * @throws Problem `session_not_found`, also for a session of another user
 */
export async function revokeSession(context: LogoutContext, id: string, caller: Caller): Promise<void> {
  const sessionId = id.toLowerCase()
  if (!isUuid(sessionId)) throw new Problem('session_not_found')
  const isOwn =
    caller.supportRole === null
      ? !actsForOperators(caller)
      : (await context.store.sessionById(sessionId))?.userId === caller.userId
  const hasEnded = isOwn
    ? await endSession(context, sessionId, caller, 'user', caller.userId)
    : await endSession(context, sessionId, caller, 'operator')
  if (!hasEnded) throw new Problem('session_not_found')
}

/**
 * Ends all sessions of one user, or of everyone. Returns how many.
 * @throws Problem `validation_failed` when the query names neither a user nor everyone, or both; as `requireAuthority`
 */
export async function revokeSessions(
  context: LogoutContext & AuthorityContext,
  query: SessionsOf,
  caller: Caller,
): Promise<number> {
  const { clock, feed, store } = context
  const errors = sessionsOfErrors(query)
  if (errors.length > 0) throw invalid(errors)
  await requireAuthority(context, namedUser(query), caller)
  if (query.user_id !== undefined) {
    const count = await endSessionsOf(context, query.user_id.toLowerCase(), caller, 'operator')
    // The user may have got a role meanwhile that only operators may act on.
    if (count === 0) await requireAuthority(context, namedUser(query), caller)
    return count
  }
  const ending: Ending = { reason: 'operator', now: clock.now() }
  const ended = await store.endAllSessions(ending, auditEvent(context, caller, 'session.all_revoked', null))
  await feed.announce(ended)
  return ended.sessions
}

async function endSessionsOf(context: LogoutContext, userId: string, caller: Caller, reason: Reason): Promise<number> {
  const { clock, feed, store } = context
  const ending = { reason, now: clock.now() }
  const event = auditEvent(context, caller, ROW_TYPES[reason], userId)
  const ended = await store.endSessionsOf(userId, ending, event, rolesKeptFrom(caller, reason))
  await feed.announce(ended)
  return ended.sessions
}

/**
 * Revokes an access token or a refresh token (RFC 7009): ends its session. Does nothing for an unknown token. Resolves when
 * the tokens of the session are refused everywhere.
 */
export async function revokeToken(context: TokenRevocationContext, token: string, caller: Caller): Promise<void> {
  const verified = await context.tokens.claims(token)
  const claims = verified.valid ? verified.claims : undefined
  if (claims && isOfClient(claims)) return await revokeClientToken(context, claims, caller)
  const ofGrant = claims && isOfGrant(claims) ? claims : undefined
  const grantId = ofGrant?.gid ?? readGrantRefreshToken(context.refreshCodes, token)?.sessionId
  if (grantId !== undefined) {
    const hasEnded = await revokeGrant(context, grantId, caller)
    // Without its grant, which may have just ended, the token itself is revoked.
    if (!hasEnded && ofGrant) await revokeClientToken(context, ofGrant, caller)
    return
  }
  const sessionId = claims ? claims.sid : (await placeOf(context, token))?.sessionId
  if (sessionId !== undefined) await endSession(context, sessionId, caller, 'token_revoked')
  // Another request may have just ended it: this answer must not come before the other services know.
  else await context.feed.announce(NOTHING_ENDED)
}

/** Revokes one token of a client, unless it was revoked already. */
async function revokeClientToken(
  context: TokenRevocationContext,
  { client_id, exp, jti }: ClientClaims | GrantClaims,
  caller: Caller,
): Promise<void> {
  const event = auditEvent(context, caller, 'client.token_revoked', null, { client_id, jti })
  await context.feed.announce(await context.store.revokeClientToken(jti, revokedUntil(exp * 1000), event))
}

/**
 * Ends the grant of a token that its app does not need any more. The app need not ask the user again.
 * @returns false when there is no such grant
 */
async function revokeGrant(context: TokenRevocationContext, grantId: string, caller: Caller): Promise<boolean> {
  const { clock, feed, store } = context
  const event = auditEvent(context, caller, 'grant.token_revoked', null)
  const call = { id: grantId, userId: null, now: clock.now(), reason: 'token_revoked', forgetsConsent: false } as const
  const ended = await store.endGrant(call, event)
  await feed.announce(ended ?? NOTHING_ENDED)
  return ended !== null
}

/**
 * Ends a session and waits until its tokens are refused everywhere.
 * @param owner the user whom the session must belong to; null: any user
 * @returns false when there is no such session
 */
async function endSession(
  context: LogoutContext,
  id: string,
  caller: Caller,
  reason: Reason,
  owner: string | null = null,
): Promise<boolean> {
  const { clock, feed, store } = context
  const event = auditEvent(context, caller, ROW_TYPES[reason], caller.userId, { session_id: id })
  const ended = await store.endSession(id, owner, { reason, now: clock.now() }, event, rolesKeptFrom(caller, reason))
  await feed.announce(ended ?? NOTHING_ENDED)
  return ended !== null
}

/** The roles whose users keep their sessions when the caller ends those of others. */
function rolesKeptFrom(caller: Caller, reason: Reason): string[] {
  return reason === 'operator' ? protectedRoles(caller) : []
}
