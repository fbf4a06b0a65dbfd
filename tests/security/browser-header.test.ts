import { describe, expect, test } from 'bun:test'
import { BROWSER_HEADER, type Browser } from '../../services/kit/access/browser.ts'
import { MINUTE, SECOND } from '../../services/kit/clock.ts'
import { createUser, newEmail, PASSWORD, registerUser, type TestUser } from '../support/actors.ts'
import { BROWSER, callByPages, pagesHeader } from '../support/browser/pages.ts'
import { eventually } from '../support/eventually.ts'
import { type Answer, as, call, type Options } from '../support/http.ts'
import { mailsTo, readMail } from '../support/mails.ts'
import { movingClock } from '../support/moving-clock.ts'
import { overProcesses } from '../support/processes.ts'
import { running, type Start } from '../support/running.ts'
import { INTERNAL_KEY, type Name } from '../support/settings.ts'
import { inProcess, inProcessApart, type System } from '../support/system.ts'

// Check 48: the pages describe the browser that they call for, in a header that only they can sign.

const NEXT_KEY = 'next-internal-key-of-the-tests-0123456789abc'
const AGENT = 'a client of the API'
const LOGIN = 'POST /api/v1/auth/login'
const NEW = 'a wholly new password'

/** The address and the user agent of the session that a login opened. */
async function openedBy(system: System, { body, status, text }: Answer) {
  if (status !== 200) throw new Error(`login: ${status} ${text}`)
  const headers = as.bearer(body.access_token)
  const { body: sessions } = await call(system.url.auth, 'GET /api/v1/auth/sessions', { headers })
  const session = sessions.items.find(({ current }: { current: boolean }) => current)
  return { ip: session.ip, userAgent: session.user_agent }
}
const ITSELF = { ip: '127.0.0.1', userAgent: AGENT }

const LAYOUTS: [string, Start][] = [
  ['in one process', inProcess],
  ['in services apart', inProcessApart],
  ['in processes', overProcesses('apart')],
]

describe.each(LAYOUTS)('check 48: the browser of a call, %s', (_, start) => {
  const here = running(start, { INTERNAL_API_KEY: `${INTERNAL_KEY},${NEXT_KEY}`, RATE_LIMIT: 'off' })
  const logInWith = (email: string, headers: Record<string, string>) =>
    call(here.system.url.auth, LOGIN, {
      body: { login: email, password: PASSWORD },
      headers: { 'user-agent': AGENT, ...headers },
    })

  test.each([
    ['the key', {}],
    ['the key that comes next', { key: NEXT_KEY }],
    ['a clock that is 30 s ahead', { at: () => Date.now() + 30 * SECOND }],
    ['a clock that is 30 s behind', { at: () => Date.now() - 30 * SECOND }],
  ] as [string, { key?: string; at?: () => number }][])(
    'is believed when it is signed with %s',
    async (_how, signing) => {
      const { email } = await createUser(here.system)
      const header = pagesHeader(LOGIN, { ...signing, at: signing.at?.() ?? Date.now() })
      expect(await openedBy(here.system, await logInWith(email, header))).toEqual(BROWSER)
    },
  )

  const value = (header: Record<string, string>) => header[BROWSER_HEADER] ?? ''
  const withAddress = (text: string, browser: Browser) => {
    const [at, , sent] = text.split('.')
    return [at, Buffer.from(JSON.stringify([browser.ip, browser.userAgent])).toString('base64url'), sent].join('.')
  }
  test.each<[string, () => string]>([
    ['text', () => BROWSER.ip ?? ''],
    ['JSON', () => JSON.stringify(BROWSER)],
    ['signed with another key', () => value(pagesHeader(LOGIN, { key: 'k'.repeat(44) }))],
    ['signed with no key', () => value(pagesHeader(LOGIN, { key: '' }))],
    ['signed for another path', () => value(pagesHeader('POST /api/v1/auth/refresh'))],
    ['signed for the path without its prefix', () => value(pagesHeader('POST /auth/login'))],
    ['signed for another method', () => value(pagesHeader('GET /api/v1/auth/login'))],
    ['of two minutes ago', () => value(pagesHeader(LOGIN, { at: Date.now() - 2 * MINUTE }))],
    ['of ten minutes from now', () => value(pagesHeader(LOGIN, { at: Date.now() + 10 * MINUTE }))],
    ['with another address', () => withAddress(value(pagesHeader(LOGIN)), { ...BROWSER, ip: '198.51.100.9' })],
    ['with another user agent', () => withAddress(value(pagesHeader(LOGIN)), { ...BROWSER, userAgent: 'other' })],
    ['sent twice', () => `${value(pagesHeader(LOGIN))}, ${value(pagesHeader(LOGIN))}`],
    ['empty', () => ''],
    ['long', () => `${Date.now()}.${'A'.repeat(8000)}.${'A'.repeat(43)}`],
  ])('is ignored when it is %s', async (_how, header) => {
    const { email } = await createUser(here.system)
    const answer = await logInWith(email, { [BROWSER_HEADER]: header() })
    expect(await openedBy(here.system, answer)).toEqual(ITSELF)
    expect([...answer.headers.keys()].filter((name) => name.includes('browser'))).toEqual([])
  })

  test('is that of the pages beside an address that a client forwards', async () => {
    const { email } = await createUser(here.system)
    const answer = await logInWith(email, { ...pagesHeader(LOGIN), 'x-forwarded-for': '198.51.100.9' })
    expect(await openedBy(here.system, answer)).toEqual(BROWSER)
  })

  test('may be unknown', async () => {
    const { email } = await createUser(here.system)
    const browser = { ip: null, userAgent: null }
    expect(await openedBy(here.system, await logInWith(email, pagesHeader(LOGIN, { browser })))).toEqual(browser)
  })

  /** The address in the audit row that a call by a user leaves. */
  async function addressOf(user: TestUser, name: Name, request: string, options: Options, isSigned: boolean) {
    const id = `browser-${Bun.randomUUIDv7()}`
    const headers = { ...as.bearer(user.tokens.access_token), 'x-request-id': id }
    const send = isSigned ? callByPages : call
    const forged = isSigned ? {} : pagesHeader(request, { key: 'k'.repeat(44) })
    const answer = await send(here.system.url[name], request, { ...options, headers: { ...headers, ...forged } })
    expect(answer.status).toBeLessThan(300)
    const rows = await eventually(async () => {
      const { body } = await here.auth(`GET /admin/audit?request_id=${id}`, { headers: as.operator })
      return body.items.length > 0 ? body.items : undefined
    })
    return rows[0].ip
  }

  test.each<[Name, (user: TestUser) => [string, Options]]>([
    ['auth', () => ['POST /api/v1/auth/logout-all', {}]],
    ['users', ({ id }) => [`PATCH /api/v1/users/${id}`, { body: { name: 'Ana' } }]],
    ['modules', () => ['POST /api/v1/modules/browsed/enable', { body: {} }]],
  ])('%s believes only a signed one', async (name, requestOf) => {
    const module = { id: 'browsed', name: 'Browsed', description: 'A module', required_roles: [] }
    await here.modules('POST /modules', { headers: as.operator, body: module })
    for (const [isSigned, ip] of [
      [true, BROWSER.ip],
      [false, '127.0.0.1'],
    ] as const) {
      const user = await createUser(here.system)
      expect(await addressOf(user, name, ...requestOf(user), isSigned)).toBe(ip)
    }
  })
})

