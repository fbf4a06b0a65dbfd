import type { Caller } from '../kit/caller.ts'
import { HOUR } from '../kit/clock.ts'
import { type LimitRule, limit } from '../kit/limits.ts'
import type { Log } from '../kit/log.ts'
import { type AuditEvent, actorOf } from '../kit/outbox/audit.ts'
import { type Hasher, isUnusableHash } from '../kit/passwords/hasher.ts'
import { bothTaken, invalid, Problem } from '../kit/problem.ts'
import type { Config } from '../kit/process/config.ts'
import { isUuid } from '../kit/random.ts'
import { emailKey, isEmail, withoutBlanks } from '../kit/schema/email.ts'
import { type PageQuery, pageAnswer, pageRequest } from '../kit/schema/page.ts'
import type { UserCreate, UserRead } from '../kit/schema/user.ts'
import type { UserPatch, UserReplace } from './model.ts'
import { type EventContext, userChangedNotices, userCreatedNotices, userDeletedNotices } from './notices.ts'
import { auditedNotice, changeNotice, deletionNotices, emailChangeNotice, type Outboxes, userRead } from './outbox.ts'
import type { EmailChange } from './peers.ts'
import { passwordErrors, refuseCreation, refuseOperatorFields } from './policy.ts'
import type { User, UserFilter, UsersStore } from './store.ts'

export interface UsersContext extends EventContext {
  store: UsersStore
  hasher: Hasher
  announcements: Outboxes
  log: Log
  config: Pick<Config, 'passwordMinLength' | 'registrationOpen' | 'rateLimit'>
}

const REGISTRATIONS: LimitRule = { name: 'registration', most: 1000, window: HOUR }

/**
 * Makes a user.
 * @throws Problem `registration_closed`, `forbidden_field`, `validation_failed`, `weak_password`, `email_taken`,
 * `username_taken`, `rate_limited`, `overloaded`
 */
export async function createUser(context: UsersContext, input: UserCreate, caller: Caller): Promise<UserRead> {
  const { clock, config, random, store, announcements } = context
  refuseCreation(config, input, caller)
  if (!caller.operator) {
    // Auth counts those that come through it; their address is not known here.
    if (config.rateLimit && !caller.internal && caller.ip) await limit(store, REGISTRATIONS, caller.ip, clock.now())
  }

  const username = input.username?.toLowerCase() ?? null
  const errors = passwordErrors(input, config.passwordMinLength, caller)
  if (errors.length > 0) throw invalid(errors)
  // Before the costly hash; the store looks again.
  const conflict = await takenBy(store, { id: null, email: input.email, username })
  if (conflict) throw conflict

  const passwordHash = await passwordHashOf(input, (password) => context.hasher.hash(password))
  const now = clock.now()
  const user = newUser(input, { id: random.id(), passwordHash, createdAt: now, updatedAt: now })
  const created = event(context, 'user.created', user.id, caller, { roles: user.roles })
  const outcome = await store.addUser(user, [
    changeNotice(user.id),
    ...userCreatedNotices(context, user),
    auditedNotice(created),
  ])
  if (outcome !== 'added')
    throw (await takenBy(store, { id: null, email: user.email, username })) ?? new Problem(outcome)
  // Auth, which registers through here, finds the user in its cache when it gets the answer.
  if (caller.internal) await announcements.heard(user.id)
  else announcements.send()
  return userRead(user)
}

/** The record of a user who is being made. */
export function newUser(
  input: Omit<UserCreate, 'password' | 'password_hash'>,
  own: Pick<User, 'id' | 'passwordHash' | 'createdAt' | 'updatedAt'>,
): User {
  return {
    ...own,
    email: input.email,
    username: input.username?.toLowerCase() ?? null,
    name: input.name ?? null,
    roles: input.roles ?? ['USER'],
    status: input.status ?? 'active',
    emailVerified: input.email_verified ?? false,
    version: 1,
    sessionsFrom: 1,
    allSessionsFrom: 1,
    sessionKept: null,
    tokensFrom: 1,
  }
}

/**
 * What a new user logs in with: a hash that is given, or that of a password. Null where neither is, or where the hash is
 * one that other systems write for someone without a password.
 */
export async function passwordHashOf(
  { password, password_hash }: Pick<UserCreate, 'password' | 'password_hash'>,
  hash: (password: string) => Promise<string>,
): Promise<string | null> {
  if (password !== undefined) return await hash(password)
  return password_hash === undefined || isUnusableHash(password_hash) ? null : password_hash
}

