import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { join } from 'node:path'
import { createUser, logIn, registerUser, type TestUser } from '../support/actors.ts'
import { addWebhook, outboxesEmpty, outgoingEvents } from '../support/events.ts'
import { eventually } from '../support/eventually.ts'
import { as, call } from '../support/http.ts'
import { databaseRows } from '../support/postgres/database-rows.ts'
import { processes } from '../support/processes.ts'
import type { System } from '../support/system.ts'
import { sliced } from '../support/whole.ts'
import { type Between, startProxy } from './proxy.ts'

setDefaultTimeout(120_000)

const ENV = { RATE_LIMIT: 'off', LOG_LEVEL: 'silent' }
const patch = ({ url }: System, { id }: TestUser, body: object, headers: Record<string, string> = {}) =>
  call(url.users, `PATCH /api/v1/users/${id}`, { headers: { ...as.operator, ...headers }, body })
/** Events about a user, without those for creating the user and opening sessions. */
const eventsOf = async (system: System, { id }: TestUser) =>
  (await outgoingEvents(system)).filter(({ data, type }) => data.user_id === id && !type.endsWith('.created'))

describe('a service killed between a change and its event', () => {
  const POINTS = join(import.meta.dir, 'points.ts')
  const receiver = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: () => new Response() })
  afterAll(() => receiver.stop(true))
  /** Waits until no write is pending: the next commit is that of the next request. */
  const quiet = async (system: System) => {
    await outboxesEmpty(system)
    const pending = "SELECT seq FROM deliveries WHERE status = 'pending'"
    await eventually(async () => (await databaseRows(system, 'auth', pending)).length === 0)
  }
  const POINT_OF: [point: string, told: boolean][] = [
    ['before-commit', false],
    ['after-commit', true],
    // The second commit records that everything was delivered: without it everything is delivered again.
    ['before-commit:2', true],
  ]

  test.concurrent.each(sliced(POINT_OF, 3))(
    '%s of users: an event is sent exactly once if the change was committed, and else not at all',
    async (point, hasEvent) => {
      const system = await processes('apart', { ...ENV, FAULT: point }, { preload: POINTS })
      try {
        await addWebhook(system, receiver.url.href)
        const user = await registerUser(system)
        await quiet(system)
        await patch(system, user, { name: 'Ana', roles: ['USER', 'EDITOR'] }, { 'x-fault': 'users' }).catch(
          () => undefined,
        )
        await system.ended('users')
        await system.start('users')
        await outboxesEmpty(system)
        const { name } = (await call(system.url.users, `GET /api/v1/users/${user.id}`, { headers: as.operator })).body
        expect(name).toBe(hasEvent ? 'Ana' : null)
        const events = (await eventsOf(system, user)).map(({ data, type }) => [type, data.fields])
        expect(events).toEqual(hasEvent ? [['user.updated', ['name', 'roles']]] : [])
      } finally {
        await system.stop()
      }
    },
  )

  // In the suite the other point than of users.
  test.concurrent.each(sliced(POINT_OF.slice(0, 2).toReversed(), 2))(
    '%s of auth: an event is sent for a session that has ended, and not for an active one',
    async (point, hasEvent) => {
      const system = await processes('apart', { ...ENV, FAULT: point }, { preload: POINTS })
      try {
        await addWebhook(system, receiver.url.href)
        let user: TestUser
        let status: number
        let tries = 0
        do {
          user = await registerUser(system)
          await quiet(system)
          const headers = { ...as.bearer(user.tokens.access_token), 'x-fault': 'auth' }
          await call(system.url.auth, 'POST /api/v1/auth/logout', { headers }).catch(() => undefined)
          await system.ended('auth')
          await system.start('auth')
          const body = { refresh_token: user.tokens.refresh_token }
          status = (await call(system.url.auth, 'POST /api/v1/auth/refresh', { body })).status
          // Auth writes its heartbeat at intervals: sometimes the kill meets that commit.
        } while (hasEvent && status === 200 && ++tries < 3)
        expect(status).toBe(hasEvent ? 401 : 200)
        expect((await eventsOf(system, user)).map(({ data, type }) => [type, data.session_id])).toEqual(
          hasEvent ? [['session.revoked', user.tokens.session_id]] : [],
        )
      } finally {
        await system.stop()
      }
    },
  )
})

