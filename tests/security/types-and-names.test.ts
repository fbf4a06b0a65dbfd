import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { createUser, newEmail, PASSWORD, registerUser } from '../support/actors.ts'
import { OAUTH_CALL, OPEN_CALL, OPERATOR_FIELDS } from '../support/expectations.ts'
import { as, call } from '../support/http.ts'
import { credentialFor, distinctRoutes, type Schema, samplePath, servedRoutes } from '../support/routes.ts'
import { inProcess, type System } from '../support/system.ts'
import { Databases } from './databases.ts'
import { MAIL_SETTINGS } from './mailed-values.ts'
import { credentialsOf, fixtureFor, requestOf, servedOperations } from './operations.ts'
import { may, POLICY } from './policy.ts'

const JSON_TYPE = { 'content-type': 'application/json' }
const LINES = { ...as.operator, 'content-type': 'application/x-ndjson' }
const routes = distinctRoutes(await servedRoutes())
const withBody = routes.filter(({ body }) => body)

let system: System
let databases: Databases
let bearer: Record<string, string>
beforeAll(async () => {
  system = await inProcess({ RATE_LIMIT: 'off', ...MAIL_SETTINGS })
  databases = new Databases(system)
  bearer = as.bearer((await registerUser(system)).tokens.access_token)
})
afterAll(async () => {
  databases?.close()
  await system?.stop()
})

/** Values that are not of a type, as JSON. */
const WRONG: Record<string, string[]> = {
  string: ['1', 'true', 'null', '[]', '["a"]', '{}', '1e400', '-0'],
  integer: ['"1"', '1.5', '-1', '1e400', '-1e400', '9007199254740993', 'true', 'null', '[]', '{}'],
  boolean: ['"true"', '1', '0', 'null', '[]', '{}'],
  array: ['"a"', '1', 'true', 'null', '{}', '[1]', '[null]', '[[]]', '[{}]', '{"length":1,"0":"USER"}'],
  object: ['"a"', '1', 'true', 'null', '[]'],
}

/** Values of each field that its type does not allow. */
function wrongValues({ properties = {} }: Schema): [field: string, json: string][] {
  return Object.entries(properties).flatMap(([field, { type }]) => {
    const types = [type ?? []].flat()
    const wrong = new Set(types.flatMap((one) => WRONG[one] ?? []))
    if (types.includes('null')) wrong.delete('null')
    return [...wrong].map((json): [string, string] => [field, json])
  })
}

/** The JSON of an object, with one field as raw text. */
function written(rest: object, field: string, json: string): string {
  return JSON.stringify({ ...rest, [field]: null }).replace(`"${field}":null`, `"${field}":${json}`)
}

/** Fields that only an operator may set: other callers are refused before the value is checked. */
function isOperators(call: string, field: string): boolean {
  if (call.endsWith('able')) return field === 'user_id'
  return (
    /(POST|PUT|PATCH) .*\/(users|user|register|users\/\{user_id\})$/.test(call) &&
    [...OPERATOR_FIELDS, ...(call.startsWith('POST') ? ['password_hash'] : [])].includes(field)
  )
}

