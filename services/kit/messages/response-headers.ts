/**
 * The headers of every response. A response is data, not a page: even if a browser shows one as a page, that page loads
 * nothing and cannot be framed (OWASP ASVS 3.4.3, 3.4.6).
 */
const COMMON: Readonly<Record<string, string>> = {
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; base-uri 'none'; frame-ancestors 'none'",
}

/** The status and the headers that a handler has set. */
interface ResponseSettings {
  status?: number | string
  headers: Record<string, unknown>
}

/** Whether a request has a credential. No cache may keep the response to such a request. */
export function hasCredential({ headers }: Request): boolean {
  return headers.has('authorization') || headers.has('x-api-key')
}

/** Adds the common headers, except those that the handler has set itself. */
export function addHeaders(headers: Record<string, unknown>, requestId: string): void {
  for (const name in COMMON) headers[name] ??= COMMON[name]
  headers['x-request-id'] = requestId
}

/**
 * The response to a plain record or list.
 * @returns undefined for any other value, and when the handler has set headers of its own
 */
export const jsonResponse = newJsonResponder()

/** Shares one `Headers` that each response copies, because copying it is cheaper than reading an object literal. */
function newJsonResponder() {
  const template = new Headers({ ...COMMON, 'content-type': 'application/json' })
  return (value: unknown, { headers, status = 200 }: ResponseSettings, requestId: string): Response | undefined => {
    if (!isPlain(value) || !isEmpty(headers)) return undefined
    template.set('x-request-id', requestId)
    return new Response(JSON.stringify(value), { status: Number(status), headers: template })
  }
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
