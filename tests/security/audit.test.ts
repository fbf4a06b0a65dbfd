import { Database } from 'bun:sqlite'
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { join } from 'node:path'
import { createUser, logIn, newEmail, PASSWORD, registerUser, type TestUser } from '../support/actors.ts'
import { eventually } from '../support/eventually.ts'
import { type Answer, as, call } from '../support/http.ts'
import { mailedToken } from '../support/mails.ts'
import { processes } from '../support/processes.ts'
import { running } from '../support/running.ts'
import type { Name } from '../support/settings.ts'
import { request } from '../support/sockets.ts'
import type { System } from '../support/system.ts'
import { inProcess, inProcessApart } from '../support/system.ts'
import { ownSettings, runTool } from '../support/tool.ts'
import { sliced, WHOLE } from '../support/whole.ts'
import {
  credentialsOf,
  type Fixture,
  fixtureFor,
  newModule,
  requestOf,
  type Served,
  servedOperations,
} from './operations.ts'

setDefaultTimeout(120_000)

const NEW = 'quite another phrase'

interface Row {
  at: string
  type: string
  user_id: string | null
  actor: string
  ip: string | null
  request_id: string
  detail: Record<string, unknown>
}

async function rowsOf({ url }: System, requestId: string): Promise<Row[]> {
  const path = `GET /admin/audit?request_id=${encodeURIComponent(requestId)}`
  return (await call(url.auth, path, { headers: as.operator })).body.items
}

describe('check 40: each change by an operator leaves a row with time, actor, address and request id', () => {
  let system: System
  let operations: Map<string, Served>
  let admin: TestUser
  let other: TestUser
  beforeAll(async () => {
    system = await inProcessApart({ RATE_LIMIT: 'off', LOG_LEVEL: 'silent' })
    operations = await servedOperations(system)
    admin = await createUser(system, { roles: ['USER', 'ADMIN'] })
    other = await registerUser(system)
  })
  afterAll(() => system?.stop())

  /** Bodies and preparations for operations whose documented example changes nothing. */
  const body: Record<string, (fixture: Fixture) => unknown> = {
    'PUT /api/v1/users/{user_id}': () => ({ email: newEmail(), roles: ['EDITOR'] }),
    'PATCH /api/v1/users/{user_id}': () => ({ roles: ['EDITOR'] }),
    'PATCH /api/v1/modules/{module_id}': () => ({ name: 'Another name' }),
    'PATCH /api/v1/admin/webhooks/{webhook_id}': () => ({ status: 'disabled' }),
    'POST /api/v1/users/import': () => JSON.stringify({ email: newEmail(), password: PASSWORD, roles: ['ADMIN'] }),
    'POST /api/v1/modules/{module_id}/enable': ({ owner }) => ({ user_id: owner.id }),
    'POST /api/v1/modules/{module_id}/disable': ({ owner }) => ({ user_id: owner.id }),
  }
  const before: Record<string, (fixture: Fixture) => Promise<unknown>> = {
    'POST /api/v1/modules/{module_id}/disable': ({ owner, values }) =>
      call(system.url.modules, `POST /modules/${values.module_id}/enable`, {
        headers: as.operator,
        body: { user_id: owner.id },
      }),
  }
  /** Types of the rows of operations that leave more than one. */
  const types: Record<string, string[]> = {
    'POST /api/v1/users/import': ['user.created', 'users.created', 'users.imported'],
    'POST /api/v1/admin/password-cache/sync': ['cache.sync_begun', 'cache.synced'],
    'POST /api/v1/admin/invitations': ['user.created', 'user.invited'],
    'DELETE /api/v1/admin/keys/{kid}': ['key.removed', 'key.rotated'],
    'DELETE /api/v1/admin/users/{user_id}/factors': ['factors.reset', 'session.revoked'],
    'PUT /api/v1/users/{user_id}': ['user.roles_changed', 'user.updated'],
    'POST /api/v1/users/{user_id}/erase': ['user.deleted', 'user.erased'],
  }

  test('each documented operation that an operator may call, with the key or by an admin', async () => {
    const changing = [...operations.values()].filter(
      ({ call: name, operation }) =>
        !name.startsWith('GET ') &&
        !name.endsWith('/introspect') &&
        operation.security.some((way) => 'operatorKey' in way),
    )
    expect(changing.length).toBeGreaterThan(18)
    const callers = ['the operator key', 'an admin'] as const
    const callNames = new Set(changing.map(({ call: name }) => name))
    for (const name of [...Object.keys(body), ...Object.keys(types)])
      expect([name, callNames.has(name)]).toEqual([name, true])
    // In the suite each operation, by one of the two.
    for (const [index, one] of changing.entries())
      for (const caller of WHOLE ? callers : callers.slice(index % 2).slice(0, 1)) {
        const fixture = await fixtureFor(system, one, { admin, other })
        await before[one.call]?.(fixture)
        const request = requestOf(one, fixture, caller)
        const id = `row-${Bun.randomUUIDv7()}`
        const began = Date.now()
        const answer = await call(system.url[one.at[0] ?? 'auth'], request.line, {
          headers: { ...credentialsOf(caller, fixture), ...request.headers, 'x-request-id': id },
          body: body[one.call]?.(fixture) ?? request.body,
        })
        if (answer.status >= 300) throw new Error(`${one.call}, ${caller}: ${answer.status} ${answer.text}`)

        const rowCount = types[one.call]?.length ?? 1
        const requestRows = async () => (await rowsOf(system, id)).filter(({ ip }) => ip !== null)
        const rows = await eventually(async () => {
          const current = await requestRows()
          return current.length >= rowCount ? current : undefined
        }).catch(requestRows)
        const origins = rows.map(({ actor, ip, request_id }) => ({ actor, ip, request_id }))
        const actor = caller === 'an admin' ? `user:${admin.id}` : 'operator'
        expect([one.call, ...origins]).toEqual([
          one.call,
          ...Array.from({ length: rowCount }, () => ({ actor, ip: '127.0.0.1', request_id: id })),
        ])
        if (types[one.call]) expect(rows.map(({ type }) => type).toSorted()).toEqual(types[one.call] ?? [])
        for (const { at } of rows) expect(Date.parse(at)).toBeWithin(began - 1, Date.now() + 1)
      }
  })

  test('a failed password change with a wrong current password', async () => {
    const { id, tokens } = await registerUser(system)
    const mark = `row-${Bun.randomUUIDv7()}`
    const answer = await call(system.url.users, `POST /users/${id}/change-password`, {
      headers: { ...as.bearer(tokens.access_token), 'x-request-id': mark },
      body: { current_password: 'not the one', new_password: NEW },
    })
    expect(answer.status).toBe(401)
    const [row] = await eventually(async () => {
      const rows = await rowsOf(system, mark)
      return rows.length > 0 ? rows : undefined
    })
    expect(row).toMatchObject({ type: 'password.change_failed', user_id: id, actor: `user:${id}`, ip: '127.0.0.1' })
  })
})

