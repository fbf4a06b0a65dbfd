import type { Caller } from '../../kit/caller.ts'
import { limitKey } from '../../kit/client-address.ts'
import { timestamp } from '../../kit/clock.ts'
import type { Log } from '../../kit/log.ts'
import type { AuditEvent } from '../../kit/outbox/audit.ts'
import { Problem } from '../../kit/problem.ts'
import { isEmail } from '../../kit/schema/email.ts'
import { type AuditRecordContext, auditEvent } from '../audit/record.ts'
import { hashOf } from '../challenges/secrets.ts'
import type { UsersPeer } from '../peers.ts'
import type { LoginBody } from '../schemas/login.ts'
import type { SessionWithTokens } from '../sessions/sessions.ts'
import type {
  Account,
  AuditStore,
  Device,
  DeviceStore,
  FactorStore,
  SecondFactorMethod,
  SessionKind,
} from '../store/index.ts'
import { type CheckedPassword, type CredentialsContext, checkPassword } from './credentials.ts'
import { type EntryContext, enter } from './enter.ts'
import { deviceKey, failureKey, findAccount, identifierIn, type LoginIdentifier } from './identifier.ts'
import type { Lockouts, LoginLimits } from './limits.ts'

export type LoginContext = CredentialsContext &
  EntryContext & {
    store: AuditStore & DeviceStore
    limits: Pick<LoginLimits, 'begin' | 'refused'>
    users: Pick<UsersPeer, 'replaceHash'>
    log: Log
  }

/** The name and password that someone typed, with the account that the name belongs to. */
interface LoginRequest {
  identifier: LoginIdentifier
  /** Null: the name is not in the cache. */
  account: Account | null
  /** The key by which failures of this login are counted (see `failureKey`), or that of a known device. */
  key: string
  password: string
  /** The known device that the login comes from. */
  device: Device | null
}

/**
 * Logs a user in by their email or username: checks the password within the login limits, and opens a session.
 * @param kind the form of the refresh token
 * @throws Problem `invalid_credentials` for an unknown user as for a wrong password, what `enter` throws only when the
 * password was right, `rate_limited` before any hashing, `users_unavailable`, `overloaded`
 */
export async function login(
  context: LoginContext,
  body: LoginBody,
  caller: Caller,
  kind: SessionKind = 'v1',
): Promise<SessionWithTokens> {
  const identifier = identifierIn(body)
  const account = await findAccount(context, identifier)
  const device = await knownDevice(context, account, body.device_token)
  // Failures of a known device have a count of their own: nobody else can lock the owner out.
  const key = device ? deviceKey(device.id) : failureKey(account, identifier)
  const request = { identifier, account, key, password: body.password, device }
  try {
    return await tryLogin(context, request, caller, kind)
  } catch (error) {
    const now = context.clock.now()
    await context.limits.refused.add(error, { key, userId: account?.userId ?? null, caller, now })
    throw error
  }
}

/** Logs in. @throws Problem as `login`, which also remembers refused logins for operators */
async function tryLogin(
  context: LoginContext,
  request: LoginRequest,
  caller: Caller,
  kind: SessionKind,
): Promise<SessionWithTokens> {
  const { account, factors, rehash } = await authenticate(context, request, caller)
  // The name may belong to another user by now, of whom the device is not known.
  const device = request.device?.userId === account.userId ? request.device : null
  const proof = {
    account,
    methods: ['pwd'],
    isDeviceKnown: device !== null,
    ...(device && { deviceId: device.id }),
  } as const
  const opened = await enter(context, proof, caller, kind, factors)
  if (rehash) startRehash(context, account, request.password, caller)
  return opened
}

/**
 * Finds the device of an account by its token; null: none was sent, or it is not valid for this account. An unknown account
 * takes the same time.
 */
async function knownDevice({ clock, store }: LoginContext, account: Account | null, token: string | undefined) {
  return token === undefined ? null : await store.deviceOf(account?.userId ?? '', hashOf(token), clock.now())
}

