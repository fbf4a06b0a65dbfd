import { describe, expect, test } from 'bun:test'
import { generateKeyPairSync } from 'node:crypto'
import { FEED_LEASE } from '../services/kit/feed/subscriber.ts'
import { type Claims, signAccessToken } from '../services/kit/tokens/access-token.ts'
import { eventually } from '../tests/support/eventually.ts'
import { createGuard } from './index.ts'
import type { GuardCredentials, GuardOptions, Log, LogLine } from './types.ts'

const KEY = 'internal-key-of-the-tests-0123456789abcdef'
const url = 'https://auth.example.org'

/** A guard of an instance with these answers by path. Any other path cannot be reached. */
function guardOf(answers: Record<string, unknown>, options: Partial<GuardOptions> = {}) {
  const lines: LogLine[] = []
  const calls: { url: string; key: string | null; redirect: string }[] = []
  const log: Log = { info: (line) => lines.push(line), warn: (line) => lines.push(line) }
  const guard = createGuard({
    url,
    internalKey: KEY,
    log,
    async fetch(request) {
      calls.push({ url: request.url, key: request.headers.get('x-api-key'), redirect: request.redirect })
      const { pathname } = new URL(request.url)
      if (!(pathname in answers)) throw new TypeError(`cannot reach ${request.url} with ${KEY}`)
      const answer = answers[pathname]
      return typeof answer === 'number' ? new Response(KEY, { status: answer }) : Response.json(answer)
    },
    ...options,
  } as GuardOptions & GuardCredentials)
  return { guard, lines, calls }
}

const request = (headers: Record<string, string> = {}) => new Request('http://localhost/orders', { headers })
const bearer = request({ authorization: 'Bearer some-token' })

describe('an invalid option throws at once, without a key in the message', () => {
  const other = 'another-key-of-the-tests-0123456789abcdef'
  const rows: [option: string, options: Partial<Record<keyof GuardOptions, unknown>>][] = [
    ['url', { url: 'auth' }],
    ['url', { url: 'ftp://auth.example.org' }],
    ['url', { url: `http://user:${KEY}@auth.example.org` }],
    ['url', { url: undefined }],
    ['modulesUrl', { modulesUrl: '/modules' }],
    ['internalKey', { internalKey: '' }],
    ['internalKey', { internalKey: [] }],
    ['internalKey', { internalKey: undefined }],
    ['internalKey', { internalKey: `${KEY}\n` }],
    ['operatorKey', { operatorKey: [other, KEY] }],
    ['operatorKey', { operatorKey: `${other} ` }],
    ['maxLag', { maxLag: 999 }],
    ['maxLag', { maxLag: Number.POSITIVE_INFINITY }],
    ['name', { name: 'orders & co' }],
    ['mfa', { mfa: 'yes' }],
  ]
  test.each(rows)('%s: %j', (option, options) => {
    const make = () => createGuard({ url, internalKey: KEY, ...options } as GuardOptions & GuardCredentials)
    expect(make).toThrow(TypeError)
    expect(make).toThrow(option)
    expect(make).not.toThrow(KEY)
  })
})

describe('an invalid rule throws where it is written, and on a request', () => {
  const rows: [name: string, rule: unknown][] = [
    ['nobody', { auth: [] }],
    ['nothing', {}],
    ['an unknown kind of caller', { auth: 'scraper' }],
    ['an impossible module id', { auth: 'user', module: 'users/../sync' }],
    ['a module for anyone', { auth: ['anyone', 'user'], module: 'billing' }],
    ['an age of zero', { auth: 'user', maxAge: 0 }],
    ['a negative age', { auth: 'user', maxAge: -1 }],
    ['an age that is no number', { auth: 'user', maxAge: '600' }],
    ['an age that is not a number', { auth: 'user', maxAge: Number.NaN }],
    ['an infinite age', { auth: 'user', maxAge: Number.POSITIVE_INFINITY }],
    ['an age for anyone', { auth: ['anyone', 'user'], maxAge: 600 }],
  ]
  test.each(rows)('%s', async (_, rule) => {
    const { guard } = guardOf({})
    expect(() => guard.require(rule as never)).toThrow(TypeError)
    expect(guard.check(request(), rule as never)).rejects.toThrow(TypeError)
    await guard.close()
  })
})

