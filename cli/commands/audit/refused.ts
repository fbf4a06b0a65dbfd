import { quoted } from '../../terminal/shell.ts'
import type { Row } from '../../terminal/table.ts'
import { toTheSecond } from '../../terminal/times.ts'
import { type Explanation, isInFuture } from './explanation.ts'

/** A login that auth refused without checking the password. */
export interface RefusedLogin {
  at: string
  code: string
  paused: 'account' | 'address' | null
  paused_until: string | null
  user_id: string | null
  ip: string | null
  request_id: string
}

/** Formats a refused login like a row of the audit log. */
export function refusedRow({ code, paused, paused_until, ...row }: RefusedLogin): Row {
  const why = paused === null ? {} : { paused, until: paused_until }
  return { type: 'login.refused', ...row, detail: { code, ...why } }
}

/**
 * Explains why auth refused a login without checking the password.
 * @param email of the user; undefined if unknown
 */
export function refusal(refused: RefusedLogin, email: string | undefined): Explanation {
  const login = email === undefined ? 'A login' : `A login of ${email}`
  const at = toTheSecond(refused.at)
  const evidence = [refusedRow(refused)]
  const until = refused.paused_until
  const waits = isInFuture(until)
    ? `until ${toTheSecond(until)}`
    : `until ${toTheSecond(until ?? refused.at)}, which has passed`
  if (refused.code === 'users_unavailable')
    return {
      reason: 'users_unavailable',
      explanation: `${login} at ${at} needed the users service, which auth could not reach; the user is not in auth's cache.`,
      suggestion: 'ch202 health',
      evidence,
    }
  if (refused.code === 'overloaded')
    return {
      reason: 'overloaded',
      explanation: `${login} at ${at} was refused because too many logins were waiting.`,
      suggestion: 'ch202 health',
      evidence,
    }
  if (refused.paused === 'address')
    return {
      reason: 'address_paused',
      explanation: `${login} at ${at} came from ${refused.ip}, where too many logins failed: all logins from there are locked ${waits}. If that is your own proxy, TRUSTED_PROXIES must name it.`,
      suggestion: 'ch202 audit list --type login.failed --since 1h',
      evidence,
    }
  return {
    reason: 'account_paused',
    explanation: `${login} at ${at} was refused without checking the password: after too many failures, logins are locked ${waits}.`,
    suggestion: isInFuture(until) && email !== undefined ? `ch202 users send-reset ${quoted(email)}` : null,
    evidence,
  }
}
