import { isProblemCode, statusOf } from '../../services/kit/problem.ts'
import type { Prepared } from './prepare.ts'
import type { Drawn } from './requests.ts'

/** Where what the schemas allow may still be 400: what they cannot say, a value's sense and how two fields go together. */
const CONTRADICTORY: [call: RegExp, when: (query: Record<string, string>, body: Record<string, unknown>) => boolean][] =
  [
    [/./, (query) => 'cursor' in query || 'after_id' in query],
    [/admin\/(login-limits|refused-logins)$/, () => true],
    [/auth\/sessions$/, () => true],
    [/validate-token$/, (_, body) => !('token' in body)],
    [/(enable|disable)$/, (_, body) => !('user_id' in body)],
    [/(POST|PATCH) .*\/modules(\/\{module_id\})?$/, (_, body) => 'requires' in body || 'default_enabled' in body],
    // The least length of a password is a setting.
    [/./, (_, body) => [...String(body.password ?? body.new_password ?? 'long enough')].length < 8],
    [/users\/\{user_id\}\/password$/, () => true],
    [/users\/password-hashes$/, (query) => 'after' in query],
    // What a hash looks like no schema says.
    [/POST .*\/(user|users|users\/import)$/, (_, body) => 'password_hash' in body],
    // An address has rules of its own, and there is a most.
    [/POST .*\/admin\/webhooks$/, () => true],
  ]

/** Whether a request that its schemas allow may still be 400. */
export function contradictory({ call }: Drawn, { query, value }: Prepared): boolean {
  const bodies = Array.isArray(value) ? value : [value ?? {}]
  return CONTRADICTORY.some(([calls, when]) => calls.test(call) && bodies.some((body) => when(query, body)))
}

/** What is wrong with the form of a problem. */
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
  // In the words of RFC 6749, or in ours.
  if ((error_description !== undefined) !== /^[a-z_]+$/.test(String(error))) faults.push(`the error is ${error}`)
  if (Object.keys(more).length > 0) faults.push(`a problem has ${Object.keys(more)}`)
  return faults
}

/** What the errors of fields say in words. */
function wordsOf(errors: unknown): string {
  if (!Array.isArray(errors)) return 'nothing'
  return String(errors.map(({ field, message }) => `${field} ${message}`))
}

/** Of lines, those that were broken have failed, each with the code of what it is. */
export function ofLines(text: string): string[] {
  const [first] = text.split('\n').filter(Boolean)
  const { code, status } = JSON.parse(first ?? '{}')
  // Who has the name already is looked at before how two fields go together.
  return status === 'failed' && ['validation_failed', 'username_taken'].includes(code)
    ? []
    : [`a line that is not valid is answered ${first}`]
}

/** A short one stands in many a text by chance. */
const TELLING = 12

/** What a body holds that no refusal may repeat. */
export function secretsIn(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([name, field]) =>
    typeof field === 'string' && field.length >= TELLING && /password|token/i.test(name) ? [field] : secretsIn(field),
  )
}
