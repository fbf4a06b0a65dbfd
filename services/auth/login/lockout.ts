import { DAY, HOUR, MINUTE } from '../../kit/clock.ts'
import type { LoginFailures } from '../store/index.ts'

// When failed logins lead to a lockout: rules without input or output. Times are milliseconds since the epoch.

/** Failed logins are counted by account and by address. */
export type Subject = 'account' | 'address'

/** Durations are milliseconds. */
interface LockoutRule {
  /** This many failures within `window` start a lockout; each further failure doubles it, up to `longestLockout`. */
  most: number
  window: number
  lockout: number
  longestLockout: number
  /** After this many failures within a day, logins are refused until the first of them is a day old. */
  mostADay: number
}

/** An address may stand for a whole office, so it may fail more often, and its lockouts are shorter. */
export const LOCKOUT_RULES: Record<Subject, LockoutRule> = {
  account: { most: 10, window: 15 * MINUTE, lockout: MINUTE, longestLockout: HOUR, mostADay: 100 },
  address: {
    most: 300,
    window: 15 * MINUTE,
    lockout: MINUTE,
    longestLockout: 15 * MINUTE,
    mostADay: Number.POSITIVE_INFINITY,
  },
}

/** Returns when the lockout that these failures started ends; 0: no lockout is in effect. */
export function lockedUntil({ clearedAt, times }: LoginFailures, rule: LockoutRule, now: number): number {
  // Times ahead of the clock were recorded before the clock was set back: they count as now.
  const today = times.map((at) => Math.min(at, now)).filter((at) => now - at < DAY)
  const firstOfTooMany = today.at(-rule.mostADay)
  if (firstOfTooMany !== undefined) return firstOfTooMany + DAY
  const recent = today.filter((at) => at > Math.min(clearedAt, now - 1))
  // The index of the failure that started the lockout.
  const lockedFrom = recent.findIndex((at, index) => {
    const first = recent[index - rule.most + 1]
    return first !== undefined && at - first < rule.window
  })
  const last = recent.at(-1)
  if (lockedFrom < 0 || last === undefined) return 0
  const furtherFailures = recent.length - 1 - lockedFrom
  const until = last + Math.min(rule.lockout * 2 ** furtherFailures, rule.longestLockout)
  return until > now ? until : 0
}

/** Returns how many logins may be checked at once so that the limit holds even if all of them fail; at least one. */
export function concurrentAttempts({ clearedAt, times }: LoginFailures, rule: LockoutRule, now: number): number {
  const recent = times.filter((at) => at > clearedAt && now - at < rule.window)
  return Math.max(1, rule.most - recent.length)
}
