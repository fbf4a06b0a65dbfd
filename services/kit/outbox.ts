import type { Clock } from './clock.ts'
import type { Log } from './log.ts'
import { Problem } from './problem.ts'

/** Something that one service must tell another: written in the transaction of the change that it speaks of. */
export interface NewNotice {
  target: string
  kind: string
  /** Whom it is about. Notices about one subject arrive in the order in which they were written. */
  subject: string
  payload: Record<string, unknown>
}

export interface Notice extends NewNotice {
  seq: number
}

export interface OutboxStore {
  /** The oldest notices for a target, but for those about the subjects `without`. */
  pendingNotices(target: string, limit: number, without?: readonly string[]): Promise<Notice[]>
  hasNotice(target: string, subject: string): Promise<boolean>
  acknowledgeNotices(seqs: number[]): Promise<void>
  countNotices(): Promise<number>
}

interface OutboxOptions {
  target: string
  store: OutboxStore
  /** Tells one notice. Resolves when the other has acknowledged it; may tell it twice. */
  send(notice: Notice): Promise<void>
  clock: Clock
  log: Log
}

const AT_ONCE = 16
const BATCH = 256
const FIRST_PAUSE = 25
/** A target that comes back hears what it missed within this time. */
const LONGEST_PAUSE = 500
/** What is refused again and again is refused for a reason that takes longer to go away. */
const LONGEST_PAUSE_REFUSED = 30_000

type Outcome = 'told' | 'refused' | 'unreachable'

/** A subject whose notice could not be told: it waits without holding up the others. */
interface SetAside {
  refused: boolean
  pause: number
  /** Monotonic milliseconds. */
  until: number
}

/**
 * Tells one target what is waiting for it until it has acknowledged it: across restarts of either, in order per
 * subject, several subjects at once. A subject whose notice fails is set aside for a while, and longer each time, so
 * that however many fail, the others are told.
 */
export class Outbox {
  private running = false
  private loop: Promise<void> = Promise.resolve()
  private wake = Promise.withResolvers<void>()
  private pause = FIRST_PAUSE
  private readonly watchers = new Map<string, Set<() => void>>()
  private readonly setAside = new Map<string, SetAside>()

  constructor(private readonly options: OutboxOptions) {}

  start(): void {
    this.running = true
    this.loop = this.deliver()
  }

  async stop(): Promise<void> {
    this.running = false
    this.poke()
    await this.loop
  }

  /** Something was written: look again. */
  poke(): void {
    this.pause = FIRST_PAUSE
    this.wake.resolve()
  }

  /**
   * Resolves when nothing about `subject` is waiting any more, or after `patience` milliseconds; then it is told later.
   */
  async told(subject: string, patience: number): Promise<void> {
    const { clock, store, target } = this.options
    const end = clock.monotonic() + patience
    while (await store.hasNotice(target, subject)) {
      const left = end - clock.monotonic()
      if (left <= 0) return
      this.poke()
      await this.acknowledgement(subject, left)
    }
  }

  /** Resolves when something about `subject` was acknowledged, or after `patience` milliseconds. */
  private async acknowledgement(subject: string, patience: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const watchers = this.watchers.get(subject) ?? new Set()
    this.watchers.set(subject, watchers.add(resolve))
    const timer = setTimeout(resolve, patience)
    await promise
    clearTimeout(timer)
    watchers.delete(resolve)
    if (watchers.size === 0) this.watchers.delete(subject)
  }

  /**
   * Tells all that is waiting, what was set aside too. Resolves with true when nothing is left but what is refused
   * still, with false after `patience` milliseconds.
   */
  async drained(patience: number): Promise<boolean> {
    const { clock, store, target } = this.options
    const end = clock.monotonic() + patience
    this.setAside.clear()
    while (clock.monotonic() < end) {
      const refused = [...this.setAside].filter(([, aside]) => aside.refused).map(([subject]) => subject)
      if ((await store.pendingNotices(target, 1, refused)).length === 0) return true
      this.poke()
      await Bun.sleep(10)
    }
    return false
  }

