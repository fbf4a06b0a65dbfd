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

/** The fields of an audit row that matter here. */
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

const EVIDENCE_MAX = 10

export function evidenceOf(rows: readonly (AuditRow | RefusedLogin)[]): Row[] {
  return rows.slice(0, EVIDENCE_MAX).map((row) => ({ ...row }))
}

/** Formats a refused login like a row of the audit log. */
export function refusedRow({ code, paused, paused_until, ...row }: RefusedLogin): Row {
  const why = paused === null ? {} : { paused, until: paused_until }
  return { type: 'login.refused', ...row, detail: { code, ...why } }
}

export function from(ip: string | null): string {
  return ip === null ? '' : ` from ${ip}`
}

export function times(n: number): string {
  return n === 1 ? 'once' : `${n} times`
}

export function isInFuture(at: string | null): at is string {
  return at !== null && Date.parse(at) > Date.now()
}
