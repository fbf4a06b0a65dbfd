import type { Prepared } from './prepare.ts'

/** Request lines and headers that `fetch` would normalise or refuse to send, derived from a request. */
type Raw = (request: Prepared) => { line: string; headers: string[] }

const line = ({ method, target }: Prepared) => `${method} ${target} HTTP/1.1`

function head({ headers, body }: Prepared): string[] {
  const length = body === undefined ? [] : [`Content-Length: ${Buffer.byteLength(body)}`]
  return ['Host: localhost', ...headers.map(([name, value]) => `${name}: ${value}`), ...length]
}

const withMethod =
  (method: string): Raw =>
  (request) => ({ line: `${method} ${request.target} HTTP/1.1`, headers: head(request) })
const withTarget =
  (change: (target: string) => string): Raw =>
  (request) => ({ line: `${request.method} ${change(request.target)} HTTP/1.1`, headers: head(request) })
const withHeaders =
  (...more: string[]): Raw =>
  (request) => ({ line: line(request), headers: [...head(request), ...more] })

const SHAPES: Record<string, Raw> = {
  TRACE: withMethod('TRACE'),
  HEAD: withMethod('HEAD'),
  OPTIONS: withMethod('OPTIONS'),
  PROPFIND: withMethod('PROPFIND'),
  PUT: withMethod('PUT'),
  'a method that there is not': withMethod('FOO'),
  'a method in small letters': (request) => withMethod(request.method.toLowerCase())(request),
  'a slash twice': withTarget((target) => `/${target}`),
  'an encoded dot': withTarget((target) => `/%2e%2e/%2e${target}`),
  'a way up': withTarget((target) => `/health/..${target}`),
  'an encoded slash': withTarget((target) => target.replace(/(.)\//, '$1%2f')),
  'an encoded letter': withTarget((target) =>
    target.replace(/[aeiou]/, (letter) => `%${letter.charCodeAt(0).toString(16)}`),
  ),
  'in capitals': withTarget((target) => target.toUpperCase()),
  'a NUL in the path': withTarget((target) => target.replace(/($|\?)/, '%00$1')),
  'a broken escape': withTarget((target) => target.replace(/($|\?)/, '%zz%c3$1')),
  'a backslash': withTarget((target) => target.replaceAll('/', '\\')),
  'a matrix parameter': withTarget((target) => target.replace(/($|\?)/, ';a=b$1')),
  'a fragment': withTarget((target) => `${target}#x`),
  'an absolute URL': withTarget((target) => `http://evil.example.org${target}`),
  'a query of nothing but signs': withTarget((target) => `${target}?&&==&?%&+`),
  'a long query': withTarget((target) => `${target}?${'x=y&'.repeat(2000)}`),
  'a query name many times': withTarget(
    (target) => `${target.split('?')[0]}?page=1&page=2&page[]=3&user_id=x&user_id=y`,
  ),
  'two keys': withHeaders('X-API-Key: one', 'X-API-Key: two'),
  'two tokens': withHeaders('Authorization: Bearer a.b.c', 'Authorization: Bearer d.e.f'),
  'two content types': withHeaders('Content-Type: application/json', 'Content-Type: text/plain'),
  'two hosts': withHeaders('Host: evil.example.org'),
  'two lengths': withHeaders('Content-Length: 7', 'Content-Length: 8'),
  'a length and chunks': withHeaders('Transfer-Encoding: chunked'),
  'chunks in an odd spelling': withHeaders('Transfer-Encoding: xchunked, identity'),
  'a negative length': withHeaders('Content-Length: -1'),
  'a folded header': withHeaders('x-request-id: one', ' set-cookie: a=b'),
  'a bare CR': withHeaders('x-request-id: one\rset-cookie: a=b'),
  'a bare LF': withHeaders('x-request-id: one\nset-cookie: a=b'),
  'a header without a colon': withHeaders('nonsense'),
  'a space before the colon': withHeaders('X-API-Key : one'),
  'a header without a name': withHeaders(': x'),
  'a control character in a header': withHeaders('x-request-id: a\x01\x7f'),
  'a NUL in a header': withHeaders('x-request-id: a\0b'),
  'a flood of headers': withHeaders(...Array.from({ length: 300 }, (_, index) => `x-${index}: ${'y'.repeat(40)}`)),
  'an upgrade': withHeaders(
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: eHh4eHh4eHh4eHh4eHh4eA==',
  ),
  'a version that there is not': (request) => ({
    line: `${request.method} ${request.target} HTTP/9.9`,
    headers: head(request),
  }),
  'no version': (request) => ({ line: `${request.method} ${request.target}`, headers: head(request) }),
  'no host': (request) => ({ line: line(request), headers: head(request).slice(1) }),
}

export const RAW = Object.keys(SHAPES)

export function rawShape(how: string, request: Prepared): { line: string; headers: string[] } {
  const shape = SHAPES[how]
  if (!shape) throw new Error(`There is no raw form "${how}"`)
  return shape(request)
}
