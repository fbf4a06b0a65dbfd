import { beforeAll, describe, expect, test } from 'bun:test'
import Ajv from 'ajv/dist/2020'
import addFormats from 'ajv-formats'
import { EVENT_TYPES, type EventType, MESSAGE_SCHEMAS } from '../../services/kit/schema/events.ts'
import { logIn, newEmail, PASSWORD, registerUser, type TestUser } from '../support/actors.ts'
import { challenged, nextMail } from '../support/challenges.ts'
import { addWebhook, outboxesEmpty, outgoingEvents } from '../support/events.ts'
import { eventually } from '../support/eventually.ts'
import { enrolApp, enrolPasskey } from '../support/factors.ts'
import { as, byOperator, call, jsonLines, type Options, parseLines } from '../support/http.ts'
import { mailedToken } from '../support/mails.ts'
import { databaseSetting } from '../support/postgres/database-rows.ts'
import { running } from '../support/running.ts'
import { inProcess, inProcessApart, nodeAddresses } from '../support/system.ts'
import { ownSettings, runTool } from '../support/tool.ts'

const here = running(inProcessApart, {
  RATE_LIMIT: 'off',
  LOG_LEVEL: 'silent',
  REFRESH_REUSE_GRACE: '0s',
  DEVICE_TRUST: 'all',
})
beforeAll(async () => {
  await addWebhook(here.system)
  await here.modules('POST /modules', byOperator({ id: MODULE, name: 'Billing', description: 'Invoices' }))
})

const MODULE = 'billing'
const NEW = 'another horse battery'
/** The hash of a password that no user has. */
const HASH = await Bun.password.hash('a phrase of no one', { algorithm: 'bcrypt', cost: 4 })

/** Sends a request, and throws if it is refused. */
const auth = async (request: string, options: Options = {}) => done(await call(here.system.url.auth, request, options))
const users = async (request: string, options: Options = {}) =>
  done(await call(here.system.url.users, request, options))
const asOwner = (user: TestUser) => ({ headers: as.bearer(user.tokens.access_token) })
const patched = (user: TestUser, body: object) => users(`PATCH /api/v1/users/${user.id}`, byOperator(body))

function done(answer: Awaited<ReturnType<typeof call>>) {
  if (answer.status >= 300) throw new Error(`${answer.status} ${answer.text}`)
  return answer.body
}

/** Opens another session of the user. @returns its id */
async function openSession({ email }: TestUser): Promise<string> {
  return done(await logIn(here.system, email)).session_id
}

const importLines = async (conflict: string, ...lines: object[]) => {
  const answer = await call(here.system.url.users, `POST /users/import?on_conflict=${conflict}`, jsonLines(lines))
  done(answer)
  return parseLines(answer)
}
const userNow = (id: string) => users(`GET /api/v1/users/${id}`, byOperator())

type ExpectedEvent = [type: EventType, data?: Record<string, unknown>]
const opened = (session_id: string, kind = 'v1'): ExpectedEvent => ['session.created', { session_id, kind }]
const ended = (session_id: string, reason: string): ExpectedEvent => ['session.revoked', { session_id, reason }]
const updated = (...fields: string[]): ExpectedEvent => ['user.updated', { fields }]
const by = (who: string): ExpectedEvent => ['password.changed', { by: who }]

interface Row {
  what: string
  /** Acts on a user who has a session, and returns exactly the events that webhooks must get. */
  act(user: TestUser): Promise<ExpectedEvent[]>
}

