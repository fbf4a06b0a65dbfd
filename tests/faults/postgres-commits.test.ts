import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test'
import { PASSWORD, registerUser } from '../support/actors.ts'
import { all, askEach } from '../support/each-service.ts'
import { eventually, PATIENCE } from '../support/eventually.ts'
import { expectProblem } from '../support/expectations.ts'
import { as, call } from '../support/http.ts'
import { type Cut, startPostgresProxy } from '../support/postgres/proxy.ts'
import { startPostgres } from '../support/postgres/server.ts'
import { inProcess, type System } from '../support/system.ts'

// What a process has in memory, when a commit took place but the connection broke before its answer.

setDefaultTimeout(2 * PATIENCE)

const server = await startPostgres()
/** A statement of the commit that breaks next. */
let next: RegExp | undefined
const proxy = await startPostgresProxy(server.port, {
  atCommit(statements): Cut | undefined {
    if (!statements.some((statement) => next?.test(statement))) return undefined
    next = undefined
    return 'after'
  },
})
let system: System
beforeAll(async () => {
  system = await inProcess({ RATE_LIMIT: 'off', DATABASE_URL: proxy.addressOf(await server.newDatabase()) })
})
afterAll(async () => {
  await system?.stop()
  proxy.stop()
  await server.stop()
})

const END_SESSION = /delete from .*sessions/i
const REMOVE_KEY = /delete from .*signing_keys/i
const ADD_NOTICE = /insert into .*outbox/i

/** Sends a request whose commit, that has the statement, takes place without an answer. */
async function withoutAnswer(request: string, headers: Record<string, string>, statement: RegExp, body?: object) {
  next = statement
  const answer = await call(`${system.url.auth}/api/v1`, request, { headers, ...(body ? { body } : {}) })
  expectProblem(answer, 503, 'database_unavailable')
  expect(next).toBeUndefined()
}

test('a session that ended so is refused by every service, without a restart', async () => {
  const { tokens } = await registerUser(system)
  expect(await askEach(system, tokens.access_token)).toEqual(all(200))
  await withoutAnswer('POST /auth/logout', as.bearer(tokens.access_token), END_SESSION)
  await eventually(async () => Bun.deepEquals(await askEach(system, tokens.access_token), all('token_revoked')))
})

test('a repeated end of such a session is answered when its tokens are refused by every service', async () => {
  const { tokens } = await registerUser(system)
  await withoutAnswer(`DELETE /auth/sessions/${tokens.session_id}`, as.bearer(tokens.access_token), END_SESSION)
  const body = { token: tokens.refresh_token }
  expect((await call(system.url.auth, 'POST /api/v1/auth/revoke', { body })).status).toBe(200)
  expect(await askEach(system, tokens.access_token)).toEqual(all('token_revoked'))
})

test('a key that was removed so is removed by the repeated request, and its tokens are refused', async () => {
  const user = await registerUser(system)
  const old = (await call(system.url.auth, 'GET /admin/keys', { headers: as.operator })).body.items[0].kid
  await call(system.url.auth, 'POST /admin/keys/rotate?now=true', { headers: as.operator })
  expect(await askEach(system, user.tokens.access_token)).toEqual(all(200))
  await withoutAnswer(`DELETE /admin/keys/${old}`, as.operator, REMOVE_KEY)
  const removed = await call(system.url.auth, `DELETE /admin/keys/${old}`, { headers: as.operator })
  // Not found: the node has read meanwhile that the key is gone.
  expect(removed.status).toBeOneOf([204, 404])
  expect(await askEach(system, user.tokens.access_token)).toEqual(all('invalid_token'))
  const again = await call(system.url.auth, `DELETE /admin/keys/${old}`, { headers: as.operator })
  expectProblem(again, 404, 'not_found')
  const login = await call(system.url.auth, 'POST /api/v1/auth/login', {
    body: { login: user.email, password: PASSWORD },
  })
  expect(login.status).toBe(200)
})

test('a user who was disabled so is logged out without a further request', async () => {
  const { id, tokens } = await registerUser(system)
  await withoutAnswer(`PATCH /users/${id}`, as.operator, ADD_NOTICE, { status: 'disabled' })
  await eventually(async () => Bun.deepEquals(await askEach(system, tokens.access_token), all('token_revoked')))
})

test('a module that was enabled so is in the audit without a further request', async () => {
  const body = { id: 'billing', name: 'Billing', description: '' }
  const { id } = await registerUser(system)
  expect((await call(system.url.auth, 'POST /api/v1/modules', { headers: as.operator, body })).status).toBe(201)
  await withoutAnswer('POST /modules/billing/enable', as.operator, ADD_NOTICE, { user_id: id })
  await eventually(async () => {
    const audit = await call(system.url.auth, `GET /api/v1/admin/audit?user_id=${id}`, { headers: as.operator })
    return audit.body.items.some(({ type }: { type: string }) => type === 'module.enabled')
  })
})
