import { foldForSearch } from '../../services/kit/schema/search-text.ts'
import type { UserFilter } from '../../services/users/store.ts'

/** Totals that are cached. */
const MOST_TOTALS = 200

interface Total {
  count: Promise<number>
  /** The number of the last change when the count began: the count has this change, and perhaps later ones. */
  change: number
}

/**
 * Makes totals of lists by filter, cached until a user changes, at whichever node. Pending ones are shared too: of many
 * requests for one total, only one counts.
 * @param lastChange reads the number of the last change of any user
 */
export function userTotals(lastChange: () => Promise<number>) {
  const totals = new Map<string, Total>()
  return async (filter: UserFilter, count: () => Promise<number>): Promise<number> => {
    const { emailVerified, hasPassword, role, search, status, withoutRoles } = filter
    const part = search === undefined ? undefined : foldForSearch(search)
    const key = JSON.stringify([role, part, status, hasPassword, emailVerified, withoutRoles])
    const change = await lastChange()
    const cached = totals.get(key)
    if (cached !== undefined && cached.change >= change) return await cached.count
    const total = { count: count(), change }
    if (totals.size >= MOST_TOTALS) totals.clear()
    totals.set(key, total)
    // A count that failed must be repeated.
    total.count.catch(() => {
      if (totals.get(key) === total) totals.delete(key)
    })
    return await total.count
  }
}
