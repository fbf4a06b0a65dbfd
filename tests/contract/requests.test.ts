import { Database } from 'bun:sqlite'
import { describe, expect, test } from 'bun:test'
import { join } from 'node:path'
import { createUser, newEmail, PASSWORD } from '../support/actors.ts'
import { eventually } from '../support/eventually.ts'
import { expectFields, expectProblem, FIELDS, UUID } from '../support/expectations.ts'
import { as, call } from '../support/http.ts'
import { running } from '../support/running.ts'
import type { Name } from '../support/settings.ts'
import { inProcessApart } from '../support/system.ts'

const SECRET = 'canary of a password'
const JSON_TYPE = { 'content-type': 'application/json' }
const KIB64 = 64 * 1024

/** A call of each service that takes a body, and one that takes none. */
const CALLS: [Name, string, string][] = [
  ['auth', 'POST /auth/login', 'GET /auth/sessions?all=true'],
  ['users', 'POST /users', 'GET /users'],
  ['modules', 'POST /modules', 'GET /modules/'],
]

describe('what goes for every request', () => {
  const here = running(inProcessApart)

  describe.each(CALLS)('at %s', (name, post, get) => {
    const send = (body: unknown, headers: Record<string, string> = {}) =>
      here[name](post, { body, headers: { ...as.operator, ...headers } })
    const padded = (size: number) => JSON.stringify({ x: 'a'.repeat(size - 8) })
    const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`
    const chunked = (size: number) =>
      new ReadableStream({
        start(controller) {
          for (let left = size; left > 0; left -= 8192)
            controller.enqueue(new TextEncoder().encode(' '.repeat(Math.min(left, 8192))))
          controller.close()
        },
      })

    test.each([
      ['text/plain'],
      ['application/x-www-form-urlencoded'],
      ['multipart/form-data; boundary=x'],
      ['application/xml'],
      ['application/json; charset=latin1'],
      ['application/jsonp'],
      ['json'],
    ])('a body of the type %s is 415', async (type) => {
      const answer = await send(JSON.stringify({ password: SECRET }), { 'content-type': type })
      expectProblem(answer, 415, 'unsupported_media_type')
      expect(answer.text).not.toContain(SECRET)
    })

    test.each([['application/json; charset=utf-8'], ['APPLICATION/JSON'], ['application/json;charset="UTF-8"']])(
      'a body of the type %s is read',
      async (type) => {
        expectProblem(await send('{}', { 'content-type': type }), 400, 'validation_failed')
      },
    )

    test.each([
      ['gzip', 'gzip', Bun.gzipSync('{}')],
      ['GZIP', 'gzip', Bun.gzipSync('{}')],
      ['x-gzip', 'x-gzip', Bun.gzipSync('{}')],
      ['deflate', 'deflate', Bun.deflateSync('{}')],
      ['br', 'br', '{}'],
      ['zstd', 'zstd', Bun.zstdCompressSync('{}')],
      ['identity, gzip', 'gzip', Bun.gzipSync('{}')],
      ['gzip,identity', 'gzip', Bun.gzipSync('{}')],
      ['compress, gzip', 'compress', Bun.gzipSync('{}')],
    ])('R27: a body in the encoding %s is 415, which names it', async (encoding, named, body) => {
      const answer = await send(body, { ...JSON_TYPE, 'content-encoding': encoding })
      expectProblem(answer, 415, 'unsupported_media_type')
      expect(answer.body.message).toContain(`content encoding ${named} `)
    })

    test.each([['identity'], ['Identity'], [' identity , '], [',']])(
      'R27: a body in the encoding %j is read',
      async (encoding) => {
        const answer = await send('{}', { ...JSON_TYPE, 'content-encoding': encoding })
        expectProblem(answer, 400, 'validation_failed')
      },
    )

    test('R27: an encoding is told after who may not, is not echoed at length, and is nothing without a body', async () => {
      const headers = { ...JSON_TYPE, 'content-encoding': `<${SECRET}>` }
      const odd = await send('{}', headers)
      expectProblem(odd, 415, 'unsupported_media_type')
      expect(odd.text).not.toContain(SECRET)
      const keyless = await here.modules('POST /modules', { body: '{}', headers })
      expectProblem(keyless, 401, 'missing_token')
      const lines = { 'content-type': 'application/x-ndjson', 'content-encoding': 'gzip' }
      const imported = await here.users('POST /users/import', { body: '{}', headers: { ...as.operator, ...lines } })
      expectProblem(imported, 415, 'unsupported_media_type')
      expect(imported.body.message).toContain('content encoding gzip ')
      const empty = await here[name](get, { headers: { ...as.operator, 'content-encoding': 'gzip' } })
      expect(empty.status).toBe(200)
    })

    test.each<[string, string | Uint8Array]>([
      ['cut', `{"password":"${SECRET}"`],
      ['with a comma too many', `{"password":"${SECRET}",}`],
      ['in single quotes', `{'password':'${SECRET}'}`],
      ['no UTF-8', Uint8Array.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])],
      ['33 deep', nested(33)],
      ['20,000 deep', nested(20_000)],
      ['20,000 deep in a field', `{"password":"${SECRET}","x":${'{"a":'.repeat(8000)}1${'}'.repeat(8000)}}`],
    ])('check 25: a body that is %s is 400 malformed_json, quickly', async (_, body) => {
      const before = process.cpuUsage()
      const answer = await send(body, JSON_TYPE)
      expectProblem(answer, 400, 'malformed_json')
      // Of the processor, in microseconds: the services run in this process.
      expect(process.cpuUsage(before).user).toBeLessThan(1_000_000)
      expect(answer.body.message).toBeString()
      expect(answer.text).not.toContain(SECRET)
    })

    test.each([
      ['a list', []],
      ['a text', JSON.stringify(SECRET)],
      ['a number', '7'],
      ['null', 'null'],
      ['32 deep', nested(32)],
      ['an unknown field', { 'nick\u0000name': 1 }],
      ['a lone surrogate', '{"password":"\\ud800 canary of a password"}'],
      ['a NUL', { password: `${SECRET}\0` }],
    ])('a body that is %s is 400 validation_failed, with a list of messages', async (_, body) => {
      const answer = await send(typeof body === 'string' ? body : JSON.stringify(body), JSON_TYPE)
      expectProblem(answer, 400, 'validation_failed')
      expect(answer.body.message.length).toBeGreaterThan(0)
      for (const message of answer.body.message) expect(message).toMatch(/^\S.* /)
      expect(answer.text).not.toContain(SECRET)
    })

    test('check 25: a body of more than 64 KiB is 413, chunked or not', async () => {
      for (const body of [padded(KIB64 + 1), padded(65 * 1024), padded(1024 * 1024), chunked(KIB64 + 1)])
        expectProblem(await send(body, JSON_TYPE), 413, 'body_too_large')
      expectProblem(await send(padded(KIB64), JSON_TYPE), 400, 'validation_failed')
      // Spaces alone are no JSON.
      expectProblem(await send(chunked(KIB64), JSON_TYPE), 400, 'malformed_json')
    })

    test('credentials come before all of that', async () => {
      if (name === 'auth' || name === 'users') return
      for (const [body, type] of [
        ['{', 'application/json'],
        [padded(65 * 1024), 'application/json'],
        ['x', 'text/plain'],
      ] as const)
        expectProblem(await here[name](post, { body, headers: { 'content-type': type } }), 401, 'missing_token')
    })

    test('the request id is the client’s, where it is one, else a new one', async () => {
      const idOf = async (sent?: string) => {
        const headers = { ...as.operator, ...(sent === undefined ? {} : { 'x-request-id': sent }) }
        const [good, bad] = [await here[name](get, { headers }), await here[name](post, { headers, body: '{' })]
        expect(good.status).toBe(200)
        expect(bad.body.requestId).toBe(bad.headers.get('x-request-id'))
        return [good.headers.get('x-request-id'), bad.headers.get('x-request-id')]
      }
      for (const id of ['a', 'x'.repeat(128), '!~"<script>'] as const) expect(await idOf(id)).toEqual([id, id])
      for (const id of [undefined, 'x'.repeat(129), 'with space', 'ä'])
        for (const given of await idOf(id)) expect(given).toMatch(UUID)
      expect((await idOf())[0]).not.toBe((await idOf())[0])
    })

    test('a trailing slash and the prefix make no difference', async () => {
      const path = (get.split(' ')[1] ?? '').replace(/\/$/, '')
      const [bare = '', query = ''] = path.split('?')
      const bodies = []
      for (const form of [`${bare}`, `${bare}/`, `/api/v1${bare}`, `/api/v1${bare}/`]) {
        const answer = await call(here.system.url[name], `GET ${form}?${query}`, { headers: as.operator })
        expect(answer.status).toBe(200)
        bodies.push(answer.body)
      }
      for (const body of bodies) expect(body).toEqual(bodies[0])
    })

    test('an unknown path is 404, a method that a path does not know 405 with those that it does', async () => {
      for (const path of ['/nowhere', `${post.split(' ')[1]}/x/y/z`, '/api/v2/users'])
        for (const method of ['GET', 'POST', 'DELETE'])
          expectProblem(await call(here.system.url[name], `${method} ${path}`), 404, 'not_found')
      const refused = await here[name](post.replace('POST', 'DELETE'), { headers: as.operator })
      expectProblem(refused, 405, 'method_not_allowed')
      const allowed = refused.headers.get('allow')?.split(', ') ?? []
      expect(allowed).toContain('POST')
      expect(allowed).not.toContain('DELETE')
    })

    test('every answer bears the headers, whatever it is', async () => {
      const answers = [
        await here[name](get, { headers: as.operator }),
        await here[name](get),
        await send('{', JSON_TYPE),
        await call(here.system.url[name], 'GET /nowhere'),
        await call(here.system.url[name], 'GET /health'),
      ]
      for (const { headers } of answers) {
        expect(headers.get('x-content-type-options')).toBe('nosniff')
        expect(headers.get('referrer-policy')).toBe('no-referrer')
        expect(headers.get('cache-control')).toBe('no-store')
        expect(headers.get('content-security-policy')).toMatch(/^default-src 'none';.* frame-ancestors 'none'$/)
        expect(headers.get('x-request-id')).not.toBeNull()
        expect(headers.get('content-type')).toStartWith('application/json')
        expect(headers.get('x-powered-by')).toBeNull()
        expect(headers.get('access-control-allow-origin')).toBeNull()
      }
    })

    test('health says that it is there, and whether its database takes a write', async () => {
      const base = here.system.url[name]
      const health = await call(base, 'GET /health')
      expectFields(health.body, ['status', 'service', 'version', 'uptime_s'])
      expect(health).toMatchObject({ status: 200, body: { status: 'ok' } })
      const db = await call(base, 'GET /health/db')
      expectFields(db.body, ['status', 'latency_ms'])
      expect(db).toMatchObject({ status: 200, body: { status: 'ok' } })
    })
  })

  test('check 25: of two fields of one name the last counts', async () => {
    const email = newEmail()
    const body = `{"email":"${email}","password":"${PASSWORD}","name":"First","name":"Last"}`
    const made = await here.users('POST /users', { body, headers: JSON_TYPE })
    expect(made).toMatchObject({ status: 201, body: { name: 'Last' } })
  })

  test('check 25: prototypes stay as they are', async () => {
    const body = `{"email":"${newEmail()}","password":"${PASSWORD}","__proto__":{"roles":["ADMIN"],"status":"x"}}`
    expectProblem(await here.users('POST /users', { body, headers: JSON_TYPE }), 400, 'validation_failed')
    const made = await here.users('POST /users', { body: { email: newEmail(), password: PASSWORD } })
    expectFields(made.body, FIELDS.user)
    expect(made.body.roles).toEqual(['USER'])
  })

  test('a database that takes no writes is 503, nothing is acknowledged, and all is well again after', async () => {
    const email = newEmail()
    const make = () => here.users('POST /users', { headers: as.operator, body: { email, password: SECRET } })
    const lock = new Database(join(here.system.dataDir, 'users.sqlite'))
    try {
      // The service may be in the middle of a write of its own.
      lock.run('PRAGMA busy_timeout = 2000')
      lock.run('BEGIN IMMEDIATE')
      const [made, health] = await Promise.all([make(), call(here.system.url.users, 'GET /health/db')])
      expectProblem(made, 503, 'database_unavailable')
      expect(made.headers.get('retry-after')).not.toBeNull()
      expect(made.text).not.toMatch(/sqlite|locked|BEGIN|canary/i)
      expect(health.status).toBe(503)
      // What needs no write goes on.
      expect((await here.users('GET /users', { headers: as.operator })).status).toBe(200)
      const found = await here.users(`GET /users/by-email/${email}`, { headers: as.operator })
      expectProblem(found, 404, 'user_not_found')
      lock.run('ROLLBACK')
    } finally {
      lock.close()
    }
    expect((await make()).status).toBe(201)
  })
})

describe('with other settings', () => {
  const here = running(inProcessApart, {
    REGISTRATION: 'closed',
    PASSWORD_MIN_LENGTH: '6',
    HASH_QUEUE: '0',
    BCRYPT_COST: '9',
    REVOCATION_MAX_LAG: '4s',
  })
  const { users } = here

  test('closed registration: operators alone make users', async () => {
    const admin = await createUser(here.system, { roles: ['ADMIN'] })
    const body = () => ({ email: newEmail(), password: PASSWORD })
    for (const path of ['/users', '/user/register']) {
      expectProblem(await users(`POST ${path}`, { body: body() }), 403, 'registration_closed')
      expectProblem(await users(`POST ${path}`, { body: { ...body(), roles: ['A'] } }), 403, 'forbidden_field')
      for (const headers of [as.operator, as.bearer(admin.tokens.access_token)])
        expect((await users(`POST ${path}`, { body: body(), headers })).status).toBe(201)
    }
    expectProblem(await here.auth('POST /auth/register', { body: body() }), 403, 'registration_closed')
  })

  test('the least length of a password is a setting', async () => {
    const make = (password: string) =>
      users('POST /users', { headers: as.operator, body: { email: newEmail(), password } })
    expect((await make('zq7xk!')).status).toBe(201)
    const short = await make('zq7xk')
    expectProblem(short, 400, 'validation_failed')
    expect(short.body.message).toEqual(['password must be longer than or equal to 6 characters'])
    expectProblem(await make('qwerty'), 400, 'weak_password')
    expectProblem(await make('ch202!'), 400, 'weak_password')
  })

  test('more than can be hashed are 503 overloaded, and nothing else waits', async () => {
    const emails = Array.from({ length: 24 }, newEmail)
    const reads: number[] = []
    const answers = await Promise.all([
      ...emails.map((email) => users('POST /users', { headers: as.operator, body: { email, password: SECRET } })),
      ...Array.from({ length: 5 }, async () => {
        const { status } = await users('GET /users?size=1', { headers: as.operator })
        reads.push(status)
      }),
    ])
    const outcomes = answers.filter((answer) => answer !== undefined)
    const made = outcomes.filter(({ status }) => status === 201)
    expect(made.length).toBeGreaterThan(0)
    expect(made.length).toBeLessThan(24)
    for (const answer of outcomes) if (answer.status !== 201) expectProblem(answer, 503, 'overloaded')
    expect(reads).toEqual(Array(5).fill(200))
    const { body } = await users('GET /users?size=200', { headers: as.operator })
    const kept = body.items.filter(({ email }: { email: string }) => emails.includes(email))
    expect(kept).toHaveLength(made.length)
  })

  test('cut off from auth: what is good stays good for a while, then 503', async () => {
    const ana = await createUser(here.system)
    const headers = as.bearer(ana.tokens.access_token)
    const read = () => users(`GET /users/${ana.id}`, { headers })
    expect((await read()).status).toBe(200)
    await here.system.kill('auth')
    try {
      expect((await read()).status).toBe(200)
      // Past the lease of the feed, where a token is no longer decided at once.
      const silence = performance.now()
      await eventually(() => performance.now() - silence > 950)
      const altered = headers.authorization.replace(/.{5}$/, 'AAAAA')
      for (const [name, request] of [
        ['users', 'GET /users'],
        ['users', 'GET /users/password-hashes'],
        ['users', `GET /users/by-email/${ana.email}`],
        ['users', `DELETE /users/${ana.id}`],
        ['users', 'GET /metrics'],
        ['modules', 'GET /modules/x/users'],
        ['modules', 'POST /modules/sync/user-deleted'],
      ] as const)
        for (const authorization of ['Bearer x.y.z', altered]) {
          const answer = await here[name](request, { headers: { authorization } })
          expect([request, answer.status]).toEqual([request, answer.body.code === 'invalid_token' ? 401 : 503])
        }
      await eventually(async () => (await read()).status === 503)
      expectProblem(await read(), 503, 'auth_unavailable')
      expectProblem(await here.modules('GET /modules/', { headers }), 503, 'auth_unavailable')
      expect((await users(`GET /users/${ana.id}`, { headers: as.operator })).status).toBe(200)
      expectProblem(await users(`GET /users/${ana.id}`), 401, 'missing_token')
    } finally {
      await here.system.start('auth')
    }
    await eventually(async () => (await read()).status === 200)
  })
})
