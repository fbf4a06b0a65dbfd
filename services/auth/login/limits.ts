import { type Clock, DAY } from '../../kit/clock.ts'
import type { AuditEvent } from '../../kit/outbox/audit.ts'
import { Problem } from '../../kit/problem.ts'
import type { LoginFailures, LoginLimitStore } from '../store/index.ts'
import { LOCKOUT_RULES, lockedUntil, type Subject } from './lockout.ts'
import { type Counted, LocalPlaces, type Places } from './places.ts'
import { LocalRefusedLogins, type RefusedLogins, SharedRefusedLogins } from './refused-logins.ts'
import { SharedPlaces } from './shared-places.ts'

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

/**
 * Counts failed logins by account and by address, and refuses further ones before any hashing. The limits hold for
 * guesses that arrive at once too: only as many are checked at a time as could all fail, the others wait.
 */
export class LoginLimits {
  readonly refused: RefusedLogins
  private readonly places: Places

  constructor(
    private readonly store: LoginLimitStore,
    private readonly clock: Clock,
    /** How many logins may wait before further ones are refused as `overloaded`. */
    queue: number,
    /** RATE_LIMIT. */
    private readonly enabled: boolean,
  ) {
    this.refused = store.isShared ? new SharedRefusedLogins(store) : new LocalRefusedLogins()
    this.places = store.isShared ? new SharedPlaces(store, clock, queue) : new LocalPlaces(store, clock, queue)
  }

  /**
   * Begins an attempt, or waits until it may begin.
   * @param account the account's id, or the key of an unknown name (see `failureKey`)
   * @param address the client's address as `limitKey` returns it
   * @throws Problem `rate_limited`, `overloaded`
   */
  async begin(account: string, address: string | null): Promise<Attempt> {
    if (!this.enabled) return this.uncounted()
    // The address first: a client that waits because of its own guesses must not take a place of someone's account.
    const subjects: Counted[] = [
      ...(address === null ? [] : [counted('address', address)]),
      counted('account', account),
    ]
    const leave = await this.places.enter(subjects)
    const [byAccount = '', ...others] = subjects.map(({ name }) => name).reverse()
    return {
      failed: (events) => finish(this.recordFailure([byAccount, ...others], events), leave),
      // The failures still count for the day: a user who logs in must not give an attacker another hundred guesses.
      succeeded: () => finish(this.store.clearFailures(byAccount, this.clock.now(), 'keep'), leave),
      abandoned: () => void leave(),
    }
  }

  /** Ends the lockout of an account whose user has authenticated without an attempt, by a passkey. @param account as `begin` */
  async completed(account: string): Promise<void> {
    if (this.enabled) await this.store.clearFailures(`account:${account}`, this.clock.now(), 'keep')
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
}

/**
 * Waits until the result of an attempt is stored, and gives its places back.
 * @throws Problem `overloaded` when the places were lost: this node stood still, and the others let further guesses begin
 * in its place. The result must not be answered in addition to theirs
 */
async function finish(stored: Promise<void>, leave: () => boolean | Promise<boolean>): Promise<void> {
  try {
    await stored
  } catch (error) {
    await leave()
    throw error
  }
  if (!(await leave())) throw new Problem('overloaded', { retryAfter: 2 })
}

function counted(by: Subject, key: string): Counted {
  return { by, name: `${by}:${key}` }
}
