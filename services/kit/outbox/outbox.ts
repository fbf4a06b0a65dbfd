import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import { Problem } from '../problem.ts'

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
  /** The oldest notices for a target about these subjects. */
  noticesAbout(target: string, subjects: readonly string[], limit: number): Promise<Notice[]>
  hasNotice(target: string, subject: string): Promise<boolean>
  acknowledgeNotices(seqs: number[]): Promise<void>
  countNotices(): Promise<number>
}

/** How notices about different subjects are told in one go. */
export interface BatchSender {
  takes(notice: Notice): boolean
  /** As `send`, no two about one subject. When it fails each is told by itself, so that one does not hold up the rest. */
  send(notices: Notice[]): Promise<void>
}

interface OutboxOptions {
  target: string
  store: OutboxStore
  /** Tells one notice. Resolves when the other has acknowledged it; may tell it twice. */
  send(notice: Notice): Promise<void>
  /** For what comes in thousands. */
  together?: BatchSender
  clock: Clock
  log: Log
}

const AT_ONCE = 16
const BATCH = 500
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
    const { log, target } = this.options
    while (this.running) {
      this.wake = Promise.withResolvers()
      try {
        const waiting = this.waiting()
        const notices = await this.next(waiting)
        if (notices.length === 0) await this.idle(waiting)
        else if (await this.tell(notices)) this.pause = FIRST_PAUSE
        else await this.rest()
      } catch (error) {
        log.error({ event: 'outbox.failed', target, err: error })
        await this.rest()
      }
    }
  }

  /** The oldest that wait; before them what someone waits for, so that thousands of others don't hold it up. */
  private async next(waiting: string[]): Promise<Notice[]> {
    const { store, target } = this.options
    const aside = new Set(waiting)
    const subjects = [...this.watchers.keys()].filter((subject) => !aside.has(subject)).slice(0, AT_ONCE)
    const awaited = subjects.length > 0 ? await store.noticesAbout(target, subjects, BATCH) : []
    const first = new Set(awaited.map(({ seq }) => seq))
    const oldest = await store.pendingNotices(target, BATCH, waiting)
    return [...awaited, ...oldest.filter(({ seq }) => !first.has(seq))]
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

  /** Tells the notices, in order per subject. Gives false when the target can't be reached. */
  private async tell(notices: Notice[]): Promise<boolean> {
    const bySubject = Map.groupBy(notices, ({ subject }) => subject)
    let queues: Notice[][]
    let left = [...bySubject.values()]
    do {
      queues = left
      left = await this.tellTogether(queues)
    } while (left !== queues)
    let reached = true
    const worker = async () => {
      for (let queue = queues.shift(); queue && reached; queue = queues.shift())
        if ((await this.tellSubject(queue)) === 'unreachable') reached = false
    }
    await Promise.all(Array.from({ length: AT_ONCE }, worker))
    return reached
  }

  /** Tells what can be told in one go: of each subject the first. Gives what is left to tell; if nothing was, the same. */
  private async tellTogether(queues: Notice[][]): Promise<Notice[][]> {
    const { log, target, together } = this.options
    const firsts = queues.flatMap(([first]) => (first && together?.takes(first) ? [first] : []))
    if (!together || firsts.length < 2) return queues
    try {
      await together.send(firsts)
    } catch (error) {
      log.debug({ event: 'outbox.apart', target, err: error })
      return queues
    }
    await this.acknowledge(firsts)
    const told = new Set(firsts)
    return queues.map((queue) => queue.filter((notice) => !told.has(notice))).filter((queue) => queue.length > 0)
  }

  private async tellSubject(notices: Notice[]): Promise<Outcome> {
    const { log, send, target } = this.options
    const subject = notices[0]?.subject ?? ''
    const acknowledged: Notice[] = []
    let outcome: Outcome = 'told'
    for (const notice of notices) {
      try {
        await send(notice)
        acknowledged.push(notice)
      } catch (error) {
        // Refused: a defect of this notice. Kept and tried again; the log says so.
        outcome = error instanceof Problem && error.status < 500 ? 'refused' : 'unreachable'
        log[outcome === 'refused' ? 'error' : 'debug']({ event: 'outbox.refused', target, userId: subject, err: error })
        break
      }
    }
    if (acknowledged.length > 0) await this.acknowledge(acknowledged)
    if (outcome !== 'told') this.failed(subject, outcome === 'refused')
    return outcome
  }

  private async acknowledge(notices: Notice[]): Promise<void> {
    await this.options.store.acknowledgeNotices(notices.map(({ seq }) => seq))
    for (const { subject } of notices) {
      this.setAside.delete(subject)
      for (const resolve of this.watchers.get(subject) ?? []) resolve()
    }
  }

  /** Its first pause is longer than the loop's, so that the others come before it is tried again. */
  private failed(subject: string, refused: boolean): void {
    const longest = refused ? LONGEST_PAUSE_REFUSED : LONGEST_PAUSE
    const pause = Math.min((this.setAside.get(subject)?.pause ?? FIRST_PAUSE) * 2, longest)
    this.setAside.set(subject, { refused, pause, until: this.options.clock.monotonic() + pause })
  }
}
