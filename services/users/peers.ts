import type { AuditEvent } from '../kit/outbox/audit.ts'
import type { Event } from '../kit/outbox/events.ts'
import type { PasswordRecord } from '../kit/schema/user.ts'

/** A record as auth gets it. The marks carry what earlier changes ended, in case auth missed their notices. */
export interface SyncedUser extends PasswordRecord {
  /** Sessions opened from an older version have ended, except `session_kept`. */
  sessions_from: number
  session_kept: string | null
  /** Sessions opened from an older version have ended, without exception: set by changes that kept none. */
  all_sessions_from: number
  /** Access tokens issued from an older version have ended. */
  tokens_from: number
}

/** An email that was replaced by another. */
export interface EmailChange {
  id: string
  userId: string
  oldEmail: string
  /** Milliseconds since the epoch. */
  at: number
  requestId: string | null
}

/** Calls to auth. Each call resolves once auth has stored it, and may be repeated. */
export interface AuthPeer {
  syncUser(user: SyncedUser): Promise<void>
  /** Takes any number. If it fails, auth may have stored some of them. */
  syncUsers(users: SyncedUser[]): Promise<void>
  userDeleted(userId: string): Promise<void>
  /** Auth mails the previous address. */
  emailChanged(change: EmailChange): Promise<void>
  recordAudit(event: AuditEvent): Promise<void>
  /** Takes any number, for webhooks and the message broker. If it fails, auth may have stored some of them. */
  recordEvents(events: Event[]): Promise<void>
}

/** A service that stores something of users, and deletes it with them. */
export interface DeletionListener {
  name: string
  /** Resolves once the service has stored it. May be repeated. */
  userDeleted(userId: string): Promise<void>
}
