import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { SQL } from 'bun'
import { MAIL_SETTINGS } from '../security/mailed-values.ts'
import { AN_APP, credentialsOf, fixtureFor, requestOf, servedOperations } from '../security/operations.ts'
import { isForApps, may, POLICY, successOf } from '../security/policy.ts'
import { createUser, newEmail, PASSWORD, registerUser, type TestUser } from '../support/actors.ts'
import { eventually } from '../support/eventually.ts'
import { expectProblem, OAUTH_CALL } from '../support/expectations.ts'
import { type Answer, as, call, type Options } from '../support/http.ts'
import { startPostgres } from '../support/postgres/server.ts'
import { type ProcessSystem, processes } from '../support/processes.ts'
import { launch, ownSettings, temporary } from '../support/tool.ts'
import { sliced, WHOLE } from '../support/whole.ts'
import { Writer } from './ledger.ts'
import { endAndRemove } from './left-behind.ts'
import { startPostgresLine } from './postgres-line.ts'
import { startSmallPostgres } from './small-postgres.ts'

setDefaultTimeout(300_000)

/** Milliseconds within which a request must have its answer, and what a busy machine may add. */
const LIMIT = 2000
const BUSY = 8000
/** Milliseconds that a request takes at least if it waits for the database twice, to the end. */
const TWICE = 3600
/** Requests that are sent at once. */
const AT_ONCE = 12

const server = await startPostgres()
const folder = temporary('postgres-services')
afterAll(() => server.stop())
afterAll(() => endAndRemove(folder))

const databaseOf = (address: string) => new URL(address).pathname.slice(1)
const OPERATOR = { headers: as.operator }

/** Operations that need no database. */
const WITHOUT_DATABASE = new Set([
  'GET /api/v1/metrics',
  'GET /api/v1/.well-known/jwks.json',
  'GET /api/v1/.well-known/oauth-authorization-server',
  'GET /api/v1/.well-known/openid-configuration',
  'GET /api/v1/admin/keys',
  'GET /api/v1/health',
  'POST /api/v1/auth/validate-token',
])
/** Operations of other methods than GET that only read, or that have nothing to write. */
const READS = new Set([
  'POST /api/v1/auth/introspect',
  'POST /api/v1/auth/logout-requests',
  'POST /api/v1/auth/passkeys/login-options',
  'POST /api/v1/auth/passkeys/options',
  'POST /api/v1/auth/sync/password',
  'POST /api/v1/auth/validate-token',
  'POST /api/v1/oauth/token',
  'POST /api/v1/oauth/userinfo',
  'POST /api/v1/users/announcements/send',
  'POST /api/v1/users/verify-credentials',
])
/**
 * Operations of GET that write: the check of the database, an export, which leaves a row in the audit, and the polls of the
 * feeds, which are written before they are answered.
 */
const WRITES = new Set([
  'GET /api/v1/health/db',
  'GET /api/v1/health/ready',
  'GET /api/v1/users/export',
  'GET /api/v1/auth/revocations',
  'GET /api/v1/modules/sync/feed',
])
/** Operations whose answers are no rule: each is in the slice of the suite. The others are alike by service and method. */
const kindOf = ([name, { at }]: [string, { at: readonly string[] }]) =>
  WITHOUT_DATABASE.has(name) || READS.has(name) || WRITES.has(name) ? name : `${at[0]} ${name.split(' ')[0]}`

/** Operations that run one after the other, whichever request they belong to. */
const ONE_BY_ONE = /\/admin\/keys\//

interface Prepared {
  name: string
  success: number
  send(): Promise<Answer & { took: number }>
}

/**
 * A valid request for each documented operation, or for a third of them in the suite, about users and resources of its own.
 * @param adminUrl its database
 */
async function everyOperation(system: ProcessSystem, adminUrl: string): Promise<Prepared[]> {
  const withDatabase = { ...system, database: { adminUrl } as never }
  const admin = await createUser(system, { roles: ['USER', 'ADMIN'] })
  const other = await registerUser(system)
  const prepared: Prepared[] = []
  for (const [name, one] of sliced([...(await servedOperations(system))], 3, kindOf)) {
    const policy = POLICY.find((candidate) => candidate.call === name)
    const service = one.at[0]
    if (!policy || !service) throw new Error(`${name} has no policy`)
    const callers = ['the owner', 'the operator key', 'the internal key'] as const
    const caller = callers.find((candidate) => may(policy, candidate)) ?? (isForApps(policy) ? AN_APP : 'no one')
    const fixture = await fixtureFor(withDatabase, one, { admin, other })
    const { headers, line, ...rest } = requestOf(one, fixture, caller)
    const options: Options = { ...rest, headers: { ...headers, ...credentialsOf(caller, fixture) } }
    prepared.push({
      name,
      success: successOf(policy),
      async send() {
        const startedAt = performance.now()
        const answer = await call(system.url[service], line, options).catch((error) => {
          throw new Error(`${name}: ${error}. The process has printed: ${system.output()}`)
        })
        return { ...answer, took: performance.now() - startedAt }
      },
    })
  }
  return prepared
}