describe('check 25: a wrong type', () => {
  test('in any single field of a valid body is 400 and changes nothing', async () => {
    const operations = await servedOperations(system)
    const admin = await createUser(system, { roles: ['USER', 'ADMIN'] })
    let tried = 0
    for (const policy of POLICY) {
      const one = operations.get(policy.call)
      const { schema } = one?.operation.requestBody?.content['application/json'] ?? {}
      const caller = (['the owner', 'the operator key', 'the internal key'] as const).find((one) => may(policy, one))
      if (!one || !schema || !caller) continue
      const fixture = await fixtureFor(system, one, { admin })
      const { body, headers, line } = requestOf(one, fixture, caller)
      const before = databases.state(fixture.owner.id)
      const rows = wrongValues(schema as Schema)
      await Promise.all(
        rows.map(async ([field, json]) => {
          const answer = await call(system.url[one.at[0] ?? 'auth'], line, {
            headers: { ...headers, ...credentialsOf(caller, fixture), ...JSON_TYPE },
            body: written(body as object, field, json),
          })
          const place = String(answer.body.message).split(/[ .]/)[0]
          const isForbidden = caller === 'the owner' && isOperators(policy.call, field)
          const expected = isForbidden ? [403, 'Only'] : [400, field]
          expect([policy.call, field, json, answer.status, place]).toEqual([policy.call, field, json, ...expected])
        }),
      )
      expect([policy.call, databases.state(fixture.owner.id) === before]).toEqual([policy.call, true])
      tried += rows.length
    }
    expect(tried).toBeGreaterThan(400)
  })

  test('in any field of a record in a list, or of a line of an import, is an error', async () => {
    const operations = await servedOperations(system)
    const contentOf = (name: string) => Object.values(operations.get(name)?.operation.requestBody?.content ?? {})[0]
    const many = contentOf('POST /api/v1/auth/sync/passwords')
    const [record] = (many?.example as { users: object[] } | undefined)?.users ?? []
    const rows = wrongValues((many?.schema as Schema | undefined)?.properties?.users?.items ?? {})
    expect(rows.length).toBeGreaterThan(80)
    for (const [field, json] of rows) {
      const sent = {
        headers: { ...JSON_TYPE, ...as.internal },
        body: `{"users":[${written(record ?? {}, field, json)}]}`,
      }
      const { body, status } = await call(system.url.auth, 'POST /auth/sync/passwords', sent)
      const place = String(body.message).split(' ')[0]
      expect([field, json, status, place]).toEqual([field, json, 400, `users.0.${field}`])
    }
    const before = databases.users()
    const lines = wrongValues(contentOf('POST /api/v1/users/import')?.schema as Schema).map(([field, json]) =>
      written({ email: newEmail(), password: PASSWORD }, field, json),
    )
    const sent = { headers: LINES, body: lines.join('\n') }
    const { status, text } = await call(system.url.users, 'POST /users/import', sent)
    const results = text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect([status, results.length]).toEqual([200, lines.length])
    expect(results.filter((line) => line.status !== 'failed' || line.code !== 'validation_failed')).toEqual([])
    expect(databases.users()).toBe(before)
  })
})

