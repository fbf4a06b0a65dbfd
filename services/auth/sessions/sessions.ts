import type { Caller } from '../../kit/caller.ts'
import { MINUTE, timestamp } from '../../kit/clock.ts'
import { errorOf, excludedBy, type FieldError } from '../../kit/field-errors.ts'
import { secondsUntil } from '../../kit/limits.ts'
import { invalid, Problem } from '../../kit/problem.ts'
import { isUuid } from '../../kit/random.ts'
import { type PageQuery, pageAnswer, pageErrors, pageRequest } from '../../kit/schema/page.ts'
import type { Sender } from '../../kit/schema/validation.ts'
import { CLIENT_ID, type Claims, signAccessToken } from '../../kit/tokens/access-token.ts'
import { type AuthContext, eventBy } from '../context.ts'
import type { SessionRead, Token } from '../model.ts'
import type { Account, Ending, Session, SessionKind } from '../store.ts'
import { hashOfRefreshToken, type Presented, readRefreshToken, refreshToken } from './refresh-token.ts'

const REFRESHES = { most: 150, window: 5 * MINUTE }
const USER_AGENT_MAX = 256
export const NOTHING_ENDED = { sessions: 0, seq: 0, revocations: [] }

/** A session and the tokens that were made for it. */
export interface Opened {
  session: Session
  tokens: Token
}

/**
 * Opens a session of an account whose password was right, and gives its first tokens.
 * @throws Problem `invalid_credentials` when the account changed since its password was checked
 */
export async function openSession(
  context: AuthContext,
  account: Account,
  caller: Caller,
  kind: SessionKind,
): Promise<Opened> {
  const { clock, codes, config, random, store } = context
  const now = clock.now()
  const endsAt = now + config.sessionMaxAge
  const expiresAt = Math.min(now + lifetime(context, kind), endsAt)
  const session: Session = {
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
  }
  const token = refreshToken(codes, session.id, 0, kind)
  const opened = eventBy(context, caller, 'session.created', account.userId, { session_id: session.id })
  const hash = kind === 'v0' ? hashOfRefreshToken(token) : undefined
  const outcome = await store.openSession(session, opened, hash)
  if (outcome === 'account_changed') throw new Problem('invalid_credentials')
  return { session, tokens: tokensOf(context, session, account, token) }
}

/**
 * Rotates a session: a new access token and a new refresh token for a refresh token, which is spent with that. The one
 * spent last, within the grace, gets the same new one again; an older one ends the session (RFC 9700, 4.14.2).
 * @throws Problem `invalid_refresh_token`, `refresh_token_reused`, `rate_limited`
 */
export async function refreshSession(context: AuthContext, presented: string, caller: Caller): Promise<Opened> {
  const { clock, codes, config, feed, store } = context
  const place = await placeOf(context, presented)
  const session = place && (await store.sessionById(place.sessionId))
  if (!place || !session) throw new Problem('invalid_refresh_token')

  const now = clock.now()
  const { id, kind, userId } = session
  const next = refreshToken(codes, id, place.counter + 1, kind)
  const rotated = await store.rotateSession(
    {
      sessionId: id,
      counter: place.counter,
      now,
      expiresAt: now + lifetime(context, kind),
      accessUntil: Math.min(now + config.jwtExpire, session.endsAt),
      grace: config.refreshReuseGrace,
      ...(kind === 'v0' ? { hash: hashOfRefreshToken(next) } : {}),
      ...(config.rateLimit ? { limit: REFRESHES } : {}),
    },
    (type) => eventBy(context, caller, type, userId, { session_id: id }),
  )
  if (rotated.outcome === 'gone') throw new Problem('invalid_refresh_token')
  if (rotated.outcome === 'limited') throw new Problem('rate_limited', { retryAfter: secondsUntil(rotated.until, now) })
  if (rotated.outcome === 'reused') {
    await feed.announce(rotated.ended)
    throw new Problem('refresh_token_reused')
  }
  context.graceClock.run()
  // Rotated or asked for again, the current token is the one after that which was presented.
  const { account } = rotated
  return { session: rotated.session, tokens: tokensOf(context, rotated.session, account, next) }
}

/** Which session, and which of its tokens, a refresh token is. */
export async function placeOf(context: AuthContext, token: string): Promise<Presented | undefined> {
  if (isUuid(token)) return (await context.store.sessionByHash(hashOfRefreshToken(token))) ?? undefined
  return readRefreshToken(context.codes, token)
}

/**
 * The access token is made of what the account is now, so that a change of roles shows with the next refresh. It does
 * not outlive the session.
 */
function tokensOf(context: AuthContext, session: Session, account: Account, refresh: string): Token {
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
    ver: account.version,
  }
  return {
    access_token: signAccessToken(claims, keyRing.signing()),
    token_type: 'Bearer',
    expires_in: exp - now,
    refresh_token: refresh,
    refresh_expires_in: Math.floor(session.expiresAt / 1000) - now,
    session_id: session.id,
  }
}

function lifetime({ config }: AuthContext, kind: SessionKind): number {
  return kind === 'v0' ? config.refreshExpireV0 : config.refreshExpire
}

/**
 * Logs out: the session of the access token, and that of the refresh token, whoever's they are. Whoever holds a refresh
 * token may end its session, and a 204 promises that it has ended.
 * @throws Problem `missing_token` where there is neither, `invalid_refresh_token`
 */
