import { limitKey } from './client-address.ts'
import { Problem } from './problem.ts'

/** A rate limit: at most `most` hits in a window that begins with the first hit. */
export interface LimitRule {
  name: string
  most: number
  /** Milliseconds. */
  window: number
}

/** A rate limit that decides by the time of each hit, such as a delay that grows from hit to hit. */
export interface PaceRule {
  name: string
  /** Milliseconds. Older hits do not count. */
  window: number
  /** When the next hit is allowed, by the times within the window, oldest first. */
  next(times: readonly number[]): number
}

/** The part of a store that counts hits. All times are milliseconds since the epoch. */
export interface LimitStore {
  /** Counts a hit. @returns the count in the window and the start of the window. Survives restarts. */
  countHit(rule: string, subject: string, window: number, now: number): Promise<{ count: number; since: number }>
  /**
   * Records a hit if the rule allows one now. Survives restarts.
   * @returns when the hit is allowed: a time up to `now` (or 0) if it was recorded, a later one if it was not
   */
  keepPace(rule: PaceRule, subject: string, now: number): Promise<number>
  /** Deletes the hits of a subject. */
  clearHits(rule: string, subject: string): Promise<void>
}

/**
 * Counts a hit against a rate limit.
 * @param subject an address, an account or a session; addresses are counted by their `limitKey`
 * @throws Problem `rate_limited` when the limit is exceeded
 */
export async function limit(store: LimitStore, rule: LimitRule, subject: string, now: number): Promise<void> {
  const { count, since } = await store.countHit(rule.name, limitKey(subject), rule.window, now)
  if (count > rule.most) throw new Problem('rate_limited', { retryAfter: secondsUntil(since + rule.window, now) })
}

/**
 * Records a hit if the rule allows one now.
 * @param subject as for `limit`
 * @throws Problem `rate_limited` when the hit comes too early; it is not recorded then
 */
export async function pace(store: LimitStore, rule: PaceRule, subject: string, now: number): Promise<void> {
  const next = await store.keepPace(rule, limitKey(subject), now)
  if (next > now) throw new Problem('rate_limited', { retryAfter: secondsUntil(next, now) })
}

/**
 * The value of Retry-After for a time: seconds, rounded up, at least one.
 * @param time milliseconds since the epoch, as is `now`
 */
export function secondsUntil(time: number, now: number): number {
  return Math.max(1, Math.ceil((time - now) / 1000))
}
