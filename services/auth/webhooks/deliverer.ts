import { type Clock, MINUTE, SECOND } from '../../kit/clock.ts'
import type { Log } from '../../kit/log.ts'
import type { AuthStore, Delivery, Tried } from '../store/index.ts'

/** What a try came to: `retryIn` milliseconds, or null where another would be in vain. `away`: no other would do better. */
export type Outcome = { delivered: true; status: number | null } | (Failed & { delivered: false })

interface Failed extends Tried {
  error: string
  retryIn: number | null
  unreachable?: true
  /** The receiver wants no more, for good. */
  unsubscribed?: true
}

interface DelivererOptions {
  /** The id of a webhook, or `amqp`. */
  target: string
  store: AuthStore
  clock: Clock
  log: Log
  /** How many are on their way at once. */
  atOnce: number
  /** One user's in the order in which they were written, whatever fails; else what fails lets the others pass. */
  inOrder: boolean
  /** Tries once. It may arrive twice: the service may end before it is written down that it did. */
  send(delivery: Delivery, signal: AbortSignal): Promise<Outcome>
  /** The receiver has said that it wants no more. */
  gone?(): Promise<void>
}

/** How many are read at once: of those that are due, and of those that are told in order. */
const READ = 64
const BATCH = 256
const FIRST_PAUSE = SECOND / 4
const LONGEST_PAUSE_AWAY = 15 * SECOND
/** A clock may be set: never longer without a look. */
const LONGEST_PAUSE = MINUTE
/** The longest time between two tries of one delivery. What is due later than that was put off by a clock that ran ahead. */
const LONGEST_RETRY = 12 * 60 * MINUTE
/** One line of the log for all that fails in this time: what became of each is in the list of deliveries. */
const LOGGED_EVERY = SECOND
/** How long a stop waits for what is on its way: it is sent again after the next start. */
const STOP_PATIENCE = 3 * SECOND

/** Sends what is due for one target, several at once, until each is delivered or given up. */
export class Deliverer {
  private running = false
  private loop: Promise<void> = Promise.resolve()
  private wakeUp = Promise.withResolvers<void>()
  private awayPause = FIRST_PAUSE
  /** By user: of each, one at a time, so that what is taken at once comes in order. */
  private readonly underWay = new Map<string, Promise<unknown>>()
  private pausing = Promise.withResolvers<void>()
  private readonly cut = new AbortController()
  /** By what happened; monotonic milliseconds. */
  private readonly quietUntil = new Map<string, number>()

  constructor(private readonly options: DelivererOptions) {}

  start(): void {
    this.running = true
    this.loop = this.work()
  }

  async stop(): Promise<void> {
    this.running = false
    this.pausing.resolve()
    this.wake()
    await rest(STOP_PATIENCE, Promise.all([this.loop, ...this.underWay.values()]))
    this.cut.abort()
  }

  /** Something is due: look again. */
  wake(): void {
    this.wakeUp.resolve()
  }

  private async work(): Promise<void> {
    const { inOrder, log, target } = this.options
    while (this.running) {
      this.wakeUp = Promise.withResolvers()
      let pause: number
      try {
        pause = await (inOrder ? this.deliverInOrder() : this.deliverDue())
      } catch (error) {
        // The disk is full, or fails.
        log.error({ event: 'delivery.failed', target, err: error })
        await Bun.sleep(SECOND)
        continue
      }
      if (pause > 0) await rest(pause, this.wakeUp.promise)
    }
  }

  /** Sends as many as may be on their way; each that ends makes room for another. Gives how long nothing more is due. */
  private async deliverDue(): Promise<number> {
    const { atOnce, clock, store, target } = this.options
    if (this.underWay.size >= atOnce) return LONGEST_PAUSE
    const now = clock.now()
    for (const delivery of await store.deliveriesDue(target, now, now + LONGEST_RETRY, READ)) {
      if (this.underWay.size >= atOnce) break
      if (!this.underWay.has(delivery.event.userId)) this.begin(delivery)
    }
    const next = await store.nextDelivery(target, now)
    return next === null ? LONGEST_PAUSE : Math.min(Math.max(next - clock.now(), 1), LONGEST_PAUSE)
  }

