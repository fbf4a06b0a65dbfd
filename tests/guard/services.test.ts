import { Database } from 'bun:sqlite'
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { join } from 'node:path'
import { createUser, logIn, PASSWORD, registerUser, type TestUser } from '../support/actors.ts'
import { atOnce } from '../support/at-once.ts'
import { eventually } from '../support/eventually.ts'
import { as, call } from '../support/http.ts'
import { grantToken } from '../support/oauth/grant-tokens.ts'
import { changeClient, type Machine, newMachine, tokenOf } from '../support/oauth/machines.ts'
import { type Name, OPERATOR_KEY } from '../support/settings.ts'
import { request } from '../support/sockets.ts'
import { inProcessApart, type System } from '../support/system.ts'
import { temporary } from '../support/tool.ts'
import { WHOLE } from '../support/whole.ts'
import { pack } from './installed.ts'
import { type GuardedProgram, MAX_LAG, startProgram } from './program.ts'

setDefaultTimeout(120_000)

/** The programs of the page, and the packages installed beside ours: elysia only for the program that uses it. */
const PROGRAMS: [program: string, beside: string[], logouts: number][] = [
  ['hono.ts', ['hono'], WHOLE ? 200 : 40],
  ['serve.ts', [], 40],
  ['elysia.ts', ['elysia'], 40],
]
const V1 = '/api/v1'
/** The name of the programs in clients' tokens. */
const RESOURCE = 'https://orders.example.org'
const OF_SCOPE = 'Bearer error="insufficient_scope", scope="stock:read"'

const directory = temporary('guard-services')
let system: System
let tarball: string
/** A client that calls the program, one without the scope, and tokens that are for another service and for none. */
let shop: Machine
let guest: Machine
let elsewhere: string
let nowhere: string
beforeAll(async () => {
  tarball = await pack(directory.fresh())
  system = await inProcessApart({ RATE_LIMIT: 'off', LOG_LEVEL: 'silent' })
  const settings = { resources: [RESOURCE, 'https://x.example.org'], scopes: ['stock:read'] }
  const machine = await newMachine(system, settings)
  nowhere = machine.token
  elsewhere = await tokenOf(system, machine, { resource: 'https://x.example.org' })
  shop = { ...machine, token: await tokenOf(system, machine, { resource: RESOURCE }) }
  guest = await newMachine(system, { ...settings, scopes: ['stock:write'] })
  guest.token = await tokenOf(system, guest, { resource: RESOURCE })
  const module = { id: 'billing', name: 'Billing', description: 'Invoices', required_roles: [] }
  expect((await operator('modules', 'POST /modules', module)).status).toBe(201)
})
afterAll(async () => {
  await system?.stop()
  directory.remove()
})

const operator = (name: Name, request: string, body?: object) =>
  call(system.url[name], request.replace(' ', ` ${V1}`), { headers: as.operator, ...(body ? { body } : {}) })
const bearer = ({ tokens }: TestUser) => as.bearer(tokens.access_token)
/** The token that the app `shop` has for a user. */
const tokenOfApp = ({ tokens }: TestUser, claims: Record<string, unknown> = {}) =>
  grantToken(system, tokens.access_token, shop, claims)
const logOut = (user: TestUser) => call(system.url.auth, `POST ${V1}/auth/logout`, { headers: bearer(user) })
const turn = (how: 'enable' | 'disable', { id: user_id }: TestUser) =>
  operator('modules', `POST /modules/billing/${how}`, { user_id })
/** The tokens that a refresh gives to a user who authenticated this many seconds ago. */
const refreshedAfter = async (seconds: number, { tokens }: TestUser): Promise<TestUser['tokens']> => {
  const file = new Database(join(system.dataDir, 'auth.sqlite'))
  file.run('UPDATE sessions SET auth_time = auth_time - ? WHERE id = ?', [seconds * 1000, tokens.session_id])
  file.close()
  const body = { refresh_token: tokens.refresh_token }
  return (await call(system.url.auth, `POST ${V1}/auth/refresh`, { body })).body
}
const threeUsers = () => Promise.all([registerUser(system), registerUser(system), registerUser(system)])

