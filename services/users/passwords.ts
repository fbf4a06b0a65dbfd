import type { Caller } from '../kit/caller.ts'
import { MINUTE } from '../kit/clock.ts'
import { notAllowed } from '../kit/field-errors.ts'
import { type LimitRule, limit } from '../kit/limits.ts'
import { passwordErrors } from '../kit/passwords/policy.ts'
import { invalid, invalidField, Problem } from '../kit/problem.ts'
import { isEmail } from '../kit/schema/email.ts'
import type { PasswordRecord, UserRead } from '../kit/schema/user.ts'
import type { Change } from './change.ts'
import { allSessionsEnded, applyChange } from './changes.ts'
import type { ChangeContext, PasswordContext, ReadContext } from './context.ts'
import { changeableUser, visibleUser } from './lookup.ts'
import { auditRowNotice, changeNotice } from './notices.ts'
import { internalPasswordErrors } from './policy.ts'
import { passwordRecord, userRead } from './present.ts'
import { requireRecentUser } from './recent.ts'
import type { InternalPassword } from './schemas/internal.ts'
import type { User } from './store.ts'

/** Limits guesses of the current password by someone who has a stolen token. */
const CHANGES: LimitRule = { name: 'change-password', most: 10, window: 15 * MINUTE }

/**
 * Changes the caller's own password and ends all their other sessions.
 * @throws Problem `user_not_found`, `invalid_credentials`, `account_disabled`, `validation_failed`, `weak_password`,
 * `rate_limited`, `overloaded`
 */
export async function changePassword(
  context: PasswordContext,
  id: string,
  body: { current_password: string; new_password: string },
  caller: Caller,
): Promise<void> {
  if (caller.userId !== id.toLowerCase()) throw new Problem('user_not_found')
  const user = await visibleUser(context, id, caller)
  await checkCurrentPassword(context, user, body.current_password, caller)
  const passwordHash = await newHash(context, user, body.new_password)
  await applyChange(context, user, caller, (latest) => {
    if (latest.status === 'disabled') throw new Problem('account_disabled')
    // Someone else changed the password after the current one was checked.
    if (latest.passwordHash !== user.passwordHash) throw new Problem('invalid_credentials')
    const change = passwordChange(latest, passwordHash, { type: 'password.changed', sessionKept: caller.sessionId })
    return { ...change, notice: 'password_changed' }
  })
}

/** @throws Problem `invalid_credentials`, `rate_limited`, `overloaded` */
async function checkCurrentPassword(
  context: PasswordContext,
  user: User,
  password: string,
  caller: Caller,
): Promise<void> {
  const { clock, config, hasher, outboxes, store } = context
  // Counted before the check, so that parallel guesses count too; the right password clears the count.
  if (config.rateLimit) await limit(store, CHANGES, user.id, clock.now())
  // A user without a password sets the first one by a reset, which proves that the address is theirs. Here they get the
  // answer to a wrong password, after the same work.
  if (user.passwordHash === null) await hasher.verifyDecoy(password)
  if (user.passwordHash === null || !(await hasher.verify(password, user.passwordHash))) {
    await store.addNotice(auditRowNotice(context, caller, user.id, ['password.change_failed', {}]))
    outboxes.wake()
    throw new Problem('invalid_credentials')
  }
  if (config.rateLimit) await store.clearHits(CHANGES.name, user.id)
}

/**
 * Sets the password of a user and ends all their sessions.
 * @param type the audit row: set by an operator, or by a reset
 * @throws Problem `user_not_found`, `reauthentication_required`, `validation_failed`, `weak_password`, `overloaded`
 */
export async function setPassword(
  context: PasswordContext,
  id: string,
  password: string,
  caller: Caller,
  type: 'password.set' | 'password.reset' = 'password.set',
): Promise<void> {
  const user = await changeableUser(context, id, caller)
  await requireRecentUser(context, caller)
  const passwordHash = await newHash(context, user, password)
  await applyChange(context, user, caller, (latest) => ({
    ...passwordChange(latest, passwordHash, { type, sessionKept: null }),
    notice: 'password_changed',
  }))
}

