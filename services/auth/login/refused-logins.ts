import type { Caller } from '../../kit/caller.ts'
import { limitKey } from '../../kit/client-address.ts'
import { secondsUntil } from '../../kit/limits.ts'
import { Problem, type ProblemCode } from '../../kit/problem.ts'
import type { LoginLimitStore, RefusedBy, RefusedLogin } from '../store/index.ts'
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

/** The login that a problem refused. */
interface Refusal {
  key: string
  userId: string | null
  caller: Caller
  now: number
}

/**
 * Recently refused logins, for operators who ask why a login was refused. They are not in the audit, which anyone could
 * flood with them. Each address has a few places of its own, so a flood from one only displaces its own.
 */
export interface RefusedLogins {
  /** Adds a login that failed with `error`, if its password was not checked. Resolves when operators see it. */
  add(error: unknown, refusal: Refusal): Promise<void>
  /** Returns the refused logins that match, newest first. */
  find(which: RefusedBy): Promise<RefusedLogin[]>
  /** Forgets those of a user, and of their names (`nameKey`), that are in memory. */
  forget(userId: string, keys: readonly string[]): void
}

/** The problems that refuse a login before the password is checked. */
const CODES: readonly ProblemCode[] = ['rate_limited', 'overloaded', 'users_unavailable']
const ADDRESSES_MAX = 500
const PER_ADDRESS_MAX = 20

/** The refused logins of the only node on a database, in its memory. */
export class LocalRefusedLogins implements RefusedLogins {
  private readonly recent = new RecentAddresses<RefusedLogin[]>(() => [])

  async add(error: unknown, refusal: Refusal): Promise<void> {
    const login = refusedLogin(error, refusal)
    if (!login) return
    const { entry } = this.recent.use(login.address)
    entry.push(login)
    if (entry.length > PER_ADDRESS_MAX) entry.shift()
  }

  forget(userId: string, keys: readonly string[]): void {
    for (const logins of this.recent.entries()) {
      const others = logins.filter((login) => login.userId !== userId && !keys.includes(login.key))
      logins.splice(0, logins.length, ...others)
    }
  }

  async find({ by, value }: RefusedBy): Promise<RefusedLogin[]> {
    return newestFirst(this.recent.entries().flatMap((logins) => logins.filter((login) => login[by] === value)))
  }
}

/** The refused logins of all nodes on a database, which has a row for each. A node has as many rows as places in memory. */
export class SharedRefusedLogins implements RefusedLogins {
  private readonly recent = new RecentAddresses(() => ({ added: 0 }))

  constructor(private readonly store: LoginLimitStore) {}

  async add(error: unknown, refusal: Refusal): Promise<void> {
    const login = refusedLogin(error, refusal)
    if (!login) return
    const { displaced, entry } = this.recent.use(login.address)
    const number = entry.added++
    const position = { number, place: number % PER_ADDRESS_MAX }
    // Without the database the login is refused all the same.
    await this.store.storeRefusedLogin(login, position, displaced).catch(() => undefined)
  }

  forget(): void {
    // They are rows of the database, which the erasure removes there.
  }

  async find(which: RefusedBy): Promise<RefusedLogin[]> {
    const logins = newestFirst(await this.store.refusedLogins(which))
    const ofAddress = new Map<string, number>()
    return logins.filter(({ address }) => {
      const count = (ofAddress.get(address) ?? 0) + 1
      ofAddress.set(address, count)
      return count <= PER_ADDRESS_MAX
    })
  }
}

/** An entry for each of the addresses that were used last. */
class RecentAddresses<Entry> {
  /** The one that was used last is the last. */
  private readonly byAddress = new Map<string, Entry>()

  constructor(private readonly newEntry: () => Entry) {}

  /** @returns the entry of an address, and the address whose entry it displaced */
  use(address: string): { entry: Entry; displaced: string | null } {
    const entry = this.byAddress.get(address) ?? this.newEntry()
    this.byAddress.delete(address)
    this.byAddress.set(address, entry)
    const [oldest] = this.byAddress.keys()
    if (this.byAddress.size <= ADDRESSES_MAX || oldest === undefined) return { entry, displaced: null }
    this.byAddress.delete(oldest)
    return { entry, displaced: oldest }
  }

  entries(): Entry[] {
    return [...this.byAddress.values()]
  }
}

function refusedLogin(error: unknown, { caller, key, now, userId }: Refusal): RefusedLogin | null {
  if (!(error instanceof Problem) || !CODES.includes(error.code)) return null
  const [lockedBy, lockedUntil] = error instanceof LoginLockout ? [error.by, error.until] : [null, null]
  const { ip, requestId } = caller
  const address = ip === null ? '' : limitKey(ip)
  return { at: now, code: error.code, lockedBy, lockedUntil, key, userId, ip, requestId, address }
}

function newestFirst(logins: RefusedLogin[]): RefusedLogin[] {
  return logins.reverse().sort((a, b) => b.at - a.at)
}
