import { actsForOperators } from '../../kit/access/clients.ts'
import { mayHelp } from '../../kit/access/support.ts'
import type { Caller } from '../../kit/caller.ts'
import { Problem } from '../../kit/problem.ts'
import type { AccountStore } from '../store/index.ts'

export interface AuthorityContext {
  store: Pick<AccountStore, 'accountById'>
}

/**
 * Makes sure that the caller may see and end what belongs to a user: an operator and a client for every user, a support person for those
 * whom they may help.
 * @param userId null: the request is not about one user
 * @throws Problem `forbidden` for other callers, and for a support person who names no user; `user_not_found` for a support
 * person, if there is no such user or they may not help them
 */
export async function requireAuthority(
  { store }: AuthorityContext,
  userId: string | null,
  caller: Caller,
): Promise<void> {
  if (actsForOperators(caller)) return
  if (caller.supportRole === null || userId === null) throw new Problem('forbidden')
  const account = await store.accountById(userId)
  if (!account || !mayHelp(caller, account.roles)) throw new Problem('user_not_found')
}
