import { afterAll, afterEach, beforeEach, describe, expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openModulesStore } from '../../db/modules/store.ts'
import { ClientAddress } from '../kit/client-address.ts'
import { type Clock, systemClock, timestamp } from '../kit/clock.ts'
import { serviceApp } from '../kit/http/app.ts'
import { guard } from '../kit/http/guard.ts'
import { silentLog } from '../kit/log.ts'
import type { AuditEvent } from '../kit/outbox/audit.ts'
import { Outbox } from '../kit/outbox/outbox.ts'
import { Problem } from '../kit/problem.ts'
import { Metrics, MetricsRegistry } from '../kit/process/metrics.ts'
import { systemRandom } from '../kit/random.ts'
import type { EventType } from '../kit/schema/events.ts'
import type { TokenCheck } from '../kit/tokens/check.ts'
import { ModuleFeed } from './feed.ts'
import { modulesRoutes } from './index.ts'
import type { ModulesStore } from './store.ts'

const ANA = '0198c0de-0000-7000-8000-00000000000a'
const BEN = '0198c0de-0000-7000-8000-00000000000b'
const ROOT = '0198c0de-0000-7000-8000-0000000000ff'
const NO_ONE = '0198c0de-0000-7000-8000-000000000000'
const NOW = Date.parse('2026-11-20T10:00:00.000Z')

/** The roles of each user, as the users service would answer. */
const USERS: Record<string, string[]> = { [ANA]: ['USER', 'STAFF'], [BEN]: ['USER'], [ROOT]: ['ADMIN'] }
type Who = 'ana' | 'ben' | 'root' | 'operator' | 'internal' | 'nobody'
const CREDENTIALS: Record<Who, Record<string, string>> = {
  ana: { authorization: `Bearer ${ANA}` },
  ben: { authorization: `Bearer ${BEN}` },
  root: { authorization: `Bearer ${ROOT}` },
  operator: { 'x-api-key': 'operator-key' },
  internal: { 'x-api-key': 'internal-key' },
  nobody: {},
}

const directory = mkdtempSync(join(tmpdir(), 'ch202-modules-app-'))
afterAll(() => rmSync(directory, { recursive: true }))

const tokens: TokenCheck = {
  check: (token) =>
    USERS[token]
      ? {
          valid: true,
          userId: token,
          sessionId: NO_ONE,
          roles: USERS[token],
          expiresAt: NOW + 1000,
          authTime: NOW / 1000,
          amr: ['pwd'],
        }
      : { valid: false, reason: 'malformed' },
}

let count = 0
let now = NOW
let usersDown = false
let roleQueries: string[] = []
let subscribed: Set<EventType>
let store: ModulesStore
let app: ReturnType<typeof serviceApp>

beforeEach(async () => {
  now = NOW
  usersDown = false
  roleQueries = []
  subscribed = new Set()
  store = await openModulesStore({ dataDir: join(directory, String(count++)) })
  const clock: Clock = { now: () => now, monotonic: systemClock.monotonic }
  const users = {
    async roles(userId: string) {
      if (usersDown) throw new Problem('users_unavailable')
      roleQueries.push(userId)
      return USERS[userId] ?? null
    },
  }
  const outbox = new Outbox({ target: 'auth', store, clock, log: silentLog, send: async () => undefined })
  const guarded = guard({
    tokens,
    internalKeys: ['internal-key'],
    operatorKeys: ['operator-key'],
    clientAddress: new ClientAddress([]),
    clock,
  })
  const random = systemRandom
  const feed = new ModuleFeed({ store, clock, log: silentLog })
  const metrics = new Metrics('modules', new MetricsRegistry())
  const routes = modulesRoutes(
    { store, clock, random, users, outbox, feed, isSubscribed: (type) => subscribed.has(type) },
    guarded,
  )
  app = serviceApp({ log: silentLog, clock, random, metrics, corsOrigins: [] }, { routes })
})
afterEach(() => store.close())

