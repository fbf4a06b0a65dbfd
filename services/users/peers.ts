import type { AuditEvent } from '../kit/outbox/audit.ts'
import type { Event } from '../kit/outbox/events.ts'
import type { PasswordRecord } from '../kit/schema/user.ts'

/** What auth is told about a user beside the record, so that a change that it missed in between still takes effect. */
export interface SyncedUser extends PasswordRecord {
  /** Sessions opened from an older version end, … */
  sessions_from: number
  /** … all but this one. */
  session_kept: string | null
  /** Sessions opened from an older version end, without exception: the mark of a change that kept none. */
  all_sessions_from: number
  /** Access tokens made from an older version end. */
  tokens_from: number
}

/** An address that was changed for another, and when. */
export interface EmailChange {
  id: string
  userId: string
  oldEmail: string
  /** Milliseconds since the epoch. */
  at: number
  requestId: string | null
}

/** What users needs of auth. Each resolves when auth has written it down; each may come twice. */
export interface AuthPeer {
  syncUser(user: SyncedUser): Promise<void>
  /** Any number of them. When it fails, some may have been written down. */
  syncUsers(users: SyncedUser[]): Promise<void>
  userDeleted(userId: string): Promise<void>
  /** The old address is told by mail. */
  emailChanged(change: EmailChange): Promise<void>
  recordAudit(event: AuditEvent): Promise<void>
  /** Any number of them, for the outside. When it fails, some may have been written down. */
  recordEvents(events: Event[]): Promise<void>
}

/** A service that keeps something of users, and hears when one is gone. */
export interface DeletionListener {
  name: string
  /** Resolves when it has written it down; may come twice. */
  userDeleted(userId: string): Promise<void>
}
