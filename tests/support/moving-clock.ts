import { type Clock, systemClock } from '../../services/kit/clock.ts'

export interface MovingClock extends Clock {
  /** Lets this many milliseconds pass at once. A negative number sets the clock back. */
  pass(ms: number): void
  /** Calls `listener` now and after each `pass` with how many milliseconds the clock is ahead of that of the machine. */
  follow(listener: (ahead: number) => void): void
}

/** The clock of the machine, which a test can move. Its monotonic time cannot be moved. */
export function movingClock(): MovingClock {
  let ahead = 0
  const listeners: ((ahead: number) => void)[] = []
  return {
    now: () => systemClock.now() + ahead,
    monotonic: systemClock.monotonic,
    pass(ms) {
      ahead += ms
      for (const listener of listeners) listener(ahead)
    },
    follow(listener) {
      listeners.push(listener)
      listener(ahead)
    },
  }
}

export function isMovingClock(clock: Clock): clock is MovingClock {
  return 'follow' in clock
}
