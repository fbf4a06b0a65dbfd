/**
 * What every answer bears. It is data, and no page: whatever a browser takes it for, it loads nothing and stands in no
 * frame (OWASP ASVS 3.4.3, 3.4.6).
 */
const EVERY: Readonly<Record<string, string>> = {
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; base-uri 'none'; frame-ancestors 'none'",
}

/** Copied by each answer that is made of it: a dictionary would be read anew for each, for longer than the rest takes. */
const ofJson = new Headers({ ...EVERY, 'content-type': 'application/json' })

/** What an answer says of itself beside its value. */
interface Said {
  status?: number | string
  headers: Record<string, unknown>
}

/** Whether a request shows a credential: no cache keeps what it is answered. */
export function hasCredential({ headers }: Request): boolean {
  return headers.has('authorization') || headers.has('x-api-key')
}

/** Adds what every answer bears to what this one says of its own. */
export function addHeaders(headers: Record<string, unknown>, requestId: string): void {
  for (const name in EVERY) headers[name] ??= EVERY[name]
  headers['x-request-id'] = requestId
}

/** The answer that a record or a list is. Undefined where it says more of itself, or is something else. */
export function jsonResponse(value: unknown, { headers, status = 200 }: Said, requestId: string): Response | undefined {
  if (!isPlain(value) || !isEmpty(headers)) return undefined
  ofJson.set('x-request-id', requestId)
  return new Response(JSON.stringify(value), { status: Number(status), headers: ofJson })
}

function isPlain(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === Array.prototype
}

function isEmpty(record: object): boolean {
  for (const _ in record) return false
  return true
}