test('before the first page no token is accepted, and auth is asked about each', async () => {
  const { guard, lines, calls } = guardOf({})
  const { response } = await guard.check(bearer, { auth: 'user' })
  expect([response?.status, response?.headers.get('retry-after')]).toEqual([503, '1'])
  expect(await response?.json()).toMatchObject({ code: 'auth_unavailable' })
  expect(calls.map((call) => new URL(call.url).pathname)).toContain('/api/v1/auth/validate-token')
  expect(await guard.ready()).toBe(false)
  await guard.close()
  // One line for all failed calls, without the text of the error, which quotes the key.
  expect(lines).toEqual([{ event: 'feed.lost', target: 'auth', reason: 'TypeError' }])
})

const refusals: [status: unknown, reason: string][] = [
  [401, 'The internal key was refused'],
  [500, 'It answered 500'],
  [{}, 'TypeError'],
]
test.each(refusals)('a feed that answers %j is logged in our own words', async (answer, reason) => {
  const { guard, lines } = guardOf({ '/api/v1/auth/revocations': answer })
  await eventually(() => lines[0])
  await guard.close()
  expect(lines).toEqual([{ event: 'feed.lost', target: 'auth', reason }])
})

test('an incomplete answer of auth admits nobody', async () => {
  const verdict = { valid: true, user_id: 'ana', session_id: 's', roles: ['USER'], expires_at: '2030-01-01T00:00:00Z' }
  const { valid, ...rest } = verdict
  const without = Object.keys(rest).map((name) => ({ ...verdict, [name]: undefined }))
  const odd = [
    { ...verdict, roles: 'ADMIN' },
    { ...verdict, roles: [1] },
    { ...verdict, user_id: null },
  ]
  for (const answer of [{}, { valid: 'true' }, [], 'yes', null, rest, ...without, ...odd]) {
    const { guard } = guardOf({ '/api/v1/auth/validate-token': answer })
    expect((await guard.check(bearer, { auth: 'user' })).response?.status).toBe(503)
    await guard.close()
  }
})

test('a closed guard accepts no token: auth does not wait for its acknowledgements any more', async () => {
  const page = { epoch: 'e', seq: 0, issuer: url, audience: 'ch202', keys: [], revoked: [], wanted: [], complete: true }
  const { guard } = guardOf({ '/api/v1/auth/revocations': page })
  const code = async () => {
    const body = (await (await guard.check(bearer, { auth: 'user' })).response?.json()) as { code: string }
    return body.code
  }
  expect(await guard.ready()).toBe(true)
  expect(await code()).toBe('invalid_token')
  await guard.close()
  expect(await code()).toBe('auth_unavailable')
  expect((await guard.check(request({ 'x-api-key': KEY }), { auth: 'internal' })).caller?.internal).toBe(true)
})

const { privateKey, publicKey } = generateKeyPairSync('ed25519')
const key = { ...publicKey.export({ format: 'jwk' }), kid: 'k', alg: 'EdDSA', use: 'sig' }
const page = { epoch: 'e', seq: 0, issuer: url, audience: 'ch202', revoked: [], wanted: [], complete: true }
const claims: Claims = {
  iss: url,
  aud: 'ch202',
  exp: 4e9,
  iat: 1,
  sub: 'ana',
  jti: 'j',
  sid: 's',
  email: 'e',
  roles: [],
  client_id: 'ch202',
  ver: 1,
}
const bearing = (tokenClaims: Claims) =>
  request({ authorization: `Bearer ${signAccessToken(tokenClaims, { kid: 'k', alg: 'EdDSA', privateKey })}` })

test('R7: a token of another client is not accepted; one of an earlier version, without a client, is valid', async () => {
  const { guard } = guardOf({ '/api/v1/auth/revocations': { ...page, keys: [key] } })
  expect(await guard.ready()).toBe(true)
  const status = async (client_id: unknown) => {
    const { caller, response } = await guard.check(bearing({ ...claims, client_id } as Claims), { auth: 'user' })
    return response?.status ?? caller?.userId
  }
  for (const valid of ['ch202', undefined]) expect([valid, await status(valid)]).toEqual([valid, 'ana'])
  for (const invalid of ['shop', 'CH202', 'ch202 ', '', null, 7, ['ch202'], {}])
    expect([invalid, await status(invalid)]).toEqual([invalid, 401])
  await guard.close()
})

