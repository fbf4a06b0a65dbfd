import { ADMIN, type Caller } from '../kit/caller.ts'
import { errorOf, type FieldError } from '../kit/field-errors.ts'
import type { Hasher } from '../kit/passwords/hasher.ts'
import { passwordErrors } from '../kit/passwords/policy.ts'
import { invalid, Problem } from '../kit/problem.ts'
import { emailComplaint, withoutBlanks } from '../kit/schema/email.ts'
import type { UserRead } from '../kit/schema/user.ts'
import { type Change, oneChange } from './change.ts'
import { changeBy } from './changes.ts'
import type { EventContext, ReadContext, RecordContext } from './context.ts'
import { changeNotice, changeNotices, creationNotices } from './notices.ts'
import { sendToAuth } from './outbox.ts'
import { passwordChange } from './passwords.ts'
import type { AuthPeer } from './peers.ts'
import { userRead } from './present.ts'
import type { User, UsersStore } from './store.ts'
import { newUser } from './users.ts'

interface RecoveryContext extends ReadContext, RecordContext {
  hasher: Hasher
  passwordMinLength: number
}

/**
 * Restores the access of an administrator who is locked out, whether the services run or not: sets a new password,
 * makes the user active, adds the role ADMIN and ends all sessions. Writes the same notices as any other change, so
 * that auth learns of it the next time it runs.
 * @param admin the email in any spelling, the new password, and whether to create a user who does not exist
 * @throws Problem `user_not_found`, `validation_failed`, `weak_password`
 */
export async function recoverAdmin(
  context: RecoveryContext,
  { create, password, ...typed }: { email: string; password: string; create: boolean },
): Promise<{ user: UserRead; created: boolean }> {
  const { hasher, passwordMinLength, store } = context
  const email = withoutBlanks(typed.email)
  const caller = toolCaller(context)
  const user = await store.userByEmail(email)
  if (!user && !create) throw new Problem('user_not_found')
  const normalized = password.normalize('NFC')
  const names = user ? [user.email, user.username, user.name] : [email]
  const errors = [
    ...(user ? [] : emailErrors(email)),
    ...passwordErrors('password', normalized, passwordMinLength, names),
  ]
  if (errors.length > 0) throw invalid(errors)
  const passwordHash = await hasher.hash(normalized)
  if (user) return { user: userRead(await restoreAccess(context, user, passwordHash, caller)), created: false }
  return { user: userRead(await addAdmin(context, email, passwordHash, caller)), created: true }
}

/** The caller of a tool that runs on the machine itself: anyone who can write to the database can do anything. */
function toolCaller({ random }: RecordContext): Caller {
  return {
    userId: null,
    sessionId: null,
    roles: [],
    authTime: null,
    amr: [],
    operator: true,
    supportRole: null,
    scraper: false,
    internal: false,
    client: null,
    app: null,
    actor: 'cli',
    ip: null,
    userAgent: null,
    way: 'api',
    locale: null,
    requestId: random.id(),
  }
}

function emailErrors(email: string): FieldError[] {
  const complaint = emailComplaint(email)
  return complaint ? [errorOf('email', complaint)] : []
}

/** Writes every event: the subscriptions are not known here, and auth drops the events that nobody subscribed to. */
function eventContext({ clock, random }: RecordContext): EventContext {
  return { clock, random, isSubscribed: () => true }
}

async function restoreAccess(
  context: RecoveryContext,
  user: User,
  passwordHash: string,
  caller: Caller,
): Promise<User> {
  const { clock, store } = context
  for (let current: User | null = user; current; current = await store.userById(user.id)) {
    const change = recoveryChange(current, passwordHash)
    const next: User = { ...current, ...change.fields, version: current.version + 1, updatedAt: clock.now() }
    const notices = changeNotices(eventContext(context), { from: current, to: next }, caller, change)
    const outcome = await store.replaceUser(next, notices)
    if (outcome === 'replaced') return next
    // `changed_since`: a running service changed the user meanwhile.
    if (outcome !== 'changed_since') throw new Problem(outcome)
  }
  throw new Problem('user_not_found')
}

function recoveryChange(user: User, passwordHash: string): Change {
  const roles = user.roles.includes(ADMIN) ? user.roles : [...user.roles, ADMIN]
  const rights = changeBy(user, { roles, status: 'active' })
  const password = passwordChange(user, passwordHash, { type: 'user.recovered', sessionKept: null })
  return { ...oneChange(password, rights), notice: 'password_changed' }
}

async function addAdmin(context: RecoveryContext, email: string, passwordHash: string, caller: Caller): Promise<User> {
  const { clock, random, store } = context
  const now = clock.now()
  const roles = ['USER', ADMIN]
  const user = newUser({ email, roles }, { id: random.id(), passwordHash, createdAt: now, updatedAt: now })
  const notices = creationNotices(eventContext(context), user, caller, ['user.recovered', { created: true, roles }])
  const outcome = await store.addUser(user, notices)
  if (outcome !== 'added') throw new Problem(outcome)
  return user
}

/**
 * Sends a recovered user to a running auth, whether users runs or not. The notices stay in the outbox, and users sends
 * them again.
 * @param sendAll asks users, if it runs, to send its notices
 * @returns whether auth has acknowledged: then the old password and the old sessions are refused everywhere
 */
export async function sendRecovery(
  store: UsersStore,
  { auth, sendAll }: { auth: AuthPeer; sendAll(): Promise<void> },
  userId: string,
): Promise<boolean> {
  try {
    await sendToAuth(store, auth)({ ...changeNotice(userId, Date.now()), seq: 0 })
  } catch (error) {
    if (error instanceof Problem) return false
    throw error
  }
  // The rest of the notices, the audit rows among them, may arrive later.
  await sendAll().catch(() => undefined)
  return true
}