function expectUnavailable(name: string, answer: Answer): void {
  const { body, headers, status } = answer
  expect([name, status, body.code]).toEqual([name, 503, 'database_unavailable'])
  if (OAUTH_CALL.test(name.replace('POST ', ''))) expect(body.error).toBe('temporarily_unavailable')
  else expectProblem(answer, 503, 'database_unavailable')
  // A check of health is repeated by whoever makes it, at their pace.
  if (!/\/health\/(db|ready)$/.test(name)) expect([name, headers.get('retry-after')]).toEqual([name, '1'])
}

/** Sends every operation, some at once. @param expected checks an answer */
async function sendAll(operations: Prepared[], expected: (operation: Prepared, answer: Answer) => void) {
  const groups: Prepared[][] = [[]]
  for (const operation of operations) {
    if (ONE_BY_ONE.test(operation.name)) groups.unshift([operation])
    else if ((groups.at(-1)?.length ?? 0) < AT_ONCE) groups.at(-1)?.push(operation)
    else groups.push([operation])
  }
  for (const group of groups) {
    const answers = await Promise.all(group.map((operation) => operation.send()))
    for (const [index, operation] of group.entries()) {
      const answer = answers[index] as (typeof answers)[number]
      expected(operation, answer)
      expect([operation.name, answer.took < LIMIT + BUSY]).toEqual([operation.name, true])
      // A request that waits for the database a second time does so each time; a busy machine is late only sometimes.
      let { took } = answer
      for (let attempt = 0; took >= TWICE && attempt < 5; attempt++) took = (await operation.send()).took
      expect([operation.name, took < TWICE]).toEqual([operation.name, true])
    }
  }
}

const withDatabase = async () => {
  const url = await server.newDatabase()
  const system = await processes('together', {
    ...MAIL_SETTINGS,
    RATE_LIMIT: 'off',
    DATABASE_URL: url,
    LOG_LEVEL: 'silent',
    // Longer than the outages take on a busy machine.
    REVOCATION_MAX_LAG: '10m',
  })
  return { database: databaseOf(url), system, url }
}

const statuses = async (requests: Promise<Answer>[]) => (await Promise.all(requests)).map(({ status }) => status)

/** The statuses of the checks of the database of each service. */
const databaseChecks = ({ url }: ProcessSystem) =>
  statuses([url.auth, url.users, url.modules].map((service) => call(service, 'GET /health/db')))

/** Waits until the database answers each service, and then uses them. */
async function expectRecovery(system: ProcessSystem, { id, tokens }: TestUser) {
  const { url } = system
  await eventually(async () => (await databaseChecks(system)).every((status) => status === 200))
  // Balancers send requests to it again.
  await eventually(async () => (await call(url.auth, 'GET /health/ready')).status === 200)
  const user = await registerUser({ url })
  const bearer = { headers: as.bearer(user.tokens.access_token) }
  const module = `module-${Bun.randomUUIDv7()}`
  for (const [request, options, status] of [
    ['POST /auth/refresh', { body: { refresh_token: tokens.refresh_token } }, 200],
    [`GET /users/${id}`, OPERATOR, 200],
    ['POST /modules', { ...OPERATOR, body: { id: module, name: 'One', description: '' } }, 201],
    [`POST /modules/${module}/enable`, bearer, 200],
    [`PATCH /users/${user.id}`, { ...bearer, body: { name: 'Another' } }, 200],
    ['POST /auth/login', { body: { login: user.email, password: PASSWORD } }, 200],
    ['POST /auth/logout', bearer, 204],
    ['GET /auth/me', bearer, 401],
  ] as const) {
    const answer = await call(`${url.auth}/api/v1`, request, options)
    expect([request, answer.status]).toEqual([request, status])
  }
}