async function call(who: Who, route: string, body?: unknown, headers: Record<string, string> = {}) {
  const [method = '', path = ''] = route.split(' ')
  const json: Record<string, string> = body === undefined ? {} : { 'content-type': 'application/json' }
  const response = await app.handle(
    new Request(`http://localhost${path}`, {
      method,
      headers: { ...CREDENTIALS[who], ...json, ...headers },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    }),
  )
  const text = await response.text()
  return { status: response.status, body: text ? JSON.parse(text) : undefined, headers: response.headers }
}

const create = (id: string, fields: object = {}) =>
  call('operator', 'POST /modules', { id, name: id, description: '', ...fields })
const events = async () =>
  (await store.pendingNotices('auth', 100)).map(({ payload }) => payload as unknown as AuditEvent)

const CORE = {
  id: 'core',
  name: 'core',
  description: '',
  version: '1.0.0',
  required_roles: [],
  requires: [],
}
const WITHOUT_USER = { enabled: null, enabled_at: null, available: null }

describe('access', () => {
  const callers: Who[] = ['nobody', 'ben', 'root', 'operator', 'internal']
  const rows: [route: string, body: unknown, ...statuses: number[]][] = [
    ['GET /modules', undefined, 401, 200, 200, 200, 403],
    ['GET /modules/', undefined, 401, 200, 200, 200, 403],
    ['GET /modules/core', undefined, 401, 200, 200, 200, 403],
    ['POST /modules', { id: 'x', name: 'x', description: '' }, 401, 403, 201, 409, 403],
    ['POST /modules/', {}, 401, 403, 400, 400, 403],
    ['PATCH /modules/core', { name: 'x' }, 401, 403, 200, 200, 403],
    ['POST /modules/core/enable', undefined, 401, 200, 200, 400, 403],
    ['POST /modules/core/disable', undefined, 401, 200, 200, 400, 403],
    ['GET /modules/core/users', undefined, 401, 403, 200, 200, 403],
    ['POST /modules/sync/user-deleted', { user_id: NO_ONE }, 401, 403, 403, 403, 204],
    [`GET /modules/users/${BEN}`, undefined, 401, 403, 200, 200, 200],
    ['DELETE /modules/core', undefined, 401, 403, 204, 404, 403],
  ]
  for (const prefix of ['', '/api/v1'])
    test.each(rows)(`${prefix} %s`, async (route, body, ...statuses) => {
      await create('core')
      const answers = []
      for (const who of callers) answers.push((await call(who, route.replace(' ', ` ${prefix}`), body)).status)
      expect(answers).toEqual(statuses)
      // Checks credentials before the body: a caller without access learns nothing about the body.
      if (!route.startsWith('GET'))
        expect((await call('nobody', route.replace(' ', ` ${prefix}`), '{')).status).toBe(401)
    })
})