describe('check 40: one request id finds the traces of a request in every service', () => {
  const here = running(inProcessApart, { RATE_LIMIT: 'off' })
  const { auth, modules, users } = here
  const drop = ({ id }: TestUser) => auth(`DELETE /admin/password-cache/${id}`, operator())

  /** Requests, and the routes that they call at other services. */
  const traces: [string, (user: TestUser, headers: Record<string, string>) => Promise<unknown>, string[]][] = [
    [
      'a login of whom the cache does not hold',
      async (user, headers) => {
        await drop(user)
        await auth('POST /auth/login', { headers, body: { login: user.email, password: PASSWORD } })
      },
      ['users POST /users/verify-credentials', 'users GET /users/:user_id/password-hash'],
    ],
    [
      'who a token is of',
      (user, headers) => auth('GET /auth/me', { headers: { ...bearer(user).headers, ...headers } }),
      ['users GET /users/:user_id'],
    ],
    [
      'a registration',
      (_, headers) => auth('POST /auth/register', { headers, body: { email: newEmail(), password: PASSWORD } }),
      ['users POST /users', 'auth POST /auth/audit'],
    ],
    [
      'a reset, and its mail',
      async (user, headers) => {
        await drop(user)
        const marked: typeof auth = (line, options) => auth(line, { ...options, headers })
        const token = await mailedToken(marked, here.system, user.email)
        await marked('POST /auth/password-reset-confirm', { body: { token, new_password: NEW } })
      },
      [
        'users GET /users/by-email/:email',
        'users GET /users/:user_id/password-hash',
        'users POST /users/:user_id/proof',
        'auth POST /auth/audit',
      ],
    ],
    [
      'a sync of one',
      ({ id }, headers) =>
        auth('POST /admin/password-cache/sync', { headers: { ...as.operator, ...headers }, body: { user_id: id } }),
      ['users GET /users/:user_id/password-hash'],
    ],
    [
      'a sync of all',
      (_, headers) => auth('POST /admin/password-cache/sync', { headers: { ...as.operator, ...headers } }),
      ['users GET /users/password-hashes'],
    ],
    [
      'a change of roles',
      ({ id }, headers) =>
        users(`PATCH /users/${id}`, { headers: { ...as.operator, ...headers }, body: { roles: ['EDITOR'] } }),
      ['auth POST /auth/audit'],
    ],
    [
      'the modules of a user',
      ({ id }, headers) => modules(`GET /modules?user_id=${id}`, { headers: { ...as.operator, ...headers } }),
      ['users GET /users/:user_id'],
    ],
  ]

  test.each(traces)('%s', async (_, ask, expected) => {
    const user = await createUser(here.system)
    const id = `one-${Bun.randomUUIDv7()}`
    await ask(user, { 'x-request-id': id })
    const routes = () => {
      const lines = here.system.output().split('\n')
      return lines
        .filter((line) => line.includes(id) && line.includes('"event":"request"'))
        .map((line) => JSON.parse(line))
        .map(({ method, route, service }) => `${service} ${method} ${route.replace('/api/v1', '')}`)
    }
    const missing = () => expected.filter((line) => !routes().includes(line))
    await eventually(() => missing().length === 0).catch(() => undefined)
    expect(missing()).toEqual([])
  })

  test('a rehash at login', async () => {
    const email = newEmail()
    const password_hash = await Bun.password.hash(PASSWORD, { algorithm: 'bcrypt', cost: 5 })
    await users('POST /users', { headers: as.operator, body: { email, password_hash } })
    const id = `one-${Bun.randomUUIDv7()}`
    await auth('POST /auth/login', { headers: { 'x-request-id': id }, body: { email, password: PASSWORD } })
    await eventually(async () => (await rowsOf(here.system, id)).some(({ type }) => type === 'password.rehashed'))
  })
})

