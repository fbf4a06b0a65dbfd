import { type Clock, DAY, HOUR, MINUTE } from '../../kit/clock.ts'
import type { AuditEvent } from '../../kit/outbox/audit.ts'
import { Problem } from '../../kit/problem.ts'
import type { AuthStore, LoginFailures } from '../store/index.ts'
import { LoginPaused, RefusedLogins, type Subject } from './refused-logins.ts'

/** Until when a failure made logins wait; 0 where it did not. */
export interface Pauses {
  account: number
  address: number
}

interface Rule {
  /** So many failures in `window`, then pauses that double from `pause`. */
  most: number
  window: number
  pause: number
  longestPause: number
  mostADay: number
}

const BY_ACCOUNT: Rule = { most: 10, window: 15 * MINUTE, pause: MINUTE, longestPause: HOUR, mostADay: 100 }
const BY_ADDRESS: Rule = {
  most: 300,
  window: 15 * MINUTE,
  pause: MINUTE,
  longestPause: 15 * MINUTE,
  mostADay: Number.POSITIVE_INFINITY,
}
const RULES: Record<Subject, Rule> = { account: BY_ACCOUNT, address: BY_ADDRESS }

/** Until when logins are refused after these failures; 0 when they are not. All of it follows from the times. */
function blockedUntil({ times, clearedAt }: LoginFailures, rule: Rule, now: number): number {
  // Times ahead of the clock were written before it was set back: they count as now.
  const today = times.map((at) => Math.min(at, now)).filter((at) => now - at < DAY)
  const oldestThatCounts = today.at(-rule.mostADay)
  if (oldestThatCounts !== undefined) return oldestThatCounts + DAY
  const recent = today.filter((at) => at > Math.min(clearedAt, now - 1))
  const tripped = recent.findIndex((at, index) => {
    const first = recent[index - rule.most + 1]
    return first !== undefined && at - first < rule.window
  })
  const last = recent.at(-1)
  if (tripped < 0 || last === undefined) return 0
  const pauses = recent.length - 1 - tripped
  const until = last + Math.min(rule.pause * 2 ** pauses, rule.longestPause)
  return until > now ? until : 0
}

/** How many more may be tried at once without passing the limit. */
function room({ times, clearedAt }: LoginFailures, rule: Rule, now: number): number {
  const recent = times.filter((at) => at > clearedAt && now - at < rule.window)
  return Math.max(1, rule.most - recent.length)
}

/** One try, from before the password is looked at until it is known whether it was right. */
export interface Attempt {
  failed(events: (pauses: Pauses) => AuditEvent[]): Promise<void>
  succeeded(): Promise<void>
  /** Nothing was learned: the hasher was busy, or users was away. */
  abandoned(): void
}

const FREE: Attempt = {
  failed: async () => undefined,
  succeeded: async () => undefined,
  abandoned: () => undefined,
}

/**
 * Failed logins are counted by account and by address, before any hashing. Guesses that come at once are counted too:
 * only as many are under way as could all fail without passing the limit, the others wait for their outcome.
 */
export class LoginLimits {
  readonly refused = new RefusedLogins()
  private readonly underWay = new Map<string, { count: number; waiting: (() => void)[] }>()
  private waiting = 0

  constructor(
    private readonly store: AuthStore,
    private readonly clock: Clock,
    /** How many may wait before `overloaded`. */
    private readonly queue: number,
    private readonly enabled: boolean,
  ) {}

  /**
   * @param account the id of the account, or the name that was typed where there is none
   * @throws Problem `rate_limited`, `overloaded`
   */
  async begin(account: string, address: string | null): Promise<Attempt> {
    if (!this.enabled) {
      const none = { account: 0, address: 0 }
      return { ...FREE, failed: (events) => this.store.recordFailure([], this.clock.now(), () => events(none)) }
    }
    const byAccount = `account:${account}`
    const byAddress = address === null ? null : `address:${address}`
    // The address first: who waits there because of its own guesses holds no place of an account that is not its own.
    if (byAddress !== null) await this.enter('address', byAddress)
    try {
      await this.enter('account', byAccount)
    } catch (error) {
      if (byAddress !== null) this.leave(byAddress)
      throw error
    }
    const subjects = byAddress === null ? [byAccount] : [byAccount, byAddress]
    const leave = () => {
      for (const subject of subjects) this.leave(subject)
    }
    return {
      failed: async (events) => {
        try {
          const now = this.clock.now()
          // Of several that fail at once it is the last, as they are written down, that begins a pause.
          const pauseBy = (by: Subject, failures: LoginFailures | undefined) =>
            failures ? blockedUntil(failures, RULES[by], now) : 0
          await this.store.recordFailure(subjects, now, ([account, address]) =>
            events({ account: pauseBy('account', account), address: pauseBy('address', address) }),
          )
        } finally {
          leave()
        }
      },
      succeeded: async () => {
        // The day's count stays: whoever knows the password must not hand an attacker another hundred guesses.
        try {
          await this.store.clearFailures(byAccount, this.clock.now(), 'keep')
        } finally {
          leave()
        }
      },
      abandoned: leave,
    }
  }

  /** A new password makes the guesses at the old one void. */
  async forget(account: string): Promise<void> {
    await this.store.clearFailures(`account:${account}`, this.clock.now(), 'forget')
  }

  /**
   * The failures of the last day, and until when the next login must wait (0: it need not).
   * @param of the id of an account, the name of a stranger, or an address, as `begin` takes them
   */
  async state(by: Subject, of: string): Promise<{ times: number[]; pausedUntil: number }> {
    const now = this.clock.now()
    const failures = await this.store.loginFailures(`${by}:${of}`)
    const times = failures.times.filter((at) => now - at < DAY)
    return { times, pausedUntil: this.enabled ? blockedUntil(failures, RULES[by], now) : 0 }
  }

  private async enter(by: Subject, subject: string): Promise<void> {
    const rule = RULES[by]
    for (;;) {
      const now = this.clock.now()
      const failures = await this.store.loginFailures(subject)
      const until = blockedUntil(failures, rule, now)
      if (until > 0) throw new LoginPaused(by, until, now)
      const entry = this.underWay.get(subject) ?? { count: 0, waiting: [] }
      this.underWay.set(subject, entry)
      if (entry.count < room(failures, rule, now)) {
        entry.count++
        return
      }
      if (this.waiting >= this.queue) throw new Problem('overloaded', { retryAfter: 2 })
      this.waiting++
      await new Promise<void>((resolve) => entry.waiting.push(resolve))
      this.waiting--
    }
  }

  private leave(subject: string): void {
    const entry = this.underWay.get(subject)
    if (!entry) return
    entry.count--
    for (const resolve of entry.waiting.splice(0)) resolve()
    if (entry.count === 0 && entry.waiting.length === 0) this.underWay.delete(subject)
  }
}
