import { type RefusedLogin, refusalReason } from '../../../services/kit/login-verdict.ts'
import { quoted } from '../../terminal/shell.ts'
import { toTheSecond } from '../../terminal/times.ts'
import { type Explanation, isInFuture, refusedRow } from './explanation.ts'

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
  const reason = refusalReason(refused)
  switch (reason) {
    case 'users_unavailable':
      return {
        reason,
        explanation: `${login} at ${at} needed the users service, which auth could not reach; the user is not in auth's cache.`,
        suggestion: 'ch202 health',
        evidence,
      }
    case 'overloaded':
      return {
        reason,
        explanation: `${login} at ${at} was refused because too many logins were waiting.`,
        suggestion: 'ch202 health',
        evidence,
      }
    case 'address_paused':
      return {
        reason,
        explanation: `${login} at ${at} came from ${refused.ip}, where too many logins failed: all logins from there are locked ${waits}. If that is your own proxy, TRUSTED_PROXIES must name it.`,
        suggestion: 'ch202 audit list --type login.failed --since 1h',
        evidence,
      }
    case 'account_paused':
      return {
        reason,
        explanation: `${login} at ${at} was refused without checking the password: after too many failures, logins are locked ${waits}.`,
        suggestion: isInFuture(until) && email !== undefined ? `ch202 users send-reset ${quoted(email)}` : null,
        evidence,
      }
  }
}
