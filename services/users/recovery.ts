import { ADMIN, type Caller } from '../kit/caller.ts'
import type { Clock } from '../kit/clock.ts'
import { errorOf } from '../kit/field-errors.ts'
import type { Hasher } from '../kit/passwords/hasher.ts'
import { passwordErrors } from '../kit/passwords/policy.ts'
import { invalid, Problem } from '../kit/problem.ts'
import type { Random } from '../kit/random.ts'
import { emailComplaint, withoutBlanks } from '../kit/schema/email.ts'
import type { UserRead } from '../kit/schema/user.ts'
import { type EventContext, userChangedNotices, userCreatedNotices } from './notices.ts'
import { auditedNotice, changeNotice, sendToAuth, userRead } from './outbox.ts'
import { passwordChange } from './passwords.ts'
import type { AuthPeer } from './peers.ts'
import type { User, UsersStore } from './store.ts'
import { type Change, changes, event, newUser } from './users.ts'

interface Recovery {
  store: UsersStore
  clock: Clock
  random: Random
  hasher: Hasher
  passwordMinLength: number
}

/** Someone on the machine itself, who needs no key: whoever can write the database can do anything. */
function byTool({ random }: Recovery): Caller {
  const nobody = { userId: null, sessionId: null, roles: [], ip: null, userAgent: null }
  return { ...nobody, operator: true, internal: false, actor: 'cli', requestId: random.id() }
}

/**
 * Lets a locked-out administrator in again, with the services up or down: a new password, active, with the role ADMIN,
 * every session ended. Written as an ordinary change is, with its notices, so that auth hears of it whenever it runs.
 * @param typed the email, in any spelling
 * @param create whether to make the user where there is none
 * @throws Problem `user_not_found`, `validation_failed`, `weak_password`
 */
export async function recoverAdmin(
  context: Recovery,
  typed: string,
  password: string,
  create: boolean,
): Promise<{ user: UserRead; created: boolean }> {
  const { hasher, passwordMinLength, store } = context
  const email = withoutBlanks(typed)
  const caller = byTool(context)
  const known = await store.userByEmail(email)
  if (!known && !create) throw new Problem('user_not_found')
  const own = known ? [known.email, known.username, known.name] : [email]
  const normal = password.normalize('NFC')
  const errors = passwordErrors('password', normal, passwordMinLength, own)
  const complaint = known ? undefined : emailComplaint(email)
  if (complaint) errors.unshift(errorOf('email', complaint))
  if (errors.length > 0) throw invalid(errors)
  const passwordHash = await hasher.hash(normal)
  if (!known) return { user: userRead(await add(context, email, passwordHash, caller)), created: true }
  for (let current: User | null = known; current; current = await store.userById(known.id)) {
    const { events, fields } = recovery(current, passwordHash)
    const next: User = { ...current, ...fields, version: current.version + 1, updatedAt: context.clock.now() }
    const rows = events.map(([type, detail]) => auditedNotice(event(context, type, next.id, caller, detail)))
    const told = userChangedNotices(telling(context), { from: current, to: next }, events)
    const outcome = await store.replaceUser(next, [changeNotice(next.id), ...told, ...rows])
    if (outcome === 'replaced') return { user: userRead(next), created: false }
    // `changed_since`: by a service that runs meanwhile.
    if (outcome !== 'changed_since') throw new Problem(outcome)
  }
  throw new Problem('user_not_found')
}

/** Who listens is not known here: auth drops what no one does. */
function telling({ clock, random }: Recovery): EventContext {
  return { clock, random, wants: () => true }
}

function recovery(user: User, passwordHash: string): Change {
  const roles = user.roles.includes(ADMIN) ? user.roles : [...user.roles, ADMIN]
  const rights = changes(user, { roles, status: 'active' })
  const password = passwordChange(user, passwordHash, 'user.recovered', null)
  return { fields: { ...rights.fields, ...password.fields }, events: [...password.events, ...rights.events] }
}

async function add(context: Recovery, email: string, passwordHash: string, caller: Caller): Promise<User> {
  const { clock, random, store } = context
  const now = clock.now()
  const roles = ['USER', ADMIN]
  const user = newUser({ email, roles }, { id: random.id(), passwordHash, createdAt: now, updatedAt: now })
  const created = event(context, 'user.recovered', user.id, caller, { created: true, roles })
  const told = userCreatedNotices(telling(context), user)
  const outcome = await store.addUser(user, [changeNotice(user.id), ...told, auditedNotice(created)])
  if (outcome !== 'added') throw new Problem(outcome)
  return user
}

/**
 * Tells a running auth what was just written, whether users runs or not; the notices stay with users, which tells them
 * again.
 * @param sendAll asks users, if it runs, to send what waits
 * @returns whether auth knows: then the old password and the old sessions are refused everywhere
 */
export async function tellAtOnce(
  store: UsersStore,
  { auth, sendAll }: { auth: AuthPeer; sendAll(): Promise<void> },
  userId: string,
): Promise<boolean> {
  try {
    await sendToAuth(store, auth)({ ...changeNotice(userId), seq: 0 })
  } catch (error) {
    if (error instanceof Problem) return false
    throw error
  }
  // For the audit, which can wait.
  await sendAll().catch(() => undefined)
  return true
}