const ENDINGS: Row[] = [
  {
    what: 'a logout',
    async act(user) {
      await auth('POST /api/v1/auth/logout', asOwner(user))
      return [ended(user.tokens.session_id, 'logout')]
    },
  },
  {
    what: 'a logout of two sessions at once, by the access token of one and the refresh token of the other',
    async act(user) {
      const { refresh_token, session_id } = done(await logIn(here.system, user.email))
      await auth('POST /api/v1/auth/logout', { ...asOwner(user), body: { refresh_token } })
      return [opened(session_id), ended(session_id, 'logout'), ended(user.tokens.session_id, 'logout')]
    },
  },
  {
    what: 'revoking a refresh token, twice',
    async act({ tokens: { refresh_token, session_id } }) {
      await auth('POST /api/v1/auth/revoke', { body: { token: refresh_token } })
      await auth('POST /api/v1/auth/revoke', { body: { token: refresh_token } })
      return [ended(session_id, 'token_revoked')]
    },
  },
  {
    what: 'a logout everywhere',
    async act(user) {
      const second = await openSession(user)
      await auth('POST /api/v1/auth/logout-all', asOwner(user))
      return [opened(second), ended(user.tokens.session_id, 'logout_all'), ended(second, 'logout_all')]
    },
  },
  {
    what: 'a session that its user ends from another session',
    async act(user) {
      const second = await openSession(user)
      await auth(`DELETE /api/v1/auth/sessions/${second}`, asOwner(user))
      return [opened(second), ended(second, 'user')]
    },
  },
  {
    what: 'a session that an operator ends',
    async act({ tokens: { session_id } }) {
      await auth(`DELETE /api/v1/auth/sessions/${session_id}`, byOperator())
      return [ended(session_id, 'operator')]
    },
  },
  {
    what: 'an operator ending the sessions of a user',
    async act(user) {
      const second = await openSession(user)
      await auth(`DELETE /api/v1/auth/sessions?user_id=${user.id}`, byOperator())
      return [opened(second), ended(user.tokens.session_id, 'operator'), ended(second, 'operator')]
    },
  },
  {
    what: 'an operator ending all sessions',
    async act({ tokens: { session_id } }) {
      await auth('DELETE /api/v1/auth/sessions?all=true', byOperator())
      return [ended(session_id, 'operator')]
    },
  },
  {
    what: 'a refresh token that is used again',
    async act({ tokens: { refresh_token, session_id } }) {
      await auth('POST /api/v1/auth/refresh', { body: { refresh_token } })
      await Bun.sleep(2)
      const again = await call(here.system.url.auth, 'POST /api/v1/auth/refresh', { body: { refresh_token } })
      expect(again.body.code).toBe('refresh_token_reused')
      return [ended(session_id, 'reuse_detected')]
    },
  },
]

const PASSWORDS: Row[] = [
  {
    what: 'a password that its user changes: the session that changed it stays',
    async act(user) {
      const second = await openSession(user)
      const body = { current_password: PASSWORD, new_password: NEW }
      await users(`POST /api/v1/users/${user.id}/change-password`, { ...asOwner(user), body })
      return [opened(second), ended(second, 'password_changed'), by('self')]
    },
  },
  {
    what: 'a password that an operator sets',
    async act({ id, tokens: { session_id } }) {
      await users(`POST /api/v1/users/${id}/set-password`, byOperator({ new_password: NEW }))
      return [ended(session_id, 'password_changed'), by('operator')]
    },
  },
  {
    what: 'a password that is reset by mail',
    async act({ email, tokens: { session_id } }) {
      const token = await mailedToken(
        (request, options) => call(here.system.url.auth, request, options),
        here.system,
        email,
      )
      await auth('POST /api/v1/auth/password-reset-confirm', { body: { token, new_password: NEW } })
      // The link is the first proof of the address.
      return [ended(session_id, 'password_changed'), updated('email_verified'), by('reset')]
    },
  },
  {
    what: 'an administrator who is restored with `ch202 recover`',
    async act({ email, id, tokens: { session_id } }) {
      const { OPERATOR_API_KEY: _, ...env } = ownSettings(here.system.dataDir, {
        AUTH_URL: here.system.url.auth,
        ...databaseSetting(here.system),
      })
      const words = ['recover', email, '--password-stdin', '-o', 'json']
      expect((await runTool(words, { env, stdin: NEW })).status).toBe(0)
      const { roles } = await userNow(id)
      expect(roles).toEqual(['USER', 'ADMIN'])
      return [ended(session_id, 'password_changed'), updated('roles'), by('operator')]
    },
  },
]

