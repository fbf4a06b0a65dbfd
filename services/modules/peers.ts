import type { AuditEvent } from '../kit/outbox/audit.ts'
import type { Event } from '../kit/outbox/events.ts'

/** The calls to users. */
export interface UsersPeer {
  /**
   * The current roles of a user; null when the user does not exist.
   * @throws Problem `users_unavailable`
   */
  roles(userId: string, requestId: string): Promise<string[] | null>
}

/** The calls to auth. Each call resolves when auth has stored the event, and may be repeated. */
export interface AuthPeer {
  recordAudit(event: AuditEvent): Promise<void>
  /** Stores events for webhooks and the message broker. */
  recordEvents(events: Event[]): Promise<void>
}
