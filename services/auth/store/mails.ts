import type { Locale } from '../../kit/locale.ts'

/** The kinds of mails. Each has its texts (`mail/texts`). */
export const MAIL_KINDS = [
  'password_reset',
  'email_verification',
  'email_code',
  'email_change',
  'email_changed',
  'invitation',
  'device',
  'notice',
] as const

export type MailKind = (typeof MAIL_KINDS)[number]

/** The causes of a `notice`. */
export type NoticeCause = 'password_changed' | 'email_changed' | 'device_confirmed'

/** The values that a kind needs besides the address. Never a secret. */
export interface MailData {
  /** The cause, of a `notice`. */
  cause?: NoticeCause
  /** The `User-Agent` of the request that a notice is about. */
  userAgent?: string | null
  /** Whether a mail `email_changed` has a link that undoes the change. */
  isUndoable?: boolean
  /** Whether `POST /admin/mails/test` queued the mail: sample values take the place of a challenge. */
  isTest?: boolean
}

/** A mail to send. Times are milliseconds since the epoch. */
export interface MailRequest {
  id: string
  kind: MailKind
  /** The address, as it was typed. */
  email: string
  /** Null: nobody has the address, or that is not known yet. */
  userId: string | null
  /** The language that the request preferred; null: none of ours. */
  locale: Locale | null
  data: MailData
  requestedAt: number
  ip: string | null
  requestId: string | null
  tries: number
  /** When the next attempt is due. */
  nextAt: number
  /** When the link in the mail was created; null: the mail has no link yet. */
  linkAt: number | null
  /** A code for why the last attempt failed, never the text of the server. */
  lastError: string | null
}

/** The mail queue. The node that adds a mail owns it, until it dies. */
export interface MailStore {
  /** Adds a mail. Does nothing when a mail with this id exists. */
  addMailRequest(request: MailRequest): Promise<void>
  /**
   * Returns mails of this node that are due, the one that has waited longest first.
   * @param latest a mail whose `nextAt` is later is due too: a clock that ran ahead set that time
   */
  mailRequestsDue(now: number, latest: number, limit: number): Promise<MailRequest[]>
  /** Returns when the next mail of this node after `now` is due; null without one. */
  nextMailRequest(now: number): Promise<number | null>
  /** Does nothing when another node took the mail over. */
  postponeMailRequest(id: string, nextAt: number, lastError: string): Promise<void>
  /** Makes every mail of this node that waits for a retry due at once. */
  hastenMailRequests(now: number): Promise<void>
  /** Takes over the mails of nodes that are gone. */
  takeOverMailRequests(): Promise<void>
  removeMailRequest(id: string): Promise<void>
  countMailRequests(): Promise<number>
}
