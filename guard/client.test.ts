import { describe, expect, test } from 'bun:test'
import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import { Elysia } from 'elysia'
import { generateKeyPair, TOKEN_ALGS, verifyBytes } from '../services/kit/tokens/algorithms.ts'
import { parseJws } from '../services/kit/tokens/jws.ts'
import { eventually } from '../tests/support/eventually.ts'
import { elysiaGuard } from './elysia.ts'
import { createGuard } from './index.ts'
import type { Caller, CheckOptions, Guard, GuardClient, Log, LogLine } from './types.ts'

const url = 'https://auth.example.org'
const SECRET = 'secret-of-the-client-0123456789abcdef'
const TOKEN = 'token-of-the-client'
const ISSUER = 'https://id.example.org'
const PAGE = {
  epoch: 'e',
  seq: 0,
  issuer: ISSUER,
  audience: 'ch202',
  keys: [],
  revoked: [],
  wanted: [],
  complete: true,
}
const METADATA = { issuer: ISSUER, ch202: { modules: 'https://modules.example.org' } }

interface Call {
  path: string
  authorization: string | null
  key: string | null
  body: string
}

type Answers = Record<string, (call: Call) => unknown>

/** A guard with a client. An answer that is a number is the status of a refusal. */
function guardOf(answers: Answers = {}, client: GuardClient = { id: 'orders', secret: SECRET }) {
  const lines: LogLine[] = []
  const calls: Call[] = []
  let tokens = 0
  const all: Answers = {
    '/oauth/token': () => ({ access_token: `${TOKEN}-${++tokens}`, token_type: 'Bearer', expires_in: 3600 }),
    '/api/v1/auth/revocations': () => PAGE,
    '/.well-known/oauth-authorization-server': () => METADATA,
    ...answers,
  }
  const log: Log = { info: (line) => lines.push(line), warn: (line) => lines.push(line) }
  const guard = createGuard({
    url,
    client,
    log,
    async fetch(request) {
      const { pathname: path } = new URL(request.url)
      const [authorization, key] = ['authorization', 'x-api-key'].map((name) => request.headers.get(name))
      const call = { path, authorization: authorization ?? null, key: key ?? null, body: await request.text() }
      calls.push(call)
      const answer = all[path]?.(call)
      if (answer === undefined) throw new TypeError(`cannot reach ${path} with ${authorization} and ${SECRET}`)
      return typeof answer === 'number' ? new Response(SECRET, { status: answer }) : Response.json(answer)
    },
  })
  const of = (path: string) => calls.filter((call) => call.path === path)
  return { guard, lines, calls, of }
}

const bearer = new Request('http://localhost/orders', { headers: { authorization: 'Bearer x.y.z' } })
const codeOf = async (guard: Guard, rule: CheckOptions = { auth: 'user' }) =>
  ((await (await guard.check(bearer, rule)).response?.json()) as { code?: string })?.code

describe('16: an invalid option throws at once, without a secret in the message', () => {
  const pem = generateKeyPairSync('ec', { namedCurve: 'secp384r1' }).privateKey.export({ type: 'pkcs8', format: 'pem' })
  const right = generateKeyPair('ES256').privateKey.export({ type: 'pkcs8', format: 'pem' })
  const rows: [option: string, options: object][] = [
    ['internalKey', {}],
    ['exclude each other', { client: { id: 'orders', secret: SECRET }, internalKey: SECRET }],
    ['client.id', { client: { secret: SECRET } }],
    ['client.id', { client: { id: '', secret: SECRET } }],
    ['either secret or privateKey', { client: { id: 'orders' } }],
    ['either secret or privateKey', { client: { id: 'orders', secret: SECRET, privateKey: right } }],
    ['client.secret', { client: { id: 'orders', secret: '' } }],
    ['client.secret', { client: { id: 'orders', secret: `${SECRET}\n` } }],
    ['client.privateKey', { client: { id: 'orders', privateKey: SECRET } }],
    ['client.privateKey', { client: { id: 'orders', privateKey: { kty: 'OKP', d: SECRET } } }],
    ['client.privateKey', { client: { id: 'orders', privateKey: pem } }],
    ['client.alg', { client: { id: 'orders', privateKey: right, alg: 'RS256' } }],
    ['resource', { client: { id: 'orders', secret: SECRET }, resource: 'orders' }],
    ['resource', { client: { id: 'orders', secret: SECRET }, resource: 'https://orders.example.org/#x' }],
  ]
  test.each(rows)('%s: %j', (words, options) => {
    const make = () => createGuard({ url, ...options } as never)
    expect(make).toThrow(TypeError)
    expect(make).toThrow(words)
    expect(make).not.toThrow(SECRET)
  })
})

