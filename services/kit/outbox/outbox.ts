import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import type { Nodes } from '../nodes/nodes.ts'
import { Problem } from '../problem.ts'
import { Signal, withTimeout } from '../timeout.ts'
import { SubjectBackoff } from './backoff.ts'
import type { Waiting } from './waiting.ts'

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

/**
 * Notices that are not acknowledged. The node that writes one owns it, until it dies. A node delivers its own, except those
 * that are behind an older one about the same subject which another node owns.
 */
export interface OutboxStore {
  /** The oldest notices for a target that this node may deliver, except those about the subjects `without`. */
  pendingNotices(target: string, limit: number, without?: readonly string[]): Promise<Notice[]>
  /** The oldest notices for a target about these subjects that this node may deliver. */
  noticesAbout(target: string, subjects: readonly string[], limit: number): Promise<Notice[]>
  /** Whether any node owns a notice about a subject. */
  hasNotice(target: string, subject: string): Promise<boolean>
  /** Whether this node owns a notice of a change or a deletion of a subject, which need not wait for another node. */
  hasState(target: string, subject: string): Promise<boolean>
  /** Whether any node owns a notice, except about the subjects `without`. */
  hasNotices(target: string, without: readonly string[]): Promise<boolean>
  /** Whether this node owns a notice that it may have to wait for. Alone on a database, it has never to wait. */
  ownsNotices(target: string, without: readonly string[]): Promise<boolean>
  /** Takes over the notices of nodes that are gone. */
  takeOverNotices(target: string): Promise<void>
  acknowledgeNotices(seqs: number[]): Promise<void>
  waitingNotices(target: string): Promise<Waiting>
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
  /** The nodes that share the store. Absent: this one is alone. */
  nodes?: Pick<Nodes, 'isShared' | 'isSure' | 'onChange'>
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
/** Milliseconds for which a caller waits at most for a target that can be reached, besides its patience. */
const LONGEST_EXTENSION = 8000
/** Milliseconds after which the store is read again, while a notice of another node must be delivered first. */
const LOOK_AGAIN = 25
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
  /** Whether notices of nodes that are gone may be in the store. */
  private isAbandoned = true
  private endListening = () => {}
  /** By subject, while somebody is in `waitForDelivery`. */
  private readonly acks = new Map<string, Acks>()

  constructor(private readonly options: OutboxOptions) {
    this.backoff = new SubjectBackoff(options.clock)
  }

  start(): void {
    this.running = true
    this.endListening =
      this.options.nodes?.onChange(() => {
        this.isAbandoned = true
        this.wakeUp.resolve()
      }) ?? this.endListening
    this.loop = this.run()
  }

  async stop(): Promise<void> {
    this.running = false
    this.endListening()
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
   * then is delivered later. One of several nodes waits longer for its changes and deletions while the target can be
   * reached: the first attempts may have met nodes that stand still.
   * @param isReachable whether the target was reached a moment ago
   */
  async waitForDelivery(subject: string, patience: number, isReachable = () => false): Promise<void> {
    const { clock, store, target } = this.options
    const deadline = clock.monotonic() + patience
    const acks = this.acks.get(subject) ?? { signal: new Signal(), count: 0, callers: 0 }
    this.acks.set(subject, acks)
    acks.callers++
    try {
      for (;;) {
        const { count } = acks
        if (!(await store.hasNotice(target, subject))) return
        let remaining = deadline - clock.monotonic()
        if (remaining <= 0) {
          const isExtended = this.isShared && remaining > -LONGEST_EXTENSION && isReachable()
          if (!isExtended || !(await store.hasState(target, subject))) return
          remaining = LOOK_AGAIN
        }
        this.wake()
        // A notice that was acknowledged while the store was read gives no further signal.
        if (acks.count === count) await acks.signal.next(this.isShared ? Math.min(LOOK_AGAIN, remaining) : remaining)
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
      if (!(await store.hasNotices(target, this.backoff.refused()))) return true
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
      if (!this.isSure()) {
        await withTimeout(this.wakeUp.promise, LOOK_AGAIN)
        continue
      }
      try {
        const waiting = this.backoff.waiting()
        await this.takeOver()
        const notices = await this.nextNotices(waiting)
        if (notices.length === 0) await this.sleep(await this.untilNext(waiting))
        else if (await this.deliver(notices)) this.pause = FIRST_PAUSE
        else await this.rest()
      } catch (error) {
        log.error({ event: 'outbox.failed', target, err: error })
        await this.rest()
      }
    }
  }

  private get isShared(): boolean {
    return this.options.nodes?.isShared ?? false
  }

  /** Takes over the notices of nodes that are gone, when there may be some. */
  private async takeOver(): Promise<void> {
    const { store, target } = this.options
    if (!this.isShared || !this.isAbandoned) return
    this.isAbandoned = false
    try {
      await store.takeOverNotices(target)
    } catch (error) {
      this.isAbandoned = true
      throw error
    }
  }

  /** Returns how many milliseconds there is nothing to deliver, unless a new notice is written. */
  private async untilNext(waiting: string[]): Promise<number> {
    const { store, target } = this.options
    const next = this.backoff.keepOnly(waiting)
    // Only the other node notices when it has delivered what must be delivered first.
    return this.isShared && (await store.ownsNotices(target, waiting)) ? Math.min(LOOK_AGAIN, next) : next
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

  /** Whether no other node can have taken over what this one has read. */
  private isSure(): boolean {
    return this.options.nodes?.isSure() ?? true
  }

  /** Delivers the first notice of each subject in one call. @returns the remaining queues; the same array if none was sent */
  private async deliverBatch(queues: Notice[][]): Promise<Notice[][]> {
    const { batch, log, target } = this.options
    const notices = queues.flatMap(([first]) => (first && batch?.accepts(first) ? [first] : []))
    if (!batch || notices.length < 2 || !this.isSure()) return queues
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
      if (!this.isSure()) break
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