/** An action, its audit row, and a query for the state that it changes. */
interface Deed {
  type: string
  service: Name
  /** Creates what the action needs, and returns a function that performs it. */
  prepare(system: System): Promise<{ act(headers?: Record<string, string>): Promise<Answer>; about: string }>
  /** Query for the state that the action changes. */
  state: string
}

function deed(type: string, service: Name, state: string, prepare: Deed['prepare']): Deed {
  return { type, service, state, prepare }
}

const SESSIONS = 'SELECT id, counter FROM sessions WHERE user_id = ?'
const USER = 'SELECT version, roles, status, password_hash FROM users WHERE id = ?'
const MODULE = 'SELECT * FROM modules WHERE id = ?'

/** An action of a new user, or of an operator on that user. */
function ofUser(
  type: string,
  service: Name,
  state: string,
  line: (user: TestUser) => string,
  options: (user: TestUser) => { headers?: Record<string, string>; body?: unknown },
): Deed {
  return deed(type, service, state, async ({ url, ...system }) => {
    const user = await createUser({ url, ...system })
    const { body, headers } = options(user)
    const act = (more = {}) =>
      call(url[service], line(user), { headers: { ...headers, ...more }, ...(body === undefined ? {} : { body }) })
    return { about: user.id, act }
  })
}

/** A rotation with this query, after rotations with the others. */
function rotation(before: string[], query: string): Deed {
  return deed('key.rotated', 'auth', "SELECT kid, status FROM signing_keys WHERE ? > ''", async ({ url }) => {
    const ask = (search: string, headers = {}) =>
      call(url.auth, `POST /admin/keys/rotate${search}`, { headers: { ...as.operator, ...headers } })
    for (const one of before) await ask(one)
    return { about: 'the keys', act: (headers = {}) => ask(query, headers) }
  })
}

const operator = () => ({ headers: as.operator })
const setTo = (body: unknown) => () => ({ headers: as.operator, body })
const bearer = ({ tokens }: TestUser) => ({ headers: as.bearer(tokens.access_token) })

