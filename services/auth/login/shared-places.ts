import type { Clock } from '../../kit/clock.ts'
import { Problem } from '../../kit/problem.ts'
import type { LoginFailures, LoginLimitStore } from '../store/index.ts'
import { concurrentAttempts, LOCKOUT_RULES, lockedUntil } from './lockout.ts'
import type { Counted, Places } from './places.ts'
import { LoginLockout } from './refused-logins.ts'

/** Milliseconds after which a login that waits looks again: another node may have the place that becomes free. */
const LOOK_AGAIN = 20

/** The lockout of an account or an address, as it was read. */
interface KnownLockout {
  until: number
  /** The number of the read, among those of the logins and reads. */
  read: number
}

/** The places of all nodes on a database, which has a row for each that is in use. */
export class SharedPlaces implements Places {
  private attempts = 0
  private waiting = 0
  /**
   * The logins of one account ask one after the other, and those of one address read one after the other: in the database
   * they would conflict.
   */
  private readonly turns = new Turns()
  /** Lockouts of subjects for which logins wait: they hold for those who came before they were read. */
  private readonly lockouts = new Map<string, KnownLockout>()
  /** Numbers logins as they come, and reads as they begin. */
  private moments = 0
  /** Attempts whose places could not be given back. */
  private readonly unfinished = new Set<number>()

  constructor(
    private readonly store: LoginLimitStore,
    private readonly clock: Clock,
    /** How many logins may wait. */
    private readonly queue: number,
  ) {}

  async enter(subjects: readonly Counted[]): Promise<() => Promise<boolean>> {
    const account = subjects.at(-1)?.name ?? ''
    // One that need not wait is not counted among those that wait.
    if (this.turns.isTaken(account) && this.waiting >= this.queue) throw new Problem('overloaded', { retryAfter: 2 })
    this.waiting++
    const came = ++this.moments
    try {
      const attempt = await this.turns.run(account, () => this.take(subjects, came))
      return () => this.leave(attempt)
    } finally {
      this.waiting--
      for (const { by, name } of subjects)
        if (!this.turns.isTaken(by === 'account' ? name : reading(name))) this.lockouts.delete(name)
    }
  }

  /** @returns the number of the attempt that has the places */
  private async take(subjects: readonly Counted[], came: number): Promise<number> {
    const attempt = ++this.attempts
    const names = subjects.map(({ name }) => name)
    for (;;) {
      const hasPlaces = await this.turns.run(reading(names[0]), async () => {
        const now = this.clock.now()
        for (const subject of subjects) this.refuseLocked(subject, came, now)
        const read = ++this.moments
        const { failures, hasPlaces } = await this.store.takePlaces(attempt, names, (index, before, underWay) =>
          isFree(subjects[index], before, underWay, now),
        )
        if (hasPlaces) return true
        for (const [index, { by, name }] of subjects.entries()) {
          const until = lockedUntil(failures[index] ?? NO_FAILURES, LOCKOUT_RULES[by], now)
          if (until > 0) this.lockouts.set(name, { until, read })
        }
        for (const subject of subjects) this.refuseLocked(subject, came, now)
        return false
      })
      if (hasPlaces) return attempt
      await Bun.sleep(LOOK_AGAIN)
    }
  }

  /**
   * Refuses a login whose subject was locked when another login read it, without reading it again: guesses that come at once
   * would wait for one another, and then for a transaction each.
   * @param came when the login came: a lockout that was read before may have ended
   * @throws LoginLockout
   */
  private refuseLocked({ by, name }: Counted, came: number, now: number): void {
    const lockout = this.lockouts.get(name)
    if (lockout && lockout.read > came && lockout.until > now) throw new LoginLockout(by, lockout.until, now)
  }

  private async leave(attempt: number): Promise<boolean> {
    const attempts = [attempt, ...this.unfinished]
    try {
      const counted = await this.store.leavePlaces(attempts)
      for (const each of attempts) this.unfinished.delete(each)
      return counted.includes(attempt)
    } catch {
      // The database is away: the places are given back with those of the next attempt.
      this.unfinished.add(attempt)
      return false
    }
  }
}

/** Work that runs one after the other, by key. */
class Turns {
  private readonly last = new Map<string, Promise<void>>()

  isTaken(key: string): boolean {
    return this.last.has(key)
  }

  async run<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.last.get(key)
    const { promise, resolve } = Promise.withResolvers<void>()
    this.last.set(key, promise)
    try {
      await before
      return await work()
    } finally {
      resolve()
      if (this.last.get(key) === promise) this.last.delete(key)
    }
  }
}

/** The key of the turns of those who read, which are those of an address. */
function reading(first: string | undefined): string {
  return `read ${first}`
}

const NO_FAILURES: LoginFailures = { times: [], clearedAt: 0 }

function isFree(subject: Counted | undefined, failures: LoginFailures, underWay: number, now: number): boolean {
  if (!subject) return false
  const rule = LOCKOUT_RULES[subject.by]
  return lockedUntil(failures, rule, now) === 0 && underWay < concurrentAttempts(failures, rule, now)
}
