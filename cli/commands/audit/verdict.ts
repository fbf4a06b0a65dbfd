import { toTheSecond } from '../../terminal/times.ts'
import type { Account } from './account.ts'
import {
  type AuditRow,
  type Explanation,
  evidenceOf,
  from,
  isAhead,
  type Refused,
  refusedRow,
  times,
} from './explanation.ts'

const PASSWORD_CHANGES = ['password.set', 'password.changed', 'password.reset', 'user.recovered']
/** A change is under way to auth for so long at most; what is older did not arrive. */
const ON_ITS_WAY = 2000

/** Why the logins of an account fail now, the root of it before what follows from it. */
export function verdictOf(account: Account): Explanation {
  return (
    disabled(account) ??
    behind(account) ??
    paused(account) ??
    resetMail(account) ??
    refusedLast(account) ??
    failedLast(account) ??
    fine(account)
  )
}

function disabled({ ref, rows, user }: Account): Explanation | undefined {
  if (user.status !== 'disabled') return undefined
  const row = rows.find(({ type }) => type === 'user.disabled')
  const since = row ? ` since ${toTheSecond(row.at)}, by ${row.actor}` : ''
  return {
    reason: 'account_disabled',
    explanation: `${user.email} is disabled${since}: no login gets in, whatever the password.`,
    suggestion: `ch202 users enable ${ref}`,
    evidence: evidenceOf(
      rows.filter(({ detail, type }) => type === 'user.disabled' || detail.reason === 'account_disabled'),
    ),
  }
}

/** Auth works from an older record than users has: notices that are lost are sent again, so it is rare and worth a look. */
function behind({ entry, ref, rows, user }: Account): Explanation | undefined {
  if (!entry || user.updated_at === null) return undefined
  const late = Date.now() - Date.parse(user.updated_at) > ON_ITS_WAY
  const names = (['email', 'username', 'status'] as const).filter((name) => entry[name] !== user[name])
  const older = user.updated_at > entry.synced_at
  if (!late || (names.length === 0 && !older)) return undefined
  const what = names.length > 0 ? `another ${names.join(' and ')}` : `what was so at ${toTheSecond(entry.synced_at)}`
  return {
    reason: 'cache_behind',
    explanation: `Auth is behind: it holds ${what} for ${user.email}, which was changed at ${toTheSecond(user.updated_at)}; a new password does not work until it hears of it.`,
    suggestion: `ch202 cache sync --user ${ref}`,
    evidence: [{ ...entry }, ...evidenceOf(rows.filter(({ type }) => /^(user|password)\./.test(type)))],
  }
}

function paused({ failed, failures, pausedUntil, ref, refused, rows, user }: Account): Explanation | undefined {
  if (!isAhead(pausedUntil)) return undefined
  const [last] = failed
  const lastly = last ? `, last at ${toTheSecond(last.at)}${from(last.ip)}` : ''
  return {
    reason: 'account_paused',
    explanation: `Logins of ${user.email} are paused until ${toTheSecond(pausedUntil)}: ${failures} failed within a day${lastly}. The pause ends by itself, or at once with a new password.`,
    suggestion: `ch202 users send-reset ${ref}`,
    evidence: [
      ...evidenceOf(rows.filter(({ type }) => type === 'login.paused').slice(0, 1)),
      ...refused.slice(0, 3).map(refusedRow),
      ...evidenceOf(failed.slice(0, 5)),
    ],
  }
}

/** Each try to send the mail writes a row: where there are several of one request, it does not go out. */
function resetMail({ lastLogin, ref, rows, user }: Account): Explanation | undefined {
  const asked = rows.find(({ type }) => type === 'password.reset_requested')
  if (!asked || isOlder(asked, lastLogin) || isOlder(asked, passwordChange(rows))) return undefined
  const tries = rows.filter(({ request_id, type }) => type === asked.type && request_id === asked.request_id)
  if (tries.length < 2) return undefined
  return {
    reason: 'reset_mail_failing',
    explanation: `${user.email} asked for a new password, and the mail with the link could not be sent: tried ${times(tries.length)}, last at ${toTheSecond(asked.at)}.`,
    suggestion: `ch202 users set-password ${ref} --generate`,
    evidence: evidenceOf(tries),
  }
}

function refusedLast({ failed, lastLogin, refused, user }: Account): Explanation | undefined {
  const [last] = refused
  if (!last || isOlder(last, lastLogin) || isOlder(last, failed[0])) return undefined
  // A pause of the account that is over: what led to it is what matters.
  if (last.paused === 'account' && failed.length > 0) return undefined
  return refusal(last, user.email)
}

