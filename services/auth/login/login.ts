import type { Caller } from '../../kit/caller.ts'
import { limitKey } from '../../kit/client-address.ts'
import { HOUR, timestamp } from '../../kit/clock.ts'
import { errorOf, exactlyOne, type FieldError, REQUIRED } from '../../kit/field-errors.ts'
import { type LimitRule, limit } from '../../kit/limits.ts'
import type { AuditEvent } from '../../kit/outbox/audit.ts'
import { passwordErrors } from '../../kit/passwords/policy.ts'
import { invalid, invalidField, Problem } from '../../kit/problem.ts'
import { isEmail } from '../../kit/schema/email.ts'
import type { UserCreate, UserRead } from '../../kit/schema/user.ts'
import {
  accountNamed,
  type CheckedPassword,
  checkPassword,
  type Login,
  loginOf,
  syncUser,
  unknownLoginKey,
} from '../accounts/password-cache.ts'
import { type AuthContext, eventBy } from '../context.ts'
import type { LoginBody, Token } from '../model.ts'
import { type Opened, openSession } from '../sessions/sessions.ts'
import type { Account, SessionKind } from '../store.ts'
import type { Pauses } from './limits.ts'

const REGISTRATIONS: LimitRule = { name: 'registration', most: 1000, window: HOUR }
const OPERATOR_FIELDS = ['roles', 'status', 'email_verified', 'password_hash'] as const

/**
 * Logs a user in by its email, its username, or either.
 * @throws Problem `invalid_credentials` for an unknown user as for a wrong password, `account_disabled` only when the
 * password was right, `rate_limited` before any hashing, `users_unavailable`, `overloaded`
 */
export async function login(
  context: AuthContext,
  body: LoginBody,
  caller: Caller,
  kind: SessionKind = 'v1',
): Promise<Opened> {
  const named = namedIn(body)
  const known = await accountNamed(context, named)
  const of = known?.userId ?? unknownLoginKey(named)
  try {
    return await loginNamed(context, { named, known, of, password: body.password }, caller, kind)
  } catch (error) {
    context.limits.refused.keep(error, { of, userId: known?.userId ?? null, caller, now: context.clock.now() })
    throw error
  }
}

interface Credentials {
  named: Login
  known: Account | null
  /** What its failures are counted under. */
  of: string
  password: string
}

async function loginNamed(
  context: AuthContext,
  { known, named, of, password }: Credentials,
  caller: Caller,
  kind: SessionKind,
): Promise<Opened> {
  const address = caller.ip === null ? null : limitKey(caller.ip)
  const attempt = await context.limits.begin(of, address)
  let checked: CheckedPassword | null
  try {
    checked = await checkPassword(context, known, named, password, caller)
  } catch (error) {
    attempt.abandoned()
    throw error
  }
  if (!checked) {
    await attempt.failed((pauses) => failureEvents(context, named, known, caller, pauses))
    throw new Problem('invalid_credentials')
  }
  await attempt.succeeded()
  const { account, rehash } = checked
  if (account.status === 'disabled') {
    await context.store.addEvent(
      eventBy(context, caller, 'login.failed', account.userId, { reason: 'account_disabled' }),
    )
    throw new Problem('account_disabled')
  }
  const opened = await openSession(context, account, caller, kind)
  if (rehash) replaceOldHash(context, account, password, caller)
  return opened
}

/** What is wrong with a login: exactly one of the names is given. */
export function loginErrors(sent: object): FieldError[] {
  return exactlyOne(sent, ['email', 'username', 'login'])
}

function namedIn({ email, username, login }: LoginBody): Login {
  const errors = loginErrors({ email, username, login })
  if (errors.length > 0) throw invalid(errors)
  if (email !== undefined) return loginOf(email, 'email')
  return username === undefined ? loginOf(login ?? '') : loginOf(username, 'username')
}

