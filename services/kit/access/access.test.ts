import { describe, expect, test } from 'bun:test'
import { ClientAddress } from '../client-address.ts'
import { systemClock } from '../clock.ts'
import { type Access, type AccessOptions, accessControl, requireAccess } from './access.ts'
import { BROWSER_HEADER, signBrowser } from './browser.ts'

const AT = 1_900_000_000_000

const options: AccessOptions = {
  tokens: { check: () => ({ valid: false, reason: 'malformed' }) },
  internalKeys: ['the-internal-key'],
  operatorKeys: ['the-operator-key'],
  clientAddress: new ClientAddress(['127.0.0.1']),
  clock: systemClock,
}
const { anonymousCaller, identify } = accessControl(options)
const arrival = (key: string) => ({
  request: new Request('http://localhost/api/v1/users', {
    headers: {
      'x-api-key': key,
      'x-forwarded-for': '203.0.113.7',
      'user-agent': 'a client',
      'accept-language': 'de, ru-RU;q=0.8, en;q=0.5',
    },
  }),
  requestId: 'a-request',
  startedAt: systemClock.monotonic(),
  address: () => '127.0.0.1',
})

test('a caller has the address, the user agent and the language of the request', async () => {
  for (const caller of [anonymousCaller(arrival('')), await identify(arrival('the-operator-key'), ['operator'])])
    expect([caller.ip, caller.userAgent, caller.locale, caller.requestId]).toEqual([
      '203.0.113.7',
      'a client',
      'ru',
      'a-request',
    ])
})

test('a service that calls has no address: only it knows that of the client', async () => {
  const caller = await identify(arrival('the-internal-key'), ['internal'])
  expect([caller.actor, caller.ip]).toEqual(['internal', null])
})

describe('48: a call of the pages', () => {
  const browser = { ip: '198.51.100.24', userAgent: 'a browser' }
  const value = (key = 'the-internal-key', at = Date.now()) =>
    signBrowser(key, { method: 'GET', path: '/api/v1/users', at, browser })
  const callers = async (header: string) => {
    const headers = (key: string) => ({ ...Object.fromEntries(arrival(key).request.headers), [BROWSER_HEADER]: header })
    const of = (key: string) => ({
      ...arrival(key),
      request: new Request('http://localhost/api/v1/users?size=1', { headers: headers(key) }),
    })
    return [anonymousCaller(of('')), await identify(of('the-operator-key'), ['operator'])]
  }

  test('has the address and the user agent of the browser, and the way', async () => {
    for (const { ip, locale, userAgent, way } of await callers(value()))
      expect([ip, userAgent, way, locale]).toEqual(['198.51.100.24', 'a browser', 'pages', 'ru'])
  })

  test('that anyone else claims is a call of the API', async () => {
    for (const header of [value('another-key'), value('the-internal-key', Date.now() - 120_000), 'pages'])
      for (const { ip, userAgent, way } of await callers(header))
        expect([ip, userAgent, way]).toEqual(['203.0.113.7', 'a client', 'api'])
  })

  test('is described at its arrival, however long it waits', async () => {
    let waited = 0
    const clock = { now: () => AT + waited, monotonic: () => 1000 + waited }
    const { anonymousCaller } = accessControl({ ...options, clock })
    const headers = { [BROWSER_HEADER]: value('the-internal-key', AT) }
    const request = new Request('http://localhost/api/v1/users', { headers })
    const caller = anonymousCaller({ ...arrival(''), request, startedAt: clock.monotonic() })
    waited = 120_000
    expect([caller.way, caller.ip]).toEqual(['pages', '198.51.100.24'])
  })

  test('of a service is that of the service', async () => {
    const headers = { 'x-api-key': 'the-internal-key', 'user-agent': 'a service', [BROWSER_HEADER]: value() }
    const request = new Request('http://localhost/api/v1/users', { headers })
    const { ip, userAgent, way } = await identify({ ...arrival(''), request }, ['internal'])
    expect([ip, userAgent, way]).toEqual([null, 'a service', 'api'])
  })
})

describe('16: the token of an app', () => {
  const app = { clientId: 'shop', grantId: 'a-grant', scopes: ['openid', 'modules'] }
  const user = { userId: 'ana', roles: ['ADMIN', 'SUPPORT'], authTime: 1, amr: ['mfa'], expiresAt: AT }
  const control = accessControl({
    ...options,
    supportRole: 'SUPPORT',
    tokens: { check: (roles) => ({ valid: true, ...user, sessionId: 'a-session', ...app, roles: [roles] }) },
  })
  const request = (role: string) => new Request('http://localhost/', { headers: { authorization: `Bearer ${role}` } })
  const callerWith = (role: string) => control.identify({ ...arrival(''), request: request(role) }, ['user'])

  test('makes its user neither an operator nor a support person, and names no session', async () => {
    for (const role of ['ADMIN', 'SUPPORT']) {
      const { client, operator, sessionId, supportRole, userId, ...caller } = await callerWith(role)
      expect([client, operator, sessionId, supportRole, userId]).toEqual([null, false, null, null, 'ana'])
      expect(caller.app).toEqual(app)
    }
  })

  test.each<[isAdmitted: boolean, ...access: Access[number][]]>([
    [true, 'app:modules'],
    [true, 'operator', 'app:email', 'app:modules'],
    [false, 'app:email'],
    [false, 'user', 'operator', 'support', 'internal', 'scraper', 'holder', 'client', 'scope:modules:read'],
    [false, 'anyone', 'user'],
  ])('admitted: %p, by %p', async (isAdmitted, ...access) => {
    const caller = await callerWith('ADMIN')
    const admit = () => requireAccess(caller, access)
    if (isAdmitted) expect(admit).not.toThrow()
    else expect(admit).toThrow(expect.objectContaining({ code: 'insufficient_scope' }))
  })
})
