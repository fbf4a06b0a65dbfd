import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import { Problem } from '../problem.ts'
import { Signal, withTimeout } from '../timeout.ts'
import { SubjectBackoff } from './backoff.ts'

/** A message from one service to another. It is written in the transaction of the change that it reports. */
export interface NewNotice {
  target: string
  kind: string
  /** The user whom the notice is about. Notices about one subject arrive in the order in which they were written. */
  subject: string
  payload: Record<string, unknown>
}

export interface Notice extends NewNotice {
  seq: number
}

export interface OutboxStore {
  /** The oldest notices for a target, except those about the subjects `without`. */
  pendingNotices(target: string, limit: number, without?: readonly string[]): Promise<Notice[]>
  /** The oldest notices for a target about these subjects. */
  noticesAbout(target: string, subjects: readonly string[], limit: number): Promise<Notice[]>
  hasNotice(target: string, subject: string): Promise<boolean>
  acknowledgeNotices(seqs: number[]): Promise<void>
  countNotices(): Promise<number>
}

/** Sends notices about different subjects in one call. */
export interface BatchSender {
  /** Whether a notice can be part of a batch. */
  accepts(notice: Notice): boolean
  /** Sends a batch with at most one notice about each subject. If it fails, the notices are sent one by one. */
  send(notices: Notice[]): Promise<void>
}

interface OutboxOptions {
  target: string
  store: OutboxStore
  /** Sends one notice. Resolves when the target has acknowledged it. A notice may be sent twice. */
  send(notice: Notice): Promise<void>
  /** For kinds of notices that come in thousands. */
  batch?: BatchSender
  clock: Clock
  log: Log
}

/** Subjects whose notices are sent at the same time. */
const CONCURRENCY = 16
/** Notices that are read at once. */
const PAGE = 500
/** Milliseconds of the pause after the target could not be reached; it doubles up to `LONGEST_PAUSE`. */
const FIRST_PAUSE = 25
const LONGEST_PAUSE = 500
/**
 * Milliseconds after which it looks for notices that nobody has announced. A commit may take place although the
 * connection to the database breaks before its answer: then the writer does not know of its notices.
 */
const LONGEST_SLEEP = 1000

type Outcome = 'delivered' | 'refused' | 'unreachable'

/** The acknowledgements of notices about a subject. */
interface Acks {
  signal: Signal
  /** How many there were. */
  count: number
  /** How many wait for one. */
  callers: number
}

/**
 * Delivers the notices for one target until it has acknowledged them: across restarts of either side, in order per
 * subject, several subjects at once. A subject whose notice fails is retried with backoff, so that any number of failing
 * subjects does not hold up the others.
 */
export class Outbox {
  private running = false
  private loop: Promise<void> = Promise.resolve()
  private wakeUp = Promise.withResolvers<void>()
  private pause = FIRST_PAUSE
  private readonly backoff: SubjectBackoff
  /** By subject, while somebody is in `waitForDelivery`. */
  private readonly acks = new Map<string, Acks>()

  constructor(private readonly options: OutboxOptions) {
    this.backoff = new SubjectBackoff(options.clock)
  }

  start(): void {
    this.running = true
    this.loop = this.run()
  }

  async stop(): Promise<void> {
    this.running = false
    this.wake()
    await this.loop
  }

  /** Looks for new notices at once. To be called after a notice was written. */
  wake(): void {
    this.pause = FIRST_PAUSE
    this.wakeUp.resolve()
  }

  /**
   * Resolves when no notice about `subject` is pending, or after `patience` milliseconds. A notice that is still pending
   * then is delivered later.
   */
  async waitForDelivery(subject: string, patience: number): Promise<void> {
    const { clock, store, target } = this.options
    const deadline = clock.monotonic() + patience
    const acks = this.acks.get(subject) ?? { signal: new Signal(), count: 0, callers: 0 }
    this.acks.set(subject, acks)
    acks.callers++
    try {
      for (;;) {
        const { count } = acks
        if (!(await store.hasNotice(target, subject))) return
        const remaining = deadline - clock.monotonic()
        if (remaining <= 0) return
        this.wake()
        // A notice that was acknowledged while the store was read gives no further signal.
        if (acks.count === count) await acks.signal.next(remaining)
      }
    } finally {
      acks.callers--
      if (acks.callers === 0) this.acks.delete(subject)
    }
  }

  /**
   * Delivers every pending notice, those in backoff too.
   * @returns true when only refused notices are left; false after `patience` milliseconds
   */
  async drain(patience: number): Promise<boolean> {
    const { clock, store, target } = this.options
    const deadline = clock.monotonic() + patience
    this.backoff.clear()
    while (clock.monotonic() < deadline) {
      if ((await store.pendingNotices(target, 1, this.backoff.refused())).length === 0) return true
      this.wake()
      await Bun.sleep(10)
    }
    return false
  }

