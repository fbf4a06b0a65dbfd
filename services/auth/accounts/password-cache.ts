import { createHash } from 'node:crypto'
import type { Caller } from '../../kit/caller.ts'
import { timestamp } from '../../kit/clock.ts'
import type { Hasher } from '../../kit/passwords/hasher.ts'
import { Problem } from '../../kit/problem.ts'
import { emailKey, isEmail } from '../../kit/schema/email.ts'
import { type PageQuery, pageAnswer, pageRequest } from '../../kit/schema/page.ts'
import type { PasswordRecord } from '../../kit/schema/user.ts'
import { type AuthContext, eventBy } from '../context.ts'
import type { SyncBody } from '../model.ts'
import type { Account, CacheSync } from '../store.ts'

type Actor = Pick<Caller, 'actor' | 'ip' | 'requestId'>

/**
 * Takes in what users says of a user, unless what is held is newer; resolves when what the change ended is refused
 * everywhere.
 */
export async function syncUser(
  context: AuthContext,
  body: SyncBody | PasswordRecord,
  caller: Actor,
): Promise<CacheSync> {
  const { cacheUse, clock, feed, limits, store } = context
  const { all_sessions_from, sessions_from, session_kept, tokens_from } = body as Partial<SyncBody>
  const marks =
    sessions_from === undefined || tokens_from === undefined
      ? {}
      : {
          marks: {
            sessionsFrom: sessions_from,
            sessionKept: session_kept?.toLowerCase() ?? null,
            allSessionsFrom: all_sessions_from ?? 0,
            tokensFrom: tokens_from,
          },
        }
  const userId = body.user_id.toLowerCase()
  const synced = await store.syncAccount(
    {
      userId,
      email: body.email,
      username: body.username,
      name: body.name,
      roles: body.roles,
      status: body.status,
      emailVerified: body.email_verified,
      createdAt: Date.parse(body.created_at),
      updatedAt: Date.parse(body.updated_at),
      passwordHash: body.password_hash,
      version: body.password_version,
      ...marks,
    },
    clock.now(),
    (type) => eventBy(context, caller, type, userId),
  )
  cacheUse.lastSyncAt = clock.now()
  // Whoever gave the user another password has let it in again.
  if (synced.newPassword) await limits.forget(userId)
  // A record that ended nothing and was new is no one's news.
  if (synced.outcome === 'unchanged' || synced.ended.seq > 0) await feed.announce(synced.ended)
  return synced
}

/** Ends everything of a deleted user; resolves when its tokens are refused everywhere. */
export async function deleteUser(context: AuthContext, userId: string, caller: Actor): Promise<void> {
  const { clock, feed, store } = context
  const id = userId.toLowerCase()
  await feed.announce(await store.deleteAccount(id, clock.now(), (type) => eventBy(context, caller, type, id)))
}

/** Whom a login names, as far as the cache knows; also one that was dropped. */
export async function accountNamed({ store }: AuthContext, login: Login): Promise<Account | null> {
  return login.by === 'email' ? await store.accountByEmail(login.name) : await store.accountByUsername(login.name)
}

export interface Login {
  by: 'email' | 'username'
  name: string
}

export function loginOf(name: string, by?: 'email' | 'username'): Login {
  if ((by ?? (isEmail(name) ? 'email' : 'username')) === 'email') return { by: 'email', name }
  return { by: 'username', name: name.toLowerCase() }
}

/** Under what the failures of a login are counted where there is no account: not the name itself. */
export function unknownLoginKey({ name }: Login): string {
  return createHash('sha256').update(emailKey(name)).digest('base64url')
}

/** A username that no one can have: asking about it tells nothing, and takes as long as about a name that someone typed. */
const NO_ONE = '!'
/** How long a failure waits for an answer that it does not need, in milliseconds. */
const PATIENCE = 1000

/** The account whose password was right. */
export interface CheckedPassword {
  account: Account
  /** Whether the hash of the password is outdated. */
  rehash: boolean
}

/**
 * Whether the password is right: by the cache, or, where it does not hold the user, by users. Of an unknown user it
 * takes as long as of a wrong password: one check, here, while users is asked beside it, about no one where the cache
 * holds the user. A right password waits for the check alone.
 * @returns null when the user is unknown or the password wrong
 * @throws Problem `users_unavailable`, `overloaded`
 */
