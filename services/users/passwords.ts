import type { Caller } from '../kit/caller.ts'
import { MINUTE } from '../kit/clock.ts'
import { notAllowed } from '../kit/field-errors.ts'
import { type LimitRule, limit } from '../kit/limits.ts'
import { passwordErrors } from '../kit/passwords/policy.ts'
import { invalid, invalidField, Problem } from '../kit/problem.ts'
import { isEmail } from '../kit/schema/email.ts'
import type { PasswordRecord, UserRead } from '../kit/schema/user.ts'
import type { InternalPassword } from './model.ts'
import { auditedNotice, changeNotice, passwordRecord, userRead } from './outbox.ts'
import { internalPasswordErrors } from './policy.ts'
import type { User } from './store.ts'
import { type Change, event, replace, type UsersContext, visibleUser } from './users.ts'

/** Guesses of the current password, by someone who holds a token already. */
const CHANGES: LimitRule = { name: 'change-password', most: 10, window: 15 * MINUTE }

/**
 * A user changes its own password: every other session of it ends.
 * @throws Problem `user_not_found`, `invalid_credentials`, `validation_failed`, `weak_password`, `rate_limited`
 */
export async function changePassword(
  context: UsersContext,
  id: string,
  current: string,
  next: string,
  caller: Caller,
): Promise<void> {
  if (caller.userId !== id.toLowerCase()) throw new Problem('user_not_found')
  const user = await visibleUser(context, id, caller)
  const { announcements, clock, config, hasher, store } = context
  // Counted before the check, so that guesses that come at once are counted too; a right one makes it void.
  if (config.rateLimit) await limit(store, CHANGES, user.id, clock.now())
  // Without a password there is no current one: the first is set by a link, which shows whose the account is.
  if (user.passwordHash === null) await hasher.pretend(current)
  if (user.passwordHash === null || !(await hasher.verify(current, user.passwordHash))) {
    await store.addNotice(auditedNotice(event(context, 'password.change_failed', user.id, caller, {})))
    announcements.send()
    throw new Problem('invalid_credentials')
  }
  if (config.rateLimit) await store.clearHits(CHANGES.name, user.id)
  const passwordHash = await newHash(context, user, next)
  await replace(context, user, caller, (latest) => {
    if (latest.status === 'disabled') throw new Problem('account_disabled')
    // Changed by someone else since the current one was checked.
    if (latest.passwordHash !== user.passwordHash) throw new Problem('invalid_credentials')
    return passwordChange(latest, passwordHash, 'password.changed', caller.sessionId)
  })
}

/** Sets a password for a user, whose sessions all end. @throws Problem as `changePassword` */
export async function setPassword(
  context: UsersContext,
  id: string,
  password: string,
  caller: Caller,
  type: 'password.set' | 'password.reset' = 'password.set',
): Promise<void> {
  const user = await visibleUser(context, id, caller)
  const passwordHash = await newHash(context, user, password)
  await replace(context, user, caller, (latest) => passwordChange(latest, passwordHash, type, null))
}

/**
 * What auth needs: `new_password` ends a reset; `password_hash` with `if_version` puts a hash of today's making in the
 * place of an old one, ends nothing, and is ignored when the record has changed since.
 * @throws Problem `user_not_found`, `validation_failed`, `weak_password`
 */
export async function putPassword(
  context: UsersContext,
  id: string,
  body: InternalPassword,
  caller: Caller,
): Promise<void> {
  const errors = internalPasswordErrors(context.config, body)
  if (errors.length > 0) throw invalid(errors)
  const { if_version, new_password, password_hash } = body
  if (new_password !== undefined) return setPassword(context, id, new_password, caller, 'password.reset')
  const user = await visibleUser(context, id, caller)
  await replace(context, user, caller, (latest) => {
    if (latest.version !== if_version) return { fields: {}, events: [] }
    return { fields: { passwordHash: password_hash ?? latest.passwordHash }, events: [['password.rehashed', {}]] }
  })
}

/** Whether the password is that of the account, by its email or username. For other services, who hold the key. */
export async function verifyCredentials(
  { store, hasher }: UsersContext,
  login: string,
  password: string,
): Promise<{ valid: true; user: UserRead } | { valid: false }> {
  const user = isEmail(login) ? await store.userByEmail(login) : await store.userByUsername(login.toLowerCase())
  // An unknown account, or one without a password, is answered at once: auth does the work of a check beside this call, so that its own answer
  // takes as long for an unknown user as for a wrong password.
  const hash = user?.passwordHash ?? null
  if (!user || hash === null || !(await hasher.verify(password, hash))) return { valid: false }
  return { valid: true, user: userRead(user) }
}

/** @throws Problem `user_not_found` */
export async function getPasswordRecord(context: UsersContext, id: string, caller: Caller): Promise<PasswordRecord> {
  return passwordRecord(await visibleUser(context, id, caller))
}

/** All records by pages, in the order of their last change. @throws Problem `validation_failed` for a foreign cursor */
export async function passwordRecords({ store }: UsersContext, after: string | undefined, size: number) {
  if (after !== undefined && !/^\d{1,15}$/.test(after))
    throw invalidField('after', notAllowed('is not a cursor that this list has given'))
  const { users, last } = await store.usersChangedAfter(Number(after ?? 0), size)
  return { items: users.map(passwordRecord), next_cursor: users.length === size && last !== null ? String(last) : null }
}

/** Tells auth the password again. @throws Problem `user_not_found` */
export async function announcePassword(context: UsersContext, id: string, caller: Caller): Promise<void> {
  const user = await visibleUser(context, id, caller)
  await context.store.addNotice(changeNotice(user.id))
  context.announcements.send()
}

async function newHash({ config, hasher }: UsersContext, user: User, password: string): Promise<string> {
  const ownNames = [user.email, user.username, user.name]
  const errors = passwordErrors('new_password', password, config.passwordMinLength, ownNames)
  if (errors.length > 0) throw invalid(errors)
  return await hasher.hash(password)
}

/** The change that a new hash is: sessions end, but for the one kept. */
export function passwordChange(user: User, passwordHash: string, type: string, sessionKept: string | null): Change {
  const version = user.version + 1
  const cut = sessionKept === null ? { allSessionsFrom: version } : {}
  return { fields: { passwordHash, sessionsFrom: version, sessionKept, ...cut }, events: [[type, {}]] }
}