const CHANGES: Row[] = [
  {
    what: 'a change of the name',
    async act(user) {
      await users(`PATCH /api/v1/users/${user.id}`, { ...asOwner(user), body: { name: 'Ana' } })
      return [updated('name')]
    },
  },
  {
    what: 'a new device that is confirmed by a code',
    async act(user) {
      // The mail of the registration comes first.
      await nextMail(here.system, user.email)
      await patched(user, { email_verified: true })
      const { challenge_id, code } = await challenged(here.system, user.email, () => logIn(here.system, user.email))
      const { session_id } = await auth('POST /api/v1/auth/device-confirm', { body: { challenge_id, code } })
      return [updated('email_verified'), opened(session_id), ['device.confirmed', { user_id: user.id }]]
    },
  },
  {
    what: 'a change that changes nothing',
    async act(user) {
      await patched(user, { email: user.email, name: null, roles: ['USER'], status: 'active' })
      return []
    },
  },
  {
    what: 'a new email, which is not verified',
    async act(user) {
      await patched(user, { email_verified: true })
      await patched(user, { email: newEmail() })
      return [updated('email_verified'), updated('email', 'email_verified')]
    },
  },
  {
    what: 'a replacement: a missing field becomes null',
    async act(user) {
      await patched(user, { name: 'Ana', username: `n${Date.now().toString(36)}` })
      await users(`PUT /api/v1/users/${user.id}`, byOperator({ email: user.email }))
      return [updated('username', 'name'), updated('username', 'name')]
    },
  },
  {
    what: 'other roles: the sessions stay',
    async act(user) {
      await patched(user, { roles: ['USER', 'EDITOR'] })
      return [updated('roles')]
    },
  },
  {
    what: 'a user who is disabled and enabled again',
    async act(user) {
      await patched(user, { status: 'disabled' })
      await patched(user, { status: 'active' })
      return [ended(user.tokens.session_id, 'account_disabled'), updated('status'), updated('status')]
    },
  },
  {
    what: 'a user who is deleted',
    async act(user) {
      const second = await openSession(user)
      await users(`DELETE /api/v1/users/${user.id}`, byOperator())
      const ends = [user.tokens.session_id, second].map((session) => ended(session, 'account_deleted'))
      return [opened(second), ...ends, ['user.deleted']]
    },
  },
  {
    what: 'a user who is deleted, v0',
    async act(user) {
      await users(`DELETE /user/${user.id}`, asOwner(user))
      return [ended(user.tokens.session_id, 'account_deleted'), ['user.deleted']]
    },
  },
  {
    what: 'imports of an existing user: unchanged, with another name, with another password',
    async act({ email, tokens: { session_id } }) {
      await importLines('update', { email, password: PASSWORD })
      await importLines('skip', { email, password: NEW })
      await importLines('update', { email, password: PASSWORD, name: 'Ana' })
      await importLines('update', { email, password: NEW, name: 'Bea' })
      return [updated('name'), ended(session_id, 'password_changed'), updated('name'), by('operator')]
    },
  },
  {
    what: 'a module that is enabled and disabled, each twice',
    async act(user) {
      for (const verb of ['enable', 'enable', 'disable', 'disable'])
        done(await call(here.system.url.modules, `POST /api/v1/modules/${MODULE}/${verb}`, asOwner(user)))
      return [
        ['module.enabled', { module_id: MODULE }],
        ['module.disabled', { module_id: MODULE }],
      ]
    },
  },
  {
    what: 'requests that are refused, and requests that change nothing',
    async act(user) {
      await logIn(here.system, user.email, 'a wrong guess')
      await call(here.system.url.users, `PATCH /api/v1/users/${user.id}`, {
        ...asOwner(user),
        body: { roles: ['ADMIN'] },
      })
      await call(here.system.url.users, `DELETE /api/v1/users/${user.id}`)
      await auth('POST /api/v1/auth/validate-token', { body: { token: user.tokens.access_token } })
      await auth('GET /api/v1/auth/me', asOwner(user))
      await auth('POST /api/v1/auth/refresh', { body: { refresh_token: user.tokens.refresh_token } })
      await users(`POST /api/v1/users/${user.id}/password-changed`, { headers: as.internal, body: {} })
      await auth('POST /api/v1/admin/password-cache/sync', byOperator({ user_id: user.id }))
      await auth(`DELETE /api/v1/admin/password-cache/${user.id}`, byOperator())
      return []
    },
  },
]