export async function checkPassword(
  context: AuthContext,
  account: Account | null,
  login: Login,
  password: string,
  caller: Caller,
): Promise<CheckedPassword | null> {
  const { cacheUse, hasher, store, users } = context
  if (account?.cached) {
    cacheUse.hits++
    const { passwordHash } = account
    const verifying = passwordHash === null ? failed(hasher, password) : hasher.verify(password, passwordHash)
    await Promise.resolve()
    const asked = users.verifyCredentials(NO_ONE, 'x'.repeat(password.length), caller.requestId).catch(() => null)
    const match = await verifying
    if (match) return { account, rehash: match.rehash }
    await Promise.race([asked, Bun.sleep(PATIENCE)])
    return null
  }
  cacheUse.misses++
  // Users goes by the form of the name. One in the field of the other is no one's: else the failures of an account
  // would be counted under it a second time.
  const fits = isEmail(login.name) === (login.by === 'email')
  const pretending = hasher.pretend(password)
  // The check begins before the call is put together, which would show in the time of the answer.
  await Promise.resolve()
  const asked = fits ? users.verifyCredentials(login.name, password, caller.requestId) : null
  const [user] = await Promise.all([asked, pretending])
  const record = user && (await users.passwordRecord(user.id, caller.requestId))
  if (!record) return null
  // The password may have been changed since users checked it: it must be right by the record that was fetched after,
  // and that record must be the one that is held.
  const { password_hash } = record
  const match = password_hash === null ? null : await hasher.verify(password, password_hash)
  if (!match) return null
  await syncUser(context, record, caller)
  const held = await store.accountById(record.user_id)
  return held?.passwordHash === record.password_hash ? { account: held, rehash: match.rehash } : null
}

/** Who has no password is told nothing else, in no less time, than who has typed a wrong one. */
async function failed(hasher: Hasher, password: string): Promise<null> {
  await hasher.pretend(password)
  return null
}

/** @throws Problem `validation_failed` for a cursor of another list */
export async function listCache({ store }: AuthContext, query: PageQuery & { search?: string }) {
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

/** Takes an account out of the cache: the next login asks users. @throws Problem `user_not_found` */
export async function dropFromCache(context: AuthContext, userId: string, caller: Caller): Promise<void> {
  const id = userId.toLowerCase()
  const dropped = await context.store.dropAccount(id, eventBy(context, caller, 'cache.dropped', id))
  if (!dropped) throw new Problem('user_not_found')
}

/**
 * Brings the cache in line with users: one user, or all.
 * @throws Problem `users_unavailable`; `user_not_found` when users doesn't know the one
 */
export async function syncCache(context: AuthContext, userId: string | undefined, caller: Caller) {
  const { clock, store, users } = context
  const began = clock.monotonic()
  const whose = userId?.toLowerCase() ?? null
  // Each account is a transaction of its own: who began it is on the disk before the first.
  await store.addEvent(eventBy(context, caller, 'cache.sync_begun', whose))
  const counts = { synced: 0, removed: 0, unchanged: 0 }
  const take = async (record: PasswordRecord) => {
    const { outcome } = await syncUser(context, record, caller)
    counts[outcome === 'synced' ? 'synced' : 'unchanged']++
  }

  if (userId !== undefined) {
    const id = userId.toLowerCase()
    const record = await users.passwordRecord(id, caller.requestId)
    if (record) await take(record)
    else if (await store.accountById(id)) {
      await deleteUser(context, id, caller)
      counts.removed++
    } else throw new Problem('user_not_found')
  } else {
    const known = new Set<string>()
    let after: string | null = null
    do {
      const page: { items: PasswordRecord[]; next_cursor: string | null } = await users.passwordRecords(
        after,
        caller.requestId,
      )
      for (const record of page.items) known.add(record.user_id)
      await Promise.all(page.items.map(take))
      after = page.next_cursor
    } while (after !== null)
    counts.removed = await removeUnknown(context, known, caller)
  }
  await store.addEvent(eventBy(context, caller, 'cache.synced', whose, counts))
  return { ...counts, duration_ms: Math.round(clock.monotonic() - began) }
}

/** Ends whom users did not list; each is asked for once more, in case it was made meanwhile. */
async function removeUnknown(context: AuthContext, known: Set<string>, caller: Caller): Promise<number> {
  let removed = 0
  for (let after = ''; ; ) {
    const ids = await context.store.cachedIds(after, 500)
    for (const id of ids) {
      if (known.has(id) || (await context.users.passwordRecord(id, caller.requestId))) continue
      await deleteUser(context, id, caller)
      removed++
    }
    const last = ids.at(-1)
    if (last === undefined) return removed
    after = last
  }
}

export async function cacheHealth({ cacheUse, store }: AuthContext) {
  const { hits, misses, lastSyncAt, pending } = cacheUse
  return {
    entries: await store.countAccounts(),
    hits,
    misses,
    hit_ratio: hits + misses === 0 ? 0 : Math.round((hits / (hits + misses)) * 1000) / 1000,
    last_sync_at: lastSyncAt === null ? null : timestamp(lastSyncAt),
    pending,
  }
}
