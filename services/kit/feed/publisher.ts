import type { Clock } from '../clock.ts'
import { FEED_HOLD, FEED_LEASE, type FeedPage } from './subscriber.ts'

interface Follower {
  /** Up to where it has acknowledged. */
  acknowledged: number
  /** Until when it decides without asking; monotonic milliseconds. */
  leaseEnds: number
  polledAt: number
}

/** A follower that has not polled for so long is forgotten; its lease has run out long ago. Milliseconds. */
const FORGOTTEN_AFTER = 60_000

/** A poll, as the follower sends it. */
export interface Poll {
  /** A name that tells this run of this service from all others. */
  follower: string
  /** Up to where it has heard: its acknowledgement. */
  after: number
  /** The database that `after` counts in. */
  epoch: string
}

/**
 * Until when followers of the run before may still decide by themselves: they are not known here, but their leases may
 * still run. Monotonic milliseconds.
 */
export function unknownLeasesUntil(clock: Clock, servedBefore: boolean): number {
  return servedBefore ? clock.monotonic() + FEED_LEASE : Number.NEGATIVE_INFINITY
}

/**
 * Who follows a feed, and up to where each has heard it. A poll is held until there is something to tell; the next one
 * acknowledges what was told. Whoever changes something waits here until every follower that decides by itself has
 * acknowledged it, or has lost the right to decide by itself (its lease), which is a matter of less than a second.
 */
export class FeedPublisher {
  private readonly followers = new Map<string, Follower>()
  private readonly waiting = new Set<() => void>()
  private news = Promise.withResolvers<void>()
  private reached = 0

  constructor(
    private readonly clock: Clock,
    private readonly strangersUntil: number,
  ) {}

  /** The number of the last change that was announced. */
  get last(): number {
    return this.reached
  }

  get isEmpty(): boolean {
    return this.followers.size === 0
  }

  /**
   * Answers a poll. One from another database, or from ahead of this one, starts over.
   * @param tell reads what there is after `from`; `upTo` was the last change before it began
   */
  async answer<Page extends FeedPage>(
    { after, epoch, follower: name }: Poll,
    ourEpoch: string,
    tell: (from: number, upTo: number) => Promise<Page>,
  ): Promise<Page> {
    const known = epoch === ourEpoch && after <= this.reached
    const from = known ? after : 0
    const polledAt = this.clock.monotonic()
    const follower = this.followers.get(name) ?? { acknowledged: 0, leaseEnds: Number.NEGATIVE_INFINITY, polledAt }
    follower.acknowledged = from
    follower.polledAt = polledAt
    this.followers.set(name, follower)
    this.settle()

    if (known && from === this.reached) await this.somethingNew()
    // Taken before anything is read: what is written meanwhile is for the next poll.
    const page = await tell(from, this.reached)
    // Also what no one announced, such as a key whose time was up: a follower that knew of it would count as ahead of
    // us, and start over with each poll.
    this.advance(page.seq)
    if (page.complete) follower.leaseEnds = this.clock.monotonic() + FEED_LEASE
    return page
  }

  /** There is something to tell up to `seq`: held polls are answered. */
  advance(seq: number): void {
    if (seq <= this.reached) return
    this.reached = seq
    this.release()
  }

  /** Resolves when every follower has heard all up to `seq`, or can't decide without asking any more. */
  async knowUpTo(seq: number): Promise<void> {
    if (seq === 0) return
    this.advance(seq)
    while (!this.everyoneKnows(seq)) await this.change()
  }

  /** Answers the polls that are held. */
  release(): void {
    this.news.resolve()
    this.news = Promise.withResolvers()
  }

  /** Forgets followers that have not polled for long. */
  prune(): void {
    // By its poll, not by its lease: one whose first poll is held has no lease yet, and is given one with the answer.
    for (const [name, { polledAt }] of this.followers)
      if (polledAt + FORGOTTEN_AFTER < this.clock.monotonic()) this.followers.delete(name)
  }

  private everyoneKnows(seq: number): boolean {
    const now = this.clock.monotonic()
    if (now < this.strangersUntil) return false
    for (const { acknowledged, leaseEnds } of this.followers.values())
      if (acknowledged < seq && now < leaseEnds) return false
    return true
  }

  /** Resolves when a follower has polled, and now and then: leases run out in silence. */
  private async change(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.waiting.add(resolve)
    const timer = setTimeout(resolve, 20)
    await promise
    clearTimeout(timer)
    this.waiting.delete(resolve)
  }

  private settle(): void {
    for (const resolve of this.waiting) resolve()
  }

  private async somethingNew(): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined
    await Promise.race([
      this.news.promise,
      new Promise((resolve) => {
        timer = setTimeout(resolve, FEED_HOLD)
      }),
    ])
    clearTimeout(timer)
  }
}
