import type { Caller } from '../../kit/caller.ts'
import { notAllowed, REQUIRED } from '../../kit/field-errors.ts'
import { secondsUntil } from '../../kit/limits.ts'
import { Problem } from '../../kit/problem.ts'
import type { Config } from '../../kit/process/config.ts'
import { type AuditRecordContext, auditEvent } from '../audit/record.ts'
import type { TokenAnswer, TokenRequest } from '../schemas/oauth.ts'
import type { GraceHeartbeat } from '../sessions/grace.ts'
import { hasResource, mayRefresh, remainingScopes } from '../sessions/grant-rights.ts'
import { readGrantRefreshToken, type TokenPlace } from '../sessions/refresh-token.ts'
import type { RevocationFeed } from '../sessions/revocation-feed.ts'
import { REFRESH_LIMIT } from '../sessions/sessions.ts'
import type { Client, Grant, GrantStore, SessionStore } from '../store/index.ts'
import { type GrantTokensContext, idTokenKeyFor, tokensOfGrant } from './grant-tokens.ts'
import { refusedRequest } from './refused-request.ts'

export interface RefreshGrantContext extends GrantTokensContext, AuditRecordContext {
  store: GrantStore & SessionStore
  feed: Pick<RevocationFeed, 'announce'>
  heartbeat: Pick<GraceHeartbeat, 'start'>
  config: Pick<Config, 'jwtExpire' | 'rateLimit' | 'refreshExpire' | 'refreshReuseGrace'>
}

/**
 * Refreshes an offline grant (RFC 6749, 6). Its tokens rotate as those of sessions do (see `refreshSession`).
 * @throws Problem with the OAuth error `invalid_grant`, `invalid_scope` or `invalid_target`; `rate_limited`
 */
export async function refreshGrant(
  context: RefreshGrantContext,
  client: Client,
  request: TokenRequest,
  caller: Caller,
): Promise<TokenAnswer> {
  const { clock, config, feed, heartbeat, refreshCodes, store } = context
  if (request.refresh_token === undefined) throw refusedRequest('invalid_request', 'refresh_token', REQUIRED)
  const place = readGrantRefreshToken(refreshCodes, request.refresh_token)
  const grant = place && (await store.grant(place.sessionId))
  if (!place || grant?.clientId !== client.id || !mayRefresh(client)) throw invalidToken()
  const scopes = refreshedScopes(client, grant, request)
  const session = await store.sessionById(grant.id)
  if (!session) throw invalidToken()
  const key = idTokenKeyFor(context, client, scopes)

  const now = clock.now()
  const rotated = await store.rotateSession(
    {
      sessionId: grant.id,
      counter: place.counter,
      now,
      expiresAt: now + config.refreshExpire,
      accessUntil: Math.min(now + config.jwtExpire, session.endsAt),
      grace: config.refreshReuseGrace,
      ...(config.rateLimit ? { limit: REFRESH_LIMIT } : {}),
    },
    () => auditEvent(context, caller, 'grant.reuse_detected', grant.userId, idsOf(grant)),
  )
  if (rotated.outcome === 'limited') throw new Problem('rate_limited', { retryAfter: secondsUntil(rotated.until, now) })
  if (rotated.outcome === 'reused') await feed.announce(rotated.ended)
  if (!('session' in rotated)) throw invalidToken()
  heartbeat.start()
  const next = successorOf(place)
  const of = { grant, client, account: rotated.account, session: { ...rotated.session, counter: next.counter } }
  return tokensOfGrant(context, of, scopes, { key, nonce: null })
}

function invalidToken() {
  return refusedRequest('invalid_grant', 'refresh_token', notAllowed('must be a valid refresh token of the client'))
}

function idsOf({ clientId, id }: Grant) {
  return { client_id: clientId, grant_id: id }
}

/** Whether the session was rotated now or before, its current token is the successor of the presented one. */
function successorOf({ counter, sessionId }: TokenPlace): TokenPlace {
  return { sessionId, counter: counter + 1 }
}

/**
 * The scopes of the next access token: those of the grant that the client still has, or fewer.
 * @throws Problem with the OAuth error `invalid_scope` or `invalid_target`
 */
function refreshedScopes(client: Client, grant: Grant, { resource, scope }: TokenRequest): string[] {
  if (resource !== undefined && resource !== grant.resource)
    throw refusedRequest('invalid_target', 'resource', notAllowed('must be that of the grant'))
  if (!hasResource(client, grant))
    throw refusedRequest('invalid_target', 'resource', notAllowed('must be a resource that the client has'))
  const allowed = remainingScopes(client, grant)
  const requested = scope?.split(' ').filter(Boolean)
  if (!requested || requested.length === 0) return allowed
  if (!requested.every((each) => allowed.includes(each)))
    throw refusedRequest('invalid_scope', 'scope', notAllowed('must be scopes of the grant'))
  return [...new Set(requested)]
}