/** The email or the username that another user has, or both. */
async function takenBy(
  store: UsersStore,
  { email, id, username }: { id: string | null; email: string; username: string | null },
): Promise<Problem | undefined> {
  const [byEmail, byUsername] = await Promise.all([
    store.userByEmail(email),
    username === null ? null : store.userByUsername(username),
  ])
  const [hasEmail, hasUsername] = [byEmail, byUsername].map((user) => user !== null && user.id !== id)
  if (hasEmail) return hasUsername ? bothTaken() : new Problem('email_taken')
  return hasUsername ? new Problem('username_taken') : undefined
}

/**
 * The user, for itself, an operator or another service; for anyone else there is no such user.
 * @throws Problem `user_not_found`
 */
export async function getUser(context: UsersContext, id: string, caller: Caller): Promise<UserRead> {
  return shown(await visibleUser(context, id, caller))
}

const read = new WeakMap<User, UserRead>()

/** Kept as long as the store keeps the row: of a user who has not changed the same is shown. */
function shown(user: User): UserRead {
  const known = read.get(user)
  if (known) return known
  const made = userRead(user)
  read.set(user, made)
  return made
}

export async function visibleUser({ store }: Pick<UsersContext, 'store'>, id: string, caller: Caller): Promise<User> {
  const key = id.toLowerCase()
  const allowed = caller.operator || caller.internal || caller.userId === key
  const user = allowed && isUuid(key) ? await store.userById(key) : null
  if (!user) throw new Problem('user_not_found')
  return user
}

/** As `getUser`, by the id or the email. @throws Problem `user_not_found` */
export async function getUserNamed(context: UsersContext, idOrEmail: string, caller: Caller): Promise<UserRead> {
  const name = withoutBlanks(idOrEmail)
  if (!isEmail(name)) return getUser(context, name, caller)
  const user = await context.store.userByEmail(name)
  if (!user) throw new Problem('user_not_found')
  return getUser(context, user.id, caller)
}

/** @throws Problem `user_not_found` */
export async function findUser({ store }: UsersContext, by: 'email' | 'username', value: string): Promise<UserRead> {
  const name = withoutBlanks(value)
  const user = by === 'email' ? await store.userByEmail(name) : await store.userByUsername(name.toLowerCase())
  if (!user) throw new Problem('user_not_found')
  return userRead(user)
}

type ListQuery = PageQuery &
  Partial<Omit<UserFilter, 'hasPassword' | 'emailVerified'>> & {
    has_password?: 'true' | 'false'
    email_verified?: 'true' | 'false'
  }

/** @throws Problem `validation_failed` for a cursor of another list */
export async function listUsers({ store }: UsersContext, query: ListQuery) {
  const { role, status, sort = 'created_at' } = query
  const [hasPassword, emailVerified] = [flagIn(query.has_password), flagIn(query.email_verified)]
  const search = query.search || undefined
  const list = JSON.stringify(['users', search, role, status, sort, hasPassword, emailVerified])
  const request = pageRequest(query, list)
  const filter = {
    sort,
    ...(search && { search }),
    ...(role && { role }),
    ...(status && { status }),
    ...(hasPassword !== undefined && { hasPassword }),
    ...(emailVerified !== undefined && { emailVerified }),
  }
  return pageAnswer(await store.listUsers(filter, request), request, list, userRead)
}

function flagIn(text: 'true' | 'false' | undefined): boolean | undefined {
  return text === undefined ? undefined : text === 'true'
}

/**
 * Replaces a user's data: what is left out becomes null, but for what only an operator may set.
 * @throws Problem `user_not_found`, `forbidden_field`, `email_taken`, `username_taken`, `last_admin`
 */
export function replaceUser(context: UsersContext, id: string, input: UserReplace, caller: Caller): Promise<UserRead> {
  return change(context, id, { username: null, name: null, ...input }, caller)
}

/** Changes what is given. @throws Problem as `replaceUser` */
export function patchUser(context: UsersContext, id: string, input: UserPatch, caller: Caller): Promise<UserRead> {
  return change(context, id, input, caller)
}

async function change(context: UsersContext, id: string, input: UserPatch, caller: Caller): Promise<UserRead> {
  const user = await visibleUser(context, id, caller)
  refuseOperatorFields(input, caller)
  const next = await replace(context, user, caller, (current) => changes(current, input))
  return userRead(next)
}

