import type { AuditRow, RefusedLogin } from '../../../services/kit/login-verdict.ts'
import type { Row } from '../../terminal/table.ts'

/** Why a login failed. */
export interface Explanation {
  /** Stable code for scripts. */
  reason:
    | 'no_such_user'
    | 'account_disabled'
    | 'was_disabled'
    | 'cache_behind'
    | 'account_paused'
    | 'address_paused'
    | 'wrong_password'
    | 'no_password'
    | 'wrong_code'
    | 'wrong_second_factor'
    | 'wrong_passkey'
    | 'password_changed_since'
    | 'reset_mail_failing'
    | 'users_unavailable'
    | 'overloaded'
    | 'no_failure'
    | 'no_login_tried'
    | 'not_a_login'
  /** One or two sentences for people. */
  explanation: string
  /** The command that fixes it; null if only waiting helps. */
  suggestion: string | null
  /** The rows that it is based on, newest first. */
  evidence: Row[]
}

const EVIDENCE_MAX = 10

/** The rows for an explanation, as many as a person reads. */
export function evidenceOf(rows: readonly AuditRow[]): Row[] {
  return rows.slice(0, EVIDENCE_MAX).map((row) => ({ ...row }))
}

/** Formats a refused login like a row of the audit log. */
export function refusedRow({ code, paused, paused_until, ...row }: RefusedLogin): Row {
  const why = paused === null ? {} : { paused, until: paused_until }
  return { type: 'login.refused', ...row, detail: { code, ...why } }
}

/** The rows of a verdict, with the logins that were refused, as many as a person reads. */
export function rowsOf(rows: readonly (AuditRow | RefusedLogin)[]): Row[] {
  return rows.slice(0, EVIDENCE_MAX).map((row) => ('type' in row ? { ...row } : refusedRow(row)))
}

/** ` from 198.51.100.1`, or nothing if the address is unknown. */
export function from(ip: string | null): string {
  return ip === null ? '' : ` from ${ip}`
}

/** `once`, or `3 times`. */
export function times(n: number): string {
  return n === 1 ? 'once' : `${n} times`
}

export function isInFuture(at: string | null): at is string {
  return at !== null && Date.parse(at) > Date.now()
}