  private async run(): Promise<void> {
    const { log, target } = this.options
    while (this.running) {
      // Before the notices are read: a `wake` from now on ends the next sleep.
      this.wakeUp = Promise.withResolvers()
      try {
        const waiting = this.backoff.waiting()
        const notices = await this.nextNotices(waiting)
        if (notices.length === 0) await this.sleep(this.backoff.keepOnly(waiting))
        else if (await this.deliver(notices)) this.pause = FIRST_PAUSE
        else await this.rest()
      } catch (error) {
        log.error({ event: 'outbox.failed', target, err: error })
        await this.rest()
      }
    }
  }

  /** The next notices: first those that a caller waits for, so that thousands of others do not hold them up. */
  private async nextNotices(waiting: string[]): Promise<Notice[]> {
    const { store, target } = this.options
    const inBackoff = new Set(waiting)
    const subjects = [...this.acks.keys()].filter((subject) => !inBackoff.has(subject)).slice(0, CONCURRENCY)
    const urgent = subjects.length > 0 ? await store.noticesAbout(target, subjects, PAGE) : []
    const urgentSeqs = new Set(urgent.map(({ seq }) => seq))
    const oldest = await store.pendingNotices(target, PAGE, waiting)
    return [...urgent, ...oldest.filter(({ seq }) => !urgentSeqs.has(seq))]
  }

  /** Pauses after a failure, longer each time. A new notice ends the pause. */
  private async rest(): Promise<void> {
    const { pause } = this
    this.pause = Math.min(pause * 2, LONGEST_PAUSE)
    await this.sleep(pause)
  }

  /** Resolves at the next `wake`, or after `ms` milliseconds, but at most `LONGEST_SLEEP`. */
  private async sleep(ms: number): Promise<void> {
    await withTimeout(this.wakeUp.promise, Math.min(Math.max(0, ms), LONGEST_SLEEP))
  }

  /** Delivers notices, in order per subject. @returns false when the target cannot be reached */
  private async deliver(notices: Notice[]): Promise<boolean> {
    let queues = [...Map.groupBy(notices, ({ subject }) => subject).values()]
    let remaining = await this.deliverBatch(queues)
    while (remaining !== queues) {
      queues = remaining
      remaining = await this.deliverBatch(queues)
    }
    let isReachable = true
    const worker = async () => {
      for (let queue = queues.shift(); queue && isReachable; queue = queues.shift())
        if ((await this.deliverQueue(queue)) === 'unreachable') isReachable = false
    }
    await Promise.all(Array.from({ length: CONCURRENCY }, worker))
    return isReachable
  }

  /** Delivers the first notice of each subject in one call. @returns the remaining queues; the same array if none was sent */
  private async deliverBatch(queues: Notice[][]): Promise<Notice[][]> {
    const { batch, log, target } = this.options
    const notices = queues.flatMap(([first]) => (first && batch?.accepts(first) ? [first] : []))
    if (!batch || notices.length < 2) return queues
    try {
      await batch.send(notices)
    } catch (error) {
      log.debug({ event: 'outbox.apart', target, err: error })
      return queues
    }
    await this.acknowledge(notices)
    const delivered = new Set(notices)
    return queues.map((queue) => queue.filter((notice) => !delivered.has(notice))).filter((queue) => queue.length > 0)
  }

  /** Delivers the notices about one subject, up to the first that fails. */
  private async deliverQueue(notices: Notice[]): Promise<Outcome> {
    const { log, send, target } = this.options
    const subject = notices[0]?.subject ?? ''
    const delivered: Notice[] = []
    let outcome: Outcome = 'delivered'
    for (const notice of notices) {
      try {
        await send(notice)
        delivered.push(notice)
      } catch (error) {
        // A refusal is a defect of this notice. It is kept and retried, and the log reports it.
        outcome = error instanceof Problem && error.status < 500 ? 'refused' : 'unreachable'
        log[outcome === 'refused' ? 'error' : 'debug']({ event: 'outbox.refused', target, userId: subject, err: error })
        break
      }
    }
    if (delivered.length > 0) await this.acknowledge(delivered)
    if (outcome !== 'delivered') this.backoff.failed(subject, outcome === 'refused')
    return outcome
  }

  private async acknowledge(notices: Notice[]): Promise<void> {
    await this.options.store.acknowledgeNotices(notices.map(({ seq }) => seq))
    for (const { subject } of notices) {
      this.backoff.delivered(subject)
      const acks = this.acks.get(subject)
      if (!acks) continue
      acks.count++
      acks.signal.notify()
    }
  }
}
