import { type Caller, USER_AGENT_MAX } from '../../kit/caller.ts'
import { MINUTE } from '../../kit/clock.ts'
import { secondsUntil } from '../../kit/limits.ts'
import { Problem } from '../../kit/problem.ts'
import type { Config } from '../../kit/process/config.ts'
import { isUuid } from '../../kit/random.ts'
import { type AuthMethod, CLIENT_ID, type Claims, signAccessToken } from '../../kit/tokens/access-token.ts'
import type { Codes } from '../../kit/tokens/sealing.ts'
import type { Entry } from '../assurance/decision.ts'
import { type AuditRecordContext, auditEvent } from '../audit/record.ts'
import type { KeyRing } from '../keys/ring.ts'
import type { Token } from '../schemas/tokens.ts'
import type { Account, Session, SessionKind, SessionStore } from '../store/index.ts'
import type { GraceHeartbeat } from './grace.ts'
import { hashOfRefreshToken, readRefreshToken, refreshToken, type TokenPlace } from './refresh-token.ts'
import type { RevocationFeed } from './revocation-feed.ts'

/** The limit on refreshes of one session. */
export const REFRESH_LIMIT = { most: 150, window: 5 * MINUTE }

export interface SessionsContext extends AuditRecordContext {
  store: SessionStore
  feed: Pick<RevocationFeed, 'announce'>
  heartbeat: Pick<GraceHeartbeat, 'start'>
  keyRing: Pick<KeyRing, 'signing'>
  /** The codes that refresh tokens are derived with. */
  refreshCodes: Codes
  issuer: string
  config: Pick<
    Config,
    'audience' | 'jwtExpire' | 'rateLimit' | 'refreshExpire' | 'refreshExpireV0' | 'refreshReuseGrace' | 'sessionMaxAge'
  >
}

/** A session and the tokens that were issued for it. */
export interface SessionWithTokens {
  session: Session
  tokens: Token
}

/**
 * Opens a session, and issues its first tokens.
 * @param entry what the one decision about every way in (`assurance/decision.ts`) has made
 * @throws Problem `invalid_credentials` when the account changed after its user had authenticated
 */
export async function openSession(
  context: SessionsContext,
  entry: Entry,
  caller: Caller,
  kind: SessionKind,
): Promise<SessionWithTokens> {
  const { refreshCodes, store } = context
  const { account } = entry
  const session = newSession(context, entry, caller, kind)
  const token = refreshToken(refreshCodes, { sessionId: session.id, counter: 0 }, kind)
  const detail = { session_id: session.id, ...authenticationOf(session) }
  const event = auditEvent(context, caller, 'session.created', account.userId, detail)
  const hash = kind === 'v0' ? hashOfRefreshToken(token) : undefined
  const outcome = await store.openSession(session, event, hash)
  if (outcome === 'account_changed') throw new Problem('invalid_credentials')
  return { session, tokens: tokensOf(context, session, account, token) }
}

/** Makes a session that begins now. It is not stored yet. */
export function newSession(
  context: Pick<SessionsContext, 'clock' | 'random'> & {
    config: Pick<Config, 'jwtExpire' | 'refreshExpire' | 'refreshExpireV0' | 'sessionMaxAge'>
  },
  { account, methods }: Pick<Entry, 'account' | 'methods'>,
  caller: Pick<Caller, 'ip' | 'userAgent'>,
  kind: SessionKind,
): Session {
  const { clock, config, random } = context
  const now = clock.now()
  const endsAt = now + config.sessionMaxAge
  const expiresAt = Math.min(now + lifetime(context, kind), endsAt)
  return {
    id: random.id(),
    userId: account.userId,
    kind,
    counter: 0,
    rotatedAt: now,
    createdAt: now,
    lastUsedAt: now,
    expiresAt,
    endsAt,
    accessUntil: Math.min(now + config.jwtExpire, expiresAt),
    version: account.version,
    ip: caller.ip,
    userAgent: caller.userAgent?.slice(0, USER_AGENT_MAX) ?? null,
    authTime: now,
    amr: [...methods],
    ofGrant: false,
  }
}

/**
 * Rotates a session: exchanges a refresh token for a new access token and a new refresh token. Within the grace, the
 * previous refresh token gets the same new token again; reuse of an older one ends the session (RFC 9700, 4.14.2).
 * @throws Problem `invalid_refresh_token`, `refresh_token_reused`, `rate_limited`
 */
