import type { Actor } from '../../kit/outbox/audit.ts'
import type { UsersPeer } from '../peers.ts'
import type { Account, AccountStore } from '../store/index.ts'
import { type SyncContext, syncUser } from './sync.ts'

export type CachedAccountContext = SyncContext & {
  store: AccountStore
  users: Pick<UsersPeer, 'passwordRecord'>
}

/**
 * Returns the account of a user; fetches it when its notice has not arrived yet, or when it was dropped: then the row may be
 * out of date.
 * @returns null when there is no such user
 * @throws Problem `users_unavailable`
 */
export async function cachedAccount(
  context: CachedAccountContext,
  userId: string,
  actor: Actor & { requestId: string },
): Promise<Account | null> {
  const account = await context.store.accountById(userId)
  if (account?.cached) return account
  const record = await context.users.passwordRecord(userId, actor.requestId)
  if (!record) return null
  await syncUser(context, record, actor)
  return context.store.accountById(userId)
}
