import { limitKey } from './client-address.ts'
import { Problem } from './problem.ts'

/** So many in so long, counted in a window that begins with the first. */
export interface LimitRule {
  name: string
  most: number
  /** Milliseconds. */
  window: number
}

/** So many in any stretch of time, by the time of each. */
export interface PaceRule {
  name: string
  /** Milliseconds: what is older counts no more. */
  window: number
  /** When the next may come, by the times within the window, oldest first. */
  next(times: readonly number[]): number
}

export interface LimitStore {
  /** Counts one more. Gives the count in the window and when the window began. Survives a restart. */
  countHit(rule: string, subject: string, window: number, now: number): Promise<{ count: number; since: number }>
  /**
   * Writes `now` down beside the times within the rule's window, if the next may come by then. Gives when it may: 0 or a
   * time that has come when it was written down. Survives a restart.
   */
  keepPace(rule: PaceRule, subject: string, now: number): Promise<number>
  /** Begins anew. */
  clearHits(rule: string, subject: string): Promise<void>
}

/**
 * Counts one more against a limit.
 * @param subject an address, an account or a session; addresses are counted by their `limitKey`
 * @throws Problem `rate_limited` when there have been too many
 */
export async function limit(store: LimitStore, rule: LimitRule, subject: string, now: number): Promise<void> {
  const { count, since } = await store.countHit(rule.name, limitKey(subject), rule.window, now)
  if (count > rule.most) throw new Problem('rate_limited', { retryAfter: secondsUntil(since + rule.window, now) })
}

/**
 * Writes one more down, if it may come by the rule.
 * @param subject as `limit` takes it
 * @throws Problem `rate_limited` when it comes too early: it is not counted then
 */
export async function pace(store: LimitStore, rule: PaceRule, subject: string, now: number): Promise<void> {
  const next = await store.keepPace(rule, limitKey(subject), now)
  if (next > now) throw new Problem('rate_limited', { retryAfter: secondsUntil(next, now) })
}

/** Whole seconds, at least one: what Retry-After takes. */
export function secondsUntil(time: number, now: number): number {
  return Math.max(1, Math.ceil((time - now) / 1000))
}
