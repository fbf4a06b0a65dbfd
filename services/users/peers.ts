import type { LacksSecondFactor } from '../kit/access/recent.ts'
import type { Locale } from '../kit/locale.ts'
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
  /** Second factors that were added before this version are void. Absent: none ever was. */
  factors_from?: number
}

/** An email that was replaced by another. */
export interface EmailChange {
  id: string
  userId: string
  oldEmail: string
  /** Milliseconds since the epoch. */
  at: number
  requestId: string | null
  /** The rest is missing in a notice of the version before. */
  newEmail?: string
  /** Whether the old email was verified. */
  verified?: boolean
  /** Whether a mail has proved the new email. */
  byProof?: boolean
  ip?: string | null
  /** The language of the user, or else the one that their request prefers. */
  locale?: Locale | null
}

/** A mail to a user. */
export interface AccountMail {
  id: string
  kind: 'notice' | 'email_verification'
  /** The subject of a notice. */
  cause?: 'password_changed'
  userId: string
  email: string
  /** The language of the user, or else the one that their request prefers. */
  locale: Locale | null
  ip: string | null
  userAgent: string | null
  /** Milliseconds since the epoch. */
  at: number
  requestId: string | null
}

/** A user whose data is erased, with their names until now. */
export interface UserErasure {
  userId: string
  /** After an earlier deletion: the ones that the request has. */
  emails: string[]
  usernames: string[]
}

/** Calls to auth. Each call resolves once auth has stored it, and may be repeated. */
export interface AuthPeer {
  syncUser(user: SyncedUser): Promise<void>
  /** Takes any number. If it fails, auth may have stored some of them. */
  syncUsers(users: SyncedUser[]): Promise<void>
  userDeleted(userId: string): Promise<void>
  /** Auth erases what it stores of a deleted user. @throws Problem `not_found` if auth is of the version before, which cannot */
  userErased(erasure: UserErasure): Promise<void>
  /** Auth mails the previous address, and the new one unless it is proved. */
  emailChanged(change: EmailChange): Promise<void>
  /** Auth mails the user. @throws Problem `not_found` if auth is of the version before, which has no such mails */
  accountMail(mail: AccountMail): Promise<void>
  recordAudit(event: AuditEvent): Promise<void>
  /** Whether a session lacks the second factor that its user has. */
  lacksSecondFactor: LacksSecondFactor
  /** Takes any number, for webhooks and the message broker. If it fails, auth may have stored some of them. */
  recordEvents(events: Event[]): Promise<void>
}

/** A service that stores something of users, and deletes it with them. */
export interface DeletionListener {
  name: string
  /** Resolves once the service has stored it. May be repeated. */
  userDeleted(userId: string): Promise<void>
}
