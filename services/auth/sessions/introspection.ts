import type { Caller } from '../../kit/caller.ts'
import { timestamp } from '../../kit/clock.ts'
import { Problem } from '../../kit/problem.ts'
import type { Config } from '../../kit/process/config.ts'
import { type UserRead, userReadFrom } from '../../kit/schema/user.ts'
import { CLIENT_ID } from '../../kit/tokens/access-token.ts'
import type { LocalTokenCheck } from '../../kit/tokens/check.ts'
import type { UsersPeer } from '../peers.ts'
import type { Introspection, Validity } from '../schemas/tokens.ts'
import type { Account, AccountStore, SessionStore } from '../store/index.ts'
import { endSession, type LogoutContext } from './logout.ts'
import { NOTHING_ENDED } from './revocation-feed.ts'
import { placeOf } from './sessions.ts'

export type IntrospectionContext = LogoutContext & {
  store: AccountStore & SessionStore
  tokens: Pick<LocalTokenCheck, 'check' | 'claims'>
  users: Pick<UsersPeer, 'user'>
  issuer: string
  config: Pick<Config, 'audience'>
}

/** Reports whether an access token is valid, and what its bearer may know about it. */
export function validateToken({ tokens }: Pick<IntrospectionContext, 'tokens'>, token: string): Validity {
  const verdict = tokens.check(token)
  if (!verdict.valid) return verdict
  return {
    valid: true,
    user_id: verdict.userId,
    session_id: verdict.sessionId,
    roles: [...verdict.roles],
    expires_at: timestamp(verdict.expiresAt),
  }
}

/** Introspects an access token or a refresh token (RFC 7662). For an invalid one, returns only `active: false`. */
export async function introspect(context: IntrospectionContext, token: string): Promise<Introspection> {
  const { store, tokens } = context
  const verified = tokens.claims(token)
  if (!verified.valid) return await introspectRefreshToken(context, token)
  const { claims } = verified
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
    iss: claims.iss,
    aud: claims.aud,
    jti: claims.jti,
    sid: claims.sid,
  }
}

async function introspectRefreshToken(context: IntrospectionContext, token: string): Promise<Introspection> {
  const { clock, config, issuer, store } = context
  const place = await placeOf(context, token)
  const session = place && (await store.sessionById(place.sessionId))
  const account = session && (await store.accountById(session.userId))
  const isActive =
    session &&
    account?.status === 'active' &&
    place.counter === session.counter &&
    session.version >= account.sessionsFrom &&
    clock.now() < session.expiresAt
  if (!isActive) return { active: false }
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
    iss: issuer,
    aud: config.audience,
    jti: `${session.id}.${session.counter}`,
    sid: session.id,
  }
}

/** Ends the session of an access token or a refresh token (RFC 7009). Does nothing for an unknown token. */
export async function revokeToken(context: IntrospectionContext, token: string, caller: Caller): Promise<void> {
  const verified = context.tokens.claims(token)
  const sessionId = verified.valid ? verified.claims.sid : (await placeOf(context, token))?.sessionId
  if (sessionId !== undefined) await endSession(context, sessionId, caller, 'token_revoked')
  // Another request may have just ended it: this answer must not come before the other services know.
  else await context.feed.announce(NOTHING_ENDED)
}

/**
 * Returns the caller's own record from users; when users is down, auth's copy of it with `stale`.
 * @throws Problem `token_revoked` when the user was deleted, `users_unavailable` when auth has no copy either
 */
export async function me(
  { store, users }: Pick<IntrospectionContext, 'store' | 'users'>,
  caller: Caller,
): Promise<{ user: UserRead; stale: boolean }> {
  const userId = caller.userId ?? ''
  try {
    const user = await users.user(userId, caller.requestId)
    if (!user) throw new Problem('token_revoked')
    return { user, stale: false }
  } catch (error) {
    if (!(error instanceof Problem) || error.code !== 'users_unavailable') throw error
    const account = await store.accountById(userId)
    if (!account) throw error
    return { user: userReadOf(account), stale: true }
  }
}

function userReadOf(account: Account): UserRead {
  const login = {
    id: account.userId,
    email: account.email,
    username: account.username,
    roles: account.roles,
    status: account.status,
    email_verified: account.emailVerified,
    // An account that was dropped from the cache has lost its hash; nearly every user has a password.
    has_password: account.passwordHash !== null || !account.cached,
  }
  return userReadFrom(login, account.profile)
}