describe('contract 13: with mfa, an administrator without a second factor is no operator', () => {
  const rows: [mfa: GuardOptions['mfa'], amr: string[], status: number][] = [
    [undefined, ['pwd'], 200],
    ['optional', ['pwd'], 200],
    ['admins', ['pwd'], 401],
    ['all', ['pwd'], 401],
    ['admins', ['pwd', 'otp', 'mfa'], 200],
    ['all', ['pwd', 'otp', 'mfa'], 200],
  ]
  test.each(rows)('mfa: %p, a session by %p: %d', async (mfa, amr, status) => {
    const operatorKey = 'operator-key-of-the-tests-0123456789abcdef'
    const { guard } = guardOf({ '/api/v1/auth/revocations': { ...page, keys: [key] } }, { mfa, operatorKey })
    expect(await guard.ready()).toBe(true)
    const token = bearing({ ...claims, roles: ['ADMIN'], amr } as Claims)
    const { caller, response } = await guard.check(token, { auth: 'operator' })
    expect([response?.status ?? 200, caller?.operator]).toEqual([status, status === 200 ? true : undefined])
    if (response) expect(await response.json()).toMatchObject({ code: 'reauthentication_required' })
    const asUser = await guard.check(token, { auth: ['user', 'operator'] })
    expect(asUser.caller).toMatchObject({ userId: 'ana', operator: status === 200 })
    const byKey = await guard.check(request({ 'x-api-key': operatorKey }), { auth: 'operator' })
    expect(byKey.caller?.operator).toBe(true)
    await guard.close()
  })
})

test('contract 11: maxAge refuses a user who authenticated earlier, and no key', async () => {
  const { guard } = guardOf({ '/api/v1/auth/revocations': { ...page, keys: [key] } })
  expect(await guard.ready()).toBe(true)
  const rule = { auth: ['user', 'internal'], maxAge: 600 } as const
  const now = Math.floor(Date.now() / 1000)
  const check = (auth_time: number | undefined) => guard.check(bearing({ ...claims, auth_time } as Claims), rule)
  // A token of an earlier version does not say when its user authenticated.
  for (const old of [now - 602, 0, undefined]) {
    const { caller, response } = await check(old)
    expect([old, caller, response?.status]).toEqual([old, undefined, 401])
    const challenge = 'Bearer error="insufficient_user_authentication", max_age=600'
    expect(response?.headers.get('www-authenticate')).toBe(challenge)
    expect(await response?.json()).toMatchObject({ statusCode: 401, code: 'reauthentication_required' })
  }
  for (const recent of [now - 300, now])
    expect((await check(recent)).caller).toMatchObject({ userId: 'ana', authTime: recent })
  expect((await guard.check(request({ 'x-api-key': KEY }), rule)).caller?.actor).toBe('internal')
  // Without maxAge the time does not matter.
  expect((await guard.check(bearing(claims), { auth: 'user' })).caller?.userId).toBe('ana')
  await guard.close()
})

test('a token that auth was asked about when the guard was closed is not accepted', async () => {
  const token = bearing(claims)
  let isDown = false
  const paths: string[] = []
  const fetch = async ({ signal, url }: Request) => {
    if (!isDown) return Response.json({ ...page, keys: [key] })
    paths.push(new URL(url).pathname)
    return await new Promise<Response>((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason))
    })
  }
  const { guard } = guardOf({}, { fetch })
  expect(await guard.ready()).toBe(true)
  expect((await guard.check(token, { auth: 'user' })).caller?.userId).toBe('ana')
  isDown = true
  await Bun.sleep(FEED_LEASE + 100)
  const pending = guard.check(token, { auth: 'user' })
  await eventually(() => paths.includes('/api/v1/auth/validate-token') || undefined)
  await guard.close()
  expect((await pending).response?.status).toBe(503)
})

