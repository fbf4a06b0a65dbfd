import { actsForOperators, rolesKeptFromClients } from '../kit/access/clients.ts'
import type { Caller } from '../kit/caller.ts'
import { HOUR } from '../kit/clock.ts'
import { type LimitRule, limit } from '../kit/limits.ts'
import { isUnusableHash } from '../kit/passwords/hasher.ts'
import { invalid, Problem } from '../kit/problem.ts'
import { profileOf, type UserCreate, type UserRead } from '../kit/schema/user.ts'
import type { AssuredContext, ChangeContext, PasswordContext } from './context.ts'
import { changeableUser, takenBy } from './lookup.ts'
import { accountMail, creationNotices, removalNotices } from './notices.ts'
import { creationErrors } from './policy.ts'
import { userRead } from './present.ts'
import { requireRecentUser } from './recent.ts'
import type { User } from './store.ts'

const REGISTRATIONS: LimitRule = { name: 'registration', most: 1000, window: HOUR }

/**
 * Creates a user.
 * @throws Problem `registration_closed`, `forbidden_field`, `validation_failed`, `weak_password`, `email_taken`,
 * `username_taken`, `rate_limited`, `overloaded`; `reauthentication_required` to an administrator who gives roles
 */
export async function createUser(context: PasswordContext, input: UserCreate, caller: Caller): Promise<UserRead> {
  const { clock, config, hasher, store } = context
  const errors = creationErrors(config, input, caller)
  if (input.roles !== undefined) await requireRecentUser(context, caller)
  // Auth counts the registrations that it passes on: here they have no client address.
  const isAnonymous = !actsForOperators(caller) && !caller.internal
  if (config.rateLimit && isAnonymous && caller.ip) await limit(store, REGISTRATIONS, caller.ip, clock.now())
  if (errors.length > 0) throw invalid(errors)

  const names = { id: null, email: input.email, username: input.username?.toLowerCase() ?? null }
  // Checked before the expensive hash, and again by the store.
  const conflict = await takenBy(context, names)
  if (conflict) throw conflict

  const passwordHash = await passwordHashOf(input, (password) => hasher.hash(password))
  const asksForProof = isAnonymous && config.emailVerification !== 'off'
  return await addNewUser(context, input, passwordHash, caller, asksForProof)
}

/**
 * Stores a new user.
 * @param passwordHash null: the user has no password
 * @param asksForProof whether the user gets a mail to verify their address
 * @throws Problem `email_taken`, `username_taken`
 */
export async function addNewUser(
  context: ChangeContext,
  input: Fields,
  passwordHash: string | null,
  caller: Caller,
  asksForProof = false,
): Promise<UserRead> {
  const { clock, outboxes, random, store } = context
  const now = clock.now()
  const user = newUser(input, { id: random.id(), passwordHash, createdAt: now, updatedAt: now })
  const notices = creationNotices(context, user, caller, ['user.created', { roles: user.roles }])
  if (asksForProof) notices.push(...accountMail(context, user, caller, { kind: 'email_verification' }))
  const outcome = await store.addUser(user, notices)
  if (outcome !== 'added') throw (await takenBy(context, { ...user, id: null })) ?? new Problem(outcome)
  // Auth logs the user in next, or mails them: it must have them in its cache by then.
  if (caller.internal) await outboxes.waitForDelivery(user.id)
  else outboxes.wake()
  return userRead(user)
}

/** The fields of a new user, without what they log in with. */
type Fields = Omit<UserCreate, 'password' | 'password_hash'>

/** The first record of a user. */
export function newUser(input: Fields, identity: Pick<User, 'id' | 'passwordHash' | 'createdAt' | 'updatedAt'>): User {
  return {
    ...identity,
    email: input.email,
    username: input.username?.toLowerCase() ?? null,
    name: input.name ?? null,
    roles: input.roles ?? ['USER'],
    status: input.status ?? 'active',
    emailVerified: input.email_verified ?? false,
    ...profileOf(input),
    version: 1,
    sessionsFrom: 1,
    allSessionsFrom: 1,
    sessionKept: null,
    tokensFrom: 1,
    factorsFrom: 0,
  }
}

/**
 * The hash that a new user logs in with: the one in `input`, or that of the password. Null if there is neither, or if
 * the hash is one that other systems store for a user without a password.
 */
export async function passwordHashOf(
  { password, password_hash }: Pick<UserCreate, 'password' | 'password_hash'>,
  hash: (password: string) => Promise<string>,
): Promise<string | null> {
  if (password !== undefined) return await hash(password)
  return password_hash === undefined || isUnusableHash(password_hash) ? null : password_hash
}

/**
 * Deletes a user.
 * @throws Problem `user_not_found`, `forbidden`, `last_admin`; `reauthentication_required` to the user themself
 */
export async function deleteUser(context: AssuredContext, id: string, caller: Caller): Promise<UserRead> {
  const user = await changeableUser(context, id, caller)
  if (caller.userId === user.id) await requireRecentUser(context, caller)
  const outcome = await context.store.removeUser(
    user.id,
    removalNotices(context, user, caller, context.outboxes.subscribers),
    rolesKeptFromClients(caller),
  )
  if (outcome === 'kept') throw new Problem('forbidden')
  if (outcome === 'last_admin') throw new Problem('last_admin')
  if (outcome === 'not_found') throw new Problem('user_not_found')
  await context.outboxes.waitForDelivery(user.id)
  return userRead(user)
}
