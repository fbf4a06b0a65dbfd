import { setTimeout as sleep } from 'node:timers/promises'
import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'

/** How long a poll that has nothing to tell is held. */
export const FEED_HOLD = 250
/**
 * For how long after asking a follower may trust what it was told. The teller counts the same time from its answer, so
 * its reckoning never ends before the follower's; an answer to a change waits until every follower has acknowledged it
 * or has lost its lease, and so never longer than this.
 */
export const FEED_LEASE = 900

/** What every feed says with each answer, beside what it tells. */
export interface FeedPage {
  /** The database that `seq` counts in: another one means to start over. */
  epoch: string
  seq: number
  /** Whether that is all there is: until then the follower knows too little to decide by itself. */
  complete: boolean
}

export interface FeedSubscriberOptions<Page extends FeedPage> {
  /** Asks for what there is after `after`. The next poll acknowledges what this one told. */
  poll(after: number, epoch: string): Promise<Page>
  take(page: Page): void
  clock: Clock
  log: Log
  /** Whose feed it is, for the log. */
  target: string
  /** Milliseconds after the start in which a feed that is not there yet is no fault: its service starts too. */
  comingUp?: number | undefined
}

const COMING_UP = 10_000
const RETRY = 100
const BRIEF = 20
/** After a question was not answered, how long until the next one is put. */
const ASK_AGAIN = 100

/**
 * Follows a feed by polls that are held until there is something to tell; the next poll acknowledges what the last one
 * told. While the lease runs, its owner may decide by what it was told; without it, it asks.
 */
export class FeedSubscriber<Page extends FeedPage> {
  private epoch = ''
  private seq = 0
  /** When the poll that was last answered with all there is had been sent; monotonic milliseconds. */
  private heardAt = Number.NEGATIVE_INFINITY
  private askAgainAt = Number.NEGATIVE_INFINITY
  private running = false
  private loop: Promise<void> = Promise.resolve()
  private hasHeard: () => void = () => undefined
  private readonly firstPage = new Promise<void>((resolve) => {
    this.hasHeard = resolve
  })

  constructor(private readonly options: FeedSubscriberOptions<Page>) {}

  /** Begins to follow. Resolves when all there is was told, or after `patience` milliseconds without. */
  async start(patience: number): Promise<void> {
    this.running = true
    this.loop = this.follow()
    let timer: ReturnType<typeof setTimeout> | undefined
    await Promise.race([
      this.firstPage,
      new Promise((resolve) => {
        timer = setTimeout(resolve, patience)
      }),
    ])
    clearTimeout(timer)
  }

  async stop(): Promise<void> {
    this.running = false
    await this.loop
  }

  /** Milliseconds since all there is was last heard. */
  get silence(): number {
    return this.options.clock.monotonic() - this.heardAt
  }

  get hasLease(): boolean {
    return this.silence < FEED_LEASE
  }

  /** Puts a question, unless the last one has just failed. Gives undefined where there is no answer. */
  async ask<T>(question: () => Promise<T>): Promise<T | undefined> {
    const { clock } = this.options
    if (clock.monotonic() < this.askAgainAt) return undefined
    try {
      return await question()
    } catch {
      this.askAgainAt = clock.monotonic() + ASK_AGAIN
      return undefined
    }
  }

  private async follow(): Promise<void> {
    const { clock, comingUp = COMING_UP, log, target } = this.options
    const startedAt = clock.monotonic()
    let isLost = false
    while (this.running) {
      const sentAt = clock.monotonic()
      try {
        const before = this.seq
        const page = await this.options.poll(before, this.epoch)
        this.options.take(page)
        this.epoch = page.epoch
        this.seq = page.seq
        if (!page.complete) continue
        this.heardAt = sentAt
        this.hasHeard()
        // A poll that brings nothing is held; one that is not held must not make this a spin.
        const held = clock.monotonic() - sentAt > BRIEF
        if (!held && page.seq === before) await sleep(BRIEF)
        if (isLost) log.info({ event: 'feed.resumed', target, seq: this.seq })
        isLost = false
      } catch (error) {
        const isComingUp = !Number.isFinite(this.heardAt) && clock.monotonic() - startedAt < comingUp
        if (!isLost && !isComingUp && this.running) {
          isLost = true
          log.warn({ event: 'feed.lost', target, err: error })
        }
        if (this.running) await sleep(RETRY)
      }
    }
  }
}