describe('the library', () => {
  test('operators create, read, change and delete a module', async () => {
    const created = await create('core')
    expect(created).toMatchObject({ status: 201, body: { ...CORE, ...WITHOUT_USER } })
    expect(created.headers.get('location')).toBe('/modules/core')
    const full = {
      name: 'Billing',
      description: 'Invoices\nand payments',
      version: '2',
      required_roles: ['STAFF', 'USER'],
      requires: ['core'],
    }
    expect((await create('billing', full)).body).toEqual({ id: 'billing', ...full, ...WITHOUT_USER })
    expect((await call('operator', 'GET /modules/')).body).toEqual({
      items: [
        { id: 'billing', ...full, ...WITHOUT_USER },
        { ...CORE, ...WITHOUT_USER },
      ],
    })
    const patched = await call('operator', 'PATCH /modules/billing', { name: 'Money', required_roles: [] })
    expect(patched).toMatchObject({
      status: 200,
      body: { id: 'billing', ...full, name: 'Money', required_roles: [], ...WITHOUT_USER },
    })
    expect((await call('operator', 'GET /modules/billing')).body).toEqual(patched.body)
    expect((await call('operator', 'PATCH /modules/billing')).body).toEqual(patched.body)
    expect((await call('operator', 'PATCH /modules/billing', { name: 'Money' })).body).toEqual(patched.body)
    expect((await call('operator', 'DELETE /modules/core')).body).toMatchObject({
      code: 'module_dependency',
      message: 'Required by billing',
    })
    expect((await call('operator', 'DELETE /modules/billing')).status).toBe(204)
    expect((await call('operator', 'DELETE /modules/core')).status).toBe(204)
    expect((await events()).map(({ type, userId, actor, detail }) => ({ type, userId, actor, detail }))).toEqual([
      { type: 'module.created', userId: null, actor: 'operator', detail: { module: 'core' } },
      { type: 'module.created', userId: null, actor: 'operator', detail: { module: 'billing' } },
      {
        type: 'module.updated',
        userId: null,
        actor: 'operator',
        detail: { module: 'billing', fields: ['name', 'required_roles'] },
      },
      { type: 'module.deleted', userId: null, actor: 'operator', detail: { module: 'billing' } },
      { type: 'module.deleted', userId: null, actor: 'operator', detail: { module: 'core' } },
    ])
  })

  const refusals: [string, string, object, number, string, string][] = [
    ['an id that is taken', 'POST', { id: 'core' }, 409, 'module_exists', 'exists'],
    ['the id users', 'POST', { id: 'users' }, 400, 'validation_failed', 'id must'],
    ['the id sync', 'POST', { id: 'sync' }, 400, 'validation_failed', 'id must'],
    ['an id in capitals', 'POST', { id: 'Core' }, 400, 'validation_failed', 'id must'],
    ['an id that begins with a dash', 'POST', { id: '-a' }, 400, 'validation_failed', 'id must'],
    ['an id of 64 characters', 'POST', { id: 'a'.repeat(64) }, 400, 'validation_failed', 'id must'],
    ['an id that is a number', 'POST', { id: 7 }, 400, 'validation_failed', 'id must'],
    ['no name', 'POST', { id: 'x', name: undefined }, 400, 'validation_failed', 'name is required'],
    ['an unknown field', 'POST', { id: 'x', enabled: true }, 400, 'validation_failed', 'enabled should not exist'],
    ['a role in small letters', 'POST', { id: 'x', required_roles: ['a'] }, 400, 'validation_failed', 'required_roles'],
    [
      'an unknown requirement',
      'POST',
      { id: 'x', requires: ['core', 'y'] },
      400,
      'validation_failed',
      'requires must name existing modules: y',
    ],
    ['itself as a requirement', 'POST', { id: 'x', requires: ['x'] }, 400, 'validation_failed', 'requires must not'],
    [
      'a default that requires none',
      'POST',
      { id: 'x', requires: ['core'], default_enabled: true },
      400,
      'validation_failed',
      'default_enabled must',
    ],
    ['a cycle', 'PATCH', { requires: ['top'] }, 400, 'validation_failed', 'requires must not'],
    ['itself', 'PATCH', { requires: ['core'] }, 400, 'validation_failed', 'requires must not'],
    ['another id', 'PATCH', { id: 'other' }, 400, 'validation_failed', 'id should not exist'],
    ['null', 'PATCH', { name: null }, 400, 'validation_failed', 'name must'],
  ]
  test.each(refusals)('refuses %s', async (_, method, fields, status, code, message) => {
    await create('core')
    await create('top', { requires: ['core'] })
    const before = (await call('operator', 'GET /modules')).body
    const path = method === 'POST' ? '/modules' : '/modules/core'
    const body = method === 'POST' ? { name: 'x', description: '', ...fields } : fields
    const answer = await call('operator', `${method} ${path}`, body)
    expect(answer).toMatchObject({ status, body: { statusCode: status, code } })
    expect(String(answer.body.message)).toContain(message)
    expect((await call('operator', 'GET /modules')).body).toEqual(before)
  })

  test('an unknown module is 404, an unknown method 405', async () => {
    const routes = [
      'GET /modules/gone',
      'PATCH /modules/gone',
      'DELETE /modules/gone',
      'GET /modules/gone/users',
      'GET /modules/users',
      'GET /modules/sync',
      'GET /modules/a%2fb',
    ]
    for (const route of routes)
      expect([route, await call('operator', route)]).toMatchObject([
        route,
        { status: 404, body: { code: 'module_not_found' } },
      ])
    for (const verb of ['enable', 'disable'])
      expect((await call('ana', `POST /modules/gone/${verb}`)).body).toMatchObject({ code: 'module_not_found' })
    const refused = await call('operator', 'PUT /modules/core')
    expect(refused).toMatchObject({ status: 405, body: { code: 'method_not_allowed' } })
    expect(refused.headers.get('allow')).toBe('DELETE, GET, HEAD, PATCH')
  })

  test('ids that resemble paths of the API are ordinary ids', async () => {
    for (const id of ['users-plus', 'sync-tool', 's', 'u', 'user', 'enable']) {
      expect((await create(id)).status).toBe(201)
      expect((await call('ana', `GET /modules/${id}`)).body).toMatchObject({ id, enabled: false })
      expect((await call('ana', `POST /modules/${id}/enable`)).body).toMatchObject({ id, enabled: true })
      expect((await call('operator', `GET /modules/${id}/users`)).body).toMatchObject({ total: 1 })
      expect((await call('ana', `POST /modules/${id}/disable/`)).body).toMatchObject({ id, enabled: false })
      expect((await call('operator', `DELETE /modules/${id}/`)).status).toBe(204)
    }
  })
})

