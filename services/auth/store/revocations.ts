import type { SubscriberStore } from '../../kit/feed/stored-subscribers.ts'
import type { Revocation } from '../../kit/tokens/revocations.ts'

/** The sessions and tokens that a change ended: how many sessions, and the revocations for the feed to publish. */
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
  /** The subscribers of the feed, for a database that several nodes share; null: only this process uses it. */
  readonly subscribers: SubscriberStore | null
  /** Returns at most `limit` revocations after `seq`, and the number of the last one. */
  revocationsAfter(seq: number, limit: number): Promise<{ revocations: Revocation[]; seq: number }>
  /** Returns the number of the last revocation; 0 when the feed is empty. */
  lastRevocation(): Promise<number>
}