describe('check 48: what is known of the browser', () => {
  const clock = movingClock()
  const here = running(() => inProcess({ RATE_LIMIT: 'off', LOG_LEVEL: 'info' }, { clock }))
  const logIn = (email: string, options: object = {}) =>
    callByPages(here.system.url.auth, LOGIN, {
      body: { login: email, password: PASSWORD },
      at: clock.now(),
      ...options,
    })

  test('is believed for a minute, by the clock of the service', async () => {
    const { email } = await createUser(here.system)
    const [at, headers] = [clock.now(), { 'user-agent': AGENT }]
    clock.pass(30 * SECOND)
    expect(await openedBy(here.system, await logIn(email, { at, headers }))).toEqual(BROWSER)
    clock.pass(31 * SECOND)
    expect(await openedBy(here.system, await logIn(email, { at, headers }))).toEqual(ITSELF)
    clock.pass(-5 * MINUTE)
    expect(await openedBy(here.system, await logIn(email, { at, headers }))).toEqual(ITSELF)
    clock.pass(4 * MINUTE - SECOND)
  })

  test('stays in the session when another browser refreshes it, as by the API', async () => {
    const { email } = await createUser(here.system)
    const { body: tokens } = await logIn(email)
    const refreshed = await callByPages(here.system.url.auth, 'POST /api/v1/auth/refresh', {
      body: { refresh_token: tokens.refresh_token },
      browser: { ip: '198.51.100.9', userAgent: 'another browser' },
      at: clock.now(),
    })
    expect(await openedBy(here.system, refreshed)).toEqual(BROWSER)
  })

  test('is in the notice of a changed password', async () => {
    const user = await createUser(here.system, { email_verified: true })
    const changed = await callByPages(here.system.url.users, `POST /api/v1/users/${user.id}/change-password`, {
      headers: { ...as.bearer(user.tokens.access_token), 'user-agent': 'undici' },
      body: { current_password: PASSWORD, new_password: NEW },
      at: clock.now(),
    })
    expect(changed.status).toBe(204)
    const mail = readMail(await eventually(() => mailsTo(here.system, user.email)[0]))
    for (const part of [BROWSER.ip ?? '', 'Firefox', 'Linux']) expect(mail).toContain(part)
    for (const other of ['127.0.0.1', 'undici']) expect(mail).not.toContain(other)
  })

  test('is in the audit of a registration and of a failed login, and in the log', async () => {
    const email = newEmail()
    const body = { email, password: PASSWORD }
    const requestId = `browser-${Bun.randomUUIDv7()}`
    const options = { at: clock.now(), headers: { 'x-request-id': requestId } }
    const registered = await callByPages(here.system.url.auth, 'POST /api/v1/auth/register', { body, ...options })
    expect(await openedBy(here.system, { ...registered, status: 200, body: registered.body.tokens })).toEqual(BROWSER)
    expect((await logIn(email, { ...options, body: { login: email, password: 'wrong' } })).status).toBe(401)
    const { body: audit } = await here.auth(`GET /admin/audit?request_id=${requestId}`, { headers: as.operator })
    const rows: { type: string; ip: string | null }[] = audit.items
    for (const type of ['user.registered', 'session.created', 'login.failed'])
      expect(rows.find((row) => row.type === type)).toMatchObject({ ip: BROWSER.ip })
    const lines = here.system.output().split('\n')
    const logged = lines.filter((line) => line.includes(requestId) && line.includes(LOGIN.slice(5)))
    expect(logged.map((line) => JSON.parse(line).ip)).toEqual([BROWSER.ip])
  })
})

