import type { Revocation } from '../../kit/tokens/revocations.ts'

/** The revocations of a change, for the feed to publish, and how many sessions ended. */
export interface Ended {
  sessions: number
  /** The number of the last revocation in the feed; 0 when there is nothing to publish. */
  seq: number
  revocations: Revocation[]
}

/** The revocation feed's log. */
export interface RevocationStore {
  /** A name of this database, in memory. Feed numbers of a database with another epoch are void. */
  readonly epoch: string
  /** Returns at most `limit` revocations after `seq`, and the number of the last one. */
  revocationsAfter(seq: number, limit: number): Promise<{ revocations: Revocation[]; seq: number }>
  lastRevocation(): Promise<number>
}
