import { type Clock, HOUR, MINUTE, SECOND } from '../../kit/clock.ts'
import type { Log } from '../../kit/log.ts'
import type { Nodes } from '../../kit/nodes/nodes.ts'
import { withTimeout } from '../../kit/timeout.ts'
import type { AttemptResult, Delivery, DeliveryStore } from '../store/index.ts'
import type { DeliveryOutcomeName } from './outcome.ts'

/** The outcome of an attempt: what the deliverer does next follows from it. `status`: the HTTP status, if there is one. */
export type DeliveryOutcome = { delivered: true; status: number | null } | (FailedAttempt & { delivered: false })

interface FailedAttempt extends AttemptResult {
  error: string
  /** Milliseconds until the next attempt; null when it must not be retried. */
  retryIn: number | null
  /** Set when other deliveries to this target would fail too. */
  unreachable?: true
  /** Set when the receiver permanently refuses further events. */
  unsubscribed?: true
}

interface DelivererOptions {
  /** The id of a webhook, or `amqp`. */
  target: string
  store: DeliveryStore
  /** The nodes that share the store: one of them at a time delivers to a target. Absent: this one is alone. */
  nodes?: Nodes | undefined
  clock: Clock
  log: Log
  /** How many deliveries may be under way at once. */
  atOnce: number
  /**
   * True: delivers each user's events in the order in which they were stored; a failed one holds up that user's later
   * ones. False: later events overtake a failed one.
   */
  inOrder: boolean
  /** Makes one attempt. An event may arrive twice: the service may stop before the result is recorded. */
  send(delivery: Delivery, signal: AbortSignal): Promise<DeliveryOutcome>
  /** Called when the receiver permanently refuses further events. */
  unsubscribed?(): Promise<void>
  /** Counts the outcome of an attempt, for the metrics. */
  count?(outcome: DeliveryOutcomeName): void
}

/** The number of deliveries that are read at once: due ones, and the oldest ones for delivery in order. */
const READ_DUE = 64
const READ_IN_ORDER = 256
const FIRST_BACKOFF = SECOND / 4
const LONGEST_BACKOFF = 15 * SECOND
/** The longest pause between two reads of the store: the clock may be set, which makes deliveries due. */
const LONGEST_PAUSE = MINUTE
/** The longest delay between two attempts of one delivery. A later time was set by a clock that ran ahead. */
const LONGEST_RETRY = 12 * HOUR
/** The interval in which equal failures are logged once: the list of deliveries has the result of each. */
const LOGGED_EVERY = SECOND
/** How long a stop waits for deliveries that are under way. They are sent again after the next start. */
const STOP_PATIENCE = 3 * SECOND

/** The longest time until a node sees that it delivers to a target again, in milliseconds. */
const WITHOUT_LEASE = 250
/** The outcome of an attempt that this node did not make, because another one may. */
const NOT_MADE: DeliveryOutcome = { delivered: false, status: null, error: 'not_made', retryIn: 0 }

/** Delivers the events of one target, several at once, and retries each until it is delivered or given up. */
export class Deliverer {
  private isRunning = false
  private loop: Promise<void> = Promise.resolve()
  private wakeUp = Promise.withResolvers<void>()
  private backoff = FIRST_BACKOFF
  private backoffEnds = Promise.withResolvers<void>()
  /** Attempts that are under way, by user: one per user at a time, so that events that are due together stay in order. */
  private readonly attempts = new Map<string, Promise<unknown>>()
  private readonly abort = new AbortController()
  /** Until when a kind of failure is not logged again; monotonic milliseconds. */
  private readonly quietUntil = new Map<string, number>()

  private readonly lease: string
  private endListening = () => {}

  constructor(private readonly options: DelivererOptions) {
    this.lease = `deliveries to ${options.target}`
  }

  /** Whether this node delivers to the target. */
  get holdsTarget(): boolean {
    return this.options.nodes?.holds(this.lease) ?? true
  }

  /** Starts to deliver, as soon as no other node does. */
  start(): void {
    const { nodes } = this.options
    this.isRunning = true
    this.endListening = nodes?.onChange(() => this.wake()) ?? this.endListening
    nodes?.claim(this.lease).then(() => this.wake())
    this.loop = this.run()
  }

  /** Waits briefly for deliveries that are under way, then aborts them. */
  async stop(): Promise<void> {
    this.isRunning = false
    this.backoffEnds.resolve()
    this.wake()
    await withTimeout(Promise.all([this.loop, ...this.attempts.values()]), STOP_PATIENCE)
    this.abort.abort()
    this.endListening()
    await this.options.nodes?.release(this.lease)
  }

  /** Makes the deliverer read the store again: a delivery became due. */
  wake(): void {
    this.wakeUp.resolve()
  }

  /** Delivers events as they become due, until `stop`. */
  private async run(): Promise<void> {
    const { inOrder, log, target } = this.options
    while (this.isRunning) {
      this.wakeUp = Promise.withResolvers()
      if (!this.holdsTarget) {
        await withTimeout(this.wakeUp.promise, WITHOUT_LEASE)
        continue
      }
      let pause: number
      try {
        pause = await (inOrder ? this.deliverInOrder() : this.deliverDue())
      } catch (error) {
        // The disk is full, or fails.
        log.error({ event: 'delivery.failed', target, err: error })
        await Bun.sleep(SECOND)
        continue
      }
      if (pause > 0) await withTimeout(this.wakeUp.promise, pause)
    }
  }

