import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { copyFileSync } from 'node:fs'
import { join } from 'node:path'
import { usersMigrations } from '../../db/sqlite/migrations/users.ts'
import { openDatabase } from '../../db/sqlite/open-database.ts'
import { openUsersStore } from '../../db/users/store.ts'
import { createUser, logIn, PASSWORD, type TestUser } from '../support/actors.ts'
import { eventually } from '../support/eventually.ts'
import { as, call } from '../support/http.ts'
import { scrape } from '../support/metrics.ts'
import { processes } from '../support/processes.ts'
import type { Name } from '../support/settings.ts'
import { LAYOUTS } from '../support/settings.ts'
import type { System } from '../support/system.ts'
import { launch, ownSettings, temporary } from '../support/tool.ts'
import { sliced, WHOLE } from '../support/whole.ts'

setDefaultTimeout(120_000)

const folder = temporary('points')
afterAll(() => folder.remove())
const POINTS = join(import.meta.dir, 'points.ts')
/** Seconds. Longer than a start and three requests take on a busy machine. */
const GRACE = 8

/** A request to a service that is killed before it answers. */
interface Killed {
  what: string
  service: Name
  ask(system: System, user: TestUser, fault: Record<string, string>): Promise<unknown>
  /** Checks the state after the restart, which depends on whether the commit was done. */
  after(system: System, user: TestUser, committed: boolean): Promise<void>
}

const NEW = 'another phrase of four'
const statusOf = async (answer: Promise<{ status: number }>) => (await answer).status
const refresh = ({ url }: System, refresh_token: string, headers: Record<string, string> = {}) =>
  call(url.auth, 'POST /api/v1/auth/refresh', { headers, body: { refresh_token } })
const each = async (system: System, { id, tokens }: TestUser) => {
  const headers = as.bearer(tokens.access_token)
  return await Promise.all([
    statusOf(call(system.url.auth, 'GET /api/v1/auth/me', { headers })),
    statusOf(call(system.url.users, `GET /api/v1/users/${id}`, { headers })),
    statusOf(call(system.url.modules, 'GET /api/v1/modules/', { headers })),
  ])
}
/** A notice reaches the other services within a second of the restart. */
const soon = async (look: () => Promise<unknown>, expected: unknown) => {
  const same = async () => JSON.stringify(await look()) === JSON.stringify(expected)
  await eventually(same).catch(async () => expect(await look()).toEqual(expected))
}

/** Waits until the outbox of the service is empty: else the kill may meet the commit of an acknowledgement. */
const quiet = (system: System, service: Name) =>
  eventually(async () => {
    return (await scrape(system.url[service])).sum('ch202_outbox_waiting', { service }) === 0
  })