describe('an instance whose PostgreSQL', () => {
  let database: string
  let system: ProcessSystem
  let url: string
  beforeAll(async () => {
    const started = await withDatabase()
    database = started.database
    system = started.system
    url = started.url
  })
  afterAll(() => system?.stop())

  const endConnections = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'ch202 %'`
  const setReadOnly = async (value: 'on' | 'off') =>
    void (await server.run(
      'postgres',
      `ALTER DATABASE ${database} SET default_transaction_read_only = ${value}`,
      endConnections,
    ))
  /** Locks every table, so that each statement waits. @returns a function that unlocks them */
  const lockTables = async () => {
    const sql = new SQL({ url, max: 1 })
    const connection = await sql.reserve()
    const tables = await connection.unsafe(
      `SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables WHERE schemaname IN ('auth', 'users', 'modules')`,
    )
    const names = tables.map(({ name }: { name: string }) => name).join()
    await eventually(async () => {
      try {
        await connection.unsafe('BEGIN')
        await connection.unsafe(`LOCK TABLE ${names} IN ACCESS EXCLUSIVE MODE`)
        return true
      } catch {
        // A deadlock with a statement of the services.
        await connection.unsafe('ROLLBACK')
        return false
      }
    })
    return async () => {
      await connection.unsafe('ROLLBACK')
      connection.release()
      await sql.close()
    }
  }

  const outages = [
    ['is away', () => server.kill().then(() => () => server.start())],
    [
      'answers nothing',
      async () => {
        server.freeze()
        return async () => server.thaw()
      },
    ],
    ['is slow, because each statement waits for a lock,', lockTables],
  ] as const
  test.each(sliced(outages, 3))(
    '%s answers 503 within two seconds at each operation that needs it, and recovers',
    async (_, begin) => {
      const user = await registerUser(system)
      const operations = await everyOperation(system, url)
      const end = await begin()
      try {
        await sendAll(operations, ({ name, success }, answer) => {
          if (WITHOUT_DATABASE.has(name)) expect([name, answer.status]).toEqual([name, success])
          else expectUnavailable(name, answer)
        })
      } finally {
        await end()
      }
      await expectRecovery(system, user)
    },
  )

  test('is read-only answers reads, and 503 at each operation that writes; it recovers', async () => {
    const user = await registerUser(system)
    const operations = await everyOperation(system, url)
    await setReadOnly('on')
    try {
      // Connections that were ended are replaced at their next use.
      await eventually(async () => {
        const bearer = { headers: as.bearer(user.tokens.access_token) }
        const reads = [
          () => call(system.url.auth, 'GET /api/v1/auth/me', bearer),
          () => call(system.url.users, `GET /api/v1/users/${user.id}`, OPERATOR),
          () => call(system.url.modules, 'GET /api/v1/modules', bearer),
        ]
        const answered = await statuses([...reads, ...reads, ...reads, ...reads].map((read) => read()))
        return (
          answered.every((status) => status === 200) && (await databaseChecks(system)).every((status) => status === 503)
        )
      })
      await sendAll(operations, ({ name, success }, answer) => {
        const reads = name.startsWith('GET') ? !WRITES.has(name) : READS.has(name)
        if (reads) expect([name, answer.status]).toEqual([name, success])
        else expectUnavailable(name, answer)
      })
    } finally {
      await setReadOnly('off')
    }
    await expectRecovery(system, user)
  })
})

// The suite has outages of other kinds.
if (WHOLE)
  test('an instance behind a slow line to PostgreSQL answers 503 within two seconds, and recovers when the line is quick again', async () => {
    const line = await startPostgresLine(server.port)
    const direct = await server.newDatabase()
    const DATABASE_URL = line.addressOf(direct)
    const system = await processes('together', {
      ...MAIL_SETTINGS,
      RATE_LIMIT: 'off',
      DATABASE_URL,
      LOG_LEVEL: 'silent',
    })
    try {
      const user = await registerUser(system)
      const operations = await everyOperation(system, direct)
      line.delay = LIMIT
      await sendAll(operations, ({ name, success }, answer) => {
        if (WITHOUT_DATABASE.has(name)) expect([name, answer.status]).toEqual([name, success])
        else expectUnavailable(name, answer)
      })
      line.delay = 0
      await expectRecovery(system, user)
    } finally {
      await system.stop()
      line.stop()
    }
  })

describe('an instance whose PostgreSQL has a full disk', () => {
  test('answers 503 at each write that has no room, and recovers when there is room; nothing acknowledged is lost', async () => {
    const small = await startSmallPostgres()
    const DATABASE_URL = small.addressOf('postgres')
    const system = await processes('together', { RATE_LIMIT: 'off', DATABASE_URL, LOG_LEVEL: 'silent' })
    try {
      const user = await registerUser(system)
      small.fill()
      const names: string[] = []
      // The pages that the tables have take some rows more.
      const create = async () => {
        const name = 'x'.repeat(200)
        const body = { email: newEmail(), password: PASSWORD, name, metadata: { text: 'y'.repeat(7000) } }
        const answer = await call(system.url.users, 'POST /api/v1/users', { ...OPERATOR, body })
        if (answer.status === 201) names.push(answer.body.id)
        else expectUnavailable('POST /api/v1/users', answer)
        return answer.status
      }
      await eventually(async () => (await create()) === 503)
      expect(
        (await call(system.url.auth, 'POST /auth/validate-token', { body: { token: user.tokens.access_token } }))
          .status,
      ).toBe(200)
      expect((await call(system.url.users, `GET /api/v1/users/${user.id}`, OPERATOR)).status).toBe(200)
      small.free()
      await expectRecovery(system, user)
      expect(await create()).toBe(201)
      for (const id of names)
        expect([id, (await call(system.url.users, `GET /api/v1/users/${id}`, OPERATOR)).status]).toEqual([id, 200])
    } finally {
      await system.stop()
      await small.stop()
    }
  })
})

describe('services apart, while PostgreSQL is restarted under load,', () => {
  test('answer 503 until it is back, and lose nothing that was acknowledged', async () => {
    const DATABASE_URL = await server.newDatabase()
    const system = await processes('apart', { RATE_LIMIT: 'off', DATABASE_URL, LOG_LEVEL: 'silent' })
    try {
      const body = { id: 'faults', name: 'Faults', description: '' }
      await call(system.url.modules, 'POST /api/v1/modules', { ...OPERATOR, body })
      const writers = Array.from({ length: 4 }, () => new Writer(system, Math.random, body.id))
      const acknowledged = () => writers.reduce((sum, writer) => sum + writer.acknowledged, 0)
      for (let round = 0; round < (WHOLE ? 4 : 1); round++) {
        const before = acknowledged()
        let isOver = false
        const work = writers.map((writer) => writer.write(() => isOver))
        await eventually(() => acknowledged() > before + 40)
        await server.kill()
        await server.start()
        const since = acknowledged()
        await eventually(() => acknowledged() > since + 20)
        isOver = true
        await Promise.all(work)
        const differences = await Promise.all(writers.map((writer) => writer.differences()))
        expect([round, differences.flat()]).toEqual([round, []])
      }
    } finally {
      await system.stop()
    }
  })
})

describe('a start', () => {
  const serve = (DATABASE_URL: string) =>
    launch([process.execPath, 'cli/main.ts', 'serve'], {
      env: ownSettings(folder.fresh(), { DATABASE_URL, LOG_LEVEL: 'silent' }),
    })
  const HIDDEN = 'hidden-3c1f9a'
  const withPassword = (address: string) => address.replace('ch202@', `ch202:${HIDDEN}@`)

  test.each([
    [
      'that refuses connections',
      async (): Promise<string> => 'postgres://ch202@127.0.0.1:9/none',
      'PostgreSQL cannot be reached at 127.0.0.1:9: nothing answers there',
    ],
    [
      'whose host has no address',
      async (): Promise<string> => 'postgres://ch202@nowhere.invalid/none',
      'PostgreSQL cannot be reached at nowhere.invalid: nothing answers there',
    ],
    [
      'without this database',
      async (): Promise<string> => server.addressOf('none'),
      'There is no database of this name at 127.0.0.1:',
    ],
  ] as const)('with a server %s fails and says so in a line', async (_, address, message) => {
    const { status, stderr, stdout } = await serve(withPassword(await address())).ended
    expect([status, stdout]).toEqual([1, ''])
    expect(stderr).toMatch(new RegExp(`^✗ ${message}[^\n]*\n$`))
    expect(stderr).not.toContain(HIDDEN)
  })

  test('with a server that answers nothing fails, and says so in a line', async () => {
    const address = await server.newDatabase()
    server.freeze()
    try {
      const { status, stderr } = await serve(address).ended
      expect([status, stderr]).toEqual([1, expect.stringMatching(/^✗ The schema auth cannot be opened: [^\n]*\n$/)])
    } finally {
      server.thaw()
    }
  })

  const moments = [
    ['breaks off', 'cut', 'before the first migration', /to_regnamespace/],
    ['breaks off', 'cut', 'under the lock of the migrations', /FOR UPDATE/],
    ['breaks off', 'cut', 'when the first service is open', /"users"\.schema_migrations/],
    ['breaks off', 'cut', 'when keys are made', /insert into "auth"\."signing_keys"/i],
  ] as const
  test.each(sliced(moments, 2))(
    'whose connection %s (%s) %s fails, leaves no process, and the next one succeeds',
    async (_, event, __, at) => {
      const line = await startPostgresLine(server.port)
      const address = line.addressOf(await server.newDatabase())
      let isOver = false
      line.onQuery = (text) => {
        if (isOver || !at.test(text)) return undefined
        isOver = true
        return event
      }
      const { status, stderr } = await serve(address).ended
      expect([status, isOver, stderr]).toEqual([1, true, expect.stringMatching(/^✗ [^\n]+\n$/)])
      const next = serve(address)
      await next.printed(/ready at/)
      next.signal('SIGTERM')
      expect((await next.ended).status).toBe(0)
      line.stop()
    },
  )
})
