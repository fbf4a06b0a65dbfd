import type { Caller } from '../kit/caller.ts'
import { invalidField, Problem } from '../kit/problem.ts'
import { emailKey } from '../kit/schema/email.ts'
import { type JsonObject, mergePatch } from '../kit/schema/json-object.ts'
import { PROFILE_NAMES, type Profile, profileField, type UserRead } from '../kit/schema/user.ts'
import { type Change, NO_CHANGE, oneChange } from './change.ts'
import type { AssuredContext, ChangeContext } from './context.ts'
import { changeableBy, changeableUser, takenBy, visibleTo, visibleUser } from './lookup.ts'
import { changeNotices } from './notices.ts'
import { refuseFieldsOf } from './policy.ts'
import { userRead } from './present.ts'
import { requireRecentUser } from './recent.ts'
import type { UserPatch, UserReplace } from './schemas/users.ts'
import type { User } from './store.ts'

/**
 * Replaces the fields of a user. Username and name become null if left out; the profile and the fields that only
 * operators may set stay.
 * @throws Problem `user_not_found`, `forbidden`, `forbidden_field`, `reauthentication_required`, `email_taken`,
 * `username_taken`, `last_admin`
 */
export async function replaceUser(
  context: AssuredContext,
  id: string,
  input: UserReplace,
  caller: Caller,
): Promise<UserRead> {
  const user = await changeableUser(context, id, caller)
  const change = (current: User) => changeBy(current, { username: null, name: null, ...input })
  return updateUser(context, user, input, change, caller)
}

/**
 * Updates the fields that `input` has; `metadata` and `app_metadata` are merged (RFC 7396). A support person may disable
 * and enable a user.
 * @throws Problem `validation_failed` if merged values are too large; as `replaceUser`, but for `forbidden`
 */
export async function patchUser(
  context: AssuredContext,
  id: string,
  input: UserPatch,
  caller: Caller,
): Promise<UserRead> {
  const user = await visibleUser(context, id, caller)
  return updateUser(context, user, input, (current) => changeBy(current, mergePatches(current, input)), caller)
}

async function updateUser(
  context: AssuredContext,
  user: User,
  input: UserPatch,
  changeOf: (current: User) => Change,
  caller: Caller,
): Promise<UserRead> {
  refuseFieldsOf(user.id, input, caller)
  const changed = await applyChange(context, user, caller, async (current) => {
    // The user may have got a role meanwhile that only operators may act on.
    const change = changeOf(changeableBy(caller, visibleTo(caller, current)))
    await requireAssurance(context, current, change, caller)
    return change
  })
  return userRead(changed)
}

/**
 * Refuses a change by which someone with a stolen token could take over an account or gain rights, unless the caller has
 * authenticated recently, and with the second factor that they have.
 * @throws Problem `reauthentication_required`, `auth_unavailable`; `forbidden_field` for users who must prove another email first
 */
async function requireAssurance(
  context: AssuredContext,
  user: User,
  { fields }: Change,
  caller: Caller,
): Promise<void> {
  const { email, emailVerified, roles } = fields
  const isOtherAddress = email !== undefined && emailKey(email) !== emailKey(user.email)
  if (isOtherAddress && caller.userId === user.id && context.config.emailVerification === 'required')
    throw new Problem('forbidden_field', { message: 'Another email must be proved: POST /auth/email-change-request' })
  if (isOtherAddress || emailVerified !== undefined || roles !== undefined) await requireRecentUser(context, caller)
}

/** Replaces the merge patches of an update by their results. @throws Problem `validation_failed` if one is too large */
function mergePatches(current: User, input: UserPatch): UserPatch {
  const results: Record<string, JsonObject> = {}
  for (const name of PROFILE_NAMES) {
    const { body, merges } = profileField(name)
    if (!merges || input[name] === undefined) continue
    const result = mergePatch(current[name], input[name] as JsonObject)
    const [complaint] = [body.check(result) ?? []].flat()
    if (complaint) throw invalidField(name, complaint)
    results[name] = result
  }
  return { ...input, ...results }
}

