import { Database, type Statement } from 'bun:sqlite'
import { afterAll, beforeAll, expect, spyOn, test } from 'bun:test'
import { FormatRegistry } from '@sinclair/typebox'
import { newEmail, PASSWORD, type TestUser } from '../support/actors.ts'
import { eventually } from '../support/eventually.ts'
import { as, call } from '../support/http.ts'
import { inProcess, type System } from '../support/system.ts'

/**
 * How much work a request is: what can be counted and does not depend on the machine. What it takes in time is measured
 * by `bun run bench`.
 */

let system: System
let user: TestUser
let prepared: ReturnType<typeof spyOn<Database, 'prepare'>>
let queried: ReturnType<typeof spyOn<Database, 'query'>>
/** The statements that were run, but for those that begin and end a look at the file. */
let ran: string[] = []

const RUNS = ['run', 'get', 'all', 'values', 'iterate']

/** A statement that tells when it is run. */
function watched(statement: Statement, sql: string): Statement {
  return new Proxy(statement, {
    get(target, name) {
      const value = Reflect.get(target, name, target)
      if (typeof value !== 'function') return value
      return (...given: unknown[]) => {
        if (RUNS.includes(String(name)) && !/^(BEGIN|COMMIT|PRAGMA data_version)$/.test(sql))
          ran.push(sql.replaceAll(/\s+/g, ' ').trim())
        return value.apply(target, given)
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
  const made = await call(system.url.auth, 'POST /api/v1/auth/register', {
    body: { email: newEmail(), password: PASSWORD },
  })
  user = { id: made.body.id, email: made.body.email, tokens: made.body.tokens }
})
afterAll(async () => {
  prepared.mockRestore()
  queried.mockRestore()
  await system?.stop()
})

/** What a service does beside the requests: it hears of others, tells others, keeps itself in order. */
const BESIDE = /\boutbox\b|\brevocations\b|INTO facts \(name, value\) VALUES \(\?/

async function statementsOf(ask: () => Promise<{ status: number }>): Promise<string[]> {
  // The first of a kind may have something to prepare; what others are told of it must have been told.
  await ask()
  await eventually(async () => /outbox_pending\{service="users"\} 0$/m.test(await metrics()))
  prepared.mockClear()
  queried.mockClear()
  ran = []
  const { status } = await ask()
  expect(status).toBeLessThan(300)
  const own = ran.filter((sql) => !BESIDE.test(sql))
  expect([...prepared.mock.calls, ...queried.mock.calls].map(([sql]) => sql)).toEqual([])
  return own
}

const metrics = async () => (await call(system.url.auth, 'GET /metrics', { headers: as.operator })).text
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
    9,
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

test.each(REQUESTS)('%s runs %d statements, and prepares none', async (_, count, ask) => {
  const statements = await statementsOf(ask)
  expect(statements.slice(count)).toEqual([])
  expect(statements).toHaveLength(count)
})

test('what makes the documentation leaves the formats that answers are checked by as they are', async () => {
  const before = [...FormatRegistry.Entries()]
  expect(before.map(([name]) => name)).toContain('uuid')
  expect((await call(system.url.auth, 'GET /swagger/json')).status).toBe(200)
  for (const [name, check] of before) expect([name, FormatRegistry.Get(name) === check]).toEqual([name, true])
})
