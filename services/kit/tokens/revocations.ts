import type { UserClaims } from './access-token.ts'

/**
 * An entry of the revocation feed:
 * - `session`: revokes every access token of the session `subject`, or a client's token whose `jti` is `subject`;
 * - `user`: revokes the access tokens of the user or the client `subject` whose `ver` is below `version`;
 * - `keys`: the key ring changed; the page holds the new keys;
 * - `events`: the subscribed types of events changed; the page holds them too.
 */
export interface Revocation {
  kind: 'session' | 'user' | 'keys' | 'events'
  subject: string
  version: number
  /** When the last of these tokens expires, so that the entry can be forgotten. Milliseconds since the epoch. */
  until: number
}

/** The claims by which a token is revoked. A client's token has no `sid`. */
type TokenIds = Pick<UserClaims, 'sub' | 'ver'> & Partial<Pick<UserClaims, 'jti' | 'sid'>>

/** Above every version: revokes all tokens of a deleted user. */
export const EVERY_VERSION = Number.MAX_SAFE_INTEGER

/** Revocations of tokens that have not expired yet, in memory: two lookups a request. */
export class Revocations {
  private readonly sessions = new Map<string, number>()
  private readonly users = new Map<string, { version: number; until: number }>()

  add(revocation: Revocation): void {
    const { kind, subject, version, until } = revocation
    if (kind === 'session') this.sessions.set(subject, Math.max(until, this.sessions.get(subject) ?? 0))
    if (kind === 'user') {
      const current = this.users.get(subject)
      this.users.set(subject, {
        version: Math.max(version, current?.version ?? 0),
        until: Math.max(until, current?.until ?? 0),
      })
    }
  }

  /** Whether a token is revoked. */
  covers({ jti, sid = jti, sub, ver }: TokenIds): boolean {
    if (sid !== undefined && this.sessions.has(sid)) return true
    const user = this.users.get(sub)
    return user !== undefined && ver < user.version
  }

  /** Forgets revocations of tokens that have expired. @param now milliseconds since the epoch */
  prune(now: number): void {
    for (const [session, until] of this.sessions) if (until <= now) this.sessions.delete(session)
    for (const [user, { until }] of this.users) if (until <= now) this.users.delete(user)
  }

  get size(): number {
    return this.sessions.size + this.users.size
  }
}