describe.each(PROGRAMS)('a foreign service: %s', (program, beside, logouts) => {
  let at: GuardedProgram
  let user: TestUser
  let admin: TestUser
  beforeAll(async () => {
    at = await startProgram(system, tarball, directory.fresh(), program, beside)
    user = await registerUser(system)
    admin = await createUser(system, { roles: ['USER', 'ADMIN'] })
  })
  afterAll(() => at?.end())

  test('callers without permission get the answer that our services give', async () => {
    const ofToken = 'Bearer error="invalid_token"'
    type Row = [request: string, headers: Record<string, string>, status: number, code: string, challenge: string]
    const rows: Row[] = [
      ['GET /orders', {}, 401, 'missing_token', 'Bearer'],
      ['GET /orders', { authorization: 'Basic eA==' }, 401, 'invalid_token', ofToken],
      ['GET /orders', as.bearer('not.a.token'), 401, 'invalid_token', ofToken],
      ['GET /orders', { 'x-api-key': 'a-wrong-key' }, 401, 'invalid_api_key', 'Bearer'],
      ['GET /stock', {}, 401, 'missing_token', 'Bearer'],
      ['GET /orders', as.internal, 401, 'invalid_api_key', 'Bearer'],
      ['GET /orders', as.bearer(shop.token), 403, 'insufficient_scope', 'Bearer error="insufficient_scope"'],
      ['GET /reports', as.bearer(shop.token), 403, 'insufficient_scope', 'Bearer error="insufficient_scope"'],
      ['GET /stock', as.bearer(guest.token), 403, 'insufficient_scope', OF_SCOPE],
      ['GET /stock', as.bearer(elsewhere), 401, 'invalid_token', ofToken],
      ['GET /stock', as.bearer(nowhere), 401, 'invalid_token', ofToken],
      ['GET /orders', as.bearer(await tokenOfApp(user)), 401, 'invalid_token', ofToken],
      ['GET /stock', as.bearer(await tokenOfApp(user, { aud: RESOURCE })), 403, 'insufficient_scope', OF_SCOPE],
      ['GET /orders', as.operator, 403, 'forbidden', ''],
      ['GET /reports', as.internal, 401, 'invalid_api_key', 'Bearer'],
      ['GET /reports', bearer(user), 403, 'forbidden', ''],
      ['GET /stock', bearer(user), 403, 'forbidden', ''],
      ['GET /invoices', bearer(user), 403, 'module_not_available', ''],
    ]
    for (const [request, credential, status, code, challenge] of rows) {
      const answer = await at.foreign.ask(request, { 'x-request-id': 'the-request-1', ...credential })
      const sentence = expect.any(String)
      const body = { statusCode: status, error: sentence, message: sentence, code, requestId: 'the-request-1' }
      expect([request, answer.status, answer.body]).toEqual([request, status, body])
      expect(Object.fromEntries(answer.headers)).toMatchObject({
        'content-type': 'application/json',
        'cache-control': 'no-store',
        'x-content-type-options': 'nosniff',
        'x-request-id': 'the-request-1',
      })
      expect(answer.headers.get('www-authenticate') ?? '').toBe(challenge)
    }
    const { body, headers } = await at.foreign.ask('GET /orders')
    expect(body.requestId).toMatch(/^[0-9a-f-]{36}$/)
    expect(headers.get('x-request-id')).toBe(body.requestId)
  })

  test('R12: a request without a Host header is refused without an error', async () => {
    const ask = async (target: string, headers: string[] = []) =>
      (await request(at.foreign.url, `GET ${target} HTTP/1.0`, headers)).status
    // Hono looks for the path after the host, and there is no host.
    const isFound = program !== 'hono.ts'
    const mine = [`Authorization: ${bearer(user).authorization}`]
    expect(await ask('/orders')).toBe(isFound ? 401 : 404)
    expect(await ask('/orders', mine)).toBe(isFound ? 200 : 404)
    expect(await ask('/reports', mine)).toBe(isFound ? 403 : 404)
    for (const target of ['//orders', '/x/../orders', '/?at=http://x/orders', '/http://x/orders', '//x/orders'])
      expect(await ask(target), target).toBeOneOf([401, 404])
  })

  test('callers with permission are identified', async () => {
    const rows: [request: string, headers: Record<string, string>, body: object][] = [
      ['GET /orders', bearer(user), { of: user.id }],
      ['GET /orders', bearer(admin), { of: admin.id }],
      ['GET /reports', as.operator, { by: 'operator' }],
      ['GET /stock', as.operator, { by: 'operator' }],
      ['GET /stock', as.bearer(shop.token), { by: `client:${shop.id}` }],
    ]
    for (const [request, headers, body] of rows)
      expect([request, (await at.foreign.ask(request, headers)).body]).toEqual([request, body])
    expect((await at.foreign.ask('GET /reports', bearer(admin))).status).toBe(200)
    // A caller that acts for no user needs no module.
    expect((await at.foreign.ask('GET /invoices', as.operator)).status).toBe(200)
  })

  test('contract 11: maxAge: an old authentication is refused, one that was renewed is admitted, and so are keys', async () => {
    const olga = await registerUser(system)
    const request = 'DELETE /orders'
    expect((await at.foreign.ask(request, bearer(olga))).body).toEqual({ by: `user:${olga.id}` })

    const { access_token } = await refreshedAfter(602, olga)
    const old = await at.foreign.ask(request, as.bearer(access_token))
    expect([old.status, old.body.code]).toEqual([401, 'reauthentication_required'])
    const challenge = 'Bearer error="insufficient_user_authentication", max_age=600'
    expect(old.headers.get('www-authenticate')).toBe(challenge)
    // Only that route asks for it.
    expect((await at.foreign.ask('GET /orders', as.bearer(access_token))).body).toEqual({ of: olga.id })

    const renewed = await call(system.url.auth, `POST ${V1}/auth/reauthenticate`, {
      headers: as.bearer(access_token),
      body: { password: PASSWORD },
    })
    expect((await at.foreign.ask(request, as.bearer(renewed.body.access_token))).body).toEqual({
      by: `user:${olga.id}`,
    })
    expect((await at.foreign.ask(request, as.operator)).body).toEqual({ by: 'operator' })
  })

  test('callers without permission are refused before the body is read', async () => {
    const json = { 'content-type': 'application/json' }
    for (const body of ['{', '{}', '{"item":1}', '{"item":"tea"}']) {
      expect((await at.foreign.ask('POST /orders', json, body)).status).toBe(401)
      expect((await at.foreign.ask('POST /orders', { ...json, ...as.bearer('x.y.z') }, body)).status).toBe(401)
      expect((await at.foreign.ask('POST /orders', { ...json, ...as.operator }, body)).status).toBe(403)
    }
    const order = await at.foreign.ask('POST /orders', { ...json, ...bearer(user) }, '{"item":"tea"}')
    expect([order.status, order.body]).toEqual([201, { item: 'tea', buyer: user.id }])
  })

  test(`after the answer to a logout the token is refused, ${logouts} times, without a request to our services`, async () => {
    const before = at.toAuth.requestCount()
    const wrong: unknown[] = []
    await atOnce(logouts, async () => {
      const someone = await registerUser(system)
      const good = await at.statusOrCode(someone)
      await logOut(someone)
      const over = await at.statusOrCode(someone)
      if (good !== 200 || over !== 'token_revoked') wrong.push({ good, over })
    })
    expect(wrong).toEqual([])
    // No requests, except when a lease expires on a busy machine.
    expect(at.toAuth.requestCount() - before).toBeLessThan(logouts / 4)
  })

  test('enabling or disabling a module takes effect at the next request, without a request to our services', async () => {
    await at.toModules.polled()
    const before = at.toModules.requestCount()
    const wrong: unknown[] = []
    const users = await threeUsers()
    await Promise.all(
      users.map(async (someone) => {
        for (let round = 0; round < logouts / 10; round++) {
          const off = await at.statusOrCode(someone, '/invoices')
          await turn('enable', someone)
          const on = await at.statusOrCode(someone, '/invoices')
          await turn('disable', someone)
          if (off !== 'module_not_available' || on !== 200) wrong.push({ off, on })
        }
        expect(await at.statusOrCode(someone, '/invoices')).toBe('module_not_available')
      }),
    )
    expect(wrong).toEqual([])
    expect(at.toModules.requestCount() - before).toBeLessThan(logouts / 4)
  })

  test('no key and no token is in an answer or in the output', () => {
    for (const secret of [at.client.secret, OPERATOR_KEY, user.tokens.access_token, shop.token, 'a-wrong-key'])
      expect(at.foreign.output()).not.toContain(secret)
  })
})