  /** Begins as many due deliveries as may run at once. Returns how long nothing else is due, in milliseconds. */
  private async deliverDue(): Promise<number> {
    const { atOnce, clock, store, target } = this.options
    if (this.attempts.size >= atOnce) return LONGEST_PAUSE
    const now = clock.now()
    // An attempt may end while the store is read: what was read may then still have its delivery as due.
    const underWay = new Set(this.attempts.keys())
    for (const delivery of await store.deliveriesDue(target, now, now + LONGEST_RETRY, READ_DUE)) {
      if (this.attempts.size >= atOnce) break
      const { userId } = delivery.event
      if (!underWay.has(userId) && !this.attempts.has(userId)) this.begin(delivery)
    }
    const next = await store.nextDelivery(target, now)
    return next === null ? LONGEST_PAUSE : Math.min(Math.max(next - clock.now(), 1), LONGEST_PAUSE)
  }

  /** Begins an attempt in the background. */
  private begin(delivery: Delivery): void {
    const { log, target } = this.options
    const attempt = this.attempt(delivery)
      .catch(async (error) => {
        // The result could not be recorded: the delivery is still due, and would be sent again at once.
        if (this.isRunning) log.error({ event: 'delivery.failed', target, err: error })
        await Bun.sleep(SECOND)
      })
      .finally(() => {
        this.attempts.delete(delivery.event.userId)
        this.wake()
      })
    this.attempts.set(delivery.event.userId, attempt)
  }

  /**
   * Delivers the oldest events: several users at once, each user's in order until one of them fails. Returns the pause
   * before the next round, in milliseconds.
   */
  private async deliverInOrder(): Promise<number> {
    const { atOnce, store, target } = this.options
    const oldest = await store.oldestDeliveries(target, READ_IN_ORDER)
    if (oldest.length === 0) return LONGEST_PAUSE
    const queues = [...Map.groupBy(oldest, ({ event }) => event.userId).values()]
    let isUnreachable = false
    let hasFailed = false
    const worker = async () => {
      for (let queue = queues.shift(); queue && !isUnreachable && this.isRunning; queue = queues.shift()) {
        const outcome = await this.deliverQueue(queue)
        if (!outcome.delivered) hasFailed = true
        if (!outcome.delivered && outcome.unreachable) isUnreachable = true
      }
    }
    await Promise.all(Array.from({ length: atOnce }, worker))
    if (hasFailed) await this.backOff()
    else this.backoff = FIRST_BACKOFF
    return 0
  }

  /** Waits before the next round. New events do not end the wait: each would cause one more failing attempt. */
  private async backOff(): Promise<void> {
    const pause = this.backoff
    this.backoff = Math.min(pause * 2, LONGEST_BACKOFF)
    if (!this.isRunning) return
    this.backoffEnds = Promise.withResolvers()
    await withTimeout(this.backoffEnds.promise, pause)
  }

  /** Delivers one user's events until one fails. Returns the last outcome. */
  private async deliverQueue(queue: Delivery[]): Promise<DeliveryOutcome> {
    let outcome: DeliveryOutcome = { delivered: true, status: null }
    for (const delivery of queue) {
      outcome = await this.attempt(delivery)
      if (!outcome.delivered || !this.isRunning) break
    }
    return outcome
  }

  /** Makes one attempt and records its result. */
  private async attempt(delivery: Delivery): Promise<DeliveryOutcome> {
    const { clock, count, log, nodes, send, store, target } = this.options
    // A webhook that was deleted gets nothing more, although its deliveries were read before.
    if (!this.isRunning || !this.holdsTarget) return NOT_MADE
    const outcome = await send(delivery, this.abort.signal)
    // An attempt that a stop aborted shows nothing about the receiver.
    if (this.abort.signal.aborted) return outcome
    const { status } = outcome
    const { event, tries } = delivery
    const attempted = nodes?.isShared ? { ...delivery, lease: this.lease } : delivery
    const fields = { target, id: event.id, tries: tries + 1, ...(status === null ? {} : { status }) }
    if (outcome.delivered) {
      await store.finishDelivery(attempted, 'delivered', { status, error: null }, clock.now())
      count?.('delivered')
      log.debug({ event: 'delivery.delivered', ...fields })
      return outcome
    }
    const { error, retryIn } = outcome
    if (retryIn === null) await store.finishDelivery(attempted, 'dead', { status, error }, clock.now())
    else await store.postponeDelivery(attempted, clock.now() + retryIn, { status, error })
    count?.(retryIn === null ? 'dead' : 'postponed')
    const logEvent = retryIn === null ? 'delivery.dead' : 'delivery.postponed'
    // That the target is unreachable is logged once, when the connection is lost.
    const level = outcome.unreachable || this.isRepeated(logEvent) ? 'debug' : 'warn'
    log[level]({ event: logEvent, ...fields, code: error })
    if (outcome.unsubscribed) await this.options.unsubscribed?.()
    return outcome
  }

  /** Whether this was logged a moment ago. While a receiver is down, thousands of failures would flood the log. */
  private isRepeated(logEvent: string): boolean {
    const now = this.options.clock.monotonic()
    if (now < (this.quietUntil.get(logEvent) ?? Number.NEGATIVE_INFINITY)) return true
    this.quietUntil.set(logEvent, now + LOGGED_EVERY)
    return false
  }
}
