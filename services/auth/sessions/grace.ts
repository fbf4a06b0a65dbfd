import type { Clock } from '../../kit/clock.ts'
import type { Log } from '../../kit/log.ts'
import type { AuthStore } from '../store/index.ts'

const EVERY = 1000

/**
 * While a spent refresh token may still be answered again, the time is written down each second: after a crash its
 * grace goes on from there, and neither begins anew nor has run out while the service was down.
 */
export class GraceHeartbeat {
  private timer: ReturnType<typeof setInterval> | undefined
  private until = 0

  constructor(
    private readonly store: AuthStore,
    private readonly clock: Clock,
    private readonly log: Log,
    /** Milliseconds. */
    private readonly grace: number,
  ) {}

  /** A token was spent: its grace runs from now. */
  start(): void {
    this.until = this.clock.monotonic() + this.grace + EVERY
    this.timer ??= setInterval(() => this.beat(), EVERY)
  }

  stop(): void {
    clearInterval(this.timer)
    this.timer = undefined
  }

  private beat(): void {
    if (this.clock.monotonic() > this.until) this.stop()
    this.store.recordHeartbeat(this.clock.now()).catch((error) => this.log.error({ event: 'alive.failed', err: error }))
  }
}
