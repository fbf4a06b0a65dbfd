import { decodeJwt, decodeProtectedHeader } from 'jose'
import { HOUR, MINUTE, SECOND } from '../../services/kit/clock.ts'

/** Settings of the instance; times are short if their length does not matter. */
export const SETTINGS = {
  JWT_EXPIRE: '30m',
  REFRESH_EXPIRE: '2h',
  REFRESH_EXPIRE_V0: '3h',
  SESSION_MAX_AGE: '4h',
  REFRESH_REUSE_GRACE: '10s',
}
export const JWT_EXPIRE = 30 * MINUTE
const LIFETIME = { v1: 2 * HOUR, v0: 3 * HOUR }
const SESSION_MAX_AGE = 4 * HOUR
const GRACE = 10 * SECOND
/** A retired key stays a while for tokens that are being signed. */
const KEY_MARGIN = MINUTE
/** Precision with which a service knows, after a crash, when it was last alive. */
const ALIVE_TO = SECOND

export interface User {
  id: string
  email: string
  password: string
  roles: string[]
  /** Grows with each change of the roles: tokens of an older edition are revoked. */
  edition: number
  status: 'active' | 'disabled' | 'gone'
}

export interface Session {
  id: string
  user: User
  kind: 'v1' | 'v0'
  /** Every refresh token so far; the last is the current one. */
  refresh: string[]
  rotatedAt: number
  /** Time by which the grace may be longer since a crash. */
  slack: number
  expiresAt: number
  endsAt: number
  ended: boolean
}

export interface Access {
  token: string
  session: Session
  kid: string
  /** Seconds since the epoch. */
  exp: number
  roles: string[]
  edition: number
}

export interface Key {
  kid: string
  /** Time at which its last token expires; null while it signs. */
  goneAt: number | null
  removed: boolean
}

/** Reasons to refuse an access token; a refusal may name any of several. */
export type Reason = 'signature' | 'expired' | 'revoked'

/** The tokens of an answer, of v1 or of v0. */
export interface Tokens {
  access: string
  refresh: string
  /** Seconds since the epoch. */
  refreshEnds: number
}

/** Sessions as the contract describes them, without any code of the services. */
export class SessionModel {
  readonly users: User[] = []
  readonly sessions: Session[] = []
  readonly access: Access[] = []
  readonly keys: Key[] = []

  constructor(private readonly now: () => number) {}

  live(session: Session): boolean {
    return !session.ended && this.now() < session.expiresAt
  }

  liveOf(user: User): Session[] {
    return this.sessions.filter((session) => session.user === user && this.live(session))
  }

  /** Reasons to refuse a token; empty for a valid one. */
  reasons({ exp, edition, kid, session }: Access): Reason[] {
    const key = this.keys.find((one) => one.kid === kid)
    const reasons: Reason[] = []
    if (!key || key.removed || (key.goneAt !== null && key.goneAt <= this.now())) reasons.push('signature')
    if (exp * 1000 <= this.now()) reasons.push('expired')
    if (session.ended || edition < session.user.edition) reasons.push('revoked')
    return reasons
  }

  good(access: Access): boolean {
    return this.reasons(access).length === 0
  }

  /** Result of using a refresh token of a session, by its place. */
  refreshed(session: Session, place: number): 'rotated' | 'repeated' | 'reused' | 'repeated or reused' | 'refused' {
    if (!this.live(session)) return 'refused'
    const spent = session.refresh.length - 1 - place
    if (spent === 0) return 'rotated'
    const age = this.now() - session.rotatedAt
    if (spent > 1 || age > GRACE + session.slack) return 'reused'
    return age <= GRACE ? 'repeated' : 'repeated or reused'
  }

  /** Records a new session. Throws if the answer is not as expected. */
  opened(user: User, kind: 'v1' | 'v0', tokens: Tokens): Session {
    const now = this.now()
    const endsAt = now + SESSION_MAX_AGE
    const expiresAt = Math.min(now + LIFETIME[kind], endsAt)
    const id = String(decodeJwt(tokens.access).sid)
    const refresh = [tokens.refresh]
    const session = { id, user, kind, refresh, rotatedAt: now, slack: 0, expiresAt, endsAt, ended: false }
    this.sessions.push(session)
    this.answered(session, tokens)
    return session
  }

  /** Records the tokens that were issued for the current refresh token. */
  rotated(session: Session, tokens: Tokens): void {
    const now = this.now()
    session.refresh.push(tokens.refresh)
    Object.assign(session, { rotatedAt: now, slack: 0 })
    session.expiresAt = Math.min(now + LIFETIME[session.kind], session.endsAt)
    this.answered(session, tokens)
  }

  /** Records issued tokens; those of a session that has ended meanwhile are revoked. */
  answered(session: Session, { access, refresh, refreshEnds }: Tokens): void {
    const { exp = 0, iat, roles, sid, sub } = decodeJwt(access)
    const { kid = '' } = decodeProtectedHeader(access)
    const now = Math.floor(this.now() / 1000)
    const ends = Math.floor(session.expiresAt / 1000)
    const is = { refresh, refreshEnds, sid, sub, iat, exp, roles, kid }
    const expected = {
      refresh: session.refresh.at(-1),
      refreshEnds: ends,
      sid: session.id,
      sub: session.user.id,
      iat: now,
      exp: Math.min(now + JWT_EXPIRE / 1000, ends),
      roles: session.user.roles,
      kid: this.keys.at(-1)?.kid,
    }
    differs('the tokens of an answer', is, expected)
    const { edition } = session.user
    this.access.push({ token: access, session, kid, exp, roles: session.user.roles, edition })
  }

  end(sessions: Session[]): void {
    for (const session of sessions) session.ended = true
  }

  changeRoles(user: User, roles: string[]): void {
    if (JSON.stringify(roles) === JSON.stringify(user.roles)) return
    Object.assign(user, { roles, edition: user.edition + 1 })
  }

  /** The keys of the ring: one signs, the others belong to tokens that may still be valid. */
  ring(): Key[] {
    return this.keys.filter(({ goneAt, removed }) => !removed && (goneAt === null || goneAt > this.now()))
  }

  rotateKey(kid: string): void {
    for (const key of this.keys) key.goneAt ??= this.now() + JWT_EXPIRE + KEY_MARGIN
    this.keys.push({ kid, goneAt: null, removed: false })
  }

  /** Extends every grace by the time that the service was down. */
  wasDown(ms: number, crashed: boolean): void {
    for (const session of this.sessions) {
      session.rotatedAt += ms
      if (crashed) session.slack += ALIVE_TO
    }
  }
}

/** @throws Error with the actual and the expected value */
export function differs(what: string, is: unknown, expected: unknown): void {
  if (Bun.deepEquals(is, expected)) return
  throw new Error(`${what}: ${JSON.stringify(is)}, and should be ${JSON.stringify(expected)}`)
}