/** Verifies the email of a user, whose events then begin with that change. */
const verified = (user: TestUser) => patched(user, { email_verified: true })
const factorOf = (event: 'factor.added' | 'factor.removed', factor_id: string): ExpectedEvent => [
  event,
  { factor_id, kind: 'totp' },
]

const FACTORS: Row[] = [
  {
    what: 'an app that is added and removed',
    async act(user) {
      await verified(user)
      const { app } = await enrolApp(here.system, user.tokens.access_token, Date.now())
      await auth(`DELETE /auth/factors/${app.id}`, asOwner(user))
      return [updated('email_verified'), factorOf('factor.added', app.id), factorOf('factor.removed', app.id)]
    },
  },
  {
    what: 'a passkey',
    async act(user) {
      await verified(user)
      await enrolPasskey(here.system, user.tokens.access_token)
      return [updated('email_verified'), ['factor.added', { kind: 'passkey', factor_id: expect.any(String) }]]
    },
  },
  {
    what: 'a recovery code that completes a login',
    async act(user) {
      await verified(user)
      const { app, recoveryCodes } = await enrolApp(here.system, user.tokens.access_token, Date.now())
      const { challenge_id } = (await logIn(here.system, user.email)).body
      const [code] = recoveryCodes
      const { session_id } = await auth('POST /auth/second-factor', { body: { challenge_id, code } })
      return [
        updated('email_verified'),
        factorOf('factor.added', app.id),
        ['recovery_code.used', { left: 9 }],
        opened(session_id),
      ]
    },
  },
  {
    what: 'a reset by an operator, which also ends the sessions',
    async act(user) {
      await verified(user)
      const { app } = await enrolApp(here.system, user.tokens.access_token, Date.now())
      await auth(`DELETE /admin/users/${user.id}/factors`, byOperator())
      return [
        updated('email_verified'),
        factorOf('factor.added', app.id),
        factorOf('factor.removed', app.id),
        ended(user.tokens.session_id, 'operator'),
      ]
    },
  },
  {
    what: 'an app that an operator imports',
    async act(user) {
      await verified(user)
      const secret = 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP'
      const { id } = await auth(`POST /admin/users/${user.id}/factors`, byOperator({ secret }))
      return [updated('email_verified'), factorOf('factor.added', id)]
    },
  },
]

/** The outgoing events of a user so far. */
const eventsOf = async (id: string) => (await outgoingEvents(here.system)).filter(({ data }) => data.user_id === id)

describe.each([
  ['the end of sessions', ENDINGS],
  ['passwords', PASSWORDS],
  ['changes', CHANGES],
  ['second factors', FACTORS],
] as const)('%s', (_, table) => {
  test.each(table.map((row) => [row.what, row] as const))('%s', async (_what, { act }) => {
    const user = await registerUser(here.system)
    await outboxesEmpty(here.system)
    const before = await eventsOf(user.id)
    expect(before.map(({ type }) => type).sort()).toEqual(['session.created', 'user.created'])
    const expected = await act(user)
    await outboxesEmpty(here.system)
    const events = (await eventsOf(user.id)).slice(before.length)
    expect(events.map(({ type }) => type)).toEqual(expected.map(([type]) => type))
    for (const [at, [, expectedData = {}]] of expected.entries()) expect(events[at]?.data).toMatchObject(expectedData)
    // The event holds the record after its change.
    const last = events.findLast(({ type }) => type === 'user.updated')
    if (last) expect(last.data.user).toEqual(await userNow(user.id))
  })
})

