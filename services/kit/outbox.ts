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
  /** The oldest notices for a target. */
  pendingNotices(target: string, limit: number): Promise<Notice[]>
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

/**
 * Tells one target what is waiting for it until it has acknowledged it: across restarts of either, in order per
 * subject, several subjects at once. A subject whose notice is refused waits without holding up the others.
 */
export class Outbox {
  private running = false
  private loop: Promise<void> = Promise.resolve()
  private wake = Promise.withResolvers<void>()
  private pause = FIRST_PAUSE
  private readonly watchers = new Map<string, Set<() => void>>()

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

  /** Resolves with true when nothing is waiting any more, with false after `patience` milliseconds. */
  async drained(patience: number): Promise<boolean> {
    const { clock, store, target } = this.options
    const end = clock.monotonic() + patience
    while (clock.monotonic() < end) {
      if ((await store.pendingNotices(target, 1)).length === 0) return true
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
        const notices = await store.pendingNotices(target, BATCH)
        const told = await this.tell(notices)
        if (notices.length > 0 && told === notices.length) {
          this.pause = FIRST_PAUSE
          continue
        }
        if (notices.length === 0) await this.wake.promise
        else await this.rest()
      } catch (error) {
        log.error({ event: 'outbox.failed', target, err: error })
        await this.rest()
      }
    }
  }

  /** Growing pauses while the target doesn't answer; a new notice ends one. */
  private async rest(): Promise<void> {
    const { pause } = this
    this.pause = Math.min(pause * 2, LONGEST_PAUSE)
    let timer: ReturnType<typeof setTimeout> | undefined
    await Promise.race([
      this.wake.promise,
      new Promise((resolve) => {
        timer = setTimeout(resolve, pause)
      }),
    ])
    clearTimeout(timer)
  }

  /** Tells the notices, subject by subject; returns how many were acknowledged. */
  private async tell(notices: Notice[]): Promise<number> {
    const bySubject = Map.groupBy(notices, ({ subject }) => subject)
    const queues = [...bySubject.values()]
    let told = 0
    let unreachable = false
    const worker = async () => {
      for (let queue = queues.shift(); queue && !unreachable; queue = queues.shift()) {
        const outcome = await this.tellSubject(queue)
        told += outcome.told
        unreachable ||= outcome.unreachable
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, worker))
    return told
  }

  private async tellSubject(notices: Notice[]): Promise<{ told: number; unreachable: boolean }> {
    const { log, send, store, target } = this.options
    const acknowledged: number[] = []
    let unreachable = false
    for (const notice of notices) {
      try {
        await send(notice)
        acknowledged.push(notice.seq)
      } catch (error) {
        // Refused: a defect, or keys that differ. Kept and tried again; the log says so.
        unreachable = !(error instanceof Problem) || error.status >= 500
        const level = unreachable ? 'debug' : 'error'
        log[level]({ event: 'outbox.refused', target, userId: notice.subject, err: error })
        break
      }
    }
    if (acknowledged.length > 0) {
      await store.acknowledgeNotices(acknowledged)
      for (const resolve of this.watchers.get(notices[0]?.subject ?? '') ?? []) resolve()
    }
    return { told: acknowledged.length, unreachable }
  }
}
