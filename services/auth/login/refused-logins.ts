import type { Caller } from '../../kit/caller.ts'
import { limitKey } from '../../kit/client-address.ts'
import { secondsUntil } from '../../kit/limits.ts'
import { Problem, type ProblemCode } from '../../kit/problem.ts'
import type { Subject } from './lockout.ts'

/** 429 because of a lockout. Only operators see whether the account or the address is locked. */
export class LoginLockout extends Problem {
  constructor(
    readonly by: Subject,
    readonly until: number,
    now: number,
  ) {
    super('rate_limited', { retryAfter: secondsUntil(until, now) })
  }
}

/** A login that was refused before the password was checked. Times are milliseconds since the epoch. */
export interface RefusedLogin {
  at: number
  code: ProblemCode
  /** The lockout that refused the login; null for another reason. */
  lockedBy: Subject | null
  lockedUntil: number | null
  /** The key by which a failure of this login would be counted (see `failureKey`). */
  key: string
  userId: string | null
  ip: string | null
  requestId: string
}

/** The problems that refuse a login before the password is checked. */
const CODES: readonly ProblemCode[] = ['rate_limited', 'overloaded', 'users_unavailable']
const ADDRESSES_MAX = 500
const PER_ADDRESS_MAX = 20

/**
 * Recently refused logins, in memory, for operators who ask why a login was refused. They are not in the audit, which
 * anyone could flood with them. Each address has a few places of its own, so a flood from one only displaces its own.
 */
export class RefusedLogins {
  /** By address, the one with the latest refusal last. */
  private readonly byAddress = new Map<string, RefusedLogin[]>()

  /** Adds a login that failed with `error`, if its password was not checked. */
  add(
    error: unknown,
    { caller, key, now, userId }: { key: string; userId: string | null; caller: Caller; now: number },
  ): void {
    if (!(error instanceof Problem) || !CODES.includes(error.code)) return
    const [lockedBy, lockedUntil] = error instanceof LoginLockout ? [error.by, error.until] : [null, null]
    const { ip, requestId } = caller
    const address = ip === null ? '' : limitKey(ip)
    const ofAddress = this.byAddress.get(address) ?? []
    this.byAddress.delete(address)
    this.byAddress.set(address, ofAddress)
    ofAddress.push({ at: now, code: error.code, lockedBy, lockedUntil, key, userId, ip, requestId })
    if (ofAddress.length > PER_ADDRESS_MAX) ofAddress.shift()
    const [oldest] = this.byAddress.keys()
    if (this.byAddress.size > ADDRESSES_MAX && oldest !== undefined) this.byAddress.delete(oldest)
  }

  /** Returns the refused logins that match, newest first. */
  find(matches: (refused: RefusedLogin) => boolean): RefusedLogin[] {
    const logins = [...this.byAddress.values()].flatMap((ofAddress) => ofAddress.filter(matches))
    return logins.reverse().sort((a, b) => b.at - a.at)
  }
}
