/** The fields of an audit row by which a failed login is explained. */
export interface AuditRow {
  id: string
  at: string
  type: string
  user_id: string | null
  actor: string
  ip: string | null
  request_id: string | null
  detail: Record<string, unknown>
}

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

/** The logins of an account and what happened to it; lists are newest first. */
export interface LoginHistory {
  user: { status: string }
  /** Failed logins of a day, as auth counts them against the account. */
  failures: number
  /** The end of the last lockout, which may be over. */
  lockedUntil: string | null
  refused: readonly RefusedLogin[]
  /** Whether logins ask for a second factor. */
  hasFactor: boolean
  failed: readonly AuditRow[]
  lastLogin: AuditRow | undefined
  /** When a user who was logged in last authenticated again. A wrong password or code of that is a failed login too. */
  lastReauthentication: AuditRow | undefined
  rows: readonly AuditRow[]
  /** The newest mail with a link to reset the password; undefined without one, or for those who may not read it. */
  resetMail: { status: 'queued' | 'sent' | 'failed'; tries: number } | undefined
}

/** Faults of refused passkeys, as the audit names them. */
export const PASSKEY_REASONS = [
  'unknown_passkey',
  'passkey_of_another',
  'wrong_passkey',
  'replayed_or_copied_passkey',
] as const
export type PasskeyReason = (typeof PASSKEY_REASONS)[number]

/** The sender of a code that was wrong, in the field `by` of a row with the reason `wrong_code`. */
export const BY_MAIL = 'mail'
export const BY_FACTOR = 'second_factor'

interface Attempts {
  /** How many logins failed for this reason. */
  tries: number
  last: AuditRow
}

export type FactorVerdict = Attempts &
  ({ reason: 'wrong_passkey'; passkey: PasskeyReason } | { reason: 'wrong_second_factor' })

/** Why the logins of an account fail, with the facts that a sentence about it names. */
export type Verdict =
  | { reason: 'account_disabled'; disabling: AuditRow | undefined }
  | { reason: 'account_paused'; until: string; failures: number; last: AuditRow | undefined; atFactor: boolean }
  | ({ reason: 'reset_mail_failing' } & Attempts)
  | { reason: 'refused'; refused: RefusedLogin }
  | { reason: 'was_disabled'; last: AuditRow }
  | FactorVerdict
  | ({ reason: 'wrong_code' | 'no_password' } & Attempts)
  | ({ reason: 'password_changed_since'; change: AuditRow; hadNoPassword: boolean } & Attempts)
  | ({ reason: 'wrong_password'; change: AuditRow | undefined; unusedReset: AuditRow | undefined } & Attempts)
  | { reason: 'no_failure'; lastLogin: AuditRow }
  | { reason: 'no_login_tried' }

/** A verdict with the rows that it is based on, the newest first. */
export type Judged = Verdict & { evidence: readonly (AuditRow | RefusedLogin)[] }

/** Reasons of failed logins by which no wrong password was entered. */
const NO_WRONG_PASSWORD: readonly string[] = ['account_disabled', 'wrong_code', 'account_deleted', ...PASSKEY_REASONS]
const PASSWORD_CHANGES = ['password.set', 'password.changed', 'password.reset', 'user.recovered']

/**
 * Judges why the logins of an account fail now. Causes are checked before their consequences.
 * @param now milliseconds since the epoch
 * @example
 * const { reason, evidence } = judgeLogins(history, clock.now())
 */
export function judgeLogins(history: LoginHistory, now: number): Judged {
  return (
    disabled(history) ??
    lockedOut(history, now) ??
    failingResetMail(history) ??
    refusedLast(history) ??
    failedLast(history) ??
    noProblem(history)
  )
}

/** Why auth refused a login without checking the password. */
export function refusalReason({
  code,
  paused,
}: RefusedLogin): 'users_unavailable' | 'overloaded' | 'address_paused' | 'account_paused' {
  if (code === 'users_unavailable' || code === 'overloaded') return code
  return paused === 'address' ? 'address_paused' : 'account_paused'
}

/**
 * Whether a failed login failed at its second factor. The row of a wrong code says whether it was that of a mail; a row of an
 * earlier version does not: there, a wrong code of someone without a second factor was that of a mail.
 */
export function failedAtFactor({ detail }: AuditRow, hasFactor: boolean): boolean {
  if (detail.reason !== 'wrong_code') return PASSKEY_REASONS.some((reason) => reason === detail.reason)
  return detail.by === undefined ? hasFactor : detail.by === BY_FACTOR
}

/** Judges logins that failed at the second factor. @param failed the failed attempts, the newest first: that one counts */
export function judgeFactor(failed: readonly [AuditRow, ...AuditRow[]]): FactorVerdict & Pick<Judged, 'evidence'> {
  const [last] = failed
  const evidence = failed.filter(({ detail }) => detail.reason === last.detail.reason && detail.by !== BY_MAIL)
  const attempts = { tries: evidence.length, last, evidence }
  const passkey = PASSKEY_REASONS.find((reason) => reason === last.detail.reason)
  return passkey ? { reason: 'wrong_passkey', passkey, ...attempts } : { reason: 'wrong_second_factor', ...attempts }
}

