import type { Caller } from '../../kit/caller.ts'
import { Problem } from '../../kit/problem.ts'
import { type UserRead, userReadFrom } from '../../kit/schema/user.ts'
import { withTimeout } from '../../kit/timeout.ts'
import type { UsersPeer } from '../peers.ts'
import type { Account, AccountStore } from '../store/index.ts'

/**
 * Milliseconds for which auth reads its copy after the database of users has failed. Auth may have the same database, and
 * users has waited for most of the time in which a request is answered.
 */
const COPY_PATIENCE = 150

export interface CurrentUserContext {
  store: AccountStore
  users: Pick<UsersPeer, 'user'>
}

/**
 * Returns the caller's own record from users. When users or its database cannot be reached, returns auth's copy; `stale` is
 * then true.
 * @throws Problem `token_revoked` when the user was deleted, `users_unavailable` or `database_unavailable` when auth has no
 * copy either
 */
export async function currentUser(
  { store, users }: CurrentUserContext,
  caller: Caller,
): Promise<{ user: UserRead; stale: boolean }> {
  const userId = caller.userId ?? ''
  try {
    const user = await users.user(userId, caller.requestId)
    if (!user) throw new Problem('token_revoked')
    return { user, stale: false }
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    const account = await copyAfter(error, store, userId)
    if (!account) throw error
    return { user: userReadOf(account), stale: true }
  }
}

/** Reads auth's copy if the problem is that users cannot answer. Returns no account for another problem, or without a copy. */
async function copyAfter(problem: Problem, store: AccountStore, userId: string): Promise<Account | null | undefined> {
  if (problem.code === 'users_unavailable') return await store.accountById(userId)
  if (problem.code !== 'database_unavailable') return null
  return await withTimeout(store.accountById(userId), COPY_PATIENCE)
}

/** Builds the answer from auth's copy of the record. */
function userReadOf(account: Account): UserRead {
  const login = {
    id: account.userId,
    email: account.email,
    username: account.username,
    roles: account.roles,
    status: account.status,
    email_verified: account.emailVerified,
    // The hash of an account that was dropped from the cache is unknown, and nearly every user has a password.
    has_password: account.passwordHash !== null || !account.cached,
  }
  return userReadFrom(login, account.profile)
}
