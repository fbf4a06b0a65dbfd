import type { Clock } from '../clock.ts'
import { Signal } from '../timeout.ts'
import type { Acknowledgement } from './stored-subscribers.ts'
import { FEED_HOLD, FEED_LEASE, type FeedPage } from './subscriber.ts'

interface Subscriber {
  /** The last change that the subscriber has acknowledged. */
  acknowledged: number
  /** Monotonic milliseconds. Until then the subscriber decides without asking. */
  leaseEnds: number
  /** When the last poll arrived. Monotonic milliseconds. */
  polledAt: number
}

/** Milliseconds without a poll after which a subscriber is forgotten; its lease ended long before. */
export const FORGOTTEN_AFTER = 60_000
/** Milliseconds between two checks of the leases: the end of a lease notifies nobody. */
const LEASE_CHECK = 20

/** A poll, as the subscriber sends it. */
export interface Poll {
  /** Identifies one run of one service. */
  subscriber: string
  /** The last change that the subscriber has received: its acknowledgement. */
  after: number
  /** The database that `after` belongs to. */
  epoch: string
}

/**
 * Until when subscribers of the previous process may still hold a lease: this process does not know them, so writes wait
 * until then. Monotonic milliseconds.
 */
export function unknownLeasesUntil(clock: Clock, servedBefore: boolean): number {
  return servedBefore ? clock.monotonic() + FEED_LEASE : Number.NEGATIVE_INFINITY
}

/** The publishing side of a feed. */
export interface Publisher {
  /** The number of the last change that was published. */
  readonly lastSeq: number
  /** Whether no subscriber has polled lately. */
  readonly isEmpty: boolean
  /**
   * Answers a poll. A poll with the epoch of another database, or with a number that this one has not reached, starts over.
   * @param ourEpoch the epoch of this database
   * @param readPage reads the changes after `from`; `upTo` was the last change before it began. With several nodes, they
   * are those of a server that has the acknowledgement of the poll
   */
  answer<Page extends FeedPage>(
    poll: Poll,
    ourEpoch: string,
    readPage: (from: number, upTo: number, poll?: Acknowledgement) => Promise<Page>,
  ): Promise<Page>
  /** Publishes the changes up to `seq`: answers the polls that are held. */
  advance(seq: number): void
  /** Begins with the first number again: a failover of the database lost changes. The subscribers then do the same. */
  restart(): void
  /** Publishes the changes up to `seq`. Resolves when every subscriber has acknowledged them or has no lease. */
  waitForAcks(seq: number): Promise<void>
  /** Answers the polls that are held, and all others at once, with an empty page if there is no change: before a stop. */
  stopHolding(): void
  /** Forgets subscribers that have stopped to poll. */
  prune(): void
}

/**
 * The publishing side of a feed that one process publishes. A poll is held until there is a change; the next poll acknowledges the changes that the
 * last one received. A writer waits here until every subscriber with a lease has acknowledged the change or lost its
 * lease, which takes less than a second.
 */
export class FeedPublisher implements Publisher {
  private readonly subscribers = new Map<string, Subscriber>()
  private readonly acks = new Signal()
  private readonly changes = new Signal()
  private published = 0
  /** Milliseconds that a poll is held when there is no change. */
  private hold = FEED_HOLD

  constructor(
    private readonly clock: Clock,
    private readonly unknownLeasesUntil: number,
  ) {}

  get lastSeq(): number {
    return this.published
  }

  get isEmpty(): boolean {
    return this.subscribers.size === 0
  }

  async answer<Page extends FeedPage>(
    { after, epoch, subscriber: name }: Poll,
    ourEpoch: string,
    readPage: (from: number, upTo: number) => Promise<Page>,
  ): Promise<Page> {
    const isCurrent = epoch === ourEpoch && after <= this.published
    const from = isCurrent ? after : 0
    const polledAt = this.clock.monotonic()
    const subscriber = this.subscribers.get(name) ?? { acknowledged: 0, leaseEnds: Number.NEGATIVE_INFINITY, polledAt }
    subscriber.acknowledged = from
    subscriber.polledAt = polledAt
    this.subscribers.set(name, subscriber)
    this.acks.notify()

    if (isCurrent && from === this.published) await this.changes.next(this.hold)
    // Fixed before anything is read: changes that are written meanwhile are for the next poll.
    const page = await readPage(from, this.published)
    // The page may hold changes that nobody published, such as a key that expired. A subscriber that acknowledged them
    // would seem ahead of us, and start over with each poll.
    this.advance(page.seq)
    if (page.complete) subscriber.leaseEnds = this.clock.monotonic() + FEED_LEASE
    return page
  }

  advance(seq: number): void {
    if (seq <= this.published) return
    this.published = seq
    this.changes.notify()
  }

  /** Does nothing: a file is not set back while its process runs. */
  restart(): void {}

  async waitForAcks(seq: number): Promise<void> {
    if (seq === 0) return
    this.advance(seq)
    while (!this.isAcknowledged(seq)) await this.acks.next(LEASE_CHECK)
  }

  stopHolding(): void {
    this.hold = 0
    this.changes.notify()
  }

  prune(): void {
    // Goes by the last poll, not by the lease: a subscriber whose first poll is held gets its lease with the answer.
    for (const [name, { polledAt }] of this.subscribers)
      if (polledAt + FORGOTTEN_AFTER < this.clock.monotonic()) this.subscribers.delete(name)
  }

  private isAcknowledged(seq: number): boolean {
    const now = this.clock.monotonic()
    if (now < this.unknownLeasesUntil) return false
    for (const { acknowledged, leaseEnds } of this.subscribers.values())
      if (acknowledged < seq && now < leaseEnds) return false
    return true
  }
}