/** What an update makes of a user: the fields that differ, and the events that they are. */
export function changes(current: User, input: UserPatch): Change {
  const wanted: Partial<User> = {}
  if (input.email !== undefined && input.email !== current.email) {
    wanted.email = input.email
    // Another address has not been shown to be the user's.
    if (emailKey(input.email) !== emailKey(current.email)) wanted.emailVerified = false
  }
  const username = input.username?.toLowerCase() ?? input.username
  if (username !== undefined && username !== current.username) wanted.username = username
  if (input.name !== undefined && input.name !== current.name) wanted.name = input.name
  if (input.email_verified !== undefined && input.email_verified !== current.emailVerified)
    wanted.emailVerified = input.email_verified
  else if (input.email_verified !== undefined) delete wanted.emailVerified

  const events: Change['events'] = []
  const fields = Object.keys(wanted)
  if (fields.length > 0) events.push(['user.updated', { fields }])

  const version = current.version + 1
  if (input.roles !== undefined && JSON.stringify(input.roles) !== JSON.stringify(current.roles)) {
    Object.assign(wanted, { roles: input.roles, tokensFrom: version })
    events.push(['user.roles_changed', { from: current.roles, to: input.roles }])
  }
  if (input.status !== undefined && input.status !== current.status) {
    wanted.status = input.status
    if (input.status === 'disabled')
      Object.assign(wanted, { sessionsFrom: version, sessionKept: null, allSessionsFrom: version })
    events.push([input.status === 'disabled' ? 'user.disabled' : 'user.enabled', {}])
  }
  return { fields: wanted, events }
}

export interface Change {
  fields: Partial<User>
  events: [type: string, detail: Record<string, unknown>][]
}

/**
 * Puts a change of a user into the store, whoever else changes the same user meanwhile, and waits until the other
 * services know of it.
 * @throws Problem `user_not_found`, `email_taken`, `username_taken`, `last_admin`
 */
export async function replace(
  context: UsersContext,
  user: User,
  caller: Caller,
  changeOf: (current: User) => Change,
): Promise<User> {
  const { announcements, clock, store } = context
  for (let current: User | null = user; current; current = await store.userById(user.id)) {
    const { fields, events } = changeOf(current)
    if (Object.keys(fields).length === 0) return current
    const next: User = { ...current, ...fields, version: current.version + 1, updatedAt: clock.now() }
    const notices = [changeNotice(user.id), ...userChangedNotices(context, { from: current, to: next }, events)]
    if (emailKey(next.email) !== emailKey(current.email))
      notices.push(emailChangeNotice(leftBehind(context, current, caller)))
    for (const [type, detail] of events) notices.push(auditedNotice(event(context, type, user.id, caller, detail)))
    const outcome = await store.replaceUser(next, notices)
    if (outcome === 'replaced') {
      await announcements.heard(user.id)
      return next
    }
    if (outcome === 'last_admin') throw new Problem(outcome)
    if (outcome !== 'changed_since') throw (await takenBy(store, next)) ?? new Problem(outcome)
  }
  throw new Problem('user_not_found')
}

/** OWASP ASVS 6.3.7: whoever changed it, its owner must hear of it where the thief of a session can't see. */
function leftBehind({ clock, random }: UsersContext, { email, id }: User, { requestId }: Caller): EmailChange {
  return { id: random.id(), userId: id, oldEmail: email, at: clock.now(), requestId }
}

/** @throws Problem `user_not_found`, `last_admin` */
export async function deleteUser(context: UsersContext, id: string, caller: Caller): Promise<UserRead> {
  const user = await visibleUser(context, id, caller)
  const gone = event(context, 'user.deleted', user.id, caller, {})
  const outcome = await context.store.removeUser(user.id, [
    ...deletionNotices(user.id, context.announcements.subscribers),
    ...userDeletedNotices(context, user.id),
    auditedNotice(gone),
  ])
  if (outcome === 'last_admin') throw new Problem('last_admin')
  if (outcome === 'not_found') throw new Problem('user_not_found')
  await context.announcements.heard(user.id)
  return userRead(user)
}

export function event(
  { clock, random }: Pick<UsersContext, 'clock' | 'random'>,
  type: string,
  userId: string | null,
  caller: Caller,
  detail: Record<string, unknown>,
): AuditEvent {
  return { id: random.id(), at: clock.now(), type, userId, ...actorOf(caller), detail }
}
