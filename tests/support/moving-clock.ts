import { type Clock, systemClock } from '../../services/kit/clock.ts'

export interface MovingClock extends Clock {
  /** Lets this many milliseconds pass at once. A negative number sets the clock back. */
  pass(ms: number): void
}

/** The clock of the machine, which a test can move. Its monotonic time cannot be moved. */
export function movingClock(): MovingClock {
  let ahead = 0
  return {
    now: () => systemClock.now() + ahead,
    monotonic: systemClock.monotonic,
    pass(ms) {
      ahead += ms
    },
  }
}
