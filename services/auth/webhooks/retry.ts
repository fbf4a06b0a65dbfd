import { HOUR, MINUTE, SECOND } from '../../kit/clock.ts'

// When a failed delivery to a webhook is retried: rules without input or output. Times are milliseconds.

/** The delay after each attempt: twelve attempts within about a day. */
const DELAYS = [
  SECOND,
  5 * SECOND,
  30 * SECOND,
  2 * MINUTE,
  10 * MINUTE,
  30 * MINUTE,
  HOUR,
  2 * HOUR,
  4 * HOUR,
  8 * HOUR,
  8 * HOUR,
]
const JITTER = 0.1
/** The longest delay that a receiver can impose with `Retry-After`. */
const LONGEST_RETRY_AFTER = HOUR

/**
 * Returns how long to wait before the next attempt; null after the last one.
 * @param tries how many attempts were made before this one
 * @param random from 0 to 1: varies the delay by a tenth either way, so that failed deliveries do not retry in step
 * @param retryAfter what the receiver asked for
 */
export function retryDelay(tries: number, random: number, retryAfter: number): number | null {
  const delay = DELAYS[tries]
  if (delay === undefined) return null
  const jitter = 1 + JITTER * (2 * random - 1)
  return Math.max(Math.round(delay * jitter), Math.min(retryAfter, LONGEST_RETRY_AFTER))
}

/** Reads a `Retry-After` header (RFC 9110, 10.2.3: seconds, or a date). Returns milliseconds; 0 without a valid one. */
export function retryAfterOf(header: string | null, now: number): number {
  if (header === null) return 0
  if (/^\d{1,9}$/.test(header)) return Number(header) * SECOND
  return Math.max(0, (Date.parse(header) || 0) - now)
}