/**
 * Checks the password within the login limits; the account may be disabled.
 * @returns also the second factors of the account
 * @throws Problem as `login` otherwise
 */
export async function authenticate(
  context: CredentialsContext &
    AuditRecordContext & {
      store: Pick<FactorStore, 'secondFactorMethods'>
      limits: Pick<LoginLimits, 'begin'>
    },
  request: Omit<LoginRequest, 'device'>,
  caller: Caller,
): Promise<CheckedPassword & { factors: SecondFactorMethod[] }> {
  const attempt = await context.limits.begin(request.key, caller.ip === null ? null : limitKey(caller.ip))
  let checked: CheckedPassword | null
  let factors: SecondFactorMethod[]
  try {
    checked = await checkPassword(context, request, caller)
    factors = checked ? await context.store.secondFactorMethods(checked.account.userId) : []
  } catch (error) {
    attempt.abandoned()
    throw error
  }
  if (!checked) {
    await attempt.failed((lockouts) => failureEvents(context, request, caller, lockouts))
    throw new Problem('invalid_credentials')
  }
  // A password alone must not clear the failures of an account with a second factor: whoever has stolen it would get
  // further guesses at the code.
  if (factors.length > 0) attempt.abandoned()
  else await attempt.succeeded()
  return { ...checked, factors }
}

/** Builds the audit rows of a wrong password, and of the lockouts that it started. */
function failureEvents(
  context: AuditRecordContext,
  { account, identifier }: Pick<LoginRequest, 'account' | 'identifier'>,
  caller: Caller,
  lockouts: Lockouts,
): AuditEvent[] {
  const reason = account ? reasonOf(account) : 'unknown_or_wrong'
  // Users sometimes type their password into the name field, so an unknown name is stored only if it is an email.
  const typed = account === null && isEmail(identifier.name) ? { email: identifier.name } : {}
  return failedLogin(context, { userId: account?.userId ?? null, reason, typed }, caller, lockouts)
}

/** Builds the audit rows of a failed login, and of the lockouts that it started. @param typed further fields of the rows */
export function failedLogin(
  context: AuditRecordContext,
  {
    by,
    reason,
    typed = {},
    userId,
  }: { userId: string | null; reason: string; by?: string; typed?: { email?: string } },
  caller: Caller,
  lockouts: Lockouts,
): AuditEvent[] {
  const events = [auditEvent(context, caller, 'login.failed', userId, { reason, ...(by && { by }), ...typed })]
  if (lockouts.account > 0) {
    const detail = { until: timestamp(lockouts.account), ...typed }
    events.push(auditEvent(context, caller, 'login.paused', userId, detail))
  }
  // Only the failure that starts a lockout leaves a row. Refused logins leave none, so nobody can flood the audit.
  if (lockouts.address > 0 && caller.ip !== null) {
    const detail = { until: timestamp(lockouts.address), address: limitKey(caller.ip) }
    events.push(auditEvent(context, caller, 'login.paused', null, detail))
  }
  return events
}

/** Returns why a login to an existing account failed. For the audit only: the response is the same in both cases. */
function reasonOf({ passwordHash }: Account): 'no_password' | 'wrong_password' {
  return passwordHash === null ? 'no_password' : 'wrong_password'
}

/** Rehashes the password in the background, in users and in the cache. */
function startRehash(context: LoginContext, account: Account, password: string, caller: Caller): void {
  const { cacheStatistics, hasher, log, users } = context
  cacheStatistics.pending++
  hasher
    .hash(password)
    .then((hash) => users.replaceHash(account.userId, hash, account.version, caller.requestId))
    // The old hash stays valid, and the next login tries again.
    .catch((error) => log.warn({ event: 'hash.not_replaced', userId: account.userId, err: error }))
    .finally(() => cacheStatistics.pending--)
}
