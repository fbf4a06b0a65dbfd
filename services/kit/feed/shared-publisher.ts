import type { Clock } from '../clock.ts'
import { Signal } from '../timeout.ts'
import { FORGOTTEN_AFTER, type Poll, type Publisher } from './publisher.ts'
import type { Acknowledgement, StoredSubscribers } from './stored-subscribers.ts'
import { FEED_HOLD, type FeedPage } from './subscriber.ts'

interface SharedPublisherOptions {
  clock: Clock
  subscribers: StoredSubscribers
  /** Gives the name that a subscriber of this feed has in the store. */
  nameOf(subscriber: string): string
  /** Selects the subscribers that a writer waits for, by their names in the store. */
  concerns(name: string): boolean
  /** Reads the number of the last change. */
  readLastSeq(): Promise<number>
}

/**
 * The publishing side of a feed that several nodes publish: a poll may reach any of them. Each first writes the poll to
 * the database, and reads the page after that. `advance` tells this node what the others published.
 */
export class SharedFeedPublisher implements Publisher {
  private readonly changes = new Signal()
  private published = 0
  /** Milliseconds that a poll is held when there is no change. */
  private hold = FEED_HOLD
  /** When the last poll arrived. Monotonic milliseconds. */
  private polledAt = Number.NEGATIVE_INFINITY

  constructor(private readonly options: SharedPublisherOptions) {}

  get lastSeq(): number {
    return this.published
  }

  get isEmpty(): boolean {
    return this.polledAt + FORGOTTEN_AFTER < this.options.clock.monotonic()
  }

  async answer<Page extends FeedPage>(
    { after, epoch, subscriber }: Poll,
    ourEpoch: string,
    readPage: (from: number, upTo: number, poll?: Acknowledgement) => Promise<Page>,
  ): Promise<Page> {
    const { clock, nameOf, readLastSeq, subscribers } = this.options
    this.polledAt = clock.monotonic()
    // Another node may have answered the last poll, with changes that this one has not read yet.
    if (epoch === ourEpoch && after > this.published) this.advance(await readLastSeq())
    const isCurrent = epoch === ourEpoch && after <= this.published
    const from = isCurrent ? after : 0
    const poll = await subscribers.acknowledge(nameOf(subscriber), from)
    if (isCurrent && from === this.published) await this.changes.next(this.hold)
    const page = await readPage(from, this.published, poll)
    this.advance(page.seq)
    return page
  }

  advance(seq: number): void {
    if (seq <= this.published) return
    this.published = seq
    this.changes.notify()
  }

  restart(): void {
    this.published = 0
    this.changes.notify()
  }

  async waitForAcks(seq: number): Promise<void> {
    if (seq === 0) return
    this.advance(seq)
    await this.options.subscribers.waitForAcks(seq, this.options.concerns)
  }

  stopHolding(): void {
    this.hold = 0
    this.changes.notify()
  }

  /** Does nothing: `StoredSubscribers.read` removes the subscribers that have stopped polling. */
  prune(): void {}
}
