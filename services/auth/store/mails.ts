export type MailKind = 'password_reset' | 'email_changed'

/** A mail to send. Times are milliseconds since the epoch. */
export interface MailRequest {
  id: string
  kind: MailKind
  /** For a reset, the address as the user typed it; for an email change, the previous address. */
  email: string
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

/** The mail queue. */
export interface MailStore {
  /** Adds a mail. Does nothing when a mail with this id exists. */
  addMailRequest(request: MailRequest): Promise<void>
  /**
   * Returns mails that are due, the one that has waited longest first.
   * @param latest a mail whose `nextAt` is later is due too: a clock that ran ahead set that time
   */
  mailRequestsDue(now: number, latest: number, limit: number): Promise<MailRequest[]>
  /** Returns when the next mail after `now` is due; null when the queue is empty. */
  nextMailRequest(now: number): Promise<number | null>
  postponeMailRequest(id: string, nextAt: number, lastError: string): Promise<void>
  /** Makes every mail that waits for a retry due at once. */
  hastenMailRequests(now: number): Promise<void>
  removeMailRequest(id: string): Promise<void>
  countMailRequests(): Promise<number>
}
