import type { Claims } from './access-token.ts'

/**
 * Something that ended access tokens before their time:
 * - `session`: every token of the session `subject`;
 * - `user`: the tokens of the user `subject` that were made from a version of its record below `version`;
 * - `keys`: the key ring changed; the keys themselves come beside it;
 * - `events`: what the outside wants to be told of changed; that comes beside it too.
 */
export interface Revocation {
  kind: 'session' | 'user' | 'keys' | 'events'
  subject: string
  version: number
  /** When the last token it speaks of has expired (milliseconds), and it can be forgotten. */
  until: number
}

/** Above every version: the user is gone. */
export const EVERY_VERSION = Number.MAX_SAFE_INTEGER

/** What is revoked and has not expired yet, in memory: two look-ups a request. */
export class Revocations {
  private readonly sessions = new Map<string, number>()
  private readonly users = new Map<string, { version: number; until: number }>()

  add(revocation: Revocation): void {
    const { kind, subject, version, until } = revocation
    if (kind === 'session') this.sessions.set(subject, Math.max(until, this.sessions.get(subject) ?? 0))
    if (kind === 'user') {
      const known = this.users.get(subject)
      this.users.set(subject, {
        version: Math.max(version, known?.version ?? 0),
        until: Math.max(until, known?.until ?? 0),
      })
    }
  }

  covers(claims: Pick<Claims, 'sid' | 'sub' | 'ver'>): boolean {
    if (this.sessions.has(claims.sid)) return true
    const user = this.users.get(claims.sub)
    return user !== undefined && claims.ver < user.version
  }

  /** Forgets what speaks only of tokens that have expired anyway. */
  prune(now: number): void {
    for (const [session, until] of this.sessions) if (until <= now) this.sessions.delete(session)
    for (const [user, { until }] of this.users) if (until <= now) this.users.delete(user)
  }

  get size(): number {
    return this.sessions.size + this.users.size
  }
}
