import { type Clock, timestamp } from '../../kit/clock.ts'
import type { Config } from '../../kit/process/config.ts'
import { CLIENT_ID, type ClientClaims, isOfClient } from '../../kit/tokens/access-token.ts'
import { verdictOf } from '../../kit/tokens/check.ts'
import type { Codes } from '../../kit/tokens/sealing.ts'
import type { Introspection, Validity } from '../schemas/tokens.ts'
import type { AccountStore, SessionStore } from '../store/index.ts'
import type { AuthTokenCheck } from './node-tokens.ts'
import type { RevocationFeed } from './revocation-feed.ts'
import { isUsable } from './rotation.ts'
import { authenticationOf, placeOf } from './sessions.ts'

export interface IntrospectionContext {
  store: AccountStore & SessionStore
  clock: Clock
  tokens: AuthTokenCheck
  refreshCodes: Codes
  issuer: string
  config: Pick<Config, 'audience'>
}

/**
 * Reports whether an access token is valid: with its user, session, roles and expiry, or with the reason why not.
 * @param isCurrent whether the answer must not come from the memory of a node that has lost the database
 * @throws DatabaseUnavailable when such an answer is not possible
 */
export async function validateToken(
  { feed, tokens }: Pick<IntrospectionContext, 'tokens'> & { feed: Pick<RevocationFeed, 'subscription'> },
  token: string,
  isCurrent = false,
): Promise<Validity> {
  const { subscription } = feed
  if (isCurrent && subscription && !subscription.hasLease) await subscription.catchUp()
  const verified = await tokens.claims(token)
  if (!verified.valid) return verified
  const verdict = verdictOf(verified.claims)
  const expires_at = timestamp(verdict.expiresAt)
  if (verdict.clientId !== undefined)
    return { valid: true, client_id: verdict.clientId, scope: verdict.scopes.join(' '), expires_at }
  return {
    valid: true,
    user_id: verdict.userId,
    session_id: verdict.sessionId,
    roles: [...verdict.roles],
    expires_at,
  }
}

/**
 * Introspects an access token or a refresh token (RFC 7662): returns its claims and the current username. For an invalid
 * token, returns only `active: false`.
 */
export async function introspect(context: IntrospectionContext, token: string): Promise<Introspection> {
  const { store, tokens } = context
  const verified = await tokens.claims(token)
  if (!verified.valid) return await introspectRefreshToken(context, token)
  const { claims } = verified
  if (isOfClient(claims)) return clientIntrospection(claims)
  const account = await store.accountById(claims.sub)
  return {
    active: true,
    sub: claims.sub,
    username: account?.username ?? null,
    email: claims.email,
    roles: claims.roles,
    client_id: claims.client_id,
    token_type: 'Bearer',
    exp: claims.exp,
    iat: claims.iat,
    auth_time: claims.auth_time ?? claims.iat,
    amr: [...(claims.amr ?? ['pwd'])],
    iss: claims.iss,
    aud: claims.aud,
    jti: claims.jti,
    sid: claims.sid,
  }
}

function clientIntrospection({ aud, client_id, exp, iat, iss, jti, scope, sub }: ClientClaims): Introspection {
  return { active: true, sub, client_id, scope, token_type: 'Bearer', exp, iat, iss, aud, jti }
}

/** A refresh token is active only if it is the current one of its session: the previous one, in its grace, is not. */
async function introspectRefreshToken(context: IntrospectionContext, token: string): Promise<Introspection> {
  const { clock, config, issuer, store } = context
  const place = await placeOf(context, token)
  const session = place && (await store.sessionById(place.sessionId))
  if (!session || place.counter !== session.counter) return { active: false }
  const account = (await store.accountById(session.userId)) ?? undefined
  if (!isUsable(session, account, clock.now())) return { active: false }
  return {
    active: true,
    sub: account.userId,
    username: account.username,
    email: account.email,
    roles: account.roles,
    client_id: CLIENT_ID,
    token_type: 'refresh_token',
    exp: Math.floor(session.expiresAt / 1000),
    iat: Math.floor(session.rotatedAt / 1000),
    ...authenticationOf(session),
    iss: issuer,
    aud: config.audience,
    jti: `${session.id}.${session.counter}`,
    sid: session.id,
  }
}
