import type { Row } from '../../terminal/table.ts'

/** Why a login failed, as far as can be seen. */
export interface Explanation {
  /** Stable, for scripts. */
  reason:
    | 'no_such_user'
    | 'account_disabled'
    | 'was_disabled'
    | 'cache_behind'
    | 'account_paused'
    | 'address_paused'
    | 'wrong_password'
    | 'no_password'
    | 'password_changed_since'
    | 'reset_mail_failing'
    | 'users_unavailable'
    | 'overloaded'
    | 'no_failure'
    | 'no_login_tried'
    | 'not_a_login'
  /** A sentence or two, for people. */
  explanation: string
  /** The command that mends it; null where only waiting does. */
  suggestion: string | null
  /** What it is read from, newest first. */
  evidence: Row[]
}

/** A row of the audit, as much as is looked at. */
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

/** A login that auth refused before the password was looked at. */
export interface Refused {
  at: string
  code: string
  paused: 'account' | 'address' | null
  paused_until: string | null
  user_id: string | null
  ip: string | null
  request_id: string
}

const SHOWN = 10

export function evidenceOf(rows: readonly (AuditRow | Refused)[]): Row[] {
  return rows.slice(0, SHOWN).map((row) => ({ ...row }))
}

/** A refused login, as a row beside those of the audit. */
export function refusedRow({ code, paused, paused_until, ...row }: Refused): Row {
  const why = paused === null ? {} : { paused, until: paused_until }
  return { type: 'login.refused', ...row, detail: { code, ...why } }
}

export function from(ip: string | null): string {
  return ip === null ? '' : ` from ${ip}`
}

export function times(n: number): string {
  return n === 1 ? 'once' : `${n} times`
}

export function isAhead(at: string | null): at is string {
  return at !== null && Date.parse(at) > Date.now()
}