export async function refreshSession(
  context: SessionsContext,
  presented: string,
  caller: Caller,
): Promise<SessionWithTokens> {
  const { clock, config, feed, heartbeat, refreshCodes, store } = context
  const place = await placeOf(context, presented)
  const session = place && (await store.sessionById(place.sessionId))
  if (!place || !session) throw new Problem('invalid_refresh_token')

  const now = clock.now()
  const { id, kind, userId } = session
  const next = refreshToken(refreshCodes, { sessionId: id, counter: place.counter + 1 }, kind)
  const rotated = await store.rotateSession(
    {
      sessionId: id,
      counter: place.counter,
      now,
      expiresAt: now + lifetime(context, kind),
      accessUntil: Math.min(now + config.jwtExpire, session.endsAt),
      grace: config.refreshReuseGrace,
      ...(kind === 'v0' ? { hash: hashOfRefreshToken(next) } : {}),
      ...(config.rateLimit ? { limit: REFRESH_LIMIT } : {}),
    },
    (type) => auditEvent(context, caller, type, userId, { session_id: id }),
  )
  if (rotated.outcome === 'gone') throw new Problem('invalid_refresh_token')
  if (rotated.outcome === 'limited') throw new Problem('rate_limited', { retryAfter: secondsUntil(rotated.until, now) })
  if (rotated.outcome === 'reused') {
    await feed.announce(rotated.ended)
    throw new Problem('refresh_token_reused')
  }
  heartbeat.start()
  // Whether the session was rotated now or before, its current token is the successor of the presented one.
  return { session: rotated.session, tokens: tokensOf(context, rotated.session, rotated.account, next) }
}

/** Returns the session and the counter of a refresh token; undefined when this instance did not issue the token. */
export async function placeOf(
  { refreshCodes, store }: Pick<SessionsContext, 'refreshCodes' | 'store'>,
  token: string,
): Promise<TokenPlace | undefined> {
  if (isUuid(token)) return (await store.sessionByHash(hashOfRefreshToken(token))) ?? undefined
  return readRefreshToken(refreshCodes, token)
}

/** Issues the tokens of a session. */
function tokensOf(context: SessionsContext, session: Session, account: Account, refresh: string): Token {
  const { access_token, expires_in, now } = issueAccessToken(context, session, account)
  return {
    access_token,
    token_type: 'Bearer',
    expires_in,
    refresh_token: refresh,
    refresh_expires_in: Math.floor(session.expiresAt / 1000) - now,
    session_id: session.id,
  }
}

/**
 * Issues an access token of a session. It is built from the current account, so a change of roles takes effect with the
 * next refresh. It expires with the session at the latest. Times are seconds.
 */
export function issueAccessToken(
  context: Pick<SessionsContext, 'clock' | 'config' | 'issuer' | 'keyRing' | 'random'>,
  session: Session,
  account: Account,
): { access_token: string; expires_in: number; now: number } {
  const { clock, config, issuer, keyRing, random } = context
  const now = Math.floor(clock.now() / 1000)
  const exp = Math.min(now + config.jwtExpire / 1000, Math.floor(session.expiresAt / 1000))
  const claims: Claims = {
    iss: issuer,
    sub: account.userId,
    aud: config.audience,
    exp,
    iat: now,
    jti: random.id(),
    sid: session.id,
    email: account.email,
    roles: account.roles,
    client_id: CLIENT_ID,
    ...authenticationOf(session),
    ver: account.version,
  }
  return { access_token: signAccessToken(claims, keyRing.signing()), expires_in: exp - now, now }
}

/** When (in seconds) and how the user of a session authenticated, as tokens, answers and the audit show it. */
export function authenticationOf({ amr, authTime, createdAt }: Session): { auth_time: number; amr: AuthMethod[] } {
  return { auth_time: Math.floor((authTime || createdAt) / 1000), amr }
}

/** Returns how long a refresh token is valid, in milliseconds. */
function lifetime(
  { config }: { config: Pick<Config, 'refreshExpire' | 'refreshExpireV0'> },
  kind: SessionKind,
): number {
  return kind === 'v0' ? config.refreshExpireV0 : config.refreshExpire
}
