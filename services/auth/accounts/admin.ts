import type { Caller } from '../../kit/caller.ts'
import { timestamp } from '../../kit/clock.ts'
import { Problem } from '../../kit/problem.ts'
import { type PageQuery, pageAnswer, pageRequest } from '../../kit/schema/page.ts'
import type { PasswordRecord } from '../../kit/schema/user.ts'
import { type AuditRecordContext, auditEvent } from '../audit/record.ts'
import type { UsersPeer } from '../peers.ts'
import type { AccountStore, AuditStore } from '../store/index.ts'
import type { CacheStatistics } from './statistics.ts'
import { deleteUser, type SyncContext, syncUser } from './sync.ts'

export type AccountsContext = SyncContext & {
  store: AccountStore & AuditStore
  users: Pick<UsersPeer, 'passwordRecord' | 'passwordRecords'>
}

/** The number of ids of the cache that are read at once. */
const ID_BATCH = 500

/** Lists the password cache. @throws Problem `validation_failed` for a cursor of another list */
export async function listCache({ store }: { store: AccountStore }, query: PageQuery & { search?: string }) {
  const search = query.search || undefined
  const list = JSON.stringify(['cache', search])
  const request = pageRequest(query, list)
  const slice = await store.listAccounts(search, request)
  return pageAnswer(slice, request, list, (account) => ({
    user_id: account.userId,
    email: account.email,
    username: account.username,
    status: account.status,
    password_version: account.version,
    synced_at: timestamp(account.syncedAt),
  }))
}

/** Drops an account from the cache: the next login asks users. @throws Problem `user_not_found` */
export async function dropFromCache(
  context: AuditRecordContext & { store: AccountStore },
  userId: string,
  caller: Caller,
): Promise<void> {
  const id = userId.toLowerCase()
  const wasCached = await context.store.dropAccount(id, auditEvent(context, caller, 'cache.dropped', id))
  if (!wasCached) throw new Problem('user_not_found')
}

/**
 * Reconciles the cache with users: one user, or all. Returns how many accounts changed, and the duration in milliseconds.
 * @param userId undefined: all users
 * @throws Problem `users_unavailable`; `user_not_found` when neither users nor the cache has the user
 */
export async function syncCache(context: AccountsContext, userId: string | undefined, caller: Caller) {
  const { clock, store } = context
  const startedAt = clock.monotonic()
  const id = userId?.toLowerCase() ?? null
  // Each account is a transaction of its own, so the row that says who started the sync comes first.
  await store.addAuditEvent(auditEvent(context, caller, 'cache.sync_begun', id))
  const counts = id === null ? await syncAll(context, caller) : await syncOne(context, id, caller)
  await store.addAuditEvent(auditEvent(context, caller, 'cache.synced', id, { ...counts }))
  return { ...counts, duration_ms: Math.round(clock.monotonic() - startedAt) }
}

interface SyncCounts {
  synced: number
  removed: number
  unchanged: number
}

async function syncOne(context: AccountsContext, id: string, caller: Caller): Promise<SyncCounts> {
  const { store, users } = context
  const counts = { synced: 0, removed: 0, unchanged: 0 }
  const record = await users.passwordRecord(id, caller.requestId)
  if (record) counts[(await syncUser(context, record, caller)).outcome]++
  else if (await store.accountById(id)) {
    await deleteUser(context, id, caller)
    counts.removed++
  } else throw new Problem('user_not_found')
  return counts
}

async function syncAll(context: AccountsContext, caller: Caller): Promise<SyncCounts> {
  const counts = { synced: 0, removed: 0, unchanged: 0 }
  const existing = new Set<string>()
  let after: string | null = null
  do {
    const page: { items: PasswordRecord[]; next_cursor: string | null } = await context.users.passwordRecords(
      after,
      caller.requestId,
    )
    for (const record of page.items) existing.add(record.user_id)
    await Promise.all(
      page.items.map(async (record) => {
        counts[(await syncUser(context, record, caller)).outcome]++
      }),
    )
    after = page.next_cursor
  } while (after !== null)
  counts.removed = await removeMissing(context, existing, caller)
  return counts
}

/** Deletes the accounts of users that the users service did not list, after asking for each: they may be new. */
async function removeMissing(context: AccountsContext, existing: Set<string>, caller: Caller): Promise<number> {
  let removed = 0
  for (let after = ''; ; ) {
    const ids = await context.store.cachedIds(after, ID_BATCH)
    for (const id of ids) {
      if (existing.has(id) || (await context.users.passwordRecord(id, caller.requestId))) continue
      await deleteUser(context, id, caller)
      removed++
    }
    const last = ids.at(-1)
    if (last === undefined) return removed
    after = last
  }
}

/** Returns the statistics of the password cache since the start. */
export async function cacheHealth({
  cacheStatistics,
  store,
}: {
  cacheStatistics: CacheStatistics
  store: AccountStore
}) {
  const { hits, misses, lastSyncAt, pending } = cacheStatistics
  return {
    entries: await store.countAccounts(),
    hits,
    misses,
    hit_ratio: hits + misses === 0 ? 0 : Math.round((hits / (hits + misses)) * 1000) / 1000,
    last_sync_at: lastSyncAt === null ? null : timestamp(lastSyncAt),
    pending,
  }
}