const DEEDS: Deed[] = [
  ofUser(
    'session.created',
    'auth',
    SESSIONS,
    () => 'POST /auth/login',
    ({ email }) => ({ body: { login: email, password: PASSWORD } }),
  ),
  ofUser(
    'login.failed',
    'auth',
    "SELECT times FROM login_failures WHERE subject = 'account:' || ?",
    () => 'POST /auth/login',
    ({ email }) => ({ body: { login: email, password: 'wrong' } }),
  ),
  deed('login.paused', 'auth', "SELECT times FROM login_failures WHERE subject = 'account:' || ?", async (system) => {
    const { email, id } = await createUser(system)
    for (let n = 0; n < 9; n++) await logIn(system, email, 'wrong')
    const act = (headers = {}) =>
      call(system.url.auth, 'POST /auth/login', { headers, body: { login: email, password: 'wrong' } })
    return { about: id, act }
  }),
  ofUser('session.logout', 'auth', SESSIONS, () => 'POST /auth/logout', bearer),
  ofUser('session.logout_all', 'auth', SESSIONS, () => 'POST /auth/logout-all', bearer),
  ofUser('session.revoked', 'auth', SESSIONS, ({ tokens }) => `DELETE /auth/sessions/${tokens.session_id}`, operator),
  ofUser(
    'session.token_revoked',
    'auth',
    SESSIONS,
    () => 'POST /auth/revoke',
    ({ tokens }) => ({ body: { token: tokens.refresh_token } }),
  ),
  deed('session.reuse_detected', 'auth', SESSIONS, async (system) => {
    const { id, tokens } = await createUser(system)
    const refresh = (refresh_token: string, headers = {}) =>
      call(system.url.auth, 'POST /api/v1/auth/refresh', { headers, body: { refresh_token } })
    await refresh((await refresh(tokens.refresh_token)).body.refresh_token)
    return { about: id, act: (headers) => refresh(tokens.refresh_token, headers) }
  }),
  ofUser(
    'cache.dropped',
    'auth',
    'SELECT cached FROM accounts WHERE user_id = ?',
    ({ id }) => `DELETE /admin/password-cache/${id}`,
    operator,
  ),
  deed('cache.sync_begun', 'auth', 'SELECT cached FROM accounts WHERE user_id = ?', async ({ url, ...system }) => {
    const { id } = await createUser({ url, ...system })
    await call(url.auth, `DELETE /admin/password-cache/${id}`, { headers: as.operator })
    const act = (headers = {}) =>
      call(url.auth, 'POST /admin/password-cache/sync', {
        headers: { ...as.operator, ...headers },
        body: { user_id: id },
      })
    return { about: id, act }
  }),
  rotation([], ''),
  // The pending key begins to sign, and then a new key.
  rotation([''], '?now=true'),
  rotation(['?now=true'], '?now=true'),
  deed('key.removed', 'auth', 'SELECT kid FROM signing_keys WHERE kid = ?', async ({ url }) => {
    const rotate = () => call(url.auth, 'POST /admin/keys/rotate?now=true', { headers: as.operator })
    const { kid } = (await rotate()).body
    await rotate()
    const act = (headers = {}) =>
      call(url.auth, `DELETE /admin/keys/${kid}`, { headers: { ...as.operator, ...headers } })
    return { about: kid, act }
  }),
  deed('password.reset', 'users', USER, async (system) => {
    const { email, id } = await createUser(system)
    const client = (line: string, options = {}) => call(system.url.auth, line.replace(' ', ' /api/v1'), options)
    const token = await mailedToken(client, system, email)
    const act = (headers = {}) =>
      call(system.url.auth, 'POST /auth/password-reset-confirm', { headers, body: { token, new_password: NEW } })
    return { about: id, act }
  }),
  ofUser('user.roles_changed', 'users', USER, ({ id }) => `PATCH /users/${id}`, setTo({ roles: ['EDITOR'] })),
  ofUser('user.disabled', 'users', USER, ({ id }) => `PATCH /users/${id}`, setTo({ status: 'disabled' })),
  ofUser('user.updated', 'users', USER, ({ id }) => `PATCH /users/${id}`, setTo({ name: 'Another' })),
  ofUser('user.deleted', 'users', USER, ({ id }) => `DELETE /users/${id}`, operator),
  ofUser('user.erased', 'users', USER, ({ id }) => `POST /users/${id}/erase`, operator),
  ofUser('password.set', 'users', USER, ({ id }) => `POST /users/${id}/set-password`, setTo({ new_password: NEW })),
  ofUser(
    'password.changed',
    'users',
    USER,
    ({ id }) => `POST /users/${id}/change-password`,
    (user) => ({ ...bearer(user), body: { current_password: PASSWORD, new_password: NEW } }),
  ),
  ...(['user.created', 'users.created'] as const).map((type) =>
    deed(type, 'users', 'SELECT count(*) FROM users WHERE email = ?', async ({ url }) => {
      const email = newEmail()
      const [path, body] =
        type === 'user.created'
          ? ['/users', { email, password: PASSWORD }]
          : ['/users/import', `${JSON.stringify({ email, password: PASSWORD })}\n`]
      const headers = { ...as.operator, ...(type === 'user.created' ? {} : { 'content-type': 'application/x-ndjson' }) }
      return {
        about: email,
        act: (more = {}) => call(url.users, `POST ${path}`, { headers: { ...headers, ...more }, body }),
      }
    }),
  ),
  ...(['module.enabled', 'module.disabled'] as const).map((type) =>
    deed(type, 'modules', 'SELECT * FROM choices WHERE user_id = ?', async (system) => {
      const [{ id }, module] = await Promise.all([createUser(system), newModule(system)])
      const turn = (way: string, headers = {}) =>
        call(system.url.modules, `POST /modules/${module}/${way}`, {
          headers: { ...as.operator, ...headers },
          body: { user_id: id },
        })
      if (type === 'module.disabled') await turn('enable')
      return { about: id, act: (headers) => turn(type === 'module.enabled' ? 'enable' : 'disable', headers) }
    }),
  ),
  ...(['module.created', 'module.updated', 'module.deleted'] as const).map((type) =>
    deed(type, 'modules', MODULE, async (system) => {
      const id = type === 'module.created' ? `m-${Bun.randomUUIDv7()}` : await newModule(system)
      const [line, body] = {
        'module.created': ['POST /modules', { id, name: 'One', description: 'Of this test' }],
        'module.updated': [`PATCH /modules/${id}`, { name: 'Other' }],
        'module.deleted': [`DELETE /modules/${id}`, undefined],
      }[type] as [string, unknown]
      const act = (headers = {}) =>
        call(system.url.modules, line, { headers: { ...as.operator, ...headers }, ...(body ? { body } : {}) })
      return { about: id, act }
    }),
  ),
]

