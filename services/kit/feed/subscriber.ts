import { setTimeout as sleep } from 'node:timers/promises'
import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import { repeated } from '../repeated.ts'
import { withTimeout } from '../timeout.ts'
import { Standstill } from './standstill.ts'

/** Milliseconds that a poll is held when there is no change. */
export const FEED_HOLD = 250
/**
 * Milliseconds of a lease. The subscriber counts it from when it sent the poll, the publisher from its answer, so the
 * subscriber's lease always ends first. A writer waits until every subscriber has acknowledged the change or lost its
 * lease, so it never waits longer than this.
 */
export const FEED_LEASE = 900

/** The part that the pages of every feed have in common. */
export interface FeedPage {
  /** The database that `seq` belongs to. When it changes, the subscriber starts over. */
  epoch: string
  seq: number
  /** Whether no further page follows. Until then the subscriber knows too little to decide by itself. */
  complete: boolean
}

export interface FeedSubscriberOptions<Page extends FeedPage> {
  /** Asks for the changes after `after`. The next poll acknowledges them. */
  poll(after: number, epoch: string): Promise<Page>
  /** Applies the changes of a page. */
  apply(page: Page): void
  clock: Clock
  log: Log
  /** The service or module whose feed it is, for the log. */
  target: string
  /** Milliseconds after the start in which a missing feed is not logged: its service may be starting too. */
  startupGrace?: number | undefined
}

/** Milliseconds: the default of `startupGrace`. */
const STARTUP_GRACE = 10_000
/** Milliseconds between a failed call and the next. */
const RETRY_AFTER = 100
/** Milliseconds that a question waits for an answer. */
const ANSWER_TIMEOUT = 1000
/** The attempts of a question: the node that gets the first one may stand still. */
const ATTEMPTS = { after: 250, times: 3 }
/** Milliseconds: a poll that was answered sooner was not held. */
const NOT_HELD = 20

/**
 * The subscribing side of a feed: polls that are held until there is a change; each poll acknowledges the page of the
 * last one. While the lease runs, the owner may decide by the pages; without a lease it asks the publisher.
 */
export class FeedSubscriber<Page extends FeedPage> {
  private epoch = ''
  private seq = 0
  /** When the poll was sent whose answer was the last complete page. Monotonic milliseconds. */
  private currentAt = Number.NEGATIVE_INFINITY
  /** When the last page arrived. Monotonic milliseconds. */
  private answeredAt = Number.NEGATIVE_INFINITY
  /** When `tryAsk` may ask again. Monotonic milliseconds. */
  private retryAt = Number.NEGATIVE_INFINITY
  private readonly standstill = new Standstill()
  private running = false
  private loop: Promise<void> = Promise.resolve()
  private resolveFirstPage: () => void = () => undefined
  private readonly firstPage = new Promise<void>((resolve) => {
    this.resolveFirstPage = resolve
  })

  constructor(private readonly options: FeedSubscriberOptions<Page>) {}

  /** Starts to poll. Resolves after the first complete page, or after `patience` milliseconds. */
  async start(patience: number): Promise<void> {
    this.running = true
    this.standstill.start()
    this.loop = this.run()
    await withTimeout(this.firstPage, patience)
  }

  async stop(): Promise<void> {
    this.running = false
    await this.loop
    this.standstill.stop()
  }

  /** Milliseconds since the subscriber was last known to be up to date. Infinite before the first complete page. */
  get staleness(): number {
    return this.options.clock.monotonic() - this.currentAt
  }

  /**
   * Milliseconds since the publisher last answered a poll. Infinite before that. A slow publisher leaves its subscribers
   * out of date for longer than it is silent.
   */
  get silence(): number {
    return this.options.clock.monotonic() - this.answeredAt
  }

  get hasLease(): boolean {
    return this.staleness < FEED_LEASE
  }

  /** Whether the process stood still since it was last up to date: then nothing has cut it off, and it must ask. */
  get mustAsk(): boolean {
    return this.standstill.mustAsk
  }

  /**
   * Asks the publisher a question, unless the last one has just failed; if it is silent, several times.
   * @returns undefined without an answer
   */
  async tryAsk<T>(question: () => Promise<T>): Promise<T | undefined> {
    const { clock } = this.options
    if (clock.monotonic() < this.retryAt) return undefined
    const attempt = this.standstill.begin()
    const answer = await withTimeout(
      repeated(question, ATTEMPTS).then(
        (value) => ({ value }),
        () => undefined,
      ),
      ANSWER_TIMEOUT,
    )
    if (answer) return answer.value
    // A time limit that passed during a standstill says nothing about the publisher.
    if (!this.standstill.failed(attempt)) return await this.tryAsk(question)
    this.retryAt = clock.monotonic() + RETRY_AFTER
    return undefined
  }

  private async run(): Promise<void> {
    const { clock, log, startupGrace = STARTUP_GRACE, target } = this.options
    const startedAt = clock.monotonic()
    let isLost = false
    while (this.running) {
      try {
        if (!(await this.pollOnce())) continue
        if (isLost) log.info({ event: 'feed.resumed', target, seq: this.seq })
        isLost = false
      } catch (error) {
        const isStarting = !Number.isFinite(this.currentAt) && clock.monotonic() - startedAt < startupGrace
        if (!isLost && !isStarting && this.running) {
          isLost = true
          log.warn({ event: 'feed.lost', target, err: error })
        }
        if (this.running) await sleep(RETRY_AFTER)
      }
    }
  }

  /** Polls once and applies the page. @returns whether the page was complete */
  private async pollOnce(): Promise<boolean> {
    const { clock } = this.options
    const [sentAt, before, attempt] = [clock.monotonic(), this.seq, this.standstill.begin()]
    const page = await this.options.poll(before, this.epoch).catch((error) => {
      this.standstill.failed(attempt)
      throw error
    })
    this.answeredAt = clock.monotonic()
    this.options.apply(page)
    this.epoch = page.epoch
    this.seq = page.seq
    if (!page.complete) return false
    this.currentAt = sentAt
    this.standstill.answered(attempt)
    this.resolveFirstPage()
    // An empty page should have been held. If it was not, a pause keeps this loop from spinning.
    const wasHeld = clock.monotonic() - sentAt > NOT_HELD
    if (!wasHeld && page.seq === before) await sleep(NOT_HELD)
    return true
  }
}
