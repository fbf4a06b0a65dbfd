/** The source of time of a service. Tests pass a clock that they set. */
export interface Clock {
  /** Wall-clock time in milliseconds since the epoch. Jumps when an administrator sets the clock. */
  now(): number
  /** Milliseconds that never go back, for intervals and leases. Not comparable between processes. */
  monotonic(): number
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
}

/** Formats a time in RFC 3339, in UTC with milliseconds, as the API shows every time. @param ms since the epoch */
export function timestamp(ms: number): string {
  return new Date(ms).toISOString()
}

export const SECOND = 1000
export const MINUTE = 60 * SECOND
export const HOUR = 60 * MINUTE
export const DAY = 24 * HOUR