const TABLE: Killed[] = [
  {
    what: 'a refresh',
    service: 'auth',
    ask: (system, { tokens }, fault) => refresh(system, tokens.refresh_token, fault),
    async after(system, user) {
      // The service was down for longer than the grace: that time does not count.
      const first = await refresh(system, user.tokens.refresh_token)
      expect(first.status).toBe(200)
      const again = await refresh(system, user.tokens.refresh_token)
      expect(again.body.refresh_token).toBe(first.body.refresh_token)
      expect(await statusOf(refresh(system, first.body.refresh_token))).toBe(200)
    },
  },
  {
    what: 'a logout',
    service: 'auth',
    ask: (system, { tokens }, fault) =>
      call(system.url.auth, 'POST /api/v1/auth/logout', { headers: { ...as.bearer(tokens.access_token), ...fault } }),
    async after(system, user, committed) {
      const status = committed ? 401 : 200
      // Without an answer, the other services may learn of the change a moment later.
      await soon(() => each(system, user), [status, status, status])
      expect(await statusOf(refresh(system, user.tokens.refresh_token))).toBe(status)
    },
  },
  {
    what: 'a password that is set',
    service: 'users',
    ask: (system, { id }, fault) =>
      call(system.url.users, `POST /api/v1/users/${id}/set-password`, {
        headers: { ...as.operator, ...fault },
        body: { new_password: NEW },
      }),
    async after(system, user, committed) {
      const [right, wrong] = committed ? [NEW, PASSWORD] : [PASSWORD, NEW]
      await soon(() => statusOf(logIn(system, user.email, right)), 200)
      expect(await statusOf(logIn(system, user.email, wrong))).toBe(401)
      const status = committed ? 401 : 200
      await soon(() => each(system, user), [status, status, status])
    },
  },
  {
    what: 'a user who is disabled',
    service: 'users',
    ask: (system, { id }, fault) =>
      call(system.url.users, `PATCH /api/v1/users/${id}`, {
        headers: { ...as.operator, ...fault },
        body: { status: 'disabled' },
      }),
    async after(system, user, committed) {
      await soon(() => statusOf(logIn(system, user.email)), committed ? 403 : 200)
      const status = committed ? 401 : 200
      await soon(() => each(system, user), [status, status, status])
    },
  },
  {
    what: 'a user who is deleted',
    service: 'users',
    ask: (system, { id }, fault) =>
      call(system.url.users, `DELETE /api/v1/users/${id}`, { headers: { ...as.operator, ...fault } }),
    async after(system, user, committed) {
      await soon(() => statusOf(logIn(system, user.email)), committed ? 401 : 200)
      const lookup = call(system.url.users, `GET /api/v1/users/${user.id}`, { headers: as.operator })
      expect(await statusOf(lookup)).toBe(committed ? 404 : 200)
      const status = committed ? 401 : 200
      await soon(() => each(system, user), [status, status, status])
    },
  },
  {
    what: 'a user who is made',
    service: 'users',
    ask: (system, { email }, fault) =>
      call(system.url.users, 'POST /api/v1/users', {
        headers: { ...as.operator, ...fault },
        body: { email: `second-${email}`, password: PASSWORD },
      }),
    async after(system, { email }, committed) {
      const headers = as.operator
      const lookup = call(system.url.users, `GET /api/v1/users/by-email/second-${email}`, { headers })
      expect(await statusOf(lookup)).toBe(committed ? 200 : 404)
      expect(await statusOf(logIn(system, `second-${email}`))).toBe(committed ? 200 : 401)
    },
  },
  {
    what: 'a module that is enabled',
    service: 'modules',
    ask: (system, { tokens }, fault) =>
      call(system.url.modules, 'POST /api/v1/modules/points/enable', {
        headers: { ...as.bearer(tokens.access_token), ...fault },
      }),
    async after(system, { id }, committed) {
      const answer = await call(system.url.modules, `GET /api/v1/modules/users/${id}`, { headers: as.operator })
      expect(answer.body.modules).toEqual(committed ? ['points'] : [])
    },
  },
]

/** Changes that end sessions as a password that is set does. */
const ALIKE = ['a user who is disabled', 'a user who is deleted']
const ROWS = TABLE.filter(({ what }) => WHOLE || !ALIKE.includes(what))

describe.each(sliced(LAYOUTS, 2))('checks 12, 14 and 32: a kill at a commit, services %s', (layout) => {
  for (const point of ['before-commit', 'after-commit'] as const)
    test.concurrent(`${point.replace('-', ' the ')}, without an answer: the change is complete or absent, and ended sessions stay ended`, async () => {
      const env = { RATE_LIMIT: 'off', LOG_LEVEL: 'silent', REFRESH_REUSE_GRACE: `${GRACE}s`, FAULT: point }
      const system = await processes(layout, env, { preload: POINTS })
      try {
        await call(system.url.modules, 'POST /api/v1/modules', {
          headers: as.operator,
          body: { id: 'points', name: 'Points', description: 'Of the tests' },
        })
        for (const { ask, service, after, what } of ROWS) {
          const user = await createUser(system)
          await quiet(system, service)
          const answered = await ask(system, user, { 'x-fault': service }).then(
            (answer) => (answer as { status: number }).status,
            () => 'nothing',
          )
          expect([what, answered]).toEqual([what, 'nothing'])
          await system.ended(service)
          if (what === 'a refresh') await Bun.sleep(GRACE * 1000 + 500)
          await system.start(service)
          await after(system, user, point === 'after-commit')
        }
      } finally {
        await system.stop()
      }
    })
})

