import { describe, expect, test } from 'bun:test'
import { SERVICE_NAMES } from '../../services/registry.ts'
import { isInternal, POLICY } from '../security/policy.ts'
import { newEmail, PASSWORD } from '../support/actors.ts'
import { as, call } from '../support/http.ts'
import { running } from '../support/running.ts'
import type { Name } from '../support/settings.ts'
import { request } from '../support/sockets.ts'
import { inProcess } from '../support/system.ts'

const ORIGINS = [
  'https://app.example.org',
  'http://localhost:5173',
  'capacitor://localhost',
  'ionic://localhost',
  'tauri://localhost',
  'chrome-extension://abcdefghijklmnopabcdefghijklmnop',
  'moz-extension://2c127fa4-62c7-7e4f-90e5-472b45eecfdc',
]
const OTHERS = [
  ...[
    'null',
    '*',
    'file://',
    'capacitor://',
    'capacitor://localhost/',
    'capacitor://localhost:80',
    'CAPACITOR://localhost',
  ],
  ...['capacitor://LOCALHOST', 'capacitor://localhost.example.org', 'ionic://localhost:8080', 'http://localhost'],
  ...['http://localhost:51730', 'tauri://localhost, capacitor://localhost', 'https://app.example.org.', 'localhost'],
  ...['chrome-extension://abcdefghijklmnopabcdefghijklmnoq', 'http://app.example.org', 'https://APP.example.org'],
]
/** Headers that clients and their libraries send beyond the CORS-safelisted ones. */
const HEADERS = ['authorization', 'content-type', 'x-request-id', 'traceparent', 'tracestate', 'x-requested-with']

describe('a page of another origin', () => {
  const here = running(inProcess, { CORS_ORIGINS: ORIGINS.join(','), RATE_LIMIT: 'off' })

  /** Sends over a socket: an HTTP client may refuse to send an origin that no browser has. */
  const ask = async (name: Name, method: string, path: string, origin: string, headers: string[] = []) => {
    const answer = await request(here.system.url[name], `${method} ${path} HTTP/1.1`, [
      'Host: localhost',
      `Origin: ${origin}`,
      ...headers,
    ])
    return { status: answer.status, header: (header: string) => answer.headers.get(header) ?? null }
  }
  const preflight = (name: Name, method: string, path: string, origin: string) =>
    ask(name, 'OPTIONS', path, origin, [
      `Access-Control-Request-Method: ${method}`,
      `Access-Control-Request-Headers: ${HEADERS.join(',')}`,
    ])

  test.each(ORIGINS)('R16: %s is allowed when it is listed', async (origin) => {
    for (const name of SERVICE_NAMES) {
      const before = await preflight(name, 'POST', '/api/v1/auth/login', origin)
      expect([before.status, before.header('access-control-allow-origin')]).toEqual([204, origin])
      const answer = await ask(name, 'GET', '/health', origin)
      expect([answer.status, answer.header('access-control-allow-origin')]).toEqual([200, origin])
      expect(answer.header('vary')).toContain('Origin')
    }
    const body = { email: newEmail(), password: PASSWORD }
    const registration = await here.auth('POST /auth/register', { body, headers: { origin } })
    expect([registration.status, registration.headers.get('access-control-allow-origin')]).toEqual([201, origin])
    const refused = await here.auth('GET /auth/me', { headers: { origin } })
    expect([refused.status, refused.headers.get('access-control-allow-origin')]).toEqual([401, origin])
  })

  test.each(OTHERS)('R16: %s is refused because it is not listed', async (origin) => {
    for (const name of SERVICE_NAMES)
      for (const answer of [
        await preflight(name, 'POST', '/api/v1/auth/login', origin),
        await ask(name, 'GET', '/health', origin),
      ])
        expect(answer.header('access-control-allow-origin')).toBeNull()
  })

  test('R27: may send the headers that clients and their libraries send, and read those that they need', async () => {
    const answer = await preflight('auth', 'POST', '/api/v1/auth/login', 'https://app.example.org')
    const allowed = answer.header('access-control-allow-headers')?.toLowerCase().split(', ') ?? []
    expect(HEADERS.filter((name) => !allowed.includes(name))).toEqual([])
    expect(allowed).not.toContain('*')
    expect(allowed).not.toContain('x-api-key')
    const { header } = await ask('auth', 'GET', '/api/v1/auth/me', 'https://app.example.org')
    const exposed = header('access-control-expose-headers')?.split(', ') ?? []
    for (const name of ['x-request-id', 'retry-after', 'www-authenticate', 'x-ch202-stale'])
      expect(exposed).toContain(name)
  })

  test('is refused on the paths for operators and for services', async () => {
    const closed = POLICY.filter((policy) => isInternal(policy) || / \/api\/v1\/(admin\/|metrics$)/.test(policy.call))
    expect(closed.length).toBeGreaterThan(30)
    const id = '0198c0de-0000-7000-8000-000000000000'
    for (const { call: operation } of closed) {
      const [method = '', template = ''] = operation.split(' ')
      const versioned = template.replace(/\{\w+\}/g, id)
      for (const path of [versioned, versioned.replace('/api/v1', ''), `${versioned}/`, `${versioned}?x=1`])
        for (const name of SERVICE_NAMES) {
          const origin = 'capacitor://localhost'
          const answers = [await preflight(name, method, path, origin), await ask(name, method, path, origin)]
          for (const answer of answers)
            expect([operation, path, answer.header('access-control-allow-origin')]).toEqual([operation, path, null])
        }
    }
    const key = { headers: { ...as.operator, origin: 'https://app.example.org' } }
    const answer = await call(here.system.url.auth, 'GET /api/v1/admin/keys', key)
    expect([answer.status, answer.headers.get('access-control-allow-origin')]).toEqual([200, null])
  })
})
