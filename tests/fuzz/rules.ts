import { isProblemCode, statusOf } from '../../services/kit/problem.ts'
import type { Prepared } from './prepare.ts'
import type { Drawn } from './requests.ts'

/** Requests that match their schemas and may still be 400: for a value's meaning, or a combination of fields. */
const CONTRADICTORY: [call: RegExp, when: (query: Record<string, string>, body: Record<string, unknown>) => boolean][] =
  [
    [/./, (query) => 'cursor' in query || 'after_id' in query],
    [/admin\/(login-limits|refused-logins)$/, () => true],
    [/auth\/sessions$/, () => true],
    [/validate-token$/, (_, body) => !('token' in body)],
    [/(enable|disable)$/, (_, body) => !('user_id' in body)],
    [/(POST|PATCH) .*\/modules(\/\{module_id\})?$/, (_, body) => 'requires' in body || 'default_enabled' in body],
    // A verification without an email is for a user, whose own it then is.
    [/email-verification-request$/, (_, body) => !('email' in body)],
    // Exactly one proof; a challenge that is named must exist; a secret is Base32 of some length.
    [/auth\/(second-factor|reauthenticate)$/, () => true],
    [/auth\/(factors\/totp(\/confirm)?|passkeys(\/options|\/login-options)?)$/, () => true],
    [/POST .*\/admin\/users\/\{user_id\}\/factors$/, () => true],
    // A code belongs to a challenge, a token does not; a user who exists gets no fields.
    [/(email-verification-confirm|email-code-login|email-change-confirm)$/, () => true],
    [/admin\/invitations$/, (_, body) => 'user_id' in body],
    // The minimum length of a password is a setting.
    [/./, (_, body) => [...String(body.password ?? body.new_password ?? 'long enough')].length < 8],
    [/users\/\{user_id\}\/(password|proof)$/, () => true],
    [/users\/password-hashes$/, (query) => 'after' in query],
    // The format of a hash is not in its schema.
    [/POST .*\/(user|users|users\/import)$/, (_, body) => 'password_hash' in body],
    // The algorithm of a new key must be in use.
    [/admin\/keys\/rotate$/, (query) => 'alg' in query],
    // A webhook's URL has further rules, and the number of webhooks is limited.
    [/POST .*\/admin\/webhooks$/, () => true],
    // The settings of a client must fit each other, and its parameters must be credentials and what it may have.
    [/(POST|PATCH) .*\/admin\/clients(\/.*)?$/, () => true],
    [/oauth\/token$/, () => true],
    // The client and its address must exist.
    [/auth\/(authorizations|logout-requests)$/, () => true],
  ]

/** Whether a request that matches its schemas may still be 400. */
export function contradictory({ call }: Drawn, { query, value }: Prepared): boolean {
  const bodies = Array.isArray(value) ? value : [value ?? {}]
  return CONTRADICTORY.some(([calls, when]) => calls.test(call) && bodies.some((body) => when(query, body)))
}

/** Faults in the shape of a problem. */
export function ofProblem(status: number, body: unknown, id: string | null): string[] {
  if (typeof body !== 'object' || body === null) return [`${status} is no problem: ${body}`]
  const { code, error, error_description, errors, message, requestId, statusCode, ...more } = body as Record<
    string,
    unknown
  >
  const faults: string[] = []
  if (statusCode !== status) faults.push(`statusCode is ${statusCode}`)
  if (requestId !== id) faults.push(`requestId is ${requestId} in the body and ${id} in the header`)
  if (typeof code !== 'string' || !isProblemCode(code) || statusOf(code) !== status) faults.push(`the code is ${code}`)
  if (typeof error !== 'string' || Array.isArray(message) !== (code === 'validation_failed'))
    faults.push('it has not the form of a problem')
  if (code === 'validation_failed' && wordsOf(errors) !== String(message))
    faults.push('its errors are not its messages')
  // A code of RFC 6749, or the name of our status.
  if ((error_description !== undefined) !== /^[a-z_]+$/.test(String(error))) faults.push(`the error is ${error}`)
  if (Object.keys(more).length > 0) faults.push(`a problem has ${Object.keys(more)}`)
  return faults
}

/** The messages of `errors` as one text. */
function wordsOf(errors: unknown): string {
  if (!Array.isArray(errors)) return 'nothing'
  return String(errors.map(({ field, message }) => `${field} ${message}`))
}

/** Faults in the answer to a broken line: it must have failed with the right code. */
export function ofLines(text: string): string[] {
  const [first] = text.split('\n').filter(Boolean)
  const { code, status } = JSON.parse(first ?? '{}')
  // A name that is in use is reported before fields that contradict each other.
  return status === 'failed' && ['validation_failed', 'username_taken'].includes(code)
    ? []
    : [`a line that is not valid is answered ${first}`]
}

/** A shorter value occurs in texts by chance. */
const MIN_SECRET_LENGTH = 12

/** Secrets in a body, which no refusal may repeat. */
export function secretsIn(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([name, field]) =>
    typeof field === 'string' && field.length >= MIN_SECRET_LENGTH && /password|token/i.test(name)
      ? [field]
      : secretsIn(field),
  )
}
