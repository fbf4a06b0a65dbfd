import { actsForOperators } from '../kit/access/clients.ts'
import type { Caller } from '../kit/caller.ts'
import { Problem } from '../kit/problem.ts'
import type { UsersPeer } from './peers.ts'

/** The user whom a request is about. */
export interface Subject {
  userId: string
  roles: readonly string[]
}

/** How a request selects its user: operators may name one, users act for themselves. */
export interface UserSelection {
  /** The `user_id` of the request, a UUID. */
  userId: string | undefined
  caller: Caller
}

/** The refusal of a `user_id` from anyone but an operator, by the part of the request that holds it. */
const REFUSALS = {
  query: ['forbidden', 'Only an operator may ask for another user'],
  body: ['forbidden_field', 'Only an operator may set user_id'],
} as const

type Part = keyof typeof REFUSALS

/** @throws Problem `forbidden` (query) or `forbidden_field` (body) when anyone but an operator names a user */
export function refuseUserId({ caller, userId }: { userId?: unknown; caller: Caller }, part: Part): void {
  if (userId === undefined || actsForOperators(caller)) return
  const [code, message] = REFUSALS[part]
  throw new Problem(code, { message })
}

/**
 * The user whom an operator names, or else the caller; null for an operator key without a `user_id`.
 * @param part the part of the request that may hold `user_id`
 * @throws Problem `forbidden`, `forbidden_field`, `user_not_found`, `users_unavailable`
 */
export async function subjectOf(users: UsersPeer, selection: UserSelection, part: Part): Promise<Subject | null> {
  refuseUserId(selection, part)
  const { caller } = selection
  const userId = selection.userId?.toLowerCase() ?? caller.userId
  if (userId === null) return null
  // An access token ends when the roles of its user change, so its roles are those that users would answer. That of an app has
  // them only by scope.
  if (userId === caller.userId && !caller.app) return { userId, roles: caller.roles }
  const roles = await users.roles(userId, caller.requestId)
  if (!roles) throw new Problem('user_not_found')
  return { userId, roles }
}
