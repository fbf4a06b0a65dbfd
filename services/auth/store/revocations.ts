import type { Acknowledgement, SubscriberStore } from '../../kit/feed/stored-subscribers.ts'
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
  /**
   * Returns at most `limit` revocations after `seq`, and the number of the last one.
   *
   * With several nodes, a reader gives the number of an entry that it has read, or 0. If there is no such entry, then the
   * database was set back by a failover that lost it (or it expired while the reader stood still): the page has the first
   * revocations, and `hasRestarted` is true.
   * @throws DatabaseUnavailable when the server lacks `poll`: it is an old primary
   */
  revocationsAfter(
    seq: number,
    limit: number,
    poll?: Acknowledgement,
  ): Promise<{ revocations: Revocation[]; seq: number; hasRestarted: boolean }>
  /** Returns the number of the last revocation; 0 when the feed is empty. */
  lastRevocation(): Promise<number>
}
