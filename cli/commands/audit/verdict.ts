import { type AuditRow, type Judged, judgeLogins } from '../../../services/kit/login-verdict.ts'
import { toTheSecond } from '../../terminal/times.ts'
import type { Account } from './account.ts'
import { type Explanation, evidenceOf, from, rowsOf, times } from './explanation.ts'
import { refusal } from './refused.ts'
import { explainFactor } from './second-factor.ts'

/** Milliseconds in which a change reaches auth; an older change did not arrive. */
const SYNC_TIME = 2000

/** Explains why the logins of an account fail now. */
export function verdictOf(account: Account): Explanation {
  const judged = judgeLogins(account, Date.now())
  // What auth has of a disabled user makes no difference.
  const late = judged.reason === 'account_disabled' ? undefined : behind(account)
  return late ?? worded(judged, account)
}

/** Auth's cache is out of date. Lost notices are sent again, so this is rare and needs attention. */
function behind({ entry, ref, rows, user }: Account): Explanation | undefined {
  if (!entry || user.updated_at === null) return undefined
  const isLate = Date.now() - Date.parse(user.updated_at) > SYNC_TIME
  const names = (['email', 'username', 'status'] as const).filter((name) => entry[name] !== user[name])
  const isOlderRecord = user.updated_at > entry.synced_at
  if (!isLate || (names.length === 0 && !isOlderRecord)) return undefined
  const what = names.length > 0 ? `another ${names.join(' and ')}` : `a record from ${toTheSecond(entry.synced_at)}`
  return {
    reason: 'cache_behind',
    explanation: `Auth's cache is out of date: it has ${what} for ${user.email}, who was changed at ${toTheSecond(user.updated_at)}; a new password does not work until the cache is synced.`,
    suggestion: `ch202 cache sync --user ${ref}`,
    evidence: [{ ...entry }, ...evidenceOf(rows.filter(({ type }) => /^(user|password)\./.test(type)))],
  }
}

/** Puts a verdict into sentences, with the command that fixes it. */
function worded(judged: Judged, account: Account): Explanation {
  const { ref, user } = account
  switch (judged.reason) {
    case 'refused':
      return refusal(judged.refused, user.email)
    case 'wrong_passkey':
    case 'wrong_second_factor':
      return explainFactor(judged, { email: user.email, ref })
    default: {
      const [explanation, suggestion] = sentencesOf(judged, account)
      return { reason: judged.reason, explanation, suggestion, evidence: rowsOf(judged.evidence) }
    }
  }
}

type OtherVerdict = Exclude<Judged, { reason: 'refused' | 'wrong_passkey' | 'wrong_second_factor' }>

/** The sentences about a verdict, and the command. */
function sentencesOf(
  judged: OtherVerdict,
  { hasFactor, ref, user: { email } }: Account,
): [text: string, command: string] {
  const reset = `ch202 users send-reset ${ref}`
  const factor = hasFactor ? ' Their logins ask for a second factor.' : ''
  switch (judged.reason) {
    case 'account_disabled': {
      const { disabling } = judged
      const since = disabling ? ` since ${toTheSecond(disabling.at)}, by ${disabling.actor}` : ''
      return [`${email} is disabled${since}: logins fail even with the correct password.`, `ch202 users enable ${ref}`]
    }
    case 'account_paused': {
      const { atFactor, failures, last, until } = judged
      const lastFailure = last ? `, ${lastAt(last)}` : ''
      const end = atFactor
        ? 'The last one failed at the second factor. The lockout ends by itself, or at once with a new password; if they have lost the factor:'
        : 'The lockout ends by itself, or at once with a new password.'
      return [
        `Logins of ${email} are locked until ${toTheSecond(until)}: ${failures} failed within a day${lastFailure}. ${end}`,
        atFactor ? `ch202 users factors reset ${ref}` : reset,
      ]
    }
    case 'reset_mail_failing':
      return [
        `${email} requested a password reset, but the email with the link could not be sent: tried ${times(judged.tries)}, last at ${toTheSecond(judged.last.at)}.`,
        `ch202 users set-password ${ref} --generate`,
      ]
    case 'was_disabled':
      return [
        `${email} was disabled at their last attempt, at ${toTheSecond(judged.last.at)}; they are active now, and the password was correct.`,
        `ch202 sessions list --user ${ref}`,
      ]
    case 'wrong_code':
      return [
        `${email} entered a wrong code of a mail ${times(judged.tries)}, ${lastAt(judged.last)}. Each code allows five tries; a new mail has another one.`,
        reset,
      ]
    case 'password_changed_since':
      return [
        `${attempts(email, judged)} The password was changed at ${toTheSecond(judged.change.at)}, with no attempt since.`,
        reset,
      ]
    case 'no_password':
      return [`${attempts(email, { ...judged, hadNoPassword: true })} A reset link lets them set one.`, reset]
    case 'wrong_password': {
      const { change, unusedReset } = judged
      const changeHint = change
        ? ` It was changed at ${toTheSecond(change.at)}, by ${change.actor}: they may be using the old one.`
        : ''
      const linkHint = unusedReset ? ` A reset link was requested at ${toTheSecond(unusedReset.at)} and not used.` : ''
      return [`${attempts(email, judged)}${changeHint}${linkHint}`, reset]
    }
    case 'no_failure': {
      const { lastLogin } = judged
      return [
        `Nothing is wrong: ${email} is active, and last logged in at ${toTheSecond(lastLogin.at)}${from(lastLogin.ip)}.${factor}`,
        `ch202 sessions list --user ${ref}`,
      ]
    }
    case 'no_login_tried':
      return [`Nothing is wrong: ${email} is active and has never tried to log in.${factor}`, reset]
  }
}

function attempts(
  email: string,
  { hadNoPassword = false, last, tries }: { tries: number; last: AuditRow; hadNoPassword?: boolean },
): string {
  return hadNoPassword
    ? `${email} had no password, and tried to log in ${times(tries)}, ${lastAt(last)}.`
    : `The password of ${email} was wrong ${times(tries)}, ${lastAt(last)}.`
}

function lastAt({ at, ip }: AuditRow): string {
  return `last at ${toTheSecond(at)}${from(ip)}`
}