  private begin(delivery: Delivery): void {
    const { log, target } = this.options
    const tried = this.attempt(delivery)
      .catch(async (error) => {
        // It could not be written down: it is due still, and would be sent again at once.
        if (this.running) log.error({ event: 'delivery.failed', target, err: error })
        await Bun.sleep(SECOND)
      })
      .finally(() => {
        this.underWay.delete(delivery.event.userId)
        this.wake()
      })
    this.underWay.set(delivery.event.userId, tried)
  }

  /** Sends the oldest, several users at once; each user's until one of them fails. */
  private async deliverInOrder(): Promise<number> {
    const { atOnce, store, target } = this.options
    const oldest = await store.oldestDeliveries(target, BATCH)
    if (oldest.length === 0) return LONGEST_PAUSE
    const queues = [...Map.groupBy(oldest, ({ event }) => event.userId).values()]
    let away = false
    let failed = false
    const worker = async () => {
      for (let queue = queues.shift(); queue && !away && this.running; queue = queues.shift()) {
        const outcome = await this.deliverQueue(queue)
        if (!outcome.delivered) failed = true
        if (!outcome.delivered && outcome.unreachable) away = true
      }
    }
    await Promise.all(Array.from({ length: atOnce }, worker))
    if (!failed) {
      this.awayPause = FIRST_PAUSE
      return 0
    }
    const pause = this.awayPause
    this.awayPause = Math.min(pause * 2, LONGEST_PAUSE_AWAY)
    if (!this.running) return 0
    // Whatever happens meanwhile: each new event would be one more try in vain.
    this.pausing = Promise.withResolvers()
    await rest(pause, this.pausing.promise)
    return 0
  }

  private async deliverQueue(queue: Delivery[]): Promise<Outcome> {
    let outcome: Outcome = { delivered: true, status: null }
    for (const delivery of queue) {
      outcome = await this.attempt(delivery)
      if (!outcome.delivered || !this.running) break
    }
    return outcome
  }

  /** Tries once, and writes down what it came to. */
  private async attempt(delivery: Delivery): Promise<Outcome> {
    const { clock, log, send, store, target } = this.options
    const { event, tries } = delivery
    const outcome = await send(delivery, this.cut.signal)
    // What was cut off says nothing of the receiver.
    if (this.cut.signal.aborted) return outcome
    const { status } = outcome
    const said = { target, id: event.id, tries: tries + 1, ...(status === null ? {} : { status }) }
    if (outcome.delivered) {
      await store.finishDelivery(delivery, 'delivered', { status, error: null }, clock.now())
      log.debug({ event: 'delivery.delivered', ...said })
      return outcome
    }
    const { error, retryIn } = outcome
    if (retryIn === null) await store.finishDelivery(delivery, 'dead', { status, error }, clock.now())
    else await store.postponeDelivery(delivery, clock.now() + retryIn, { status, error })
    const happened = retryIn === null ? 'delivery.dead' : 'delivery.postponed'
    // Who is away is told of once, where the connection is lost.
    const level = outcome.unreachable || this.isRepeated(happened) ? 'debug' : 'warn'
    log[level]({ event: happened, ...said, code: error })
    if (outcome.unsubscribed) await this.options.gone?.()
    return outcome
  }

  /** Whether it has just been logged: thousands fail at once where a receiver is away, and would push out all else. */
  private isRepeated(happened: string): boolean {
    const now = this.options.clock.monotonic()
    if (now < (this.quietUntil.get(happened) ?? Number.NEGATIVE_INFINITY)) return true
    this.quietUntil.set(happened, now + LOGGED_EVERY)
    return false
  }
}

/** Resolves with `until`, or after so many milliseconds; a process that ends does not wait for these. */
export async function rest(ms: number, until: Promise<unknown>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const passed = new Promise((resolve) => {
    timer = setTimeout(resolve, ms)
  })
  await Promise.race([passed, until])
  clearTimeout(timer)
}
