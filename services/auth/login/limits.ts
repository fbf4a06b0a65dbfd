import { type Clock, DAY } from '../../kit/clock.ts'
import type { AuditEvent } from '../../kit/outbox/audit.ts'
import { Problem } from '../../kit/problem.ts'
import type { LoginFailures, LoginLimitStore } from '../store/index.ts'
import { concurrentAttempts, LOCKOUT_RULES, lockedUntil, type Subject } from './lockout.ts'
import { LoginLockout, RefusedLogins } from './refused-logins.ts'

/** The ends of the lockouts after a failed login, in milliseconds since the epoch; 0: not locked. */
export interface Lockouts {
  account: number
  address: number
}

/** One login, from before its password is checked until the result is known. Call exactly one of the methods. */
export interface Attempt {
  /** Records the failure. @param events builds the audit rows to store with it */
  failed(events: (lockouts: Lockouts) => AuditEvent[]): Promise<void>
  /** Ends the lockout of the account. */
  succeeded(): Promise<void>
  /** The password was not checked: the hasher was overloaded, or users was unavailable. */
  abandoned(): void
}

/** The places of the logins that are checked at once for a subject. */
interface Places {
  /** How many are in use. */
  count: number
  /** How often one became free. */
  exits: number
  /** How many logins ask for one, or wait for one. */
  callers: number
  waiting: (() => void)[]
}

/**
 * Counts failed logins by account and by address, and refuses further ones before any hashing. The limits hold for
 * guesses that arrive at once too: only as many are checked at a time as could all fail, the others wait.
 */
export class LoginLimits {
  readonly refused = new RefusedLogins()
  private readonly places = new Map<string, Places>()
  private waiting = 0

  constructor(
    private readonly store: LoginLimitStore,
    private readonly clock: Clock,
    /** How many logins may wait before further ones are refused as `overloaded`. */
    private readonly queue: number,
    /** RATE_LIMIT. */
    private readonly enabled: boolean,
  ) {}

  /**
   * Begins an attempt, or waits until it may begin.
   * @param account the account's id, or the key of an unknown name (see `failureKey`)
   * @param address the client's address as `limitKey` returns it
   * @throws Problem `rate_limited`, `overloaded`
   */
  async begin(account: string, address: string | null): Promise<Attempt> {
    if (!this.enabled) return this.uncounted()
    const byAccount = `account:${account}`
    const byAddress = address === null ? null : `address:${address}`
    // The address first: a client that waits because of its own guesses must not take a place of someone's account.
    if (byAddress !== null) await this.enter('address', byAddress)
    try {
      await this.enter('account', byAccount)
    } catch (error) {
      if (byAddress !== null) this.leave(byAddress)
      throw error
    }
    return this.counted(byAccount, byAddress)
  }

  /** Clears the failures of an account: guesses at the old password mean nothing after the user set a new one. */
  async forget(account: string): Promise<void> {
    await this.store.clearFailures(`account:${account}`, this.clock.now(), 'forget')
  }

  /**
   * Returns the times of the failures of the last day, and the end of the lockout; 0: not locked.
   * @param key the account or the address, as `begin` takes it
   */
  async state(by: Subject, key: string): Promise<{ times: number[]; lockedUntil: number }> {
    const now = this.clock.now()
    const failures = await this.store.loginFailures(`${by}:${key}`)
    const times = failures.times.filter((at) => now - at < DAY)
    return { times, lockedUntil: this.enabled ? lockedUntil(failures, LOCKOUT_RULES[by], now) : 0 }
  }

  private counted(byAccount: string, byAddress: string | null): Attempt {
    const subjects = byAddress === null ? [byAccount] : [byAccount, byAddress]
    const leave = () => {
      for (const subject of subjects) this.leave(subject)
    }
    return {
      failed: (events) => this.recordFailure(subjects, events).finally(leave),
      // The failures still count for the day: a user who logs in must not give an attacker another hundred guesses.
      succeeded: () => this.store.clearFailures(byAccount, this.clock.now(), 'keep').finally(leave),
      abandoned: leave,
    }
  }

  private uncounted(): Attempt {
    return {
      failed: (events) => this.store.recordFailure([], this.clock.now(), () => events({ account: 0, address: 0 })),
      succeeded: async () => undefined,
      abandoned: () => undefined,
    }
  }

  private async recordFailure(subjects: string[], events: (lockouts: Lockouts) => AuditEvent[]): Promise<void> {
    const now = this.clock.now()
    const lockout = (by: Subject, failures: LoginFailures | undefined) =>
      failures ? lockedUntil(failures, LOCKOUT_RULES[by], now) : 0
    // Several attempts may fail at once: the one that is recorded last sees all of them, and starts the lockout.
    await this.store.recordFailure(subjects, now, ([account, address]) =>
      events({ account: lockout('account', account), address: lockout('address', address) }),
    )
  }

  /** Takes one of the places that `concurrentAttempts` allows, or waits for one. */
  private async enter(by: Subject, subject: string): Promise<void> {
    const rule = LOCKOUT_RULES[by]
    const places = this.places.get(subject) ?? { count: 0, exits: 0, callers: 0, waiting: [] }
    this.places.set(subject, places)
    places.callers++
    try {
      for (;;) {
        const { exits } = places
        const now = this.clock.now()
        const failures = await this.store.loginFailures(subject)
        const until = lockedUntil(failures, rule, now)
        if (until > 0) throw new LoginLockout(by, until, now)
        // An attempt that left meanwhile may have failed, and the failures that were read do not have it.
        if (places.exits !== exits) continue
        if (places.count < concurrentAttempts(failures, rule, now)) {
          places.count++
          return
        }
        if (this.waiting >= this.queue) throw new Problem('overloaded', { retryAfter: 2 })
        this.waiting++
        await new Promise<void>((resolve) => places.waiting.push(resolve))
        this.waiting--
      }
    } finally {
      places.callers--
      this.removeUnused(subject, places)
    }
  }

  private leave(subject: string): void {
    const places = this.places.get(subject)
    if (!places) return
    places.count--
    places.exits++
    for (const resolve of places.waiting.splice(0)) resolve()
    this.removeUnused(subject, places)
  }

  private removeUnused(subject: string, { count, callers }: Places): void {
    if (count === 0 && callers === 0) this.places.delete(subject)
  }
}
