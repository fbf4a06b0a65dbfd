import type { Claims } from './access-token.ts'

/**
 * An entry of the revocation feed:
 * - `session`: revokes every access token of the session `subject`;
 * - `user`: revokes the access tokens of the user `subject` whose `ver` is below `version`;
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
  covers(claims: Pick<Claims, 'sid' | 'sub' | 'ver'>): boolean {
    if (this.sessions.has(claims.sid)) return true
    const user = this.users.get(claims.sub)
    return user !== undefined && claims.ver < user.version
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