/** Behaviour that all programs share, because it does not depend on how a request reached the guard. */
describe('a foreign service, and the instance', () => {
  let at: GuardedProgram
  beforeAll(async () => {
    at = await startProgram(system, tarball, directory.fresh(), 'hono.ts', ['hono'])
  })
  afterAll(() => at?.end())

  /** Other requests whose answer promises that the token is refused from then on. */
  const ENDS: [string, (user: TestUser) => Promise<{ status: number }>][] = [
    ['a user disabled', ({ id }) => operator('users', `PATCH /users/${id}`, { status: 'disabled' })],
    ['roles changed', ({ id }) => operator('users', `PATCH /users/${id}`, { roles: ['USER', 'SALES'] })],
    ['a user deleted', ({ id }) => operator('users', `DELETE /users/${id}`)],
  ]
  test.each(ENDS)('after the answer to %s the token is refused', async (_, end) => {
    const wrong: unknown[] = []
    await atOnce(10, async () => {
      const someone = await registerUser(system)
      const before = await at.statusOrCode(someone)
      const { status } = await end(someone)
      const after = await at.statusOrCode(someone)
      if (before !== 200 || status > 204 || after !== 'token_revoked') wrong.push({ before, status, after })
    })
    expect(wrong).toEqual([])
  })

  test('a token of a new key is accepted at once, and a token of a removed key is refused', async () => {
    const user = await registerUser(system)
    expect(await at.statusOrCode(user)).toBe(200)
    const { body: keys } = await operator('auth', 'GET /admin/keys')
    expect((await operator('auth', 'POST /admin/keys/rotate?now=true', {})).status).toBe(201)
    const { body: tokens } = await logIn(system, user.email)
    expect([await at.statusOrCode(user), await at.statusOrCode({ ...user, tokens })]).toEqual([200, 200])
    for (const { kid } of keys.items) expect((await operator('auth', `DELETE /admin/keys/${kid}`)).status).toBe(204)
    expect([await at.statusOrCode(user), await at.statusOrCode({ ...user, tokens })]).toEqual(['invalid_token', 200])
  })

  test('cut off from the feed alone, it asks auth about each token', async () => {
    const [live, first, later] = await threeUsers()
    for (const someone of [live, first, later]) expect(await at.statusOrCode(someone)).toBe(200)
    at.toAuth.cut = /\/auth\/revocations/
    await logOut(first)
    expect([await at.statusOrCode(first), await at.statusOrCode(live)]).toEqual(['token_revoked', 200])
    // While auth answers introspections, a silent feed is no reason to refuse a token.
    await Bun.sleep(MAX_LAG)
    await logOut(later)
    const questionsBefore = at.toAuth.requestCount()
    expect([await at.statusOrCode(later), await at.statusOrCode(live), await at.statusOrCode(live)]).toEqual([
      'token_revoked',
      200,
      200,
    ])
    expect(at.toAuth.requestCount() - questionsBefore).toBe(3)
    at.toAuth.cut = undefined
    await at.toAuth.polled()
    expect([await at.statusOrCode(first), await at.statusOrCode(later), await at.statusOrCode(live)]).toEqual([
      'token_revoked',
      'token_revoked',
      200,
    ])
  })

  test('without auth, tokens known to be revoked are refused, and after the lag all tokens', async () => {
    const [live, loggedOutBefore, loggedOutDuring] = await threeUsers()
    for (const someone of [live, loggedOutBefore, loggedOutDuring]) expect(await at.statusOrCode(someone)).toBe(200)
    await logOut(loggedOutBefore)
    at.toAuth.cut = /^/
    await logOut(loggedOutDuring)
    expect(await at.statusOrCode(loggedOutBefore)).toBe('token_revoked')
    await eventually(async () => (await at.statusOrCode(live)) === 'auth_unavailable')
    expect([await at.statusOrCode(loggedOutBefore), await at.statusOrCode(loggedOutDuring)]).toEqual([
      'token_revoked',
      'auth_unavailable',
    ])
    const refused = await at.foreign.ask('GET /orders', bearer(live))
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1'])
    // API keys are compared locally, without auth.
    expect((await at.foreign.ask('GET /stock', as.operator)).status).toBe(200)
    expect((await at.foreign.ask('GET /orders')).status).toBe(401)
    at.toAuth.cut = undefined
    await at.toAuth.polled()
    expect([
      await at.statusOrCode(loggedOutBefore),
      await at.statusOrCode(loggedOutDuring),
      await at.statusOrCode(live),
    ]).toEqual(['token_revoked', 'token_revoked', 200])
  })

  test('16: after the answer to a change of a client its token is refused', async () => {
    const ends: [string, (machine: Machine) => Promise<void>][] = [
      ['disabled', ({ id }) => changeClient(system, id, { status: 'disabled' })],
      ['deleted', ({ id }) => changeClient(system, id)],
      ['fewer scopes', ({ id }) => changeClient(system, id, { scopes: [] })],
      ['revoked', async ({ token }) => void (await call(system.url.auth, 'POST /auth/revoke', { body: { token } }))],
    ]
    for (const [name, end] of ends) {
      const machine = await newMachine(system, { scopes: ['stock:read'], resources: [RESOURCE] }, 'without a token')
      machine.token = await tokenOf(system, machine, { resource: RESOURCE })
      const stock = async () => (await at.foreign.ask('GET /stock', as.bearer(machine.token))).body
      expect([name, await stock()]).toEqual([name, { by: `client:${machine.id}` }])
      await end(machine)
      expect([name, (await stock()).code]).toEqual([name, 'token_revoked'])
    }
  })

  test('16: an app acts for its user, never as an operator, until the user signs out or its client is disabled', async () => {
    const other = await newMachine(system, { scopes: ['stock:read'] })
    const [ana, root] = [await registerUser(system), await createUser(system, { roles: ['USER', 'ADMIN'] })]
    const [first, second] = [
      await tokenOfApp(ana, { aud: RESOURCE, scope: 'openid stock:read' }),
      await grantToken(system, ana.tokens.access_token, other, { aud: RESOURCE, sid: undefined }),
    ]
    const ask = async (request: string, token: string) => (await at.foreign.ask(request, as.bearer(token))).body
    for (const token of [first, second]) expect(await ask('GET /orders', token)).toEqual({ of: ana.id })
    expect((await ask('GET /stock', first)).code).toBe(undefined)
    const admin = await tokenOfApp(root, { aud: RESOURCE, roles: ['USER', 'ADMIN'] })
    expect((await ask('GET /reports', admin)).code).toBe('insufficient_scope')
    await logOut(ana)
    expect((await ask('GET /orders', first)).code).toBe('token_revoked')
    expect(await ask('GET /orders', second)).toEqual({ of: ana.id })
    await changeClient(system, other.id, { status: 'disabled' })
    expect((await ask('GET /orders', second)).code).toBe('token_revoked')
  })

  test('16: without a lease, auth is asked about a client, and the audience still counts', async () => {
    // The tokens from before were signed by a key that is gone.
    const token = (machine: Machine, resource?: string) => tokenOf(system, machine, resource ? { resource } : {})
    const good = await token(shop, RESOURCE)
    const bad = [await token(shop, 'https://x.example.org'), await token(shop)]
    const withoutScope = await token(guest, RESOURCE)
    at.toAuth.cut = /\/auth\/revocations/
    const stock = async (token: string) => (await at.foreign.ask('GET /stock', as.bearer(token))).body
    const before = at.toAuth.requestCount()
    await eventually(async () => {
      await stock(good)
      return at.toAuth.requestCount() > before || undefined
    })
    expect(await stock(good)).toEqual({ by: `client:${shop.id}` })
    expect((await stock(withoutScope)).code).toBe('insufficient_scope')
    for (const token of bad) expect((await stock(token)).code).toBe('invalid_token')
    at.toAuth.cut = undefined
    await at.toAuth.polled()
  })

  test('cut off from the feed of a module, it asks modules, and without modules it refuses everyone', async () => {
    const [on, off, changing] = await threeUsers()
    await Promise.all([turn('enable', on), turn('enable', changing)])
    const invoices = () => Promise.all([on, off, changing].map((someone) => at.statusOrCode(someone, '/invoices')))
    expect(await invoices()).toEqual([200, 'module_not_available', 200])
    at.toModules.cut = /\/modules\/sync\/feed/
    await turn('disable', changing)
    expect(await invoices()).toEqual([200, 'module_not_available', 'module_not_available'])
    at.toModules.cut = /^/
    await turn('enable', changing)
    expect(await invoices()).toEqual(['modules_unavailable', 'module_not_available', 'modules_unavailable'])
    at.toModules.cut = undefined
    await at.toModules.polled()
    expect(await invoices()).toEqual([200, 'module_not_available', 200])
  })

  test('the log records lost and restored connections, and contains no key', async () => {
    expect(at.foreign.output()).toContain('{"event":"feed.lost","target":"auth","reason":"It answered 502"}')
    for (const secret of [at.client.secret, OPERATOR_KEY]) expect(at.foreign.output()).not.toContain(secret)
  })
})