describe('check 25: names', () => {
  const NAMES = ['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', 'valueOf', '__defineGetter__']

  test('of the prototype are 400 in every body, form, line and query', async () => {
    for (const { method, path, service } of withBody)
      for (const name of NAMES) {
        const headers = { ...JSON_TYPE, ...credentialFor({ path }, bearer) }
        const body = `{"${name}":{"isAdmin":true,"operator":true}}`
        const answer = await call(system.url[service], `${method} ${samplePath(path)}`, { headers, body })
        // Some ignore unknown parameters, and need none.
        if (OPEN_CALL.test(path) && !OAUTH_CALL.test(path)) {
          expect([path, name, answer.status]).toEqual([path, name, path.endsWith('/logout-requests') ? 200 : 400])
          continue
        }
        // The token endpoint ignores unknown parameters too, and asks for the client first.
        const isForClients = path.endsWith('/oauth/token')
        expect([path, name, answer.status]).toEqual([path, name, isForClients ? 401 : 400])
        if (isForClients) continue
        // An OAuth call ignores unknown parameters, and reports the missing one.
        const complaint = OAUTH_CALL.test(path) ? 'token is required' : `${name} should not exist`
        expect(answer.body.message).toContain(complaint)
      }
    for (const name of NAMES) {
      const form = { ...as.operator, 'content-type': 'application/x-www-form-urlencoded' }
      for (const body of [`token=x&${name}=1`, `${name}=1&token=x`]) {
        const answer = await call(system.url.auth, 'POST /auth/introspect', { headers: form, body })
        expect([answer.status, answer.text]).toEqual([200, '{"active":false}'])
      }
      const without = await call(system.url.auth, 'POST /auth/introspect', { headers: form, body: `${name}=x` })
      expect([without.status, without.body.message]).toEqual([400, ['token is required']])
      const line = `{"email":"${newEmail()}","password":"${PASSWORD}","${name}":{"roles":["ADMIN"]}}`
      const { body } = await call(system.url.users, 'POST /users/import', { headers: LINES, body: line })
      expect([body.status, body.message]).toEqual(['failed', [`${name} should not exist`]])
      for (const { method, path, service } of routes.filter(({ path, query }) => query && !OPEN_CALL.test(path))) {
        const headers = credentialFor({ path }, bearer)
        const answer = await call(system.url[service], `${method} ${samplePath(path)}?${name}=1`, { headers })
        expect([path, name, answer.status]).toEqual([path, name, 400])
        expect(answer.body.message).toContain(`${name} should not exist`)
      }
    }
  })

  test('of the prototype are stored unchanged in free-form data', async () => {
    const id = Bun.randomUUIDv7()
    const detail = '{"__proto__":{"polluted":"yes"},"constructor":{"prototype":{"polluted":"yes"}},"kept":1}'
    const event = `"id":"${id}","at":1,"type":"odd.names","user_id":null,"actor":"x","ip":null,"request_id":null`
    const sent = { headers: { ...JSON_TYPE, ...as.internal }, body: `{${event},"detail":${detail}}` }
    expect((await call(system.url.auth, 'POST /auth/audit', sent)).status).toBe(204)
    const { body } = await call(system.url.auth, 'GET /admin/audit?type=odd.names', { headers: as.operator })
    expect(body.items[0].detail.kept).toBe(1)
    for (const [service, path] of [
      ['auth', '/admin/audit?size=3'],
      ['auth', '/health/cache'],
      ['users', '/users?size=1'],
    ] as const)
      expect((await call(system.url[service], `GET ${path}`, { headers: as.operator })).body.polluted).toBeUndefined()
    // A polluted prototype would show in every object of the process.
    const { body: health } = await call(system.url.auth, 'GET /health')
    expect(Object.keys(health).toSorted()).toEqual(['service', 'status', 'uptime_s', 'version'])
  })

  test('that occur twice count distinctRoutes, the last, in a body, a line and a query, and are an error in a form', async () => {
    const { tokens } = await registerUser(system)
    const token = tokens.access_token
    const form = { ...as.operator, 'content-type': 'application/x-www-form-urlencoded' }
    for (const body of [`token=x&token=${token}`, `token=${token}&token=x`, `token=${token}&token=${token}`]) {
      const answer = await call(system.url.auth, 'POST /auth/introspect', { headers: form, body })
      expect([answer.status, answer.body.message]).toEqual([400, ['token must not be repeated']])
    }
    const [first, last] = [newEmail(), newEmail()]
    const line = `{"email":"${first}","password":"${PASSWORD}","email":"${last}","roles":["ADMIN"],"roles":["USER"]}`
    const creation = await call(system.url.users, 'POST /users/import', { headers: LINES, body: line })
    expect(creation.body.status).toBe('created')
    expect(databases.user(creation.body.id)).toMatchObject({ email: last, roles: '["USER"]', is_admin: 0 })
    // The first value bypasses no rule: the value that is used is the one that is checked.
    const body = `{"email":"${newEmail()}","password":"${PASSWORD}","roles":[],"roles":["ADMIN"]}`
    const refused = await call(system.url.users, 'POST /users', { headers: JSON_TYPE, body })
    expect([refused.status, refused.body.code]).toEqual([403, 'forbidden_field'])
    for (const [query, size] of [
      ['size=1&size=2', 2],
      ['size=0&size=3', 3],
    ] as const)
      expect((await call(system.url.users, `GET /users?${query}`, { headers: as.operator })).body.size).toBe(size)
  })
})
