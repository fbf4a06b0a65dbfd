import type { Locale } from '../../kit/locale.ts'
import type { AuditEvent } from '../../kit/outbox/audit.ts'
import type { MailKind, MailStatus } from '../../kit/schema/mails.ts'
import type { PageRequest, Slice } from '../../kit/schema/page.ts'

/** The causes of a `notice`. */
export type NoticeCause =
  | 'password_changed'
  | 'email_changed'
  | 'device_confirmed'
  | 'totp_added'
  | 'totp_removed'
  | 'passkey_added'
  | 'passkey_removed'
  | 'recovery_codes_replaced'
  | 'recovery_code_used'
  | 'factors_reset'

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
  /** When an operator had a failed mail sent again: it is useful as long as one that was requested then. */
  retriedAt?: number
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

/** How a mail ended. */
export interface MailEnd {
  status: 'sent' | 'failed'
  /** How many attempts were made since the last one that was counted. */
  attempts: 0 | 1
  lastError: string | null
}

/** A mail in the list of operators. */
export type MailRow = Pick<MailRequest, 'id' | 'kind' | 'userId' | 'email' | 'tries' | 'lastError' | 'requestedAt'> & {
  status: MailStatus
  /** When the mail was sent or given up; null: it waits. */
  finishedAt: number | null
}

export type ListedMail = MailRow & Pick<MailRequest, 'data'>

/** Which mails to list. */
export interface MailFilter {
  userId?: string
  kind?: MailKind
  status?: MailStatus
}

/** `void`: the link of the mail was used or voided, or has expired. */
export type RetryResult = 'queued' | 'sent' | 'void' | 'unknown'

/** The mail queue. The node that adds a mail owns it, until it dies. */
export interface MailStore {
  /** Adds a mail. Does nothing when a mail with this id is in the queue, was sent or has failed. */
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
  /** Removes a mail that nobody should get. */
  removeMailRequest(id: string): Promise<void>
  /** Moves a mail out of the queue. Does nothing for a failed one that another node took over. */
  finishMailRequest(id: string, end: MailEnd, now: number): Promise<void>
}

/** All mails: of the queue, and those that were sent or have failed, for 30 days and as long as their user exists. */
export interface MailListStore {
  /** Lists mails, newest first. */
  listMails(filter: MailFilter, request: PageRequest): Promise<Slice<MailRow>>
  mailById(id: string): Promise<ListedMail | null>
  /**
   * Makes a mail of the queue due at once, and a failed one again part of the queue.
   * @param hasChallenge whether the mail has a code or a link, which must still be valid
   * @param event written when the result is `queued`
   */
  retryMail(id: string, hasChallenge: boolean, now: number, event: AuditEvent): Promise<RetryResult>
  /** Deletes mails that were finished before a time. */
  forgetMails(before: number): Promise<void>
}
