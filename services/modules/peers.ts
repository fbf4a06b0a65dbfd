import type { AuditEvent } from '../kit/outbox/audit.ts'
import type { Event } from '../kit/outbox/events.ts'

/** What modules needs of users. */
export interface UsersPeer {
  /**
   * The roles of a user as they are now; null where there is no such user.
   * @throws Problem `users_unavailable`
   */
  roles(userId: string, requestId: string): Promise<string[] | null>
}

/** What modules needs of auth. Each resolves when auth has written it down; the same event may come twice. */
export interface AuthPeer {
  recordAudit(event: AuditEvent): Promise<void>
  /** Tells the outside. */
  recordEvents(events: Event[]): Promise<void>
}
