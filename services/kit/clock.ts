/** Where a service reads the time; tests pass one that they set. */
export interface Clock {
  /** Wall-clock time in milliseconds since the epoch. May step when an administrator sets the clock. */
  now(): number
  /** Milliseconds that only grow, for intervals and leases. Means nothing outside this process. */
  monotonic(): number
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
}

/** RFC 3339 in UTC, with milliseconds: the form of every time in the API. */
export function timestamp(ms: number): string {
  return new Date(ms).toISOString()
}

export const SECOND = 1000
export const MINUTE = 60 * SECOND
export const HOUR = 60 * MINUTE
export const DAY = 24 * HOUR
