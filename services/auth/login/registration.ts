import type { Caller } from '../../kit/caller.ts'
import { HOUR } from '../../kit/clock.ts'
import { errorOf, type FieldError, REQUIRED } from '../../kit/field-errors.ts'
import { type LimitRule, type LimitStore, limit } from '../../kit/limits.ts'
import { passwordErrors } from '../../kit/passwords/policy.ts'
import { invalidField, Problem } from '../../kit/problem.ts'
import type { Config } from '../../kit/process/config.ts'
import { OPERATOR_CREATION_FIELDS, type UserCreate, type UserRead } from '../../kit/schema/user.ts'
import { type SyncContext, syncUser } from '../accounts/sync.ts'
import { auditEvent } from '../audit/record.ts'
import type { UsersPeer } from '../peers.ts'
import type { Token } from '../schemas/tokens.ts'
import { openSession, type SessionsContext } from '../sessions/sessions.ts'
import type { Account, AuditStore } from '../store/index.ts'

/** The limit on registrations from one address. */
const REGISTRATIONS: LimitRule = { name: 'registration', most: 1000, window: HOUR }

export type RegistrationContext = SessionsContext &
  SyncContext & {
    store: AuditStore & LimitStore
    users: Pick<UsersPeer, 'createUser' | 'passwordRecord'>
    config: Pick<Config, 'passwordMinLength' | 'rateLimit' | 'registrationOpen'>
  }

/**
 * Registers a user through users, and logs them in.
 * @throws Problem `registration_closed`, `forbidden_field`, `rate_limited`, `users_unavailable`, and what users throws
 */
export async function register(
  context: RegistrationContext,
  body: UserCreate,
  caller: Caller,
): Promise<{ user: UserRead; tokens: Token }> {
  const user = await registerUser(context, body, caller)
  const account = (await context.store.accountById(user.id)) ?? (await fetchAccount(context, user.id, caller))
  const { tokens } = await openSession(context, account, caller, 'v1')
  return { user, tokens }
}

/** Registers a user through users, without a session. @throws Problem as `register` */
export async function registerUser(context: RegistrationContext, body: UserCreate, caller: Caller): Promise<UserRead> {
  const { clock, config, store, users } = context
  refuseRegistration(config, body)
  const { password } = body
  if (password === undefined) throw invalidField('password', REQUIRED)
  if (config.rateLimit && caller.ip) await limit(store, REGISTRATIONS, caller.ip, clock.now())
  const created = await users.createUser({ ...body, password }, caller.requestId)
  // Users records that the user was created; only auth knows the address from which they registered.
  await store.addAuditEvent(auditEvent(context, caller, 'user.registered', created.id))
  return created
}

/** Refuses fields that only operators may set, and every registration while it is closed. */
function refuseRegistration({ registrationOpen }: Pick<Config, 'registrationOpen'>, body: object): void {
  const field = OPERATOR_CREATION_FIELDS.find((name) => name in body)
  if (field) throw new Problem('forbidden_field', { message: `Only an operator may set ${field}` })
  if (!registrationOpen) throw new Problem('registration_closed')
}

/**
 * Returns the errors of a registration beyond its schema that auth can find without asking users.
 * @throws Problem `forbidden_field`, `registration_closed`
 */
export function registrationErrors(
  { config }: { config: RegistrationContext['config'] },
  body: Record<string, unknown>,
): FieldError[] {
  refuseRegistration(config, body)
  const { email, name, password, username } = body
  if (password === undefined) return [errorOf('password', REQUIRED)]
  return passwordErrors('password', password, config.passwordMinLength, [email, username, name])
}

/** Fetches a new user whose notice has not arrived yet. @throws Problem `users_unavailable` */
async function fetchAccount(context: RegistrationContext, userId: string, caller: Caller): Promise<Account> {
  const record = await context.users.passwordRecord(userId, caller.requestId)
  if (record) await syncUser(context, record, caller)
  const account = await context.store.accountById(userId)
  if (!account) throw new Problem('users_unavailable')
  return account
}