  private async deliver(): Promise<void> {
    const { log, store, target } = this.options
    while (this.running) {
      this.wake = Promise.withResolvers()
      try {
        const waiting = this.waiting()
        const notices = await store.pendingNotices(target, BATCH, waiting)
        if (notices.length === 0) await this.idle(waiting)
        else if (await this.tell(notices)) this.pause = FIRST_PAUSE
        else await this.rest()
      } catch (error) {
        log.error({ event: 'outbox.failed', target, err: error })
        await this.rest()
      }
    }
  }

  /** The subjects that were set aside and whose time has not come. */
  private waiting(): string[] {
    const now = this.options.clock.monotonic()
    return [...this.setAside].filter(([, { until }]) => until > now).map(([subject]) => subject)
  }

  /** Waits for a new notice, or until the time of one that was set aside has come; `waiting` are all there are. */
  private async idle(waiting: string[]): Promise<void> {
    const kept = new Set(waiting)
    let next = Number.POSITIVE_INFINITY
    for (const [subject, { until }] of this.setAside)
      if (kept.has(subject)) next = Math.min(next, until)
      else this.setAside.delete(subject)
    await this.awake(next - this.options.clock.monotonic())
  }

  /** Growing pauses while the target doesn't answer; a new notice ends one. */
  private async rest(): Promise<void> {
    const { pause } = this
    this.pause = Math.min(pause * 2, LONGEST_PAUSE)
    await this.awake(pause)
  }

  /** Resolves at the next poke, or after `patience` milliseconds. */
  private async awake(patience: number): Promise<void> {
    if (patience === Number.POSITIVE_INFINITY) return this.wake.promise
    const timer = setTimeout(this.wake.resolve, Math.max(0, patience))
    await this.wake.promise
    clearTimeout(timer)
  }

  /** Tells the notices, subject by subject. Gives false when the target can't be reached. */
  private async tell(notices: Notice[]): Promise<boolean> {
    const bySubject = Map.groupBy(notices, ({ subject }) => subject)
    const queues = [...bySubject.values()]
    let reached = true
    const worker = async () => {
      for (let queue = queues.shift(); queue && reached; queue = queues.shift())
        if ((await this.tellSubject(queue)) === 'unreachable') reached = false
    }
    await Promise.all(Array.from({ length: AT_ONCE }, worker))
    return reached
  }

  private async tellSubject(notices: Notice[]): Promise<Outcome> {
    const { log, send, store, target } = this.options
    const subject = notices[0]?.subject ?? ''
    const acknowledged: number[] = []
    let outcome: Outcome = 'told'
    for (const notice of notices) {
      try {
        await send(notice)
        acknowledged.push(notice.seq)
      } catch (error) {
        // Refused: a defect of this notice. Kept and tried again; the log says so.
        outcome = error instanceof Problem && error.status < 500 ? 'refused' : 'unreachable'
        log[outcome === 'refused' ? 'error' : 'debug']({ event: 'outbox.refused', target, userId: subject, err: error })
        break
      }
    }
    if (acknowledged.length > 0) {
      await store.acknowledgeNotices(acknowledged)
      for (const resolve of this.watchers.get(subject) ?? []) resolve()
    }
    if (outcome === 'told') this.setAside.delete(subject)
    else this.failed(subject, outcome === 'refused')
    return outcome
  }

  /** Its first pause is longer than the loop's, so that the others come before it is tried again. */
  private failed(subject: string, refused: boolean): void {
    const longest = refused ? LONGEST_PAUSE_REFUSED : LONGEST_PAUSE
    const pause = Math.min((this.setAside.get(subject)?.pause ?? FIRST_PAUSE) * 2, longest)
    this.setAside.set(subject, { refused, pause, until: this.options.clock.monotonic() + pause })
  }
}
