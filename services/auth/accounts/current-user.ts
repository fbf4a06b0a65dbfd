import type { Caller } from '../../kit/caller.ts'
import { Problem } from '../../kit/problem.ts'
import { type UserRead, userReadFrom } from '../../kit/schema/user.ts'
import type { UsersPeer } from '../peers.ts'
import type { Account, AccountStore } from '../store/index.ts'

export interface CurrentUserContext {
  store: AccountStore
  users: Pick<UsersPeer, 'user'>
}

/**
 * Returns the caller's own record from users. When users cannot be reached, returns auth's copy; `stale` is then true.
 * @throws Problem `token_revoked` when the user was deleted, `users_unavailable` when auth has no copy either
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
    if (!(error instanceof Problem) || error.code !== 'users_unavailable') throw error
    const account = await store.accountById(userId)
    if (!account) throw error
    return { user: userReadOf(account), stale: true }
  }
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