describe('notices between users and auth', () => {
  let system: System
  let between: Between
  beforeAll(async () => {
    between = await startProxy(() => system.url.auth, /\/auth\/sync\//)
    system = await processes('apart', ENV, {
      settingsOf: (name) => (name === 'users' ? { AUTH_URL: between.url } : {}),
    })
  })
  afterAll(async () => {
    await system?.stop()
    between.stop()
  })
  /** Kinds of notices that wait in the outbox of users. */
  const waiting = () =>
    databaseRows<{ kind: string }>(system, 'users', 'SELECT DISTINCT kind FROM outbox ORDER BY kind')
  /** Blocks the notices of users to auth while `work` runs; the feed of auth arrives. */
  const withoutNotices = async (work: () => Promise<unknown>) => {
    between.cut = { paths: /\/auth\/(sync|audit)/, how: 'broken' }
    await work()
    const kinds = (await waiting()).map(({ kind }) => kind)
    between.cut = undefined
    await outboxesEmpty(system)
    return kinds
  }
  /** All changes at once: each answer waits a while for the other services to acknowledge. */
  const everything = () =>
    Promise.all([
      registerUser(system).then((user) => patch(system, user, { name: 'Ana' })),
      createUser(system).then(({ id }) => {
        const options = { headers: as.operator, body: { new_password: 'another horse battery' } }
        return call(system.url.users, `POST /api/v1/users/${id}/set-password`, options)
      }),
      createUser(system).then(({ id }) =>
        call(system.url.users, `DELETE /api/v1/users/${id}`, { headers: as.operator }),
      ),
    ])

  test('are not written, in users or in auth, without a subscriber', async () => {
    await outboxesEmpty(system)
    // If users has lost auth's feed, it writes all notices, as it must: on a busy machine that may happen by chance.
    const kinds = await eventually(async () => {
      const written = await withoutNotices(everything)
      return written.includes('event') ? undefined : written
    })
    expect(kinds).toEqual(['account_mail', 'audit', 'changed', 'deleted'])
    expect(await databaseRows(system, 'auth', 'SELECT * FROM events')).toEqual([])
    expect(await databaseRows(system, 'auth', 'SELECT * FROM deliveries')).toEqual([])
  })

  test('reach a subscriber that is added while users is cut off from auth', async () => {
    const user = await registerUser(system)
    await outboxesEmpty(system)
    between.cut = { paths: /\/auth\//, how: 'broken' }
    await addWebhook(system)
    await patch(system, user, { name: 'Ana' })
    between.cut = undefined
    await outboxesEmpty(system)
    expect((await eventsOf(system, user)).map(({ type }) => type)).toEqual(['user.updated'])
  })

  test('are written with the change if there is a subscriber', async () => {
    await outboxesEmpty(system)
    expect(await withoutNotices(everything)).toContain('event')
  })

  test.each(['answer', 'request'] as const)('cause one event when the %s is lost', async (lost) => {
    const user = await registerUser(system)
    await outboxesEmpty(system)
    between.fates = Array.from({ length: 4 }, () => ({ lost }))
    await patch(system, user, { name: 'Ana' })
    await eventually(() => between.fates.length === 0)
    await outboxesEmpty(system)
    expect((await eventsOf(system, user)).map(({ type }) => type)).toEqual(['user.updated'])
  })

  test('arrive later, in order, when auth was down', async () => {
    const user = await registerUser(system)
    await outboxesEmpty(system)
    await system.kill('auth')
    for (const name of ['Ana', 'Bea', 'Cem']) await patch(system, user, { name })
    await call(system.url.users, `DELETE /api/v1/users/${user.id}`, { headers: as.operator })
    await system.start('auth')
    await outboxesEmpty(system)
    expect((await logIn(system, user.email)).status).toBe(401)
    const events = await eventsOf(system, user)
    const names = events
      .filter(({ type }) => type === 'user.updated')
      .map(({ data }) => (data.user as TestUser & { name: string }).name)
    expect(names).toEqual(['Ana', 'Bea', 'Cem'])
    expect(events.map(({ type }) => type)).toEqual([
      ...names.map(() => 'user.updated' as const),
      'session.revoked',
      'user.deleted',
    ])
  })
})
