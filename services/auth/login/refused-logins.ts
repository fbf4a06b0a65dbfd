import type { Caller } from '../../kit/caller.ts'
import { limitKey } from '../../kit/client-address.ts'
import { secondsUntil } from '../../kit/limits.ts'
import { Problem, type ProblemCode } from '../../kit/problem.ts'

/** What failed logins are counted by. */
export type Subject = 'account' | 'address'

/** 429, and what it is that must wait: for the operator alone. */
export class LoginPaused extends Problem {
  constructor(
    readonly by: Subject,
    readonly until: number,
    now: number,
  ) {
    super('rate_limited', { retryAfter: secondsUntil(until, now) })
  }
}

/** A login that was answered before anyone knew whether the password was right. */
export interface RefusedLogin {
  /** Milliseconds since the epoch. */
  at: number
  code: ProblemCode
  /** What had to wait, where it was that. */
  paused: Subject | null
  pausedUntil: number | null
  /** The id of the account, or the name of a stranger as failures are counted under it. */
  of: string
  userId: string | null
  ip: string | null
  requestId: string
}

const CODES: readonly ProblemCode[] = ['rate_limited', 'overloaded', 'users_unavailable']
const ADDRESSES = 500
const OF_EACH = 20

/**
 * The refused logins of late, for an operator who asks why one was. They leave no row in the audit, which anyone could
 * fill with them: here each address has a little room of its own, and a flood from one drives out its own.
 */
export class RefusedLogins {
  /** By address; the one that was heard of last stands last. */
  private readonly kept = new Map<string, RefusedLogin[]>()

  /** Keeps what was thrown at a login, if it is of that kind. */
  keep(
    error: unknown,
    { caller, now, of, userId }: { of: string; userId: string | null; caller: Caller; now: number },
  ): void {
    if (!(error instanceof Problem) || !CODES.includes(error.code)) return
    const [paused, pausedUntil] = error instanceof LoginPaused ? [error.by, error.until] : [null, null]
    const { ip, requestId } = caller
    const address = ip === null ? '' : limitKey(ip)
    const own = this.kept.get(address) ?? []
    this.kept.delete(address)
    this.kept.set(address, own)
    own.push({ at: now, code: error.code, paused, pausedUntil, of, userId, ip, requestId })
    if (own.length > OF_EACH) own.shift()
    const [oldest] = this.kept.keys()
    if (this.kept.size > ADDRESSES && oldest !== undefined) this.kept.delete(oldest)
  }

  /** Those that fit, newest first. */
  find(fits: (refused: RefusedLogin) => boolean): RefusedLogin[] {
    const found = [...this.kept.values()].flatMap((own) => own.filter(fits))
    return found.reverse().sort((one, other) => other.at - one.at)
  }
}
