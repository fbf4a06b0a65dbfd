import { expect } from 'bun:test'
import { FIELD_CODES, type FieldError } from '../../services/kit/field-errors.ts'
import type { Answer } from './http.ts'

/** The fields of a user's profile, in every answer with a user. */
export const PROFILE_FIELDS = ['locale', 'metadata', 'app_metadata'] as const
/** The fields of a user that only an operator may set. */
export const OPERATOR_FIELDS = ['roles', 'status', 'email_verified', 'app_metadata'] as const

/** The fields of each response. A fixed list, so that a test notices every field that is added. */
export const FIELDS = {
  token: ['access_token', 'token_type', 'expires_in', 'refresh_token', 'refresh_expires_in', 'session_id'],
  user: [
    ...['id', 'email', 'username', 'name', 'roles', 'status'],
    ...['email_verified', 'has_password', ...PROFILE_FIELDS, 'created_at', 'updated_at'],
  ],
  session: [
    ...['id', 'user_id', 'client_id', 'current', 'created_at', 'auth_time', 'amr'],
    ...['last_used_at', 'expires_at', 'ip', 'user_agent'],
  ],
  page: ['items', 'total', 'page', 'size', 'pages', 'next_cursor'],
  problem: ['statusCode', 'error', 'message', 'code', 'requestId'],
  validity: ['valid', 'user_id', 'session_id', 'roles', 'expires_at'],
  introspection: [
    ...['active', 'sub', 'username', 'email', 'roles', 'client_id', 'token_type'],
    ...['exp', 'iat', 'auth_time', 'amr', 'iss', 'aud', 'jti', 'sid'],
  ],
  cacheEntry: ['user_id', 'email', 'username', 'status', 'password_version', 'synced_at'],
  cacheSync: ['synced', 'removed', 'unchanged', 'duration_ms'],
  cacheHealth: ['entries', 'hits', 'misses', 'hit_ratio', 'last_sync_at', 'pending'],
  key: ['kid', 'alg', 'created_at', 'status'],
  event: ['id', 'at', 'type', 'user_id', 'actor', 'ip', 'request_id', 'detail'],
} as const

/** Asserts that a value has exactly these fields. */
export function expectFields(value: object, fields: readonly string[]): void {
  expect(Object.keys(value).sort()).toEqual([...fields].sort())
}

/** The problems that list errors of single fields. */
const CODES_WITH_FIELD_ERRORS = ['validation_failed', 'weak_password', 'email_taken', 'username_taken']

/** Asserts that the errors of single fields are well-formed, and report the same as the message. */
function expectFieldErrors({ code, errors, message }: Answer['body']): void {
  expect(errors.length).toBeGreaterThan(0)
  for (const error of errors) {
    expectFields(error, 'limit' in error ? ['field', 'code', 'message', 'limit'] : ['field', 'code', 'message'])
    expect(error.code).toBeOneOf([...FIELD_CODES])
  }
  const sentences = errors.map((error: FieldError) => `${error.field} ${error.message}`)
  if (code === 'validation_failed') expect(message).toEqual(sentences)
  else expect(message).toBeString()
}

/** Matches the OAuth calls at each of their paths. Their refusals have the fields of RFC 6749 as well. */
export const OAUTH_CALL = /^(\/api\/v1)?\/(auth\/(introspect|revoke)|oauth\/token)$/

/**
 * Matches the calls that ignore parameters which they do not know (RFC 6749, 3.1 and 3.2; OpenID Connect RP-Initiated Logout,
 * 2), at each of their paths.
 */
export const OPEN_CALL = /^(\/api\/v1)?\/(auth\/(introspect|revoke|authorizations|logout-requests)|oauth\/token)$/

/** Asserts a refusal in the form that all share: status, code, fields and headers. */
export function expectProblem(answer: Answer, status: number, code: string): void {
  expectRefusal(answer, status, code, FIELDS.problem)
}

/** Asserts a refusal of an OAuth call (RFC 6749, 5.2). */
export function expectOAuthProblem(answer: Answer, status: number, code: string, error: string): void {
  expectRefusal(answer, status, code, [...FIELDS.problem, 'error_description'])
  expect(answer.body.error).toBe(error)
  expect(answer.body.error_description).toMatch(/^[\x20\x21\x23-\x5b\x5d-\x7e]+$/)
}

/** Further fields of refusals: the challenge of the next step. */
const FURTHER_FIELDS: Record<string, readonly string[]> = {
  second_factor_required: ['challenge_id', 'expires_in', 'methods'],
  second_factor_enrolment_required: ['challenge_id', 'expires_in'],
}

function expectRefusal(answer: Answer, status: number, code: string, fields: readonly string[]): void {
  expect({ status: answer.status, code: answer.body.code }).toEqual({ status, code })
  const hasFieldErrors = CODES_WITH_FIELD_ERRORS.includes(code)
  expectFields(answer.body, [...fields, ...(hasFieldErrors ? ['errors'] : []), ...(FURTHER_FIELDS[code] ?? [])])
  if (hasFieldErrors) expectFieldErrors(answer.body)
  expect(answer.body.statusCode).toBe(status)
  expect(answer.headers.get('content-type')).toBe('application/json')
  expect(answer.headers.get('x-request-id')).toBe(answer.body.requestId)
  expect(answer.headers.get('cache-control')).toBe('no-store')
  expect(answer.headers.get('x-content-type-options')).toBe('nosniff')
  expect(answer.headers.get('referrer-policy')).toBe('no-referrer')
  if (status === 429 || (status === 503 && code !== 'database_unavailable'))
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThanOrEqual(1)
}

export const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/
export const TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/
