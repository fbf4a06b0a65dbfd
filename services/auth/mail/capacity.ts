import { MINUTE, SECOND } from '../../kit/clock.ts'

// How many mails are sent at once: a rule without input or output. Times are milliseconds.

/** How many attempts run at once while the mail server answers quickly. */
const AT_ONCE = 8
/**
 * A slow attempt makes room for another one, up to so many in all: a server may take ten minutes to answer, or be slow
 * only for some recipients.
 */
const SLOW_AFTER = 2 * SECOND
const MOST_AT_ONCE = 100
/** The longest pause between two reads of the store: the clock may be set, which makes mails due. */
export const LONGEST_PAUSE = MINUTE

export interface Capacity {
  /** How many attempts may begin now. */
  free: number
  /** While none may begin: when one may, in milliseconds, unless a running attempt ends earlier. */
  freeIn: number
}

/** Returns how many attempts may begin. @param starts when each running attempt began, in monotonic milliseconds as `now` */
export function capacityBeside(starts: readonly number[], now: number): Capacity {
  const untilSlow = starts.map((start) => start + SLOW_AFTER - now).filter((ms) => ms > 0)
  const free = Math.max(0, Math.min(AT_ONCE - untilSlow.length, MOST_AT_ONCE - starts.length))
  const isFull = starts.length >= MOST_AT_ONCE
  return { free, freeIn: isFull ? LONGEST_PAUSE : Math.ceil(Math.min(...untilSlow, LONGEST_PAUSE)) }
}