describe('activation', () => {
  test('users turn a module on and off; repeating it gives the same answer', async () => {
    await create('core')
    now = NOW + 5000
    const on = await call('ana', 'POST /modules/core/enable')
    expect(on).toMatchObject({
      status: 200,
      body: { ...CORE, enabled: true, enabled_at: timestamp(NOW + 5000), available: true },
    })
    now = NOW + 9000
    expect((await call('ana', 'POST /modules/core/enable', {})).body).toEqual(on.body)
    expect((await call('ana', 'GET /modules/core')).body).toEqual(on.body)
    expect((await call('ben', 'GET /modules')).body.items).toEqual([
      { ...CORE, enabled: false, enabled_at: null, available: true },
    ])
    const off = { ...CORE, enabled: false, enabled_at: null, available: true }
    expect((await call('ana', 'POST /modules/core/disable')).body).toEqual(off)
    expect((await call('ana', 'POST /modules/core/disable')).body).toEqual(off)
    expect((await events()).slice(1)).toMatchObject([
      { type: 'module.enabled', userId: ANA, actor: `user:${ANA}`, detail: { module: 'core' } },
      { type: 'module.disabled', userId: ANA, actor: `user:${ANA}`, detail: { module: 'core' } },
    ])
    expect(roleQueries).toEqual([])
  })

  test('operators turn a module on for a user', async () => {
    await create('core', { required_roles: ['STAFF'] })
    for (const who of ['operator', 'root'] as const) {
      const enable = (user_id: string) => call(who, 'POST /modules/core/enable', { user_id })
      expect((await enable(ANA.toUpperCase())).body).toMatchObject({ enabled: true, available: true })
      expect((await enable(BEN)).body).toMatchObject({ statusCode: 403, code: 'module_not_available' })
      expect((await enable(NO_ONE)).body).toMatchObject({ statusCode: 404, code: 'user_not_found' })
      expect((await enable('ana')).body).toMatchObject({ statusCode: 400, message: ['user_id must be a UUID'] })
      expect((await call(who, `GET /modules?user_id=${ANA}`)).body.items).toMatchObject([
        { enabled: true, available: true },
      ])
      expect((await call(who, `GET /modules/core?user_id=${BEN}`)).body).toMatchObject({
        enabled: false,
        available: false,
      })
      expect((await call(who, `GET /modules?user_id=${NO_ONE}`)).body).toMatchObject({ code: 'user_not_found' })
      expect((await call(who, 'GET /modules/core?user_id=x')).status).toBe(400)
      expect((await call(who, 'GET /modules?user=x')).body).toMatchObject({ message: ['user should not exist'] })
      usersDown = true
      expect((await enable(ANA)).body).toMatchObject({ statusCode: 503, code: 'users_unavailable' })
      expect((await call(who, `GET /modules?user_id=${ANA}`)).status).toBe(503)
      usersDown = false
    }
    expect((await call('operator', 'POST /modules/core/enable')).body).toMatchObject({
      statusCode: 400,
      message: ['user_id is required'],
    })
    expect((await call('root', 'GET /modules/core')).body).toMatchObject({ enabled: false, available: false })
    expect((await events()).filter(({ type }) => type === 'module.enabled')).toMatchObject([
      { userId: ANA, actor: 'operator' },
    ])
  })

  test('a change for a user is an event, if somebody subscribes to its type', async () => {
    await create('core')
    await create('tools', { default_enabled: true })
    const pendingEvents = async () =>
      (await store.pendingNotices('auth', 100))
        .filter(({ kind }) => kind === 'event')
        .map(({ subject, payload }) => ({ subject, ...payload }))
    await call('ana', 'POST /modules/core/enable')
    await call('ana', 'POST /modules/core/disable')
    expect(await pendingEvents()).toEqual([])
    subscribed = new Set<EventType>(['module.enabled'])
    // The second `core` and the default `tools` change nothing.
    for (const id of ['core', 'core', 'tools']) await call('ana', `POST /modules/${id}/enable`)
    await call('ana', 'POST /modules/core/disable')
    subscribed = new Set<EventType>(['module.disabled'])
    await call('operator', 'POST /modules/tools/disable', { user_id: BEN })
    await call('operator', 'POST /modules/gone/disable', { user_id: BEN })
    await call('operator', 'PATCH /modules/tools', { default_enabled: false })
    await call('operator', 'DELETE /modules/tools')
    const event = { id: expect.stringMatching(/^[0-9a-f-]{36}$/), at: now }
    expect(await pendingEvents()).toEqual<unknown>([
      { ...event, subject: ANA, type: 'module.enabled', userId: ANA, data: { module_id: 'core' } },
      { ...event, subject: BEN, type: 'module.disabled', userId: BEN, data: { module_id: 'tools' } },
    ])
  })

  test('only operators may name a user; users may not even name themselves', async () => {
    await create('core')
    for (const user_id of [ANA, BEN]) {
      expect((await call('ana', `GET /modules?user_id=${user_id}`)).body).toMatchObject({
        statusCode: 403,
        code: 'forbidden',
      })
      expect((await call('ana', `GET /modules/core?user_id=${user_id}`)).body).toMatchObject({ code: 'forbidden' })
      for (const verb of ['enable', 'disable'])
        expect((await call('ana', `POST /modules/core/${verb}`, { user_id })).body).toMatchObject({
          statusCode: 403,
          code: 'forbidden_field',
        })
    }
    expect((await call('ana', 'POST /modules/core/enable', { userId: BEN })).body).toMatchObject({
      message: ['userId should not exist'],
    })
    expect((await call('ana', 'POST /modules/core/enable', 'x', { 'content-type': 'text/plain' })).status).toBe(415)
    expect((await store.usersOf('core', { size: 1, page: 1 }))?.total).toBe(0)
  })

  test('a module is on only together with the modules that it requires', async () => {
    await create('core')
    await create('billing', { requires: ['core'] })
    expect((await call('ana', 'POST /modules/billing/enable')).body).toMatchObject({
      statusCode: 409,
      code: 'module_dependency',
      message: 'Requires core, not enabled yet',
    })
    await call('ana', 'POST /modules/core/enable')
    expect((await call('ana', 'POST /modules/billing/enable')).status).toBe(200)
    expect((await call('ana', 'POST /modules/core/disable')).body).toMatchObject({
      statusCode: 409,
      code: 'module_dependency',
      message: 'Required by billing, enabled as well',
    })
    await create('extra')
    expect((await call('operator', 'PATCH /modules/billing', { requires: ['core', 'extra'] })).body).toMatchObject({
      statusCode: 409,
      code: 'module_dependency',
      message: 'Enabled for users who do not have extra',
    })
    await create('base', { default_enabled: true })
    await create('next', { default_enabled: true, requires: ['base'] })
    expect((await call('operator', 'PATCH /modules/base', { default_enabled: false })).body).toMatchObject({
      statusCode: 409,
      message: 'Required by next, enabled by default as well',
    })
  })

  test('users may turn off a module that they may no longer use', async () => {
    await create('core', { default_enabled: true, required_roles: ['STAFF'] })
    expect((await call('ben', 'GET /modules/core')).body).toMatchObject({
      enabled: true,
      enabled_at: timestamp(NOW),
      available: false,
    })
    expect((await call('ben', 'POST /modules/core/enable')).body).toMatchObject({ code: 'module_not_available' })
    expect((await call('ben', 'POST /modules/core/disable')).body).toMatchObject({ enabled: false, available: false })
  })
})