test('a held poll does not delay the close', async () => {
  let isHeld = false
  const hold = (request: Request) =>
    new Promise<Response>((_, reject) => {
      isHeld = true
      request.signal.addEventListener('abort', () => reject(request.signal.reason))
    })
  const { guard, lines } = guardOf({}, { fetch: hold })
  await eventually(() => isHeld || undefined)
  // The poll itself would end after a second.
  expect(await Promise.race([guard.close(), Bun.sleep(800).then(() => 'late')])).toBeUndefined()
  expect(lines).toEqual([])
})

test('the address of the caller is that of the connection, or the one that a trusted proxy forwards', async () => {
  const { guard } = guardOf({}, { trustedProxies: ['10.0.0.0/8'] })
  const forwarded = request({ 'x-forwarded-for': '192.0.2.1' })
  const ip = async (address?: string) => (await guard.check(forwarded, { auth: 'anyone', address })).caller?.ip
  expect([await ip('10.1.2.3'), await ip('203.0.113.9'), await ip()]).toEqual(['192.0.2.1', '203.0.113.9', null])
  // A service calls on behalf of a client: its own address is not the client's.
  const internal = { auth: 'internal', address: '203.0.113.9' } as const
  expect((await guard.check(request({ 'x-api-key': KEY }), internal)).caller?.ip).toBeNull()
  // A plain record, which can be logged or copied.
  const { caller } = await guard.check(request({ 'user-agent': 'curl' }), { auth: 'anyone', address: '203.0.113.9' })
  expect(JSON.parse(JSON.stringify(caller))).toMatchObject({ ip: '203.0.113.9', userAgent: 'curl', userId: null })
  await guard.close()
})

test('the first of several internal keys is sent, and all are accepted', async () => {
  const { guard, calls } = guardOf({}, { internalKey: [KEY, 'the-one-before'] })
  await eventually(() => calls[0])
  for (const key of [KEY, 'the-one-before'])
    expect((await guard.check(request({ 'x-api-key': key }), { auth: 'internal' })).caller?.actor).toBe('internal')
  await guard.close()
  expect(new Set(calls.map(({ key }) => key))).toEqual(new Set([KEY]))
  expect(calls.every(({ redirect }) => redirect === 'error')).toBe(true)
})

describe('the internal key is sent to the published address of modules, and never to a less safe one', () => {
  const rows: [auth: string, published: unknown, modulesUrl: string | undefined, goesTo: string | undefined][] = [
    [url, 'https://modules.example.org', undefined, 'https://modules.example.org'],
    ['http://127.0.0.1:3001', 'http://localhost:3003/', undefined, 'http://localhost:3003'],
    [url, 'http://modules.example.org', undefined, undefined],
    [url, 'https://127.0.0.1:3003', undefined, undefined],
    ['http://auth.internal', 'http://127.0.0.1:3003', undefined, undefined],
    ['http://auth.internal', 'http://[::1]:3003', undefined, undefined],
    // R25: a client that connects to a wildcard address reaches its own machine.
    ['http://auth.internal', 'http://0.0.0.0:3003', undefined, undefined],
    ['http://auth.internal', 'http://[::]:3003', undefined, undefined],
    ['http://0.0.0.0:3001', 'http://0.0.0.0:3003', undefined, 'http://0.0.0.0:3003'],
    ['http://auth.internal', 'nowhere', undefined, undefined],
    ['http://auth.internal', undefined, undefined, undefined],
    ['http://auth.internal', 'http://127.0.0.1:3003', 'http://modules.internal/', 'http://modules.internal'],
  ]
  test.each(rows)('auth at %s publishes %j, modulesUrl is %j: %j', async (auth, modules, modulesUrl, goesTo) => {
    const metadata = { '/.well-known/oauth-authorization-server': { ch202: { modules } } }
    const { guard, calls, lines } = guardOf(metadata, { url: auth, modulesUrl })
    guard.require({ auth: 'user', module: 'billing' })
    await eventually(() => lines.find(({ target }) => target === 'modules/billing'))
    await guard.close()
    const urls = calls.map((call) => call.url).filter((url) => !url.startsWith(`${auth}/`))
    const origins = new Set(urls.map((url) => new URL(url).origin))
    expect([...origins]).toEqual(goesTo === undefined ? [] : [goesTo])
    const { reason } = lines.find(({ target }) => target === 'modules/billing') ?? {}
    if (goesTo === undefined) expect(reason).toContain('set modulesUrl')
  })
})
