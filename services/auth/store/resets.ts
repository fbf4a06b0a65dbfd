import type { AuditEvent } from '../../kit/outbox/audit.ts'

/** A password reset: anyone who presents its token may set a new password. Times are milliseconds since the epoch. */
export interface Reset {
  /** The mail with the link. */
  mailId: string
  tokenHash: Uint8Array
  userId: string
  requestedAt: number
  expiresAt: number
}

/** Password resets. */
export interface ResetStore {
  /**
   * Creates the link of a mail and voids the user's earlier links. Returns the existing link if the mail has one; null when
   * that link was used, voided or has expired, or the user has requested another one since.
   */
  issueReset(reset: Reset, now: number, event: AuditEvent): Promise<{ tokenHash: Uint8Array; expiresAt: number } | null>
  /**
   * Takes a valid reset and returns the user's id, or null. Of several callers at once, one gets it. A reset that is
   * voided while it is taken stays void.
   */
  takeReset(tokenHash: Uint8Array, now: number): Promise<string | null>
  /** Makes a taken reset available again, unless it was voided meanwhile. */
  returnReset(tokenHash: Uint8Array): Promise<void>
  /** Ends a taken reset for good. @param event null: no audit row */
  finishReset(tokenHash: Uint8Array, event: AuditEvent | null): Promise<void>
  /** Deletes expired resets. */
  forgetResets(now: number): Promise<void>
}
