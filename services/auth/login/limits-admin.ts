import { isIP } from 'node:net'
import { ClientAddress, limitKey } from '../../kit/client-address.ts'
import { timestamp } from '../../kit/clock.ts'
import { exactlyOne, type FieldError } from '../../kit/field-errors.ts'
import { invalid, invalidField } from '../../kit/problem.ts'
import { withoutBlanks } from '../../kit/schema/email.ts'
import { accountNamed, loginOf, unknownLoginKey } from '../accounts/password-cache.ts'
import type { AuthContext } from '../context.ts'

interface Whose {
  user_id?: string
  login?: string
  address?: string
}

/**
 * How many logins failed within a day, and whether the next one must wait.
 * @throws Problem `validation_failed` where not exactly one is named
 */
export async function loginLimitOf(context: AuthContext, whose: Whose) {
  onlyOne(limitErrors(whose))
  const { of, userId } = await countedUnder(context, whose)
  const address = whose.address === undefined ? null : addressIn(whose.address)
  const { pausedUntil, times } = await context.limits.state(address === null ? 'account' : 'address', address ?? of)
  const last = times.at(-1)
  return {
    user_id: userId,
    address,
    failures: times.length,
    last_failed_at: last === undefined ? null : timestamp(last),
    paused_until: pausedUntil > 0 ? timestamp(pausedUntil) : null,
  }
}

/**
 * Logins that were refused of late before their password was looked at, newest first.
 * @throws Problem `validation_failed` where not exactly one is named
 */
export async function refusedLoginsOf(context: AuthContext, whose: Whose & { request_id?: string }) {
  onlyOne(refusedErrors(whose))
  const { of } = await countedUnder(context, whose)
  const address = whose.address === undefined ? null : addressIn(whose.address)
  const found = context.limits.refused.find((refused) => {
    if (whose.request_id !== undefined) return refused.requestId === whose.request_id
    if (address !== null) return refused.ip !== null && limitKey(refused.ip) === address
    return refused.of === of
  })
  return {
    items: found.map(({ at, code, ip, paused, pausedUntil, requestId, userId }) => ({
      at: timestamp(at),
      code,
      paused,
      paused_until: pausedUntil === null ? null : timestamp(pausedUntil),
      user_id: userId,
      ip,
      request_id: requestId,
    })),
  }
}

/** What is wrong with a question about limits: exactly one account or address is named. */
export const limitErrors = (whose: object) =>
  exactlyOne(whose, ['user_id', 'login', 'address'], { code: 'required', message: 'is required, or login, or address' })

/** The same of a question about refused logins. */
export const refusedErrors = (whose: object) =>
  exactlyOne(whose, ['user_id', 'login', 'address', 'request_id'], {
    code: 'required',
    message: 'is required, or login, or address, or request_id',
  })

function onlyOne(errors: FieldError[]): void {
  if (errors.length > 0) throw invalid(errors)
}

/** What the failures of an account are counted under; those of a name that auth does not know, under the name. */
async function countedUnder(context: AuthContext, { login, user_id }: Whose) {
  if (user_id !== undefined) return { of: user_id.toLowerCase(), userId: user_id.toLowerCase() }
  if (login === undefined) return { of: '', userId: null }
  const named = loginOf(withoutBlanks(login))
  const known = await accountNamed(context, named)
  return { of: known?.userId ?? unknownLoginKey(named), userId: known?.userId ?? null }
}

function addressIn(text: string): string {
  if (isIP(text) === 0) throw invalidField('address', { code: 'format', message: 'must be an IP address' })
  // As that of a client is read: an IPv4 address may be written as an IPv6 one.
  return limitKey(new ClientAddress([]).of(text, () => null) ?? text)
}
