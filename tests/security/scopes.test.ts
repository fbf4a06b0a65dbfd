import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { SCOPES, type Scope } from '../../services/kit/access/scopes.ts'
import { registerUser } from '../support/actors.ts'
import { type Answer, as, call } from '../support/http.ts'
import { ALL_SCOPES, changeClient, newMachine, tokenOf } from '../support/oauth/machines.ts'
import { overProcesses } from '../support/processes.ts'
import type { Start } from '../support/running.ts'
import type { Name } from '../support/settings.ts'
import { inProcess } from '../support/system.ts'
import { sliced } from '../support/whole.ts'
import { type Fixture, fixtureFor, requestOf, type Served } from './operations.ts'
import { isOpen, POLICY, type Policy, successOf } from './policy.ts'
import { openSetup, type Setup } from './setup.ts'

setDefaultTimeout(120_000)

const closed = POLICY.filter((policy) => !isOpen(policy))
const scopeOf = ({ scope }: Policy): Scope | undefined => (scope === '-' || scope === '*' ? undefined : scope)

const LAYOUTS: [name: string, start: Start][] = [
  ['one process', inProcess],
  ['a process for each service', overProcesses('apart')],
]

test('16: every operation has a row that decides about clients, and every scope opens one', () => {
  for (const { call, scope } of POLICY) expect([call, scope]).toEqual([call, expect.any(String)])
  const opened = new Set(closed.flatMap((policy) => scopeOf(policy) ?? []))
  expect([...opened].toSorted()).toEqual(ALL_SCOPES.toSorted())
})

describe.each(sliced(LAYOUTS, 2))('16: the scopes of clients, in %s', (_, start) => {
  let setup: Setup
  const tokens = new Map<string, string>()
  beforeAll(async () => {
    setup = await openSetup(start)
  })
  afterAll(() => setup?.close())

  const tokenWith = async (scopes: readonly Scope[]): Promise<string> => {
    const name = scopes.join(' ')
    const token = tokens.get(name) ?? (await newMachine(setup.system, { scopes })).token
    tokens.set(name, token)
    return token
  }
  const ask = (one: Served, fixture: Fixture, at: Name, token: string, sent?: 'at the root' | 'with a bad body') => {
    const { headers, line, ...rest } = requestOf(one, fixture, 'the operator key')
    const request = sent === 'at the root' ? line.replace(' /api/v1/', ' /') : line
    const body = sent === 'with a bad body' && 'body' in rest ? { body: '[' } : rest
    return call(setup.system.url[at], request, { headers: { ...as.bearer(token), ...headers }, ...body })
  }
  const expectRefusal = ({ body, headers, status }: Answer, scope: Scope | undefined) => {
    const challenge = `Bearer error="insufficient_scope"${scope ? `, scope="${scope}"` : ''}`
    expect([status, body.code, headers.get('www-authenticate')]).toEqual([403, 'insufficient_scope', challenge])
  }

  test.each(sliced(closed, 4, ({ scope }) => scope))('$call', async (policy) => {
    const one = setup.operations.get(policy.call)
    if (!one) throw new Error('No document has it')
    const scope = scopeOf(policy)
    const others = await tokenWith(ALL_SCOPES.filter((name) => name !== scope))
    for (const service of one.at) {
      const fixture = await fixtureFor(setup.system, one, setup.others)
      const state = () => setup.databases.state(fixture.values.user_id, fixture.values.id)
      const before = state()
      for (const sent of [undefined, 'at the root', 'with a bad body'] as const)
        expectRefusal(await ask(one, fixture, service, others, sent), scope)
      expect(state()).toBe(before)
      if (!scope) continue
      const answer = await ask(one, fixture, service, await tokenWith([scope]))
      expect([service, answer.status, answer.text]).toEqual([service, successOf(policy), expect.any(String)])
    }
  })

  const ENDS: [string, (id: string) => Promise<void>][] = [
    ['disabled', (id) => changeClient(setup.system, id, { status: 'disabled' })],
    ['deleted', (id) => changeClient(setup.system, id)],
    ['of fewer scopes', (id) => changeClient(setup.system, id, { scopes: [] })],
  ]
  test.each(ENDS)('a client that is %s is 401 everywhere at once', async (_, end) => {
    const { id, token } = await newMachine(setup.system, { scopes: ALL_SCOPES })
    const user = await registerUser(setup.system)
    // Every service has checked the token before.
    for (const base of new Set(Object.values(setup.system.url)))
      expect((await call(base, 'GET /metrics', { headers: as.bearer(token) })).status).toBe(200)
    await end(id)
    for (const policy of closed) {
      const one = setup.operations.get(policy.call)
      if (!one) throw new Error('No document has it')
      const values = { ...user, user_id: user.id, email: user.email, username: 'ana', id: user.id }
      const fixture = { values } as unknown as Fixture
      for (const service of one.at) {
        const { body, status } = await ask(one, fixture, service, token)
        expect([policy.call, service, status, body.code]).toEqual([policy.call, service, 401, 'token_revoked'])
      }
    }
  })

  test('a scope that is not of Ch202 opens nothing, and neither does a token for another service', async () => {
    const resource = 'https://orders.example.org'
    const settings = { scopes: [...ALL_SCOPES, 'orders:read'], resources: [resource] }
    const machine = await newMachine(setup.system, settings)
    const orders = await tokenOf(setup.system, machine, { scope: 'orders:read' })
    const elsewhere = await tokenOf(setup.system, machine, { resource })
    for (const [service, path] of [
      ['users', 'users'],
      ['modules', 'modules'],
      ['auth', 'admin/audit'],
    ] as const) {
      const ask = (token: string) =>
        call(setup.system.url[service], `GET /api/v1/${path}`, { headers: as.bearer(token) })
      expect((await ask(machine.token)).status).toBe(200)
      expect((await ask(orders)).body.code).toBe('insufficient_scope')
      const { body, status } = await ask(elsewhere)
      expect([status, body.code]).toEqual([401, 'invalid_token'])
    }
    // Auth says what it is all the same, and revokes it.
    const auth = (request: string, body: object) => call(setup.system.url.auth, request, { headers: as.operator, body })
    const introspected = await auth('POST /auth/introspect', { token: elsewhere })
    expect(introspected.body).toMatchObject({ active: true, aud: resource, client_id: machine.id })
    expect((await auth('POST /auth/validate-token', { token: elsewhere })).body).toMatchObject({ valid: true })
    expect((await auth('POST /auth/revoke', { token: elsewhere })).status).toBe(200)
    expect((await auth('POST /auth/introspect', { token: elsewhere })).body).toEqual({ active: false })
  })
})

test('16: the scopes are those of the contract', () => {
  expect(Object.keys(SCOPES).join(' ')).toBe(
    'users:read users:write sessions:read sessions:revoke modules:read modules:write introspect audit:read mails:read metrics',
  )
})
