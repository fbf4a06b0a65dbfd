import type { GrantClaims, UserClaims } from './claims.ts'

/**
 * An entry of the revocation feed:
 * - `session`: revokes every access token of the session or the grant `subject`, or the token of a client or a grant whose
 *   `jti` is `subject`;
 * - `user`: revokes the access tokens of the user or the client `subject` whose `ver` is below `version`, and those of grants to
 *   the client `subject` whose `client_ver` is;
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

/** The claims by which a token is revoked. A client's token has no `sid`; only that of a grant has a `gid`. */
type TokenIds = Pick<UserClaims, 'sub' | 'ver'> &
  Partial<Pick<UserClaims, 'jti' | 'sid'>> &
  (GrantIds | { gid?: undefined })

type GrantIds = Pick<GrantClaims, 'gid' | 'jti' | 'client_id' | 'client_ver'>

/** Above every version: revokes all tokens of a deleted user. */
export const EVERY_VERSION = Number.MAX_SAFE_INTEGER

/** Revocations of tokens that have not expired yet, in memory: two lookups a request, or five for a grant. */
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
  covers(token: TokenIds): boolean {
    const { jti, sid = jti, sub, ver } = token
    if (sid !== undefined && this.sessions.has(sid)) return true
    return this.isOutdated(sub, ver) || (token.gid !== undefined && this.coversGrant(token))
  }

  private coversGrant({ client_id, client_ver, gid, jti }: GrantIds): boolean {
    return this.sessions.has(gid) || this.sessions.has(jti) || this.isOutdated(client_id, client_ver)
  }

  private isOutdated(subject: string, version: number): boolean {
    const current = this.users.get(subject)
    return current !== undefined && version < current.version
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