test('16: an invalid rule about clients throws', async () => {
  const { guard } = guardOf()
  const rules = [{ scope: '' }, { scope: 'a b' }, { scope: 'a"b' }, { scope: ['x'] }, { auth: [], scope: 'x' }]
  for (const rule of rules) expect(() => guard.require(rule as never)).toThrow(TypeError)
  for (const rule of [
    { scope: 'x', module: 'billing' },
    { scope: 'x', maxAge: 60 },
  ]) {
    expect(() => guard.require(rule)).toThrow(TypeError)
    expect(() => guard.require(rule)).toThrow('auth is missing')
  }
  await guard.close()
})

test('16: a guard gets a token for each service, with one scope, and sends no key', async () => {
  const { calls, guard, of } = guardOf({ '/api/v1/modules/sync/feed': () => 500 })
  guard.require({ auth: 'user', module: 'billing' })
  expect(await guard.ready()).toBe(true)
  await eventually(() => of('/api/v1/modules/sync/feed')[0])
  await guard.close()
  const [forAuth, forModules] = of('/oauth/token')
  const parameters = ({ body = '' }: Partial<Call> = {}) => Object.fromEntries(new URLSearchParams(body))
  expect(parameters(forAuth)).toEqual({ grant_type: 'client_credentials', scope: 'introspect' })
  expect(parameters(forModules)).toEqual({ grant_type: 'client_credentials', scope: 'modules:read' })
  for (const call of of('/oauth/token'))
    expect(call.authorization).toBe(`Basic ${Buffer.from(`orders:${SECRET}`).toString('base64')}`)
  expect(of('/oauth/token')).toHaveLength(2)
  const used = (path: string) => [...new Set(of(path).map(({ authorization }) => authorization))]
  expect(used('/api/v1/auth/revocations')).toEqual([`Bearer ${TOKEN}-1`])
  expect(used('/api/v1/modules/sync/feed')).toEqual([`Bearer ${TOKEN}-2`])
  expect(used('/.well-known/oauth-authorization-server')).toEqual([null])
  expect(calls.every(({ key }) => key === null)).toBe(true)
})

test('16: a token that a service refuses is replaced within the call', async () => {
  const good = `Bearer ${TOKEN}-2`
  const { guard, lines, of } = guardOf({
    '/api/v1/auth/revocations': ({ authorization }) => (authorization === good ? PAGE : 401),
  })
  expect(await guard.ready()).toBe(true)
  await guard.close()
  expect(of('/oauth/token')).toHaveLength(2)
  expect(lines).toEqual([])
})

test('16: a token is renewed before it expires', async () => {
  let count = 0
  const { guard, lines, of } = guardOf({
    '/oauth/token': () => ({ access_token: `${TOKEN}-${++count}`, expires_in: 0.2 }),
    '/api/v1/auth/revocations': ({ authorization }) => (authorization === `Bearer ${TOKEN}-${count}` ? PAGE : 401),
  })
  await eventually(() => count > 3 || undefined)
  await guard.close()
  expect(of('/api/v1/auth/revocations').length).toBeGreaterThan(3)
  expect(lines).toEqual([])
})

const REFUSALS: [status: number, reason: string][] = [
  [400, 'it needs the grant client_credentials and the scope introspect'],
  [401, 'it is unknown or disabled, or its credentials are wrong'],
  [404, 'Auth has no /oauth/token: it is of an earlier version, and needs internalKey'],
]
test.each(REFUSALS)(
  '16: auth that answers %d at /oauth/token: no token is accepted, and auth is asked rarely',
  async (...row) => {
    const [status, reason] = row
    const { guard, lines, of } = guardOf({ '/oauth/token': () => status })
    await eventually(() => lines[0])
    expect(lines).toEqual([{ event: 'feed.lost', target: 'auth', reason: expect.stringContaining(reason) }])
    expect(await codeOf(guard)).toBe('auth_unavailable')
    await Bun.sleep(500)
    await guard.close()
    expect(of('/oauth/token')).toHaveLength(1)
    // Nobody is asked about the tokens of others either.
    expect(of('/api/v1/auth/validate-token')).toEqual([])
    expect(JSON.stringify(lines)).not.toContain(SECRET)
  },
)

test('16: a client that is refused later accepts no token from then on, and goes on when it is admitted again', async () => {
  let status = 200
  const { guard, lines } = guardOf({
    '/oauth/token': () => (status === 200 ? { access_token: TOKEN, expires_in: 3600 } : status),
    '/api/v1/auth/revocations': () => (status === 200 ? PAGE : 401),
  })
  expect(await guard.ready()).toBe(true)
  expect(await codeOf(guard)).toBe('invalid_token')
  status = 401
  await eventually(async () => (await codeOf(guard)) === 'auth_unavailable' || undefined)
  status = 200
  await eventually(async () => (await codeOf(guard)) === 'invalid_token' || undefined)
  await guard.close()
  expect(lines.map(({ event }) => event)).toEqual(['feed.lost', 'feed.resumed'])
})

