import { Database, type Statement } from 'bun:sqlite'
import { afterAll, beforeAll, expect, spyOn, test } from 'bun:test'
import { FormatRegistry } from '@sinclair/typebox'
import { newEmail, PASSWORD, type TestUser } from '../support/actors.ts'
import { eventually } from '../support/eventually.ts'
import { as, call } from '../support/http.ts'
import { scrape } from '../support/metrics.ts'
import { inProcess, type System } from '../support/system.ts'

/**
 * Counts the statements that a request runs: a figure that does not depend on the machine. `bun run bench` measures time.
 */

let system: System
let user: TestUser
let prepared: ReturnType<typeof spyOn<Database, 'prepare'>>
let queried: ReturnType<typeof spyOn<Database, 'query'>>
/** The statements that ran, without those that begin and end a transaction or check for changes. */
let ran: string[] = []

const RUNS = ['run', 'get', 'all', 'values', 'iterate']

/** Wraps a statement so that each run of it is recorded. */
function watched(statement: Statement, sql: string): Statement {
  return new Proxy(statement, {
    get(target, name) {
      const value = Reflect.get(target, name, target)
      if (typeof value !== 'function') return value
      return (...args: unknown[]) => {
        if (RUNS.includes(String(name)) && !/^(BEGIN|COMMIT|PRAGMA data_version)$/.test(sql))
          ran.push(sql.replaceAll(/\s+/g, ' ').trim())
        return value.apply(target, args)
      }
    },
  })
}

beforeAll(async () => {
  const { prepare, query } = Database.prototype
  prepared = spyOn(Database.prototype, 'prepare').mockImplementation(function (
    this: Database,
    sql: string,
    ...rest: never[]
  ) {
    return watched(prepare.call(this, sql, ...rest), sql)
  } as typeof prepare)
  queried = spyOn(Database.prototype, 'query').mockImplementation(function (this: Database, sql: string) {
    return watched(query.call(this, sql), sql)
  } as typeof query)
  system = await inProcess()
  const registration = await call(system.url.auth, 'POST /api/v1/auth/register', {
    body: { email: newEmail(), password: PASSWORD },
  })
  user = { id: registration.body.id, email: registration.body.email, tokens: registration.body.tokens }
})
afterAll(async () => {
  prepared.mockRestore()
  queried.mockRestore()
  await system?.stop()
})

/** Statements of background work: the outbox, the feed and maintenance. */
const BACKGROUND = /\boutbox\b|\brevocations\b|INTO facts \(name, value\) VALUES \(\$name/

async function statementsOf(ask: () => Promise<{ status: number }>): Promise<string[]> {
  // The first request of a kind may prepare statements, and its notices must be delivered before the next is counted.
  await ask()
  await eventually(async () => (await waiting({ service: 'users' })) === 0)
  // A registration and a new password cause a mail, which is sent after the answer.
  await eventually(async () => (await waiting({ outbox: 'mails' })) === 0)
  prepared.mockClear()
  queried.mockClear()
  ran = []
  const { status } = await ask()
  expect(status).toBeLessThan(300)
  const requestStatements = ran.filter((sql) => !BACKGROUND.test(sql))
  expect([...prepared.mock.calls, ...queried.mock.calls].map(([sql]) => sql)).toEqual([])
  return requestStatements
}

const waiting = async (labels: Record<string, string>) =>
  (await scrape(system.url.auth)).sum('ch202_outbox_waiting', labels)
const bearer = () => as.bearer(user.tokens.access_token)

const REQUESTS: [name: string, count: number, ask: () => Promise<{ status: number }>][] = [
  [
    'POST /auth/validate-token',
    0,
    () => call(system.url.auth, 'POST /api/v1/auth/validate-token', { body: { token: user.tokens.access_token } }),
  ],
  ['GET /auth/me', 0, () => call(system.url.auth, 'GET /api/v1/auth/me', { headers: bearer() })],
  ['GET /users/{id}', 0, () => call(system.url.auth, `GET /api/v1/users/${user.id}`, { headers: bearer() })],
  ['GET /modules/', 0, () => call(system.url.auth, 'GET /api/v1/modules/', { headers: bearer() })],
  [
    'POST /auth/login',
    10,
    () => call(system.url.auth, 'POST /api/v1/auth/login', { body: { email: user.email, password: PASSWORD } }),
  ],
  [
    'POST /auth/refresh',
    4,
    async () => {
      const { refresh_token } = user.tokens
      const answer = await call(system.url.auth, 'POST /api/v1/auth/refresh', { body: { refresh_token } })
      user.tokens = answer.body
      return answer
    },
  ],
]

test.each(REQUESTS)('%s runs %d statements and prepares none', async (_, count, ask) => {
  const statements = await statementsOf(ask)
  expect(statements.slice(count)).toEqual([])
  expect(statements).toHaveLength(count)
})

test('generating the API documentation does not change the formats that validate responses', async () => {
  const before = [...FormatRegistry.Entries()]
  expect(before.map(([name]) => name)).toContain('uuid')
  expect((await call(system.url.auth, 'GET /swagger/json')).status).toBe(200)
  for (const [name, check] of before) expect([name, FormatRegistry.Get(name) === check]).toEqual([name, true])
})