export async function logout(context: AuthContext, caller: Caller, token: string | undefined): Promise<void> {
  if (token === undefined && caller.sessionId === null) throw new Problem('missing_token')
  const place = token === undefined ? undefined : await placeOf(context, token)
  if (caller.sessionId === null) {
    const ended = place && (await end(context, place.sessionId, null, caller, 'logout'))
    if (!ended) throw new Problem('invalid_refresh_token')
    return
  }
  if (place && place.sessionId !== caller.sessionId) await end(context, place.sessionId, null, caller, 'logout')
  await end(context, caller.sessionId, null, caller, 'logout')
}

/** Whether a body holds a refresh token of a live session, by which that session can be ended. */
export async function holdsSession(context: AuthContext, body: unknown): Promise<boolean> {
  const { refresh_token } = (body ?? {}) as { refresh_token?: unknown }
  const place = typeof refresh_token === 'string' ? await placeOf(context, refresh_token) : undefined
  const session = place && (await context.store.sessionById(place.sessionId))
  return session !== undefined && session !== null && context.clock.now() < session.expiresAt
}

/** Ends all sessions of the caller. */
export async function logoutAll(context: AuthContext, caller: Caller): Promise<number> {
  if (caller.userId === null) throw new Problem('missing_token')
  return await endSessionsOf(context, caller.userId, caller, 'logout_all')
}

/** Ends one session, for its owner or an operator. @throws Problem `session_not_found`, of another's too */
export async function revokeSession(context: AuthContext, id: string, caller: Caller): Promise<void> {
  const owner = caller.operator ? null : caller.userId
  const key = id.toLowerCase()
  const ended = isUuid(key) && (await end(context, key, owner, caller, owner === null ? 'operator' : 'user'))
  if (!ended) throw new Problem('session_not_found')
}

interface Whose {
  user_id?: string
  all?: 'true' | 'false'
}

/** What is wrong where either a user or everyone must be named. */
export function whoseErrors({ all, user_id }: { all?: unknown; user_id?: unknown }): FieldError[] {
  const isNamed = user_id !== undefined
  if ((all === 'true') !== isNamed) return []
  return [errorOf('user_id', isNamed ? excludedBy('all') : { code: 'required', message: 'is required, or all=true' })]
}

/** What is wrong with a question about sessions: an operator's key has none of its own. */
export function listErrors(
  query: Partial<Record<keyof (PageQuery & Whose), unknown>>,
  { caller }: Pick<Sender, 'caller'>,
): FieldError[] {
  const { all, user_id } = query
  const mustName = user_id !== undefined || all === 'true' || caller.userId === null
  return [...pageErrors(query), ...(mustName ? whoseErrors(query) : [])]
}

/** Ends the sessions of a user, or all. @throws Problem `validation_failed` where neither or both are named */
export async function revokeSessions(context: AuthContext, whose: Whose, caller: Caller): Promise<number> {
  const { clock, feed, store } = context
  const errors = whoseErrors(whose)
  if (errors.length > 0) throw invalid(errors)
  if (whose.user_id !== undefined) return await endSessionsOf(context, whose.user_id.toLowerCase(), caller, 'operator')
  const ending: Ending = { reason: 'operator', now: clock.now() }
  const ended = await store.endAllSessions(ending, eventBy(context, caller, 'session.all_revoked', null))
  await feed.announce(ended)
  return ended.sessions
}

async function endSessionsOf(context: AuthContext, userId: string, caller: Caller, reason: Asked): Promise<number> {
  const { clock, feed, store } = context
  const ending = { reason, now: clock.now() }
  const ended = await store.endSessionsOf(userId, ending, eventBy(context, caller, ROWS[reason], userId))
  await feed.announce(ended)
  return ended.sessions
}

/** The rows of the audit by which sessions end that someone asks to end. */
const ROWS = {
  logout: 'session.logout',
  logout_all: 'session.logout_all',
  token_revoked: 'session.token_revoked',
  user: 'session.revoked',
  operator: 'session.revoked',
} satisfies Partial<Record<Ending['reason'], string>>
type Asked = keyof typeof ROWS

/** Ends a session and waits until its tokens are refused everywhere. False: there is none such. */
export async function end(
  context: AuthContext,
  id: string,
  owner: string | null,
  caller: Caller,
  reason: Asked,
): Promise<boolean> {
  const { clock, feed, store } = context
  const event = eventBy(context, caller, ROWS[reason], caller.userId, { session_id: id })
  const ended = await store.endSession(id, owner, { reason, now: clock.now() }, event)
  await feed.announce(ended ?? NOTHING_ENDED)
  return ended !== null
}

/**
 * The live sessions of the caller, of a user, or all.
 * @throws Problem `forbidden` to name another without being an operator, `validation_failed`
 */
export async function listSessions(context: AuthContext, query: PageQuery & Whose, caller: Caller) {
  const isAboutOthers = query.user_id !== undefined || query.all !== undefined
  if (isAboutOthers && !caller.operator) throw new Problem('forbidden')
  const errors = listErrors(query, { caller })
  if (errors.length > 0) throw invalid(errors)
  const userId = query.all === 'true' ? null : (query.user_id?.toLowerCase() ?? caller.userId)
  const list = JSON.stringify(['sessions', userId])
  const request = pageRequest(query, list)
  const slice = await context.store.listSessions(userId, context.clock.now(), request)
  return pageAnswer(slice, request, list, (session) => sessionRead(session, caller))
}

function sessionRead(session: Session, caller: Caller): SessionRead {
  return {
    id: session.id,
    user_id: session.userId,
    current: session.id === caller.sessionId,
    created_at: timestamp(session.createdAt),
    last_used_at: timestamp(session.lastUsedAt),
    expires_at: timestamp(session.expiresAt),
    ip: session.ip,
    user_agent: session.userAgent,
  }
}