function disabled({ rows, user }: LoginHistory): Judged | undefined {
  if (user.status !== 'disabled') return undefined
  return {
    reason: 'account_disabled',
    disabling: rows.find(({ type }) => type === 'user.disabled'),
    evidence: rows.filter(({ detail, type }) => type === 'user.disabled' || detail.reason === 'account_disabled'),
  }
}

function lockedOut(history: LoginHistory, now: number): Judged | undefined {
  const { failed, failures, hasFactor, lockedUntil, refused, rows } = history
  if (lockedUntil === null || Date.parse(lockedUntil) <= now) return undefined
  const [last] = failed
  return {
    reason: 'account_paused',
    until: lockedUntil,
    failures,
    last,
    atFactor: last !== undefined && failedAtFactor(last, hasFactor),
    evidence: [
      ...rows.filter(({ type }) => type === 'login.paused').slice(0, 1),
      ...refused.slice(0, 3),
      ...failed.slice(0, 5),
    ],
  }
}

function failingResetMail(history: LoginHistory): Judged | undefined {
  const { resetMail, rows } = history
  const last = rows.find(({ type }) => type === 'password.reset_requested')
  if (!last || isOlder(last, lastSuccess(history)) || isOlder(last, passwordChange(rows))) return undefined
  const evidence = rows.filter(({ request_id, type }) => type === last.type && request_id === last.request_id)
  const tries = failedTries(resetMail, evidence.length)
  return tries === 0 ? undefined : { reason: 'reset_mail_failing', tries, last, evidence }
}

/** How often a mail could not be sent; 0 if it was. Each attempt writes a row, so several mean that it fails. */
function failedTries(mail: LoginHistory['resetMail'], rows: number): number {
  if (!mail) return rows < 2 ? 0 : rows
  if (mail.status === 'sent') return 0
  // A mail that expired before an attempt ended has failed too.
  return mail.status === 'failed' ? Math.max(mail.tries, 1) : mail.tries
}

function refusedLast(history: LoginHistory): Judged | undefined {
  const { failed, refused } = history
  const [last] = refused
  if (!last || isOlder(last, lastSuccess(history)) || isOlder(last, failed[0])) return undefined
  // A lockout that has ended: the failures that led to it matter more.
  if (last.paused === 'account' && failed.length > 0) return undefined
  return { reason: 'refused', refused: last, evidence: [last] }
}

function failedLast(history: LoginHistory): Judged | undefined {
  const { failed, failures, hasFactor, rows } = history
  const success = lastSuccess(history)
  const [last, ...earlier] = failed.filter((row) => !isOlder(row, success))
  if (!last) return undefined
  const sinceSuccess = [last, ...earlier] as const
  if (last.detail.reason === 'account_disabled') return { reason: 'was_disabled', last, evidence: sinceSuccess }
  if (failedAtFactor(last, hasFactor)) return judgeFactor(sinceSuccess)
  if (last.detail.reason === 'wrong_code') {
    const codes = sinceSuccess.filter((row) => row.detail.reason === 'wrong_code' && !failedAtFactor(row, hasFactor))
    return { reason: 'wrong_code', tries: codes.length, last, evidence: codes }
  }
  const wrong = sinceSuccess.filter(({ detail }) => !NO_WRONG_PASSWORD.includes(String(detail.reason)))
  // Auth counts the failures of a day; only some of their rows were read.
  const attempts = { tries: Math.max(wrong.length, success ? 0 : failures), last }
  const hadNoPassword = last.detail.reason === 'no_password'
  const change = passwordChange(rows)
  if (change && !isOlder(change, last))
    return { reason: 'password_changed_since', ...attempts, change, hadNoPassword, evidence: [change, ...wrong] }
  if (hadNoPassword) return { reason: 'no_password', ...attempts, evidence: wrong }
  const changeSinceSuccess = change && !isOlder(change, success) ? change : undefined
  const resetRequest = rows.find(({ type }) => type === 'password.reset_requested')
  const unusedReset = resetRequest && !isOlder(resetRequest, wrong[0]) ? resetRequest : undefined
  const evidence = [unusedReset, changeSinceSuccess, ...wrong].filter((row) => row !== undefined)
  return { reason: 'wrong_password', ...attempts, change: changeSinceSuccess, unusedReset, evidence }
}

function noProblem({ lastLogin }: LoginHistory): Judged {
  if (!lastLogin) return { reason: 'no_login_tried', evidence: [] }
  return { reason: 'no_failure', lastLogin, evidence: [lastLogin] }
}

/** The last login or repeated authentication that succeeded. */
function lastSuccess({ lastLogin, lastReauthentication }: LoginHistory): AuditRow | undefined {
  return lastReauthentication && !isOlder(lastReauthentication, lastLogin) ? lastReauthentication : lastLogin
}

function passwordChange(rows: readonly AuditRow[]): AuditRow | undefined {
  return rows.find(({ type }) => PASSWORD_CHANGES.includes(type))
}

function isOlder(one: { at: string }, other: { at: string } | undefined): boolean {
  return other !== undefined && one.at < other.at
}
