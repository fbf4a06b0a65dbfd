import type { Caller } from '../../kit/caller.ts'
import { timestamp } from '../../kit/clock.ts'
import { Problem } from '../../kit/problem.ts'
import type { UserRead } from '../../kit/schema/user.ts'
import { CLIENT_ID } from '../../kit/tokens/access-token.ts'
import type { AuthContext } from '../context.ts'
import type { Introspection, Validity } from '../model.ts'
import type { Account } from '../store.ts'
import { end, NOTHING_ENDED, placeOf } from './sessions.ts'

/** What the bearer of an access token may know of it. */
export function validateToken({ tokens }: AuthContext, token: string): Validity {
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

/** RFC 7662, of an access token or a refresh token. Of a dead one nothing is told but that. */
export async function introspect(context: AuthContext, token: string): Promise<Introspection> {
  const { config, issuer, store, tokens } = context
  const verified = tokens.claims(token)
  if (verified.valid) {
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

  const place = await placeOf(context, token)
  const session = place && (await store.sessionById(place.sessionId))
  const account = session && (await store.accountById(session.userId))
  const now = context.clock.now()
  const live =
    session &&
    account?.status === 'active' &&
    place.counter === session.counter &&
    session.version >= account.sessionsFrom &&
    now < session.expiresAt
  if (!live) return { active: false }
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

/** RFC 7009: ends the session of an access or a refresh token. Of an unknown one there is nothing to do. */
export async function revokeToken(context: AuthContext, token: string, caller: Caller): Promise<void> {
  const verified = context.tokens.claims(token)
  const sessionId = verified.valid ? verified.claims.sid : (await placeOf(context, token))?.sessionId
  if (sessionId !== undefined) await end(context, sessionId, null, caller, 'token_revoked')
  // Perhaps another request has just ended it: then the others must know before this one says so too.
  else await context.feed.announce(NOTHING_ENDED)
}

/**
 * The caller's own record, fresh from users; with users down, what auth knows, and `stale`.
 * @throws Problem `token_revoked` when there is no such user any more
 */
export async function me(context: AuthContext, caller: Caller): Promise<{ user: UserRead; stale: boolean }> {
  const userId = caller.userId ?? ''
  try {
    const user = await context.users.user(userId, caller.requestId)
    if (!user) throw new Problem('token_revoked')
    return { user, stale: false }
  } catch (error) {
    if (!(error instanceof Problem) || error.code !== 'users_unavailable') throw error
    const account = await context.store.accountById(userId)
    if (!account) throw error
    return { user: userReadOf(account), stale: true }
  }
}

function userReadOf(account: Account): UserRead {
  return {
    id: account.userId,
    email: account.email,
    username: account.username,
    name: account.name,
    roles: account.roles,
    status: account.status,
    email_verified: account.emailVerified,
    // Of a record that was dropped it is not known: nearly everyone has one.
    has_password: account.passwordHash !== null || !account.cached,
    created_at: timestamp(account.createdAt),
    updated_at: timestamp(account.updatedAt),
  }
}
