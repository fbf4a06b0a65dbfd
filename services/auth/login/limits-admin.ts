import { isIP } from 'node:net'
import type { Caller } from '../../kit/caller.ts'
import { ClientAddress, limitKey } from '../../kit/client-address.ts'
import { timestamp } from '../../kit/clock.ts'
import { exactlyOne, type FieldError } from '../../kit/field-errors.ts'
import { invalid, invalidField, Problem } from '../../kit/problem.ts'
import { withoutBlanks } from '../../kit/schema/email.ts'
import { requireAuthority } from '../assurance/authority.ts'
import type { AccountStore, RefusedBy, RefusedLogin } from '../store/index.ts'
import { failureKey, findAccount, identifier } from './identifier.ts'
import type { LoginLimits } from './limits.ts'

export interface LoginLimitsContext {
  store: AccountStore
  limits: Pick<LoginLimits, 'refused' | 'state'>
}

interface LimitQuery {
  user_id?: string
  login?: string
  address?: string
}

/** Returns the errors of a query about limits, which must name exactly one account or address. */
export const limitErrors = (query: object) =>
  exactlyOne(query, ['user_id', 'login', 'address'], { code: 'required', message: 'is required, or login, or address' })

/** Returns the errors of a query about refused logins, which must name exactly one account, address or request. */
export const refusedErrors = (query: object) =>
  exactlyOne(query, ['user_id', 'login', 'address', 'request_id'], {
    code: 'required',
    message: 'is required, or login, or address, or request_id',
  })

/**
 * Returns how many logins of an account, or from an address, failed within the last day, and until when it is locked.
 * @throws Problem `validation_failed` unless the query names exactly one; as `requireAuthority`
 */
export async function loginLimitOf(context: LoginLimitsContext, query: LimitQuery, caller: Caller) {
  throwIfAny(limitErrors(query))
  const { key, userId } = await subjectOf(context, query, caller)
  const address = query.address === undefined ? null : addressIn(query.address)
  const { limits } = context
  const { lockedUntil, times } = await limits.state(address === null ? 'account' : 'address', address ?? key)
  const last = times.at(-1)
  return {
    user_id: userId,
    address,
    failures: times.length,
    last_failed_at: last === undefined ? null : timestamp(last),
    paused_until: lockedUntil > 0 ? timestamp(lockedUntil) : null,
  }
}

/**
 * Lists recent logins that were refused before their password was checked, newest first.
 * @throws Problem `validation_failed` unless the query names exactly one account, address or request; as `requireAuthority`
 */
export async function refusedLoginsOf(
  context: LoginLimitsContext,
  query: LimitQuery & { request_id?: string },
  caller: Caller,
) {
  throwIfAny(refusedErrors(query))
  const { key } = await subjectOf(context, query, caller)
  const which = (): RefusedBy => {
    if (query.request_id !== undefined) return { by: 'requestId', value: query.request_id }
    if (query.address !== undefined) return { by: 'address', value: addressIn(query.address) }
    return { by: 'key', value: key }
  }
  const logins = await context.limits.refused.find(which())
  return { items: logins.map(refusedRead) }
}

function refusedRead({ at, code, ip, lockedBy, lockedUntil, requestId, userId }: RefusedLogin) {
  return {
    at: timestamp(at),
    code,
    paused: lockedBy,
    paused_until: lockedUntil === null ? null : timestamp(lockedUntil),
    user_id: userId,
    ip,
    request_id: requestId,
  }
}

function throwIfAny(errors: FieldError[]): void {
  if (errors.length > 0) throw invalid(errors)
}

/** Returns what a query names, if the caller may see it. @throws Problem as `requireAuthority` */
async function subjectOf(context: LoginLimitsContext, query: LimitQuery, caller: Caller) {
  const subject = await namedSubject(context, query)
  // For a support person, a name that no account has is like that of an account which they may not see.
  const isUnknown = subject.userId === null && query.login !== undefined
  if (isUnknown && caller.supportRole !== null) throw new Problem('user_not_found')
  await requireAuthority(context, subject.userId, caller)
  return subject
}

/** Returns the account that a query names, and the key of its failures; of a query that names none, an empty key. */
async function namedSubject(context: LoginLimitsContext, { login, user_id }: LimitQuery) {
  if (user_id !== undefined) return { key: user_id.toLowerCase(), userId: user_id.toLowerCase() }
  if (login === undefined) return { key: '', userId: null }
  const name = identifier(withoutBlanks(login))
  const account = await findAccount(context, name)
  return { key: failureKey(account, name), userId: account?.userId ?? null }
}

/**
 * Reads an address as the address of a client is read: IPv4 written as IPv6 is the same address.
 * @throws Problem `validation_failed`
 */
function addressIn(text: string): string {
  if (isIP(text) === 0) throw invalidField('address', { code: 'format', message: 'must be an IP address' })
  return limitKey(new ClientAddress([]).of(text, () => null) ?? text)
}