/** Why a login was refused before its password was looked at. */
export function refusal(refused: Refused, whose: string | undefined): Explanation {
  const login = whose === undefined ? 'A login' : `A login of ${whose}`
  const at = toTheSecond(refused.at)
  const evidence = [refusedRow(refused)]
  const until = refused.paused_until
  const waits = isAhead(until)
    ? `until ${toTheSecond(until)}`
    : `until ${toTheSecond(until ?? refused.at)}, which is over`
  if (refused.code === 'users_unavailable')
    return {
      reason: 'users_unavailable',
      explanation: `${login} at ${at} needed the users service, which auth could not reach; it holds no record of its own of that user.`,
      suggestion: 'ch202 health',
      evidence,
    }
  if (refused.code === 'overloaded')
    return {
      reason: 'overloaded',
      explanation: `${login} at ${at} found more logins waiting for their turn than there is room for.`,
      suggestion: 'ch202 health',
      evidence,
    }
  if (refused.paused === 'address')
    return {
      reason: 'address_paused',
      explanation: `${login} at ${at} came from ${refused.ip}, from where too many failed: all logins from there wait ${waits}. If that is a proxy of yours, TRUSTED_PROXIES must name it.`,
      suggestion: 'ch202 audit list --type login.failed --since 1h',
      evidence,
    }
  return {
    reason: 'account_paused',
    explanation: `${login} at ${at} was refused unread: too many had failed, and the next ones had to wait ${waits}.`,
    suggestion: isAhead(until) && whose !== undefined ? `ch202 users send-reset ${whose}` : null,
    evidence,
  }
}

function failedLast(account: Account): Explanation | undefined {
  const { failed, failures, lastLogin, ref, rows, user } = account
  const [last] = failed
  if (!last || isOlder(last, lastLogin)) return undefined
  const since = failed.filter((row) => !isOlder(row, lastLogin))
  if (last.detail.reason === 'account_disabled')
    return {
      reason: 'was_disabled',
      explanation: `${user.email} was disabled when it last tried, at ${toTheSecond(last.at)}; it is active now, and the password was right.`,
      suggestion: `ch202 sessions list --user ${ref}`,
      evidence: evidenceOf(since),
    }
  const wrong = since.filter(({ detail }) => detail.reason !== 'account_disabled')
  // Auth counts a day; the rows that were read are so many at most.
  const n = Math.max(wrong.length, lastLogin ? 0 : failures)
  const lastly = `last at ${toTheSecond(last.at)}${from(last.ip)}.`
  const none = last.detail.reason === 'no_password'
  const tried = none
    ? `${user.email} had no password, and a login was tried ${times(n)}, ${lastly}`
    : `The password of ${user.email} was wrong ${times(n)}, ${lastly}`
  const change = passwordChange(rows)
  if (change && !isOlder(change, last))
    return {
      reason: 'password_changed_since',
      explanation: `${tried} It is another one since ${toTheSecond(change.at)}, and no login was tried since.`,
      suggestion: `ch202 users send-reset ${ref}`,
      evidence: evidenceOf([change, ...wrong]),
    }
  if (none)
    return {
      reason: 'no_password',
      explanation: `${tried} They set the first one by a link.`,
      suggestion: `ch202 users send-reset ${ref}`,
      evidence: evidenceOf(wrong),
    }
  const stale = change && !isOlder(change, lastLogin)
  const old = stale
    ? ` It was changed at ${toTheSecond(change.at)}, by ${change.actor}: it may be the old one that is tried.`
    : ''
  const asked = rows.find(({ type }) => type === 'password.reset_requested')
  const link =
    asked && !isOlder(asked, last)
      ? ` A link for a new one was asked for at ${toTheSecond(asked.at)} and not used.`
      : ''
  return {
    reason: 'wrong_password',
    explanation: `${tried}${old}${link}`,
    suggestion: `ch202 users send-reset ${ref}`,
    evidence: evidenceOf([...(link && asked ? [asked] : []), ...(stale ? [change] : []), ...wrong]),
  }
}

function fine({ lastLogin, ref, user }: Account): Explanation {
  if (lastLogin)
    return {
      reason: 'no_failure',
      explanation: `Nothing is wrong: ${user.email} is active, and last logged in at ${toTheSecond(lastLogin.at)}${from(lastLogin.ip)}.`,
      suggestion: `ch202 sessions list --user ${ref}`,
      evidence: evidenceOf([lastLogin]),
    }
  return {
    reason: 'no_login_tried',
    explanation: `Nothing is wrong: ${user.email} is active, and no login by that name has been seen.`,
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
