import type { Clock } from '../../kit/clock.ts'
import { Problem } from '../../kit/problem.ts'
import type { LoginLimitStore } from '../store/index.ts'
import { concurrentAttempts, LOCKOUT_RULES, lockedUntil, type Subject } from './lockout.ts'
import { LoginLockout } from './refused-logins.ts'

/** An account or an address, under the name that the store has for it. */
export interface Counted {
  by: Subject
  name: string
}

/** The places of the logins whose password is checked: as many at a time as could all fail. */
export interface Places {
  /**
   * Takes a place of each subject, or waits for it.
   * @returns a function that gives them back, and says whether they were this attempt's until then
   * @throws LoginLockout when a subject is locked; Problem `overloaded` when too many wait
   */
  enter(subjects: readonly Counted[]): Promise<() => boolean | Promise<boolean>>
}

interface SubjectPlaces {
  /** How many are in use. */
  count: number
  /** How often one became free. */
  exits: number
  /** How many logins ask for one, or wait for one. */
  callers: number
  waiting: (() => void)[]
}

/** The places of the only node on a database, in its memory. */
export class LocalPlaces implements Places {
  private readonly places = new Map<string, SubjectPlaces>()
  private waiting = 0

  constructor(
    private readonly store: LoginLimitStore,
    private readonly clock: Clock,
    /** How many logins may wait. */
    private readonly queue: number,
  ) {}

  async enter(subjects: readonly Counted[]): Promise<() => boolean> {
    const names: string[] = []
    const leave = () => {
      for (const name of names) this.leave(name)
      return true
    }
    try {
      for (const subject of subjects) {
        await this.enterOne(subject)
        names.push(subject.name)
      }
    } catch (error) {
      leave()
      throw error
    }
    return leave
  }

  private async enterOne({ by, name }: Counted): Promise<void> {
    const rule = LOCKOUT_RULES[by]
    const places = this.places.get(name) ?? { count: 0, exits: 0, callers: 0, waiting: [] }
    this.places.set(name, places)
    places.callers++
    try {
      for (;;) {
        const { exits } = places
        const now = this.clock.now()
        const failures = await this.store.loginFailures(name)
        const until = lockedUntil(failures, rule, now)
        if (until > 0) throw new LoginLockout(by, until, now)
        // An attempt that ended meanwhile may have failed, and the failures that were read do not have it.
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
      this.removeUnused(name, places)
    }
  }

  private leave(name: string): void {
    const places = this.places.get(name)
    if (!places) return
    places.count--
    places.exits++
    for (const resolve of places.waiting.splice(0)) resolve()
    this.removeUnused(name, places)
  }

  private removeUnused(name: string, { count, callers }: SubjectPlaces): void {
    if (count === 0 && callers === 0) this.places.delete(name)
  }
}
