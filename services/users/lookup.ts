import { actsForOperators, mayChange } from '../kit/access/clients.ts'
import { mayHelp, protectedRoles } from '../kit/access/support.ts'
import type { Caller } from '../kit/caller.ts'
import { bothTaken, Problem } from '../kit/problem.ts'
import { isUuid } from '../kit/random.ts'
import { isEmail, withoutBlanks } from '../kit/schema/email.ts'
import { pageAnswer, pageRequest } from '../kit/schema/page.ts'
import type { UserRead } from '../kit/schema/user.ts'
import type { ChangeContext, ReadContext } from './context.ts'
import { userRead } from './present.ts'
import type { ListQuery } from './schemas/users.ts'
import type { User } from './store.ts'

/**
 * A user, for the user themself, an operator, a support person or another service. For anyone else there is no such user.
 * @throws Problem `user_not_found`
 */
export async function getUser(context: ReadContext, id: string, caller: Caller): Promise<UserRead> {
  return answerFor(await visibleUser(context, id, caller))
}

/** Answers by the row that they show. The store gives the same row until the user changes. */
const answers = new WeakMap<User, UserRead>()

/** The answer for a row. It is made once: the times in it cost more than the rest of a read. */
function answerFor(user: User): UserRead {
  const cached = answers.get(user)
  if (cached) return cached
  const answer = userRead(user)
  answers.set(user, answer)
  return answer
}

/** As `getUser`, by id or email. @throws Problem `user_not_found` */
export async function getUserNamed(context: ReadContext, idOrEmail: string, caller: Caller): Promise<UserRead> {
  const name = withoutBlanks(idOrEmail)
  if (!isEmail(name)) return getUser(context, name, caller)
  const user = await context.store.userByEmail(name)
  if (!user) throw new Problem('user_not_found')
  return getUser(context, user.id, caller)
}

/** As `getUser`, by email or username. @throws Problem `user_not_found` */
export async function findUser(
  { store }: ReadContext,
  by: 'email' | 'username',
  value: string,
  caller: Caller,
): Promise<UserRead> {
  const name = withoutBlanks(value)
  const user = by === 'email' ? await store.userByEmail(name) : await store.userByUsername(name.toLowerCase())
  return userRead(visibleTo(caller, user))
}

/** The row of a user whom the caller may see. @throws Problem `user_not_found` */
export async function visibleUser({ store }: ReadContext, id: string, caller: Caller): Promise<User> {
  const key = id.toLowerCase()
  const mayAsk = mayReach(caller, key) || caller.supportRole !== null
  return visibleTo(caller, mayAsk && isUuid(key) ? await store.userById(key) : null)
}

/**
 * The row of a user whom the caller may change. A support person sees users whom they may not change, except for what the
 * function behind a route permits them.
 * @throws Problem `user_not_found`, `forbidden`
 */
export async function changeableUser(context: ReadContext, id: string, caller: Caller): Promise<User> {
  const user = await visibleUser(context, id, caller)
  if (!mayReach(caller, user.id)) throw new Problem('forbidden')
  return changeableBy(caller, user)
}

/** Gives back a user unless the caller is a client and the user an administrator. @throws Problem `forbidden` */
export function changeableBy(caller: Caller, user: User): User {
  if (!mayChange(caller, user.roles))
    throw new Problem('forbidden', { message: 'A client may not change an administrator' })
  return user
}

/** Gives back a user whom the caller may see: for anyone else there is no such user. @throws Problem `user_not_found` */
export function visibleTo(caller: Caller, user: User | null): User {
  if (!user || !(mayReach(caller, user.id) || mayHelp(caller, user.roles))) throw new Problem('user_not_found')
  return user
}

/** Whether the caller may see and change a user whatever their roles are. */
function mayReach(caller: Caller, userId: string): boolean {
  return actsForOperators(caller) || caller.internal || caller.userId === userId
}

/** A page of the users that match the query, as far as the caller may see them. @throws Problem `validation_failed` for a cursor of another list */
export async function listUsers({ store }: ReadContext, query: ListQuery, caller: Caller) {
  const { role, status, sort = 'created_at' } = query
  const hasPassword = flagIn(query.has_password)
  const emailVerified = flagIn(query.email_verified)
  const search = query.search || undefined
  const withoutRoles = protectedRoles(caller)
  const list = JSON.stringify(['users', search, role, status, sort, hasPassword, emailVerified, ...withoutRoles])
  const request = pageRequest(query, list)
  const filter = {
    sort,
    ...(search && { search }),
    ...(role && { role }),
    ...(status && { status }),
    ...(hasPassword !== undefined && { hasPassword }),
    ...(emailVerified !== undefined && { emailVerified }),
    ...(withoutRoles.length > 0 && { withoutRoles }),
  }
  return pageAnswer(await store.listUsers(filter, request), request, list, userRead)
}

function flagIn(text: 'true' | 'false' | undefined): boolean | undefined {
  return text === undefined ? undefined : text === 'true'
}

/**
 * The problem that another user has the email, the username, or both; undefined if they are free.
 * @param user its `id` is null for a user who does not exist yet
 */
export async function takenBy(
  { clock, store }: Pick<ChangeContext, 'clock' | 'store'>,
  { email, id, username }: { id: string | null; email: string; username: string | null },
): Promise<Problem | undefined> {
  const codes = await store.namesTaken({ email, username }, id, clock.now())
  const [emailTaken, usernameTaken] = (['email_taken', 'username_taken'] as const).map((code) => codes.includes(code))
  if (emailTaken) return usernameTaken ? bothTaken() : new Problem('email_taken')
  return usernameTaken ? new Problem('username_taken') : undefined
}
