import { type Clock, SECOND } from '../../kit/clock.ts'
import type { Log } from '../../kit/log.ts'
import type { SessionStore } from '../store/index.ts'

const EVERY = SECOND

/**
 * Records the time every second while a used refresh token may still be in its grace. After a crash the grace then
 * continues from the last heartbeat: it neither restarts nor runs out while the service is down.
 */
export class GraceHeartbeat {
  private timer: ReturnType<typeof setInterval> | undefined
  /** When the last grace ends; monotonic milliseconds. */
  private until = 0

  constructor(
    private readonly store: SessionStore,
    private readonly clock: Clock,
    private readonly log: Log,
    /** Milliseconds. */
    private readonly grace: number,
  ) {}

  /** Starts the heartbeat, or prolongs it: a token was used, and its grace starts now. */
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