describe('check 48: limits beside the header', () => {
  const here = running(inProcess)
  /** The failures from one address before it is locked. */
  const MOST = 300
  const guess = (browser: Browser, key: string) =>
    callByPages(here.system.url.auth, LOGIN, { body: { login: newEmail(), password: 'wrong' }, browser, key })
  const counted = async (address: string): Promise<number> =>
    (await here.auth(`GET /admin/login-limits?address=${address}`, { headers: as.operator })).body.failures
  const forgedAddress = (n: number) => `198.51.100.${n}`

  test('200 guesses with forged addresses count as one address', async () => {
    const before = await counted('127.0.0.1')
    const statuses: number[] = []
    for (let n = 0; n < 200; n++)
      statuses.push((await guess({ ip: forgedAddress(n), userAgent: null }, 'k'.repeat(44))).status)
    expect(new Set(statuses)).toEqual(new Set([401]))
    expect(await counted('127.0.0.1')).toBe(before + 200)
    for (const n of [0, 100, 199]) expect(await counted(forgedAddress(n))).toBe(0)
  })

  test('signed ones count by browser: one that is locked out locks nobody else out', async () => {
    const { email } = await createUser(here.system)
    const before = await counted('127.0.0.1')
    const [thief, other] = ['203.0.113.66', '203.0.113.67']
    const statuses: number[] = []
    for (let n = 0; n < MOST + 10; n++)
      statuses.push((await guess({ ip: thief, userAgent: null }, INTERNAL_KEY)).status)
    expect(statuses).toEqual([...Array(MOST).fill(401), ...Array(10).fill(429)])
    expect([await counted(thief), await counted(other), await counted('127.0.0.1')]).toEqual([MOST, 0, before])
    const body = { login: email, password: PASSWORD }
    const from = (ip: string) => callByPages(here.system.url.auth, LOGIN, { body, browser: { ...BROWSER, ip } })
    expect((await from(thief)).status).toBe(429)
    expect((await from(other)).status).toBe(200)
  })

  test('an IPv6 address counts with its network', async () => {
    for (const ip of ['2001:db8:0:9::1', '2001:db8:0:9::2']) await guess({ ip, userAgent: null }, INTERNAL_KEY)
    expect(await counted('2001:db8:0:9::7')).toBe(2)
  })
})

describe('check 48: pages of other origins', () => {
  const ORIGIN = 'https://app.example.org'
  const here = running(inProcess, { CORS_ORIGINS: ORIGIN })

  test('may not send the header', async () => {
    const answer = await call(here.system.url.auth, 'OPTIONS /api/v1/auth/login', {
      headers: {
        origin: ORIGIN,
        'access-control-request-method': 'POST',
        'access-control-request-headers': `content-type,${BROWSER_HEADER}`,
      },
    })
    expect(answer.headers.get('access-control-allow-origin')).toBe(ORIGIN)
    expect(answer.headers.get('access-control-allow-headers')).toContain('content-type')
    expect(answer.headers.get('access-control-allow-headers')).not.toContain(BROWSER_HEADER)
  })

  test('learn nothing of it: an answer is the same with and without one', async () => {
    const { tokens } = await registerUser(here.system)
    const ask = (headers: object) =>
      call(here.system.url.auth, 'GET /api/v1/auth/me', {
        headers: { ...as.bearer(tokens.access_token), 'x-request-id': 'the-same', ...headers },
      })
    const [plain, signed, forged] = [
      await ask({}),
      await ask(pagesHeader('GET /api/v1/auth/me')),
      await ask({ [BROWSER_HEADER]: 'forged' }),
    ]
    const names = ({ headers }: Answer) => [...headers.keys()].toSorted()
    for (const answer of [signed, forged])
      expect([answer.status, answer.text, names(answer)]).toEqual([plain.status, plain.text, names(plain)])
  })
})
