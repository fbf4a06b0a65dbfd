/** Milliseconds between two signs of life. */
const TICK = 100
/** Milliseconds without a sign of life after which the process stood still: a lease without its last renewal. */
const LONGEST_PAUSE = 600

/**
 * Notices that the process stood still: it was frozen, or too busy to run its timers. Such a process knows nothing of what
 * happened meanwhile, although nobody has cut it off, and time limits have passed without a reason.
 */
export class Standstill {
  private lastSeen: number
  /** How often the process stood still. */
  private count = 0
  /** `count` when the attempt began that was answered last. */
  private known = 0
  /** Whether an attempt has failed since, before the process stood still. */
  private isCutOff = false
  private timer: ReturnType<typeof setInterval> | undefined

  /** @param now monotonic milliseconds. Not those of a clock that a test sets: it stands still while the process runs */
  constructor(private readonly now = () => performance.now()) {
    this.lastSeen = now()
  }

  start(): void {
    this.lastSeen = this.now()
    this.timer = setInterval(() => this.look(), TICK)
  }

  stop(): void {
    clearInterval(this.timer)
    this.timer = undefined
  }

  /** Whether the process stood still since the last answer, and was not cut off before: its memory must not decide. */
  get mustAsk(): boolean {
    this.look()
    return this.count !== this.known && !this.isCutOff
  }

  /** Begins an attempt to get an answer. @returns its number, for `answered` and `failed` */
  begin(): number {
    this.look()
    return this.count
  }

  answered(attempt: number): void {
    this.known = attempt
    this.isCutOff = false
  }

  /** @returns whether the failure says something: the process did not stand still during the attempt */
  failed(attempt: number): boolean {
    this.look()
    if (this.count !== attempt) return false
    if (this.count === this.known) this.isCutOff = true
    return true
  }

  /** Code that runs before the timer does, after a standstill, notices it too. */
  private look(): void {
    if (this.timer === undefined) return
    const now = this.now()
    if (now - this.lastSeen > LONGEST_PAUSE) this.count++
    this.lastSeen = now
  }
}