describe('16: the client of a guard', () => {
  let at: GuardedProgram
  let user: TestUser
  beforeAll(async () => {
    at = await startProgram(system, tarball, directory.fresh(), 'serve.ts', [])
    user = await registerUser(system)
  })
  afterAll(() => at?.end())

  test('gets another secret while it runs', async () => {
    const line = `/admin/clients/${at.client.id}/secret`
    expect((await operator('auth', `POST ${line}`, {})).status).toBe(201)
    expect(await at.statusOrCode(user)).toBe(200)
    // The first secret still works.
    expect(await tokenOf(system, at.client)).toBeString()
    // And when it does not any more, the token that the guard has goes on.
    expect((await operator('auth', `POST ${line}`, { only: true })).status).toBe(201)
    expect(tokenOf(system, at.client)).rejects.toThrow('invalid_client')
    await at.toAuth.polled()
    expect(await at.statusOrCode(user)).toBe(200)
  })

  test('ends the guard when it is disabled: it would not learn what is revoked', async () => {
    expect(await at.statusOrCode(user)).toBe(200)
    await changeClient(system, at.client.id, { status: 'disabled' })
    await eventually(async () => (await at.statusOrCode(user)) === 'auth_unavailable' || undefined)
    const answer = await at.foreign.ask('GET /orders', bearer(user))
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '1'])
    expect((await at.foreign.ask('GET /reports', as.operator)).status).toBe(200)
    expect(at.foreign.output()).toContain('refused the client: it is unknown or disabled')
    expect(at.foreign.output()).not.toContain(at.client.secret)
  })
})