describe('check 36: a migration that is killed', () => {
  const statements = sliced(
    Array.from({ length: 20 }, (_, at) => at * 3 + 1),
    5,
  )
  const ofOne = sliced(
    Array.from({ length: 13 }, (_, at) => at + 1),
    5,
  )

  test('at any of its statements leaves the old or the new schema, and the next start completes it', async () => {
    const killed: number[] = []
    await Promise.all(
      statements.map(async (n) => {
        const env = ownSettings(folder.fresh(), { LOG_LEVEL: 'silent' })
        const first = launch([process.execPath, '--preload', POINTS, 'cli/main.ts', 'migrate'], {
          env: { ...env, FAULT: `statement:${n}` },
        })
        const { status, stderr } = await first.ended
        expect([n, stderr]).toEqual([n, ''])
        if (status !== 0) killed.push(n)
        const again = await launch([process.execPath, 'cli/main.ts', 'migrate', '-o', 'json'], { env }).ended
        expect([n, again.status, again.stderr]).toEqual([n, 0, ''])
        const { stdout } = await launch([process.execPath, 'cli/main.ts', 'migrate', '--plan', '-o', 'json'], { env })
          .ended
        const pending = JSON.parse(stdout).items.map(({ migrations }: { migrations: string[] }) => migrations)
        expect([n, pending]).toEqual([n, [[], [], []]])
      }),
    )
    expect(killed.length).toBeGreaterThan(0.7 * statements.length)
  })

  test('R3: at any statement of one that rewrites every user keeps all users, and the next start finds them', async () => {
    const older = join(folder.fresh(), 'users.sqlite')
    const { raw } = openDatabase(older, 'users', usersMigrations.slice(0, 3))
    const insert = raw.query(`INSERT INTO users (id, email, email_key, name, roles, is_admin, status, email_verified,
      password_hash, version, sessions_from, all_sessions_from, tokens_from, change, created_at, updated_at)
      VALUES (?1, ?1 || '@example.org', ?1 || '@example.org', 'Пётр', '[]', 0, 'active', 0, 'x', 1, 1, 1, 1, ?2, 0, 0)`)
    raw.transaction(() => {
      for (let n = 0; n < 1200; n++) insert.run(`user${n}`, n)
    })()
    raw.run('PRAGMA wal_checkpoint(TRUNCATE)')
    raw.close()
    const killed: number[] = []
    await Promise.all(
      ofOne.map(async (at) => {
        const env = ownSettings(folder.fresh(), { LOG_LEVEL: 'silent' })
        const migrate = (preload: string[], more: Record<string, string> = {}) =>
          launch([process.execPath, ...preload, 'cli/main.ts', 'migrate'], { env: { ...env, ...more } }).ended
        expect((await migrate([])).status).toBe(0)
        const path = join(env.CH202_DATA_DIR ?? '', 'users.sqlite')
        copyFileSync(older, path)
        const { status } = await migrate(['--preload', POINTS], { FAULT: `statement:${at}` })
        if (status !== 0) killed.push(at)
        expect([at, (await migrate([])).status]).toEqual([at, 0])
        const store = await openUsersStore({ dataDir: env.CH202_DATA_DIR ?? '' })
        const { total } = await store.listUsers({ sort: 'email', search: 'ПЕТР' }, { size: 1, page: 1 })
        await store.close()
        expect([at, total]).toEqual([at, 1200])
      }),
    )
    expect(killed.length).toBeGreaterThan(0.6 * ofOne.length)
  })
})
