import { type Clock, timestamp } from '../../kit/clock.ts'
import type { Config } from '../../kit/process/config.ts'
import {
  CLIENT_ID,
  type ClientClaims,
  type GrantClaims,
  isOfClient,
  isOfGrant,
  scopesOf,
} from '../../kit/tokens/access-token.ts'
import type { Codes } from '../../kit/tokens/sealing.ts'
import type { Introspection, Validity } from '../schemas/tokens.ts'
import type { AccountStore, ClientStore, GrantStore, SessionStore } from '../store/index.ts'
import { refreshableScopes } from './grant-rights.ts'
import type { AuthTokenCheck } from './node-tokens.ts'
import { readGrantRefreshToken, type TokenPlace } from './refresh-token.ts'
import type { RevocationFeed } from './revocation-feed.ts'
import { isUsable } from './rotation.ts'
import { authenticationOf, placeOf } from './sessions.ts'

export interface IntrospectionContext {
  store: AccountStore & Pick<ClientStore, 'client'> & Pick<GrantStore, 'grant'> & SessionStore
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
  const { claims } = verified
  if (isOfGrant(claims)) return grantValidity(claims)
  const expires_at = timestamp(claims.exp * 1000)
  if (isOfClient(claims))
    return { valid: true, client_id: claims.client_id, scope: scopesOf(claims).join(' '), expires_at }
  return { valid: true, user_id: claims.sub, session_id: claims.sid, roles: claims.roles, expires_at }
}

/** Has the roles only if the token has them: apps get them by scope. */
function grantValidity({ aud, client_id, exp, gid: grant_id, roles, scope, sid, sub }: GrantClaims): Validity {
  return {
    valid: true,
    user_id: sub,
    client_id,
    grant_id,
    scope,
    aud,
    expires_at: timestamp(exp * 1000),
    ...(sid === undefined ? {} : { session_id: sid }),
    ...(roles === undefined ? {} : { roles }),
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
  if (isOfGrant(claims)) return grantIntrospection(claims)
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

/** Has the email and the roles only if the token has them, and no username: apps get them by scope. */
function grantIntrospection(claims: GrantClaims): Introspection {
  const { amr, aud, auth_time, client_id, email, exp, gid: grant_id, iat, iss, jti, roles, scope, sid, sub } = claims
  return {
    active: true,
    sub,
    client_id,
    grant_id,
    scope,
    token_type: 'Bearer',
    exp,
    iat,
    auth_time,
    amr,
    iss,
    aud,
    jti,
    ...(sid === undefined ? {} : { sid }),
    ...(email === undefined ? {} : { email }),
    ...(roles === undefined ? {} : { roles }),
  }
}

/** A refresh token is active only if it is the current one of its session: the previous one, in its grace, is not. */
async function introspectRefreshToken(context: IntrospectionContext, token: string): Promise<Introspection> {
  const { clock, config, issuer, refreshCodes, store } = context
  const placeOfGrant = readGrantRefreshToken(refreshCodes, token)
  if (placeOfGrant) return await introspectRefreshTokenOfGrant(context, placeOfGrant)
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

/** A refresh token of an app is active only if its client, which may have lost rights since, can use it (RFC 7662, 2.2). */
async function introspectRefreshTokenOfGrant(
  { clock, issuer, store }: IntrospectionContext,
  { counter, sessionId }: TokenPlace,
): Promise<Introspection> {
  const [grant, session] = await Promise.all([store.grant(sessionId), store.sessionById(sessionId)])
  if (!grant || session?.counter !== counter) return { active: false }
  const [client, row] = await Promise.all([store.client(grant.clientId), store.accountById(grant.userId)])
  const account = row ?? undefined
  const scopes = client && refreshableScopes(client, grant)
  if (!scopes || !isUsable(session, account, clock.now())) return { active: false }
  return {
    active: true,
    sub: grant.userId,
    client_id: grant.clientId,
    grant_id: grant.id,
    scope: scopes.join(' '),
    token_type: 'refresh_token',
    exp: Math.floor(session.expiresAt / 1000),
    iat: Math.floor(session.rotatedAt / 1000),
    ...authenticationOf(session),
    iss: issuer,
    aud: grant.resource ?? grant.clientId,
    jti: `${grant.id}.${counter}`,
  }
}
