import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { createUser, registerUser, type TestUser } from '../support/actors.ts'
import { as, call } from '../support/http.ts'
import { ALL_USER_SCOPES, grantToken } from '../support/oauth/grant-tokens.ts'
import { ALL_SCOPES, changeClient, type Machine, newMachine } from '../support/oauth/machines.ts'
import { overProcesses } from '../support/processes.ts'
import type { Start } from '../support/running.ts'
import { inProcess } from '../support/system.ts'
import { sliced } from '../support/whole.ts'
import { fixtureFor, newModule, requestOf } from './operations.ts'
import { isOpen, POLICY } from './policy.ts'
import { openSetup, type Setup } from './setup.ts'

setDefaultTimeout(120_000)

// The tokens that apps have for users, at every operation. They are signed here, with the key of auth.

const closed = POLICY.filter((policy) => !isOpen(policy))
const LAYOUTS: [name: string, start: Start][] = [
  ['one process', inProcess],
  ['a process for each service', overProcesses('apart')],
]
/** Everything that could be taken for a right: roles, a second factor, the scopes of users and of clients. */
const EVERYTHING = {
  roles: ['USER', 'ADMIN'],
  amr: ['pwd', 'otp', 'mfa'],
  scope: `${ALL_USER_SCOPES} ${ALL_SCOPES.join(' ')}`,
}

