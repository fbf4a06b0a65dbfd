import type { AuditEvent } from '../../kit/outbox/audit.ts'
import type { RevocationReason } from '../../kit/schema/events.ts'
import type { PageRequest, Slice } from '../../kit/schema/page.ts'
import type { AuthMethod } from '../../kit/tokens/access-token.ts'
import type { Account } from './accounts.ts'
import type { Ended } from './revocations.ts'

/** The version of the API that opened the session. A v0 refresh token has another form. */
export type SessionKind = 'v1' | 'v0'

/** A session. Times are milliseconds since the epoch. */
export interface Session {
  id: string
  userId: string
  kind: SessionKind
  /** The counter of the current refresh token. */
  counter: number
  rotatedAt: number
  createdAt: number
  lastUsedAt: number
  /** When the refresh token expires. */
  expiresAt: number
  /** When the session ends, however often it is refreshed. */
  endsAt: number
  /** When the last access token expires. */
  accessUntil: number
  /** The version of the account when the session was opened. */
  version: number
  ip: string | null
  userAgent: string | null
  /** When the user last authenticated; 0: when the session was opened, by a node of the version before. */
  authTime: number
  /** How the user authenticated. */
  amr: AuthMethod[]
  /** Whether it is that of an offline grant, whose id it has: an app refreshes it, and users do not see it. */
  ofGrant: boolean
}

/** The reason, as published in events, for which sessions end before they expire, and the time. */
export interface Ending {
  reason: RevocationReason
  now: number
}

/** The input of `rotateSession`. Times are milliseconds since the epoch. */
export interface Rotation {
  sessionId: string
  /** The counter of the presented token. */
  counter: number
  now: number
  /** When the new refresh token expires, unless the session ends earlier. */
  expiresAt: number
  accessUntil: number
  /** Milliseconds for which the previous refresh token may be used again. */
  grace: number
  /** The hash of the new token. Only v0 tokens are looked up by their hash. */
  hash?: Uint8Array
  /** How many refreshes a session may make within `window` milliseconds. */
  limit?: { most: number; window: number }
}

/**
 * The result of `rotateSession`. `repeated`: the previous token was used again within the grace and gets the same new token.
 */
export type RotationResult =
  | { outcome: 'rotated' | 'repeated'; session: Session; account: Account }
  | { outcome: 'reused'; ended: Ended }
  | { outcome: 'limited'; until: number }
  | { outcome: 'gone' }

export interface SessionStore {
  /**
   * Stores a session. `account_changed`: the account was disabled, deleted or given another password after its password was
   * checked.
   */
  openSession(session: Session, event: AuditEvent, hash?: Uint8Array): Promise<'opened' | 'account_changed'>
  /** Rotates a session, or ends it after a reuse, as `decideRotation` decides. */
  rotateSession(rotation: Rotation, event: (type: string) => AuditEvent): Promise<RotationResult>
  /**
   * Records that the user of a session authenticated again.
   * @returns the session and its account; null: the session has ended
   */
  renewAuthentication(
    renewal: { sessionId: string; now: number; methods: readonly AuthMethod[]; accessUntil: number },
    event: AuditEvent,
  ): Promise<{ session: Session; account: Account } | null>
  sessionById(id: string): Promise<Session | null>
  /** Returns the session and counter of a v0 token. */
  sessionByHash(hash: Uint8Array): Promise<{ sessionId: string; counter: number } | null>
  /**
   * Ends one session.
   * @param userId the user whom the session must belong to; null: any user
   * @param withoutRoles the user may have none of these roles
   * @returns null when the session does not exist, or has ended
   */
  endSession(
    id: string,
    userId: string | null,
    ending: Ending,
    event: AuditEvent,
    withoutRoles?: readonly string[],
  ): Promise<Ended | null>
  /**
   * Ends the sessions of a user that have not expired. Many end in several transactions, each with an event of its own. If one
   * fails, the earlier ones stay, and the repeated call ends the rest; the same holds for `endAllSessions`. Both also delete
   * what the users have allowed apps.
   * @param withoutRoles if the user has one of these roles, no session ends
   */
  endSessionsOf(userId: string, ending: Ending, event: AuditEvent, withoutRoles?: readonly string[]): Promise<Ended>
  /** Ends the sessions of all users that were open when it was called. */
  endAllSessions(ending: Ending, event: AuditEvent): Promise<Ended>
  /** @param userId null: the sessions of all users */
  listSessions(userId: string | null, now: number, request: PageRequest): Promise<Slice<Session>>
  /** Gives used tokens the grace that was left when the service stopped. Called once, at the start. */
  resumeGrace(now: number, grace: number): Promise<void>
  /** Records that the service is running: the grace of refresh tokens is suspended while it is not. */
  recordHeartbeat(now: number): Promise<void>
  /** Deletes expired sessions and revocations. */
  forgetExpired(now: number): Promise<void>
}
