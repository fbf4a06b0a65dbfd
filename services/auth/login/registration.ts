import type { Caller } from '../../kit/caller.ts'
import { HOUR } from '../../kit/clock.ts'
import { errorOf, type FieldError, REQUIRED } from '../../kit/field-errors.ts'
import { type LimitRule, type LimitStore, limit } from '../../kit/limits.ts'
import { passwordErrors } from '../../kit/passwords/policy.ts'
import { invalidField, Problem } from '../../kit/problem.ts'
import type { Config } from '../../kit/process/config.ts'
import { OPERATOR_CREATION_FIELDS, type UserCreate, type UserRead } from '../../kit/schema/user.ts'
import { type CachedAccountContext, cachedAccount } from '../accounts/cached-account.ts'
import { decide } from '../assurance/decision.ts'
import { auditEvent } from '../audit/record.ts'
import { requestChallenge } from '../challenges/request.ts'
import type { UsersPeer } from '../peers.ts'
import type { Token } from '../schemas/tokens.ts'
import { openSession } from '../sessions/sessions.ts'
import type { AuditStore } from '../store/index.ts'
import type { EntryContext } from './enter.ts'

/** The limit on registrations from one address. */
const REGISTRATIONS: LimitRule = { name: 'registration', most: 1000, window: HOUR }

export type RegistrationContext = EntryContext &
  CachedAccountContext & {
    store: AuditStore & LimitStore
    users: Pick<UsersPeer, 'createUser'>
    config: Pick<Config, 'passwordMinLength' | 'registrationOpen'>
  }

/**
 * Registers a user through users, and logs them in if the email may be verified later.
 * @throws Problem `registration_closed`, `forbidden_field`, `rate_limited`, `users_unavailable`, and what users throws
 */
export async function register(
  context: RegistrationContext,
  body: UserCreate,
  caller: Caller,
): Promise<{ user: UserRead; tokens: Token | null; challengeId: string | null }> {
  const { challengeId, user } = await registerUser(context, body, caller)
  const account = await cachedAccount(context, user.id, caller)
  if (!account) throw new Problem('users_unavailable')
  const proof = { account, methods: ['pwd'], isDeviceKnown: true, hasSecondFactor: false } as const
  const decision = decide(context.config, proof, caller.way)
  if (decision.next !== 'complete') return { user, tokens: null, challengeId }
  const { tokens } = await openSession(context, decision.entry, caller, 'v1')
  return { user, tokens, challengeId }
}

/**
 * Registers a user through users, without a session, and queues the mail that verifies the email.
 * @throws Problem as `register`
 */
export async function registerUser(
  context: RegistrationContext,
  body: UserCreate,
  caller: Caller,
): Promise<{ user: UserRead; challengeId: string | null }> {
  const { clock, config, store, users } = context
  refuseRegistration(config, body)
  const { password } = body
  if (password === undefined) throw invalidField('password', REQUIRED)
  if (config.rateLimit && caller.ip) await limit(store, REGISTRATIONS, caller.ip, clock.now())
  const user = await users.createUser({ ...body, password }, caller.requestId)
  const { email: address, id: userId } = user
  // Users records that the user was created; only auth knows the address from which they registered.
  await store.addAuditEvent(auditEvent(context, caller, 'user.registered', userId))
  if (config.emailVerification === 'off') return { user, challengeId: null }
  const verification = { purpose: 'email_verification', address, userId, limited: 'not' } as const
  return { user, challengeId: await requestChallenge(context, verification, caller) }
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