describe('a new user has events', () => {
  const WAYS: [what: string, make: (email: string) => Promise<{ id: string; session_id?: string }>][] = [
    ['by registration', (email) => register(email)],
    ['by registration, v0', (email) => auth('POST /auth/register', { body: { email, password: PASSWORD } })],
    ['by registration at users', (email) => users('POST /api/v1/users', { body: { email, password: PASSWORD } })],
    ['by registration at users, v0', (email) => users('POST /user', { body: { email, password: PASSWORD } })],
    [
      'when an operator creates them',
      (email) => users('POST /api/v1/users', byOperator({ email, password: PASSWORD, roles: ['A'] })),
    ],
    ['by an import', (email) => importOf({ email, password: PASSWORD, roles: ['USER', 'ADMIN'] })],
  ]
  async function register(email: string) {
    const { id, tokens } = await auth('POST /api/v1/auth/register', { body: { email, password: PASSWORD } })
    return { id, session_id: tokens.session_id }
  }
  async function importOf(line: object) {
    const [result] = await importLines('fail', line)
    return { id: result.id }
  }

  test.each(WAYS)('%s', async (_, make) => {
    const { id, session_id } = await make(newEmail())
    await outboxesEmpty(here.system)
    const [created, ...more] = (await eventsOf(id)).sort((a, b) => (a.type < b.type ? 1 : -1))
    expect([created?.type, created?.data.user]).toEqual(['user.created', await userNow(id)])
    expect(more.map(({ type, data }) => [type, data.session_id])).toEqual(
      session_id === undefined ? [] : [['session.created', session_id]],
    )
  })

  test('once: a refused second registration has no event', async () => {
    const { email, id } = await registerUser(here.system)
    await call(here.system.url.users, 'POST /api/v1/users', { body: { email, password: PASSWORD } })
    await importLines('fail', { email, password: PASSWORD })
    await outboxesEmpty(here.system)
    expect((await eventsOf(id)).map(({ type }) => type).sort()).toEqual(['session.created', 'user.created'])
  })
})

describe('a login has one event', () => {
  const headers = { 'user-agent': 'a client of the tests' }

  test.each([
    ['v1', 'POST /api/v1/auth/login', (body: Record<string, string>) => body.session_id],
    ['v0', 'POST /auth/login', () => undefined],
  ] as const)('with %s', async (kind, request, sessionOf) => {
    const user = await registerUser(here.system)
    const session_id = sessionOf(await auth(request, { headers, body: { email: user.email, password: PASSWORD } }))
    await outboxesEmpty(here.system)
    const expectedData = { user_id: user.id, kind, ip: '127.0.0.1', user_agent: headers['user-agent'] }
    const [created, ...more] = (await eventsOf(user.id)).slice(2)
    expect([created?.type, created?.data]).toEqual([
      'session.created',
      { session_id: expect.any(String), ...expectedData },
    ])
    if (session_id !== undefined) expect(created?.data.session_id).toBe(session_id)
    expect(more).toEqual([])
  })

  test('with an outdated hash, whose rehash is not a change of the password', async () => {
    const email = newEmail()
    const password_hash = await Bun.password.hash(PASSWORD, { algorithm: 'bcrypt', cost: 5 })
    const { id } = await users('POST /api/v1/users', byOperator({ email, password_hash }))
    await logIn(here.system, email)
    const rehashed = async () =>
      (await auth(`GET /api/v1/admin/audit?user_id=${id}&type=password.rehashed`, byOperator())).items.length === 1
    await eventually(rehashed)
    await outboxesEmpty(here.system)
    expect((await eventsOf(id)).map(({ type }) => type).sort()).toEqual(['session.created', 'user.created'])
  })
})

/** Counts the requests with events that auth has received so far. The metrics of a node are its own. */
async function countRequests(): Promise<number> {
  const texts = nodeAddresses(here.system, 'auth').map(
    async (url) => (await call(url, 'GET /metrics', byOperator())).text,
  )
  const counts = (await Promise.all(texts)).flatMap((text) => [
    ...text.matchAll(/_count\{[^}]*route="[^"]*\/auth\/sync\/events?"[^}]*\} (\d+)/g),
  ])
  return counts.reduce((sum, [, count]) => sum + Number(count), 0)
}