describe('for other services', () => {
  const usable = async (userId: string) => (await call('internal', `GET /modules/users/${userId}`)).body

  test('lists the modules that a user may use', async () => {
    await create('zeta')
    await create('alpha', { required_roles: ['STAFF'] })
    for (const id of ['zeta', 'alpha']) await call('operator', `POST /modules/${id}/enable`, { user_id: ANA })
    await call('ben', 'POST /modules/zeta/enable')
    expect(await usable(ANA)).toEqual({ user_id: ANA, modules: ['alpha', 'zeta'] })
    roleQueries = []
    usersDown = true
    expect(await usable(BEN.toUpperCase())).toEqual({ user_id: BEN, modules: ['zeta'] })
    expect(await usable(NO_ONE)).toEqual({ user_id: NO_ONE, modules: [] })
    expect(await usable(ANA)).toMatchObject({ statusCode: 503, code: 'users_unavailable' })
    expect(await usable('ana')).toMatchObject({ statusCode: 400 })
    usersDown = false
    await create('base', { default_enabled: true })
    expect(await usable(BEN)).toEqual({ user_id: BEN, modules: ['base', 'zeta'] })
    expect(await usable(NO_ONE)).toEqual({ user_id: NO_ONE, modules: [] })
    expect(roleQueries).toEqual([BEN, NO_ONE])
  })

  test('forgets a deleted user, and refuses later changes', async () => {
    await create('core')
    await call('ana', 'POST /modules/core/enable')
    await call('ben', 'POST /modules/core/enable')
    for (const user_id of [ANA, ANA.toUpperCase(), NO_ONE])
      expect((await call('internal', 'POST /modules/sync/user-deleted', { user_id })).status).toBe(204)
    expect((await call('ana', 'POST /modules/core/enable')).body).toMatchObject({ code: 'user_not_found' })
    expect(await usable(ANA)).toEqual({ user_id: ANA, modules: [] })
    expect((await call('operator', 'GET /modules/core/users')).body.items).toEqual([
      { user_id: BEN, enabled_at: timestamp(NOW) },
    ])
  })

  test('lists the users of a module by page and by cursor', async () => {
    await create('core')
    await create('other')
    for (const who of ['ana', 'ben', 'root'] as const) await call(who, 'POST /modules/core/enable')
    const page = (await call('operator', 'GET /modules/core/users?size=2')).body
    expect(page).toMatchObject({ items: [{ user_id: ANA }, { user_id: BEN }], total: 3, page: 1, size: 2, pages: 2 })
    const rest = (await call('operator', `GET /modules/core/users?size=2&cursor=${page.next_cursor}`)).body
    expect(rest).toMatchObject({ items: [{ user_id: ROOT }], total: null, page: null, pages: null, next_cursor: null })
    expect((await call('operator', `GET /modules/other/users?cursor=${page.next_cursor}`)).status).toBe(400)
  })
})
