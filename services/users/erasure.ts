import type { Caller } from '../kit/caller.ts'
import { Problem } from '../kit/problem.ts'
import { isUuid } from '../kit/random.ts'
import type { AssuredContext } from './context.ts'
import { erasureNotices, removalNotices } from './notices.ts'
import { requireRecentUser } from './recent.ts'

/**
 * Deletes a user, and has everything personal erased that remains after a deletion (docs/operate/erasure.md). The notices of
 * the erasure are written in the transaction of the deletion: it is done, however often a service stops meanwhile. For a user
 * who was deleted before, only the rest is erased. May be repeated.
 * @param moreEmails emails that they had, besides those that are stored: a deletion has removed them
 * @throws Problem `user_not_found` if nobody ever had the id; `last_admin`; `reauthentication_required` to an administrator
 * who authenticated too long ago
 */
export async function eraseUser(
  context: AssuredContext,
  id: string,
  caller: Caller,
  moreEmails: readonly string[] = [],
): Promise<void> {
  const { outboxes, store } = context
  const userId = id.toLowerCase()
  await requireRecentUser(context, caller)
  const user = isUuid(userId) ? await store.userById(userId) : null
  if (user) {
    const emails = [user.email, ...(await store.reservedEmails(userId)), ...moreEmails]
    const erasure = { userId, emails, usernames: user.username === null ? [] : [user.username] }
    const outcome = await store.removeUser(userId, [
      ...removalNotices(context, user, caller, outboxes.subscribers),
      ...erasureNotices(context, erasure, caller),
    ])
    if (outcome === 'last_admin') throw new Problem('last_admin')
    if (outcome === 'not_found') return eraseDeleted(context, userId, caller, moreEmails)
    await outboxes.waitForDelivery(userId)
    return
  }
  await eraseDeleted(context, userId, caller, moreEmails)
}

/** Has erased what is left of a user who was deleted. @throws Problem `user_not_found` */
async function eraseDeleted(
  context: AssuredContext,
  userId: string,
  caller: Caller,
  moreEmails: readonly string[],
): Promise<void> {
  const { outboxes, store } = context
  if (!(await store.wasDeleted(userId))) throw new Problem('user_not_found')
  await store.addNotices(erasureNotices(context, { userId, emails: [...moreEmails], usernames: [] }, caller))
  await outboxes.waitForDelivery(userId)
}
