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

const EVIDENCE_MAX = 10

/** The rows for an explanation, as many as a person reads. */
export function evidenceOf(rows: readonly AuditRow[]): Row[] {
  return rows.slice(0, EVIDENCE_MAX).map((row) => ({ ...row }))
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
