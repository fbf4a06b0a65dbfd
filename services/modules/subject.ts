import type { Caller } from '../kit/caller.ts'
import { Problem } from '../kit/problem.ts'
import type { UsersPeer } from './peers.ts'

/** The user whom a request is about. */
export interface Subject {
  userId: string
  roles: readonly string[]
}

/** What anyone but an operator gets for naming a user: in a query 403 `forbidden`, in a body 403 `forbidden_field`. */
const REFUSALS = {
  query: ['forbidden', 'Only an operator may ask for another user'],
  body: ['forbidden_field', 'Only an operator may set user_id'],
} as const

/** @throws Problem `forbidden`, `forbidden_field` to anyone but an operator who names a user */
export function refuseNaming({ user_id }: { user_id?: unknown }, caller: Caller, where: keyof typeof REFUSALS): void {
  if (user_id === undefined || caller.operator) return
  const [code, message] = REFUSALS[where]
  throw new Problem(code, { message })
}

/**
 * The user whom an operator names, else the caller itself; null for an operator's key that names no one.
 * @param named the `user_id` of the request, a UUID
 * @param where the part of the request that it stands in
 * @throws Problem `forbidden`, `forbidden_field`, `user_not_found`, `users_unavailable`
 */
export async function subjectOf(
  users: UsersPeer,
  caller: Caller,
  named: string | undefined,
  where: keyof typeof REFUSALS,
): Promise<Subject | null> {
  refuseNaming({ user_id: named }, caller, where)
  const userId = named?.toLowerCase() ?? caller.userId
  if (userId === null) return null
  // A token ends when its user's roles change: what it says of them is what users would say.
  if (userId === caller.userId) return { userId, roles: caller.roles }
  const roles = await users.roles(userId, caller.requestId)
  if (!roles) throw new Problem('user_not_found')
  return { userId, roles }
}
