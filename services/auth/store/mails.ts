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