/** The rows of a request in the database that it changes: in the audit, or in the outbox. */
const LEFT: Record<'audit' | 'outbox', string> = {
  audit: 'SELECT type FROM audit WHERE request_id = ?',
  outbox: "SELECT payload->>'type' AS type FROM outbox WHERE kind = 'audit' AND payload->>'requestId' = ?",
}

describe('check 40: the row is written in the transaction of the change', () => {
  const here = running(inProcess, { LOG_LEVEL: 'silent', REFRESH_REUSE_GRACE: '0s' })

  test.each(DEEDS.map((one) => [one.type, one] as const))(
    '%s: if no row can be written, nothing is changed',
    async (type, one) => {
      const { system } = here
      const file = new Database(join(system.dataDir, `${one.service}.sqlite`))
      file.run('PRAGMA busy_timeout = 5000')
      const [table, typeColumn] = one.service === 'auth' ? ['audit', 'NEW.type'] : ['outbox', "NEW.payload->>'type'"]
      try {
        const { about, act } = await one.prepare(system)
        const state = () => file.query(one.state).values(about)
        const before = state()
        file.run(
          `CREATE TRIGGER no_row BEFORE INSERT ON ${table} WHEN ${typeColumn} = '${type}' BEGIN SELECT RAISE(ABORT, 'no row'); END`,
        )
        // An answer of lines has begun before the first row is written: it breaks off.
        const refused = await act().catch(() => undefined)
        if (type !== 'users.created') expect(refused?.status).toBeWithin(500, 504)
        expect(state()).toEqual(before)
        file.run('DROP TRIGGER no_row')
        const id = `row-${Bun.randomUUIDv7()}`
        await act({ 'x-request-id': id })
        expect(state()).not.toEqual(before)
        await eventually(async () => (await rowsOf(system, id)).some((row) => row.type === type) || undefined)
      } finally {
        file.run('DROP TRIGGER IF EXISTS no_row')
        file.close()
      }
    },
  )
})