function failureEvents(
  context: AuthContext,
  named: Login,
  known: Account | null,
  caller: Caller,
  pauses: Pauses,
): AuditEvent[] {
  const userId = known?.userId ?? null
  const reason = known ? reasonOf(known) : 'unknown_or_wrong'
  // A password typed in the place of the name must not be kept: only what has the form of an email is.
  const typed = known === null && isEmail(named.name) ? { email: named.name } : {}
  const events = [eventBy(context, caller, 'login.failed', userId, { reason, ...typed })]
  if (pauses.account > 0)
    events.push(eventBy(context, caller, 'login.paused', userId, { until: timestamp(pauses.account), ...typed }))
  // Of no account: whoever comes from there must wait. Refused logins leave no row, so no one can fill the audit.
  if (pauses.address > 0 && caller.ip !== null) {
    const detail = { until: timestamp(pauses.address), address: limitKey(caller.ip) }
    events.push(eventBy(context, caller, 'login.paused', null, detail))
  }
  return events
}

/** For the audit alone: whoever tries is told the same. */
function reasonOf({ passwordHash }: Account): 'no_password' | 'wrong_password' {
  return passwordHash === null ? 'no_password' : 'wrong_password'
}

/** Rehashes the password in the background, in both databases. */
function replaceOldHash(context: AuthContext, account: Account, password: string, caller: Caller): void {
  const { cacheUse, hasher, log, users } = context
  cacheUse.pending++
  hasher
    .hash(password)
    .then((hash) => users.replaceHash(account.userId, hash, account.version, caller.requestId))
    // The old hash goes on to work; the next login tries again.
    .catch((error) => log.warn({ event: 'hash.not_replaced', userId: account.userId, err: error }))
    .finally(() => cacheUse.pending--)
}

/**
 * Registers a user through users, and logs it in.
 * @throws Problem `registration_closed`, `forbidden_field`, `rate_limited`, `users_unavailable`, and what users refuses
 */
export async function register(
  context: AuthContext,
  body: UserCreate,
  caller: Caller,
): Promise<{ user: UserRead; tokens: Token }> {
  const user = await registerUser(context, body, caller)
  const account = (await context.store.accountById(user.id)) ?? (await fetchAccount(context, user.id, caller))
  const { tokens } = await openSession(context, account, caller, 'v1')
  return { user, tokens }
}

/** Registers a user through users, without a session. @throws Problem as `register` */
export async function registerUser(context: AuthContext, body: UserCreate, caller: Caller): Promise<UserRead> {
  const { clock, config, store, users } = context
  refuseRegistration(config, body)
  const { email, name, password, username } = body
  if (password === undefined) throw invalidField('password', REQUIRED)
  if (config.rateLimit && caller.ip) await limit(store, REGISTRATIONS, caller.ip, clock.now())
  const user = {
    email,
    password,
    ...(username === undefined ? {} : { username }),
    ...(name === undefined ? {} : { name }),
  }
  const made = await users.createUser(user, caller.requestId)
  // Users writes down that it was made; from where is known here alone.
  await store.addEvent(eventBy(context, caller, 'user.registered', made.id))
  return made
}

/** @throws Problem `forbidden_field`, `registration_closed` */
function refuseRegistration({ registrationOpen }: AuthContext['config'], sent: object): void {
  const field = OPERATOR_FIELDS.find((name) => name in sent)
  if (field) throw new Problem('forbidden_field', { message: `Only an operator may set ${field}` })
  if (!registrationOpen) throw new Problem('registration_closed')
}

/**
 * What is wrong with a registration beyond its schema, as far as users need not be asked.
 * @throws Problem `forbidden_field`, `registration_closed`
 */
export function registrationErrors({ config }: AuthContext, sent: Record<string, unknown>): FieldError[] {
  refuseRegistration(config, sent)
  const { email, name, password, username } = sent
  if (password === undefined) return [errorOf('password', REQUIRED)]
  return passwordErrors('password', password, config.passwordMinLength, [email, username, name])
}

async function fetchAccount(context: AuthContext, userId: string, caller: Caller): Promise<Account> {
  const record = await context.users.passwordRecord(userId, caller.requestId)
  if (record) await syncUser(context, record, caller)
  const account = await context.store.accountById(userId)
  if (!account) throw new Problem('users_unavailable')
  return account
}
