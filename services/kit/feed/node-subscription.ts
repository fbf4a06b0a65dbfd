import { setTimeout as sleep } from 'node:timers/promises'
import type { Clock } from '../clock.ts'
import { DatabaseUnavailable } from '../database-unavailable.ts'
import type { Log } from '../log.ts'
import { withTimeout } from '../timeout.ts'
import { SharedRuns } from './shared-runs.ts'
import { Standstill } from './standstill.ts'
import type { Acknowledgement, StoredSubscribers } from './stored-subscribers.ts'
import { FEED_LEASE } from './subscriber.ts'

export interface NodeSubscriptionOptions {
  /** Identifies this run of this node, among the subscribers. */
  name: string
  subscribers: StoredSubscribers
  /**
   * Reads and applies what was published since the last time. Resolves with the number of the last change.
   * @param poll must be at the server that is read
   */
  catchUp(poll?: Acknowledgement): Promise<number>
  clock: Clock
  log: Log
}

/** Milliseconds between two reads of what other nodes published. */
export const READ_EVERY = 25
/** Milliseconds between two renewals of the lease. */
export const RENEW_EVERY = 300
/** Milliseconds between a failed read and the next. */
const RETRY_AFTER = 100
/** Milliseconds without an answer of the database after which no question waits for it. */
const ANSWER_TIMEOUT = 1000

/**
 * Subscribes a node to the feed that it publishes together with other nodes: it applies what they publish, acknowledges
 * it, and holds a lease as every subscriber does. A node that lost its lease asks the database.
 */
export class NodeSubscription {
  private readonly renewals = new SharedRuns(() => this.renew())
  /** The last change that the last acknowledgement contained. */
  private acked = -1
  /** The last change that was applied. */
  private last = 0
  /** When the acknowledgement was sent that the last read followed. Monotonic milliseconds. */
  private currentAt = Number.NEGATIVE_INFINITY
  /** When the subscribers were last read. Monotonic milliseconds. */
  private subscribersReadAt = Number.NEGATIVE_INFINITY
  private readonly standstill = new Standstill()
  /** The last failure of `catchUp`, and until when it is not tried again. Monotonic milliseconds. */
  private failure: { error: unknown; until: number } | undefined
  /** The first attempt since the database answered last: when it began, in monotonic milliseconds, and its number. */
  private unanswered: { since: number; attempt: number } | undefined
  private running = false
  private loop: Promise<void> = Promise.resolve()

  constructor(private readonly options: NodeSubscriptionOptions) {}

  start(): void {
    this.running = true
    this.standstill.start()
    this.loop = this.run()
  }

  /** Ends the subscription of a node that checks no token any more. */
  async stop(): Promise<void> {
    this.running = false
    await this.loop
    this.standstill.stop()
    // Otherwise the other nodes wait until the lease has ended.
    await this.options.subscribers.leave(this.options.name).catch(() => undefined)
  }

  /** Milliseconds since the node was last known to be up to date. Infinite before the first time. */
  get staleness(): number {
    return this.options.clock.monotonic() - this.currentAt
  }

  get hasLease(): boolean {
    return this.staleness < FEED_LEASE
  }

  /** Whether the process stood still since it was last up to date: then nothing has cut it off, and it must ask. */
  get mustAsk(): boolean {
    return this.standstill.mustAsk
  }

  /**
   * Applies everything that was published before this call. While the database is silent it does not wait: the request has
   * more to ask, and must be answered in time.
   * @throws DatabaseUnavailable, also without asking the database when it has just failed
   */
  async catchUp(): Promise<void> {
    const { clock } = this.options
    if (this.failure && clock.monotonic() < this.failure.until) throw this.failure.error
    const attempt = this.begin()
    try {
      const isRenewed = await withTimeout(this.renewals.run(), this.patience())
      if (!isRenewed) throw new DatabaseUnavailable('PostgreSQL did not answer in time', 'TIMEOUT')
    } catch (error) {
      // A time limit that passed during a standstill says nothing about the database.
      if (!this.standstill.failed(attempt)) return await this.catchUp()
      this.failure = { error, until: clock.monotonic() + RETRY_AFTER }
      throw error
    }
  }

  private begin(): number {
    const attempt = this.standstill.begin()
    // The time of a standstill is not the database's.
    if (this.unanswered?.attempt !== attempt) this.unanswered = { since: this.options.clock.monotonic(), attempt }
    return attempt
  }

  /** Milliseconds that a question waits for the database. */
  private patience(): number {
    const { clock } = this.options
    return Math.max((this.unanswered?.since ?? clock.monotonic()) + ANSWER_TIMEOUT - clock.monotonic(), 0)
  }

  private async run(): Promise<void> {
    const { log } = this.options
    let isLost = false
    while (this.running) {
      const attempt = this.begin()
      try {
        await this.readOnce()
        await this.readSubscribers()
        this.unanswered = undefined
        if (isLost) log.info({ event: 'feed.resumed', target: 'database' })
        isLost = false
        await sleep(READ_EVERY)
      } catch (error) {
        this.standstill.failed(attempt)
        if (!isLost && this.running) log.warn({ event: 'feed.lost', target: 'database', err: error })
        isLost = true
        if (this.running) await sleep(RETRY_AFTER)
      }
    }
  }

  /** Applies what is new, and acknowledges it at once: whoever published it waits. */
  private async readOnce(): Promise<void> {
    this.last = await this.options.catchUp()
    // The last number is lower than the acknowledged one when the database was set back.
    while (this.last !== this.acked || this.staleness >= RENEW_EVERY) await this.renewals.run()
  }

  /**
   * Reads the subscribers now and then, so that this node knows which of them have stopped polling: a writer then does not
   * wait for their leases from the beginning.
   */
  private async readSubscribers(): Promise<void> {
    const { clock, subscribers } = this.options
    if (clock.monotonic() - this.subscribersReadAt < RENEW_EVERY) return
    this.subscribersReadAt = clock.monotonic()
    await subscribers.read()
  }

  /**
   * Renews the lease: acknowledges in the database what was applied, then reads what is new. The acknowledgement must be
   * written: a server that was replaced, and does not know it, may still be read.
   */
  private async renew(): Promise<true> {
    const { catchUp, clock, name, subscribers } = this.options
    const [acked, sentAt, attempt] = [this.last, clock.monotonic(), this.standstill.begin()]
    const poll = await subscribers.acknowledge(name, acked)
    this.acked = acked
    this.last = await catchUp(poll)
    this.currentAt = sentAt
    this.standstill.answered(attempt)
    this.unanswered = undefined
    return true
  }
}