test('the events of a large import are sent in few requests, completely, in order per user', async () => {
  const lines = Array.from({ length: 1500 }, () => ({ email: newEmail(), password_hash: HASH }))
  const before = await countRequests()
  await importLines('fail', ...lines)
  await outboxesEmpty(here.system)
  expect((await countRequests()) - before).toBeLessThan(100)
  await importLines('update', ...lines.slice(0, 100).map((line) => ({ ...line, name: 'Ana' })))
  await outboxesEmpty(here.system)
  const eventsByEmail = Map.groupBy(
    await outgoingEvents(here.system),
    ({ data }) => (data.user as { email?: string } | undefined)?.email,
  )
  for (const [at, { email }] of lines.entries())
    expect(eventsByEmail.get(email)?.map(({ type }) => type)).toEqual(
      at < 100 ? ['user.created', 'user.updated'] : ['user.created'],
    )
})

test('an event that is sent twice goes out once; an unknown type is refused', async () => {
  const headers = as.internal
  const event = { id: Bun.randomUUIDv7(), type: 'user.deleted', user_id: Bun.randomUUIDv7(), at: Date.now(), data: {} }
  const send = (...events: object[]) =>
    call(here.system.url.auth, 'POST /api/v1/auth/sync/events', { headers, body: { events } })
  for (const events of [[event], [{ ...event, at: 0 }], [event, event], []])
    expect((await send(...events)).status).toBe(204)
  const timestamp = new Date(event.at).toISOString()
  expect(await eventsOf(event.user_id)).toEqual([
    { id: event.id, type: 'user.deleted', timestamp, data: { user_id: event.user_id } },
  ])
  const other = { ...event, id: Bun.randomUUIDv7(), data: { user_id: Bun.randomUUIDv7() } }
  await send(other)
  expect((await eventsOf(event.user_id)).map(({ data }) => data)).toEqual(Array(2).fill({ user_id: event.user_id }))
  expect((await send({ ...event, type: 'user.eaten' })).status).toBe(400)
})

test('services in one process send the same events', async () => {
  const oneProcess = await inProcess({ LOG_LEVEL: 'silent' })
  try {
    const earlierUser = await registerUser(oneProcess)
    await addWebhook(oneProcess)
    const { id, tokens } = await registerUser(oneProcess)
    const headers = as.bearer(tokens.access_token)
    done(await call(oneProcess.url.users, `PATCH /users/${id}`, { headers, body: { name: 'Ana' } }))
    done(await call(oneProcess.url.auth, 'POST /auth/logout-all', { headers, body: {} }))
    for (const user of [id, earlierUser.id])
      done(await call(oneProcess.url.users, `DELETE /users/${user}`, byOperator()))
    await outboxesEmpty(oneProcess)
    const types = async (of: string) =>
      (await outgoingEvents(oneProcess)).filter(({ data }) => data.user_id === of).map(({ type }) => type)
    expect(await types(id)).toEqual([
      'user.created',
      'session.created',
      'user.updated',
      'session.revoked',
      'user.deleted',
    ])
    expect(await types(earlierUser.id)).toEqual(['session.revoked', 'user.deleted'])
  } finally {
    await oneProcess.stop()
  }
})

describe('every outgoing event', () => {
  const ajv = addFormats.default(new Ajv({ allErrors: true, strict: true }))

  test('matches the schema of its type, without further fields', async () => {
    const checks = new Map(EVENT_TYPES.map((type) => [type as string, ajv.compile(strict(MESSAGE_SCHEMAS[type]))]))
    const messages = await outgoingEvents(here.system)
    for (const message of messages) {
      const check = checks.get(message.type)
      check?.(message)
      expect([message.type, check?.errors]).toEqual([message.type, null])
    }
    expect(new Set(messages.map(({ type }) => type))).toEqual(new Set(EVENT_TYPES))
    expect(new Set(messages.map(({ id }) => id)).size).toBe(messages.length)
  })

  test('contains no secret', async () => {
    const text = JSON.stringify(await outgoingEvents(here.system))
    for (const secret of [PASSWORD, NEW, '$2', 'eyJ', 'password_hash', 'token"']) expect(text).not.toContain(secret)
  })
})

/** The same schema, which refuses unknown fields. */
function strict(schema: Record<string, unknown>): Record<string, unknown> {
  return JSON.parse(JSON.stringify(schema), (_, value) =>
    value?.type === 'object' && value.properties ? { ...value, additionalProperties: false } : value,
  )
}
