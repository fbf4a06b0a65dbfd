import { toTheSecond } from '../../terminal/times.ts'
import type { Account } from './account.ts'
import { type AuditRow, type Explanation, evidenceOf, from, isInFuture, times } from './explanation.ts'
import { refusal, refusedRow } from './refused.ts'
import { explainFactor, failedAtFactor, NO_WRONG_PASSWORD } from './second-factor.ts'

const PASSWORD_CHANGES = ['password.set', 'password.changed', 'password.reset', 'user.recovered']
/** Milliseconds in which a change reaches auth; an older change did not arrive. */
const SYNC_TIME = 2000

/** Explains why the logins of an account fail now. Causes are checked before their consequences. */
export function verdictOf(account: Account): Explanation {
  return (
    disabled(account) ??
    behind(account) ??
    lockedOut(account) ??
    resetMail(account) ??
    refusedLast(account) ??
    failedLast(account) ??
    noProblem(account)
  )
}

function disabled({ ref, rows, user }: Account): Explanation | undefined {
  if (user.status !== 'disabled') return undefined
  const row = rows.find(({ type }) => type === 'user.disabled')
  const since = row ? ` since ${toTheSecond(row.at)}, by ${row.actor}` : ''
  return {
    reason: 'account_disabled',
    explanation: `${user.email} is disabled${since}: logins fail even with the correct password.`,
    suggestion: `ch202 users enable ${ref}`,
    evidence: evidenceOf(
      rows.filter(({ detail, type }) => type === 'user.disabled' || detail.reason === 'account_disabled'),
    ),
  }
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

function lockedOut({
  failed,
  failures,
  hasFactor,
  lockedUntil,
  ref,
  refused,
  rows,
  user,
}: Account): Explanation | undefined {
  if (!isInFuture(lockedUntil)) return undefined
  const [last] = failed
  const lastFailure = last ? `, last at ${toTheSecond(last.at)}${from(last.ip)}` : ''
  const atFactor = last !== undefined && failedAtFactor(last, hasFactor)
  const end = atFactor
    ? 'The last one failed at the second factor. The lockout ends by itself, or at once with a new password; if they have lost the factor:'
    : 'The lockout ends by itself, or at once with a new password.'
  return {
    reason: 'account_paused',
    explanation: `Logins of ${user.email} are locked until ${toTheSecond(lockedUntil)}: ${failures} failed within a day${lastFailure}. ${end}`,
    suggestion: atFactor ? `ch202 users factors reset ${ref}` : `ch202 users send-reset ${ref}`,
    evidence: [
      ...evidenceOf(rows.filter(({ type }) => type === 'login.paused').slice(0, 1)),
      ...refused.slice(0, 3).map(refusedRow),
      ...evidenceOf(failed.slice(0, 5)),
    ],
  }
}

/** Each attempt to send the email writes a row, so several rows of one request mean that it fails. */
function resetMail({ lastLogin, ref, rows, user }: Account): Explanation | undefined {
  const resetRequest = rows.find(({ type }) => type === 'password.reset_requested')
  if (!resetRequest || isOlder(resetRequest, lastLogin) || isOlder(resetRequest, passwordChange(rows))) return undefined
  const tries = rows.filter(
    ({ request_id, type }) => type === resetRequest.type && request_id === resetRequest.request_id,
  )
  if (tries.length < 2) return undefined
  return {
    reason: 'reset_mail_failing',
    explanation: `${user.email} requested a password reset, but the email with the link could not be sent: tried ${times(tries.length)}, last at ${toTheSecond(resetRequest.at)}.`,
    suggestion: `ch202 users set-password ${ref} --generate`,
    evidence: evidenceOf(tries),
  }
}

function refusedLast({ failed, lastLogin, refused, user }: Account): Explanation | undefined {
  const [last] = refused
  if (!last || isOlder(last, lastLogin) || isOlder(last, failed[0])) return undefined
  // A lockout that has ended: the failures that led to it matter more.
  if (last.paused === 'account' && failed.length > 0) return undefined
  return refusal(last, user.email)
}

function failedLast(account: Account): Explanation | undefined {
  const { failed, failures, hasFactor, lastLogin, ref, rows, user } = account
  const [last] = failed
  if (!last || isOlder(last, lastLogin)) return undefined
  const sinceLogin = failed.filter((row) => !isOlder(row, lastLogin))
  if (last.detail.reason === 'account_disabled')
    return {
      reason: 'was_disabled',
      explanation: `${user.email} was disabled at their last attempt, at ${toTheSecond(last.at)}; they are active now, and the password was correct.`,
      suggestion: `ch202 sessions list --user ${ref}`,
      evidence: evidenceOf(sinceLogin),
    }
  if (failedAtFactor(last, hasFactor)) return explainFactor(sinceLogin, { email: user.email, ref })
  if (last.detail.reason === 'wrong_code') {
    const codes = sinceLogin.filter(({ detail }) => detail.reason === 'wrong_code')
    return {
      reason: 'wrong_code',
      explanation: `${user.email} entered a wrong code of a mail ${times(codes.length)}, last at ${toTheSecond(last.at)}${from(last.ip)}. Each code allows five tries; a new mail has another one.`,
      suggestion: `ch202 users send-reset ${ref}`,
      evidence: evidenceOf(codes),
    }
  }
  const wrong = sinceLogin.filter(({ detail }) => !NO_WRONG_PASSWORD.includes(String(detail.reason)))
  // Auth counts the failures of a day; only some of their rows were read.
  const attempts = times(Math.max(wrong.length, lastLogin ? 0 : failures))
  const lastFailure = `last at ${toTheSecond(last.at)}${from(last.ip)}.`
  const hadNoPassword = last.detail.reason === 'no_password'
  const summary = hadNoPassword
    ? `${user.email} had no password, and tried to log in ${attempts}, ${lastFailure}`
    : `The password of ${user.email} was wrong ${attempts}, ${lastFailure}`
  const change = passwordChange(rows)
  if (change && !isOlder(change, last))
    return {
      reason: 'password_changed_since',
      explanation: `${summary} The password was changed at ${toTheSecond(change.at)}, with no attempt since.`,
      suggestion: `ch202 users send-reset ${ref}`,
      evidence: evidenceOf([change, ...wrong]),
    }
  if (hadNoPassword)
    return {
      reason: 'no_password',
      explanation: `${summary} A reset link lets them set one.`,
      suggestion: `ch202 users send-reset ${ref}`,
      evidence: evidenceOf(wrong),
    }
  return wrongPassword(account, summary, wrong)
}

/** @param wrong the failed attempts since the last login, newest first */
function wrongPassword({ lastLogin, ref, rows }: Account, summary: string, wrong: readonly AuditRow[]): Explanation {
  const lastChange = passwordChange(rows)
  const change = lastChange && !isOlder(lastChange, lastLogin) ? lastChange : undefined
  const changeHint = change
    ? ` It was changed at ${toTheSecond(change.at)}, by ${change.actor}: they may be using the old one.`
    : ''
  const lastRequest = rows.find(({ type }) => type === 'password.reset_requested')
  const resetRequest = lastRequest && !isOlder(lastRequest, wrong[0]) ? lastRequest : undefined
  const linkHint = resetRequest ? ` A reset link was requested at ${toTheSecond(resetRequest.at)} and not used.` : ''
  return {
    reason: 'wrong_password',
    explanation: `${summary}${changeHint}${linkHint}`,
    suggestion: `ch202 users send-reset ${ref}`,
    evidence: evidenceOf([...(resetRequest ? [resetRequest] : []), ...(change ? [change] : []), ...wrong]),
  }
}

function noProblem({ hasFactor, lastLogin, ref, user }: Account): Explanation {
  const factor = hasFactor ? ' Their logins ask for a second factor.' : ''
  if (lastLogin)
    return {
      reason: 'no_failure',
      explanation: `Nothing is wrong: ${user.email} is active, and last logged in at ${toTheSecond(lastLogin.at)}${from(lastLogin.ip)}.${factor}`,
      suggestion: `ch202 sessions list --user ${ref}`,
      evidence: evidenceOf([lastLogin]),
    }
  return {
    reason: 'no_login_tried',
    explanation: `Nothing is wrong: ${user.email} is active and has never tried to log in.${factor}`,
    suggestion: `ch202 users send-reset ${ref}`,
    evidence: [],
  }
}

function passwordChange(rows: readonly AuditRow[]): AuditRow | undefined {
  return rows.find(({ type }) => PASSWORD_CHANGES.includes(type))
}

function isOlder(one: { at: string }, other: { at: string } | undefined): boolean {
  return other !== undefined && one.at < other.at
}