test('16: while auth fails, the token that the guard has goes on', async () => {
  let count = 0
  const { guard, lines } = guardOf({
    '/oauth/token': () => (++count === 1 ? { access_token: TOKEN, expires_in: 8 } : 503),
  })
  expect(await guard.ready()).toBe(true)
  // After three quarters of its life, each call asks for another.
  await eventually(() => count > 1 || undefined)
  expect(await codeOf(guard)).toBe('invalid_token')
  await guard.close()
  expect(lines).toEqual([])
})

describe('16: private_key_jwt', () => {
  const forms = TOKEN_ALGS.flatMap((alg) => (['pem', 'jwk'] as const).map((form) => [alg, form] as const))
  test.each(forms)('%s as %s', async (alg, form) => {
    const { privateKey, publicKey } = generateKeyPair(alg)
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
    const jwk = { ...privateKey.export({ format: 'jwk' }), kid: 'of the JWK' } as { kty: string }
    const client: GuardClient =
      form === 'pem' ? { id: 'orders', privateKey: pem, kid: 'k1', alg } : { id: 'orders', privateKey: jwk }
    const { guard, of } = guardOf({}, client)
    expect(await guard.ready()).toBe(true)
    await guard.close()
    const [request] = of('/oauth/token')
    const parameters = Object.fromEntries(new URLSearchParams(request?.body))
    const { client_assertion = '', ...rest } = parameters
    expect(request?.authorization).toBeNull()
    expect(rest).toEqual({
      grant_type: 'client_credentials',
      scope: 'introspect',
      client_id: 'orders',
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    })
    const jws = parseJws(client_assertion)
    expect(jws?.header).toEqual({ alg, typ: 'JWT', kid: form === 'pem' ? 'k1' : 'of the JWK' })
    const { exp, iat, ...claims } = (jws?.claims ?? {}) as { exp: number; iat: number }
    expect(claims).toEqual({
      iss: 'orders',
      sub: 'orders',
      aud: ISSUER,
      jti: expect.stringMatching(/^[0-9a-f-]{36}$/),
    } as never)
    expect(exp - iat).toBe(60)
    expect(
      jws &&
        verifyBytes(alg, jws.signed, createPublicKey(publicKey.export({ type: 'spki', format: 'pem' })), jws.signature),
    ).toBe(true)
    expect(request?.body).not.toContain('PRIVATE')
  })
})

describe('16: the plugin for Elysia', () => {
  /** Admits what the rule names: a user by `auth`, and the client by `scope`. */
  const guard: Guard = {
    ready: async () => true,
    close: async () => undefined,
    require: () => async () => undefined,
    async check(request, { auth, scope }) {
      await Bun.sleep(1)
      const who = request.headers.get('authorization')
      const isAdmitted = (who === 'user' && auth !== undefined) || (who === 'client' && scope === 'orders:read')
      return isAdmitted
        ? { caller: { userId: who } as Caller }
        : { response: new Response('no', { status: who === null ? 401 : 403 }) }
    },
  }
  const hello = ({ caller }: { caller: Caller }) => caller.userId ?? ''
  const app = new Elysia()
    .use(elysiaGuard(guard))
    .get('/scope', hello, { scope: 'orders:read' })
    .get('/auth', hello, { auth: 'user' })
    .get('/auth-scope', hello, { auth: 'user', scope: 'orders:read' })
    .get('/scope-auth', hello, { scope: 'orders:read', auth: 'user' })
    .post('/auth-scope', hello, { auth: 'user', scope: 'orders:read' })
    .post('/scope-auth', hello, { scope: 'orders:read', auth: 'user' })
    .get('/other', hello, { auth: 'user', scope: 'orders:write' })
    .group('/group', { auth: 'user', scope: 'orders:read' }, (of) => of.get('/in', hello))
  const rows: [request: string, ofUser: number, ofClient: number][] = [
    ['GET /scope', 403, 200],
    ['GET /auth', 200, 403],
    ['GET /auth-scope', 200, 200],
    ['GET /scope-auth', 200, 200],
    ['POST /auth-scope', 200, 200],
    ['POST /scope-auth', 200, 200],
    ['GET /other', 200, 403],
    ['GET /group/in', 200, 200],
  ]
  test.each(rows)('%s', async (request, ofUser, ofClient) => {
    const [method = '', path = ''] = request.split(' ')
    const ask = async (headers: Record<string, string>) => {
      const body = method === 'POST' ? { body: '{}' } : {}
      const all = { 'content-type': 'application/json', ...headers }
      return (await app.handle(new Request(`http://localhost${path}`, { method, headers: all, ...body }))).status
    }
    const statuses = [await ask({}), await ask({ authorization: 'user' }), await ask({ authorization: 'client' })]
    expect(statuses).toEqual([401, ofUser, ofClient])
  })
})