/** The change that the new values of an update make to a record. */
export function changeBy(current: User, input: UserPatch): Change {
  const plain = plainFields(current, input)
  const names = Object.keys(plain)
  return oneChange(
    { fields: plain, audit: names.length > 0 ? [['user.updated', { fields: names }]] : [] },
    roleChange(current, input.roles),
    statusChange(current, input.status),
  )
}

/** The fields that differ and end no session and no token. */
function plainFields(current: User, input: UserPatch): Partial<User> {
  const { email, email_verified, name, username, ...profile } = input
  const fields: Partial<User> = {}
  if (email !== undefined && email !== current.email) fields.email = email
  const isOtherAddress = email !== undefined && emailKey(email) !== emailKey(current.email)
  // Nobody has proved the new address, unless an operator says so.
  const verified = email_verified ?? (isOtherAddress ? false : current.emailVerified)
  if (verified !== current.emailVerified) fields.emailVerified = verified
  const lowered = username?.toLowerCase() ?? username
  if (lowered !== undefined && lowered !== current.username) fields.username = lowered
  if (name !== undefined && name !== current.name) fields.name = name
  return { ...fields, ...profileChange(current, profile) }
}

/** The profile fields that differ. The order of the names in an object makes no difference. */
function profileChange(current: Profile, input: Partial<Profile>): Partial<Profile> {
  const names = PROFILE_NAMES.filter((name) => input[name] !== undefined && !Bun.deepEquals(input[name], current[name]))
  return Object.fromEntries(names.map((name) => [name, input[name]]))
}

/** Other roles end the user's access tokens, which hold the previous ones. */
function roleChange(current: User, roles: string[] | undefined): Change {
  if (roles === undefined || JSON.stringify(roles) === JSON.stringify(current.roles)) return NO_CHANGE
  return {
    fields: { roles, tokensFrom: current.version + 1 },
    audit: [['user.roles_changed', { from: current.roles, to: roles }]],
  }
}

/** Disabling a user ends all their sessions. */
function statusChange(current: User, status: User['status'] | undefined): Change {
  if (status === undefined || status === current.status) return NO_CHANGE
  if (status === 'active') return { fields: { status }, audit: [['user.enabled', {}]] }
  return { fields: { status, ...allSessionsEnded(current) }, audit: [['user.disabled', {}]] }
}

/** The marks of a change that ends every session of a user. */
export function allSessionsEnded({ version }: User): Partial<User> {
  return { sessionsFrom: version + 1, sessionKept: null, allSessionsFrom: version + 1 }
}

/**
 * Stores a change of a user and waits until the other services have acknowledged it, at most a second. If someone else
 * changes the user meanwhile, `changeOf` is called again with the newer record.
 * @throws Problem `user_not_found`, `email_taken`, `username_taken`, `last_admin`
 */
export async function applyChange(
  context: ChangeContext,
  user: User,
  caller: Caller,
  changeOf: (current: User) => Change | Promise<Change>,
): Promise<User> {
  const { clock, outboxes, store } = context
  for (let current: User | null = user; current; current = await store.userById(user.id)) {
    const change = await changeOf(current)
    const { fields } = change
    if (Object.keys(fields).length === 0) return current
    const next: User = { ...current, ...fields, version: current.version + 1, updatedAt: clock.now() }
    const notices = changeNotices(context, { from: current, to: next }, caller, change)
    const outcome = await store.replaceUser(next, notices, change.emailBy === 'undo' ? 'undone' : undefined)
    if (outcome === 'replaced') {
      await outboxes.waitForDelivery(user.id)
      return next
    }
    if (outcome === 'last_admin') throw new Problem(outcome)
    if (outcome !== 'changed_since') throw (await takenBy(context, next)) ?? new Problem(outcome)
  }
  throw new Problem('user_not_found')
}
