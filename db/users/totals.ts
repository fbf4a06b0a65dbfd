import { foldForSearch } from '../../services/kit/schema/search-text.ts'
import type { UserFilter } from '../../services/users/store.ts'
import type { Engine, Transaction } from '../engine.ts'

/** Totals that are cached. */
const MOST_TOTALS = 200
/** Milliseconds for which a total is cached when other nodes may change users too. */
const SHARED_FOR = 3000

interface Total {
  count: Promise<number>
  /** When it is to be counted again, in milliseconds of the monotonic clock. */
  until: number
}

/**
 * Totals of lists by filter, cached until a user changes. Pending ones are shared too: of many requests for one total,
 * only one counts.
 * @param now gives milliseconds of a monotonic clock
 */
export function userTotals({ dialect }: Pick<Engine, 'dialect'>, now = () => performance.now()) {
  const totals = new Map<string, Total>()
  return {
    /** Drops the cached totals after a transaction that adds, changes or removes a user. */
    changed: (tx: Transaction) => tx.afterCommit(() => totals.clear()),

    of(filter: UserFilter, count: () => Promise<number>): Promise<number> {
      const { emailVerified, hasPassword, role, search, status } = filter
      const part = search === undefined ? undefined : foldForSearch(search)
      const key = JSON.stringify([role, part, status, hasPassword, emailVerified])
      const cached = totals.get(key)
      if (cached !== undefined && now() < cached.until) return cached.count
      const total = { count: count(), until: dialect === 'sqlite' ? Infinity : now() + SHARED_FOR }
      if (totals.size >= MOST_TOTALS) totals.clear()
      totals.set(key, total)
      // A count that failed must be repeated.
      total.count.catch(() => {
        if (totals.get(key) === total) totals.delete(key)
      })
      return total.count
    },
  }
}
