import type { AuditEvent } from '../../kit/outbox/audit.ts'

/** A deleted user whose data is to be erased. */
export interface Erasure {
  userId: string
  /** Their emails, as they are compared (`emailKey`). */
  emails: string[]
  /** The keys under which failed logins and limits count them. */
  keys: string[]
}

/** An erasure that is to be done, or to be repeated. */
export interface DueErasure {
  userId: string
  /** When it was requested: another number after each request. */
  begunAt: number
}

/** The record of a row without seals of which parts are erased: its number in the chain, and a digest. */
export type Remains = [seq: number, digest: string]

/** Erases what auth stores of deleted users beyond their account. */
export interface ErasureStore {
  /**
   * Records an erasure, which is to be done from its beginning. If it is not complete since an earlier request, the names of
   * that one are erased too. Times are milliseconds since the epoch.
   */
  beginErasure(erasure: Erasure, now: number): Promise<void>
  /** Returns the users whose erasure is not complete, or was completed after `since`: late notices may have brought more. */
  erasuresDue(since: number): Promise<(DueErasure & { isDone: boolean })[]>
  /** Erases everything but rows of the audit. May be repeated. */
  eraseData(userId: string): Promise<void>
  /**
   * Erases the personal parts of some rows of the audit, and the counts of the client addresses in them. Continues where it
   * stopped.
   * @param remains makes the row that records what will be left of rows without seals
   * @returns `recorded`: nothing was erased yet, because such a row must be chained first
   */
  eraseAudit(userId: string, remains: (rows: Remains[]) => AuditEvent): Promise<'done' | 'erased' | 'recorded'>
  /**
   * Marks an erasure as done and forgets the names, unless it was requested again since: then it is still due.
   * @param event makes the row of the audit from how many rows were erased
   */
  completeErasure(due: DueErasure, now: number, event: (rows: number) => AuditEvent): Promise<void>
  /** Whether the data of a user is erased. */
  isErased(userId: string): Promise<boolean>
}