describe('check 40: a killed service has the change and its row, or neither', () => {
  const killed = ['user.roles_changed', 'session.revoked', 'module.enabled']
  const points = join(import.meta.dir, '../faults/points.ts')

  test.each(['before-commit', 'after-commit'])('%s', async (point) => {
    const env = { RATE_LIMIT: 'off', LOG_LEVEL: 'silent', FAULT: point }
    const system = await processes('together', env, { preload: points })
    try {
      // In the suite one whose row is in the database of auth, and one whose row is sent to it.
      for (const one of sliced(
        DEEDS.filter(({ type }) => killed.includes(type)),
        3,
        ({ service }) => service === 'auth',
      )) {
        const { about, act } = await one.prepare(system)
        const path = join(system.dataDir, `${one.service}.sqlite`)
        const look = <T>(use: (file: Database) => T): T => {
          const file = new Database(path)
          try {
            return use(file)
          } finally {
            file.close()
          }
        }
        const state = () => look((file) => JSON.stringify(file.query(one.state).values(about)))
        const before = state()
        const id = `row-${Bun.randomUUIDv7()}`
        const answered = await act({ 'x-request-id': id, 'x-fault': one.service }).catch(() => undefined)
        expect([one.type, answered]).toEqual([one.type, undefined])
        await system.ended('auth')
        const rows = look((file) =>
          file
            .query(LEFT[one.service === 'auth' ? 'audit' : 'outbox'])
            .values(id)
            .flat(),
        )
        const committed = point === 'after-commit'
        expect([one.type, state() !== before, rows]).toEqual([one.type, committed, committed ? [one.type] : []])
        await system.start('auth')
        if (committed)
          await eventually(async () => (await rowsOf(system, id)).some(({ type }) => type === one.type) || undefined)
      }
    } finally {
      await system.stop()
    }
  })
})

describe('check 40: untrusted text cannot control a terminal', () => {
  const HOSTILE = 'a\u001b[31mb\u0007\u009b2Jc\u007f'
  /** Control characters that the server accepts in a header. */
  const AGENT = 'a\u009b2Jb\u007fc\td'
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
  const STEERING = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/

  test.each(['json', 'pretty'])(
    'a user agent, a request id, a name, an email: log as %s, tables and JSON of the tool',
    async (format) => {
      const system = await processes('together', { LOG_FORMAT: format, LOG_LEVEL: 'debug' })
      try {
        const { email, id } = await registerUser(system)
        const host = new URL(system.url.auth).host
        const post = (line: string, body: unknown) => {
          const text = JSON.stringify(body)
          return request(
            system.url.auth,
            `POST ${line} HTTP/1.1`,
            [
              `Host: ${host}`,
              'content-type: application/json',
              `content-length: ${Buffer.byteLength(text)}`,
              `user-agent: ${AGENT}`,
              `x-request-id: ${AGENT}`,
            ],
            text,
          )
        }
        const answers = [
          await post('/auth/login', { email, password: PASSWORD }),
          await post('/auth/login', { email, password: `${HOSTILE} wrong` }),
          await post('/auth/login', { email: `${HOSTILE}@example.org`, password: HOSTILE }),
          await post('/auth/register', { email: newEmail(), password: PASSWORD, name: HOSTILE }),
          await post(`/auth/${encodeURIComponent(HOSTILE)}`, { [HOSTILE]: HOSTILE }),
        ]
        expect(answers.map(({ status }) => status)).toEqual([200, 401, 400, 400, 404])
        for (const { headers, text } of answers) {
          expect(text).not.toMatch(STEERING)
          expect(headers.get('x-request-id') ?? '').not.toMatch(STEERING)
        }
        // A row of another service, which may validate less strictly.
        const foreignRow = {
          id: Bun.randomUUIDv7(),
          at: Date.now(),
          type: 'login.failed',
          user_id: id,
          actor: 'anyone',
        }
        await call(system.url.auth, 'POST /auth/audit', {
          headers: as.internal,
          body: { ...foreignRow, ip: null, request_id: null, detail: { email: HOSTILE, [HOSTILE]: [HOSTILE] } },
        })
        const sessions = await call(system.url.auth, `GET /auth/sessions?user_id=${id}`, { headers: as.operator })
        const agents: string[] = sessions.body.items.map(({ user_agent }: { user_agent: string }) => user_agent)
        expect(agents.filter((agent) => STEERING.test(agent))).toHaveLength(1)
        const settings = ownSettings(system.dataDir)
        const env = { ...settings, CH202_URL: system.url.auth, AUTH_URL: '', USERS_URL: '', MODULES_URL: '' }
        const lists = [`sessions list --user ${id}`, 'audit list']
        const lines = format === 'json' ? [...lists, ...lists.map((list) => `${list} -o json`)] : ['logs']
        await Promise.all(
          lines.map(async (line) => {
            const output = await runTool(line.split(' '), { env })
            expect([line, output.status, output.stdout === '']).toEqual([line, 0, false])
            expect([line, output.stdout + output.stderr]).toEqual([line, expect.not.stringMatching(STEERING)])
          }),
        )
        expect(system.output()).not.toMatch(STEERING)
      } finally {
        await system.stop()
      }
    },
  )
})