describe.each(sliced(LAYOUTS, 2))('16: the token of an app, in %s', (_, start) => {
  let setup: Setup
  let app: Machine
  beforeAll(async () => {
    setup = await openSetup(start)
    app = await newMachine(setup.system, { scopes: ALL_SCOPES })
  })
  afterAll(() => setup?.close())

  const tokenFor = ({ tokens }: Pick<TestUser, 'tokens'>, claims: Record<string, unknown> = {}) =>
    grantToken(setup.system, tokens.access_token, app, claims)
  const listModules = (token: string, query = '') =>
    call(setup.system.url.modules, `GET /api/v1/modules/${query}`, { headers: as.bearer(token) })
  const atAuth = async (path: string, token: string) => {
    const answer = await call(setup.system.url.auth, `POST /auth/${path}`, { headers: as.operator, body: { token } })
    return answer.body
  }

  test.each(sliced(closed, 6))('of an administrator, with every scope: $call', async ({ app: scope, call: name }) => {
    const one = setup.operations.get(name)
    if (!one) throw new Error('No document has it')
    for (const service of one.at) {
      const fixture = await fixtureFor(setup.system, one, setup.others)
      const { headers, line, ...sent } = requestOf(one, fixture, scope ? 'the owner' : 'the operator key')
      const token = await tokenFor(setup.others.admin, EVERYTHING)
      const ask = (request: string, rest: object) =>
        call(setup.system.url[service], request, { headers: { ...as.bearer(token), ...headers }, ...rest })
      const state = () => setup.databases.state(fixture.values.user_id, fixture.values.id)
      const before = state()
      const bad = 'body' in sent ? { body: '[' } : sent
      for (const [request, rest] of [
        [line, sent],
        [line.replace(' /api/v1/', ' /'), sent],
        [line, bad],
      ] as const) {
        const answer = await ask(request, rest)
        const challenge = answer.headers.get('www-authenticate')
        if (scope) expect([request, answer.status]).toEqual([request, 200])
        else
          expect([answer.status, answer.body.code, challenge]).toEqual([
            403,
            'insufficient_scope',
            'Bearer error="insufficient_scope"',
          ])
      }
      expect(state()).toBe(before)
    }
  })

  test('lists the modules of its user by their current roles, and of nobody else', async () => {
    const ana = await createUser(setup.system, { roles: ['USER', 'STAFF'] })
    const id = await newModule(setup.system)
    const changes = { headers: as.operator, body: { required_roles: ['STAFF'] } }
    expect((await call(setup.system.url.modules, `PATCH /modules/${id}`, changes)).status).toBe(200)
    const availability = async (token: string) =>
      (await listModules(token)).body.items.find((module: { id: string }) => module.id === id)
    const ofAna = await availability(ana.tokens.access_token)
    // The token has no roles.
    expect(await availability(await tokenFor(ana))).toEqual(ofAna)
    expect(await availability(await tokenFor(setup.others.other))).not.toEqual(ofAna)

    const admin = await tokenFor(setup.others.admin, EVERYTHING)
    const { body, status } = await listModules(admin, `?user_id=${ana.id}`)
    expect([status, body.code]).toEqual([403, 'forbidden'])
  })

  test.each([
    ['without the scope', { scope: 'openid email' }, 403, 'insufficient_scope'],
    ['with the scope of clients', { scope: 'modules:read' }, 403, 'insufficient_scope'],
    ['for another service', { aud: 'https://orders.example.org' }, 401, 'invalid_token'],
    ['for the audience of users', { aud: 'ch202' }, 401, 'invalid_token'],
    ['without a grant', { gid: undefined }, 401, 'invalid_token'],
    ['without the version of the client', { client_ver: undefined }, 401, 'invalid_token'],
    ['that has expired', { exp: 1_700_000_000 }, 401, 'token_expired'],
  ])('%s it lists none', async (_, claims, status, code) => {
    const answer = await listModules(await tokenFor(setup.others.other, claims))
    expect([answer.status, answer.body.code]).toEqual([status, code])
  })

  test('auth says what it is', async () => {
    const { email, id, tokens } = setup.others.other
    const gid = Bun.randomUUIDv7()
    const token = await tokenFor({ tokens }, { gid, scope: 'openid modules' })
    const ids = { client_id: app.id, grant_id: gid, scope: 'openid modules', aud: app.id }
    expect(await atAuth('validate-token', token)).toEqual({
      ...{ valid: true, user_id: id, session_id: tokens.session_id, expires_at: expect.any(String) },
      ...ids,
    })
    const introspected = { active: true, sub: id, token_type: 'Bearer', sid: tokens.session_id, amr: ['pwd'], ...ids }
    const times = { exp: expect.any(Number), iat: expect.any(Number), auth_time: expect.any(Number) }
    const rest = { ...times, iss: expect.any(String), jti: expect.any(String) }
    expect(await atAuth('introspect', token)).toEqual({ ...introspected, ...rest })

    const offline = await tokenFor({ tokens }, { gid, sid: undefined, email, roles: ['USER'] })
    const validity = await atAuth('validate-token', offline)
    expect([validity.session_id, validity.roles, validity.scope]).toEqual([undefined, ['USER'], ALL_USER_SCOPES])
    const introspection = await atAuth('introspect', offline)
    expect([introspection.email, introspection.roles, introspection.sid]).toEqual([email, ['USER'], undefined])
  })

  const ENDS: [string, number, (user: TestUser, token: string, app: Machine) => Promise<unknown>][] = [
    ['its user signs out', 1, ({ tokens }) => atSession(tokens.session_id)],
    ['the roles of its user change', 2, ({ id }) => setRoles(id)],
    ['its client is disabled', 2, (_, __, { id }) => changeClient(setup.system, id, { status: 'disabled' })],
    ['its client is deleted', 2, (_, __, { id }) => changeClient(setup.system, id)],
  ]
  const atSession = (id: string) => call(setup.system.url.auth, `DELETE /auth/sessions/${id}`, { headers: as.operator })
  const setRoles = (id: string) =>
    call(setup.system.url.users, `PATCH /users/${id}`, { headers: as.operator, body: { roles: ['USER', 'STAFF'] } })

  test.each(ENDS)('is refused at once everywhere when %s', async (_, others, end) => {
    const user = await registerUser(setup.system)
    const machine = await newMachine(setup.system, { scopes: ALL_SCOPES })
    const sign = (claims = {}) => grantToken(setup.system, user.tokens.access_token, machine, claims)
    const [first, sibling, offline] = [await sign(), await sign(), await sign({ sid: undefined })]
    for (const token of [first, sibling, offline]) expect((await listModules(token)).status).toBe(200)
    await end(user, first, machine)
    const codes = await Promise.all(
      [first, sibling, offline].map(async (token) => (await listModules(token)).body.code),
    )
    const ended = [true, others > 0, others > 1]
    expect(codes).toEqual(ended.map((isEnded) => (isEnded ? 'token_revoked' : undefined)))
    for (const [n, token] of [first, sibling, offline].entries())
      expect((await atAuth('validate-token', token)).valid).toBe(!ended[n])
    // The account of the user and their own session are another matter.
    if (others === 0) expect((await listModules(user.tokens.access_token)).status).toBe(200)
  })
})