/**
 * Stores a password for auth: `new_password` completes a reset. `password_hash` with `if_version` is a rehash of the
 * same password; it ends no session, and is ignored if the record has another version by now.
 * @throws Problem `user_not_found`, `validation_failed`, `weak_password`, `overloaded`
 */
export async function putPassword(
  context: PasswordContext,
  id: string,
  body: InternalPassword,
  caller: Caller,
): Promise<void> {
  const errors = internalPasswordErrors(context.config, body)
  if (errors.length > 0) throw invalid(errors)
  const { if_version, new_password, password_hash } = body
  if (new_password !== undefined) return setPassword(context, id, new_password, caller, 'password.reset')
  const user = await changeableUser(context, id, caller)
  await applyChange(context, user, caller, (latest) => {
    if (latest.version !== if_version) return { fields: {}, audit: [] }
    return { fields: { passwordHash: password_hash ?? latest.passwordHash }, audit: [['password.rehashed', {}]] }
  })
}

/** Checks a password by the email or the username of its user. For the other services. @throws Problem `overloaded` */
export async function verifyCredentials(
  { hasher, store }: Pick<PasswordContext, 'store' | 'hasher'>,
  login: string,
  password: string,
): Promise<{ valid: true; user: UserRead } | { valid: false }> {
  const user = isEmail(login) ? await store.userByEmail(login) : await store.userByUsername(login.toLowerCase())
  // Answers at once for an unknown user or one without a password: auth makes a decoy check beside this call, so that
  // its own answer takes the same time.
  const hash = user?.passwordHash ?? null
  if (!user || hash === null || !(await hasher.verify(password, hash))) return { valid: false }
  return { valid: true, user: userRead(user) }
}

/** @throws Problem `user_not_found` */
export async function getPasswordRecord(context: ReadContext, id: string, caller: Caller): Promise<PasswordRecord> {
  return passwordRecord(await visibleUser(context, id, caller))
}

/**
 * A page of all records, in the order of their last change.
 * @param after the cursor of the page before
 * @throws Problem `validation_failed` for a cursor that this list did not give
 */
export async function listPasswordRecords({ store }: ReadContext, after: string | undefined, size: number) {
  if (after !== undefined && !/^\d{1,15}$/.test(after))
    throw invalidField('after', notAllowed('is not a cursor that this list has given'))
  const { users, last } = await store.usersChangedAfter(Number(after ?? 0), size)
  return { items: users.map(passwordRecord), next_cursor: users.length === size && last !== null ? String(last) : null }
}

/** Sends the record of a user to auth again. @throws Problem `user_not_found` */
export async function announcePassword(
  context: Pick<ChangeContext, 'clock' | 'store' | 'outboxes'>,
  id: string,
  caller: Caller,
): Promise<void> {
  const user = await visibleUser(context, id, caller)
  await context.store.addNotice(changeNotice(user.id, context.clock.now()))
  context.outboxes.wake()
}

/**
 * The hash of a new password.
 * @param user whose names are refused as a password
 * @throws Problem `validation_failed`, `weak_password`, `overloaded`
 */
export async function newHash(
  { config, hasher }: PasswordContext,
  user: Pick<User, 'email' | 'username' | 'name'>,
  password: string,
): Promise<string> {
  const names = [user.email, user.username, user.name]
  const errors = passwordErrors('new_password', password, config.passwordMinLength, names)
  if (errors.length > 0) throw invalid(errors)
  return await hasher.hash(password)
}

/**
 * The change that a new password makes: all sessions end, except `sessionKept`.
 * @param type of the audit row
 */
export function passwordChange(
  user: User,
  passwordHash: string | null,
  { type, sessionKept }: { type: string; sessionKept: string | null },
): Change {
  const ended = sessionKept === null ? allSessionsEnded(user) : { sessionsFrom: user.version + 1, sessionKept }
  return { fields: { passwordHash, ...ended }, audit: [[type, {}]] }
}
