import { describe, expect, test } from 'bun:test'
import { FEED_LEASE } from '../../services/kit/feed/subscriber.ts'
import { createUser, newEmail, PASSWORD } from '../support/actors.ts'
import { eventually } from '../support/eventually.ts'
import { expectFields, expectProblem, FIELDS, UUID } from '../support/expectations.ts'
import { as, awaitReadiness, call } from '../support/http.ts'
import { blockWrites } from '../support/postgres/database-rows.ts'
import { running } from '../support/running.ts'
import type { Name } from '../support/settings.ts'
import { inProcessApart, nodeAddresses } from '../support/system.ts'

const SECRET = 'canary of a password'
const JSON_TYPE = { 'content-type': 'application/json' }
const KIB64 = 64 * 1024

/** An operation of each service that takes a body, and one that takes none. */
const CALLS: [Name, string, string][] = [
  ['auth', 'POST /auth/login', 'GET /auth/sessions?all=true'],
  ['users', 'POST /users', 'GET /users'],
  ['modules', 'POST /modules', 'GET /modules/'],
]

describe('every request', () => {
  const here = running(inProcessApart)

  describe.each(CALLS)('at %s', (name, post, get) => {
    const send = (body: unknown, headers: Record<string, string> = {}) =>
      here[name](post, { body, headers: { ...as.operator, ...headers } })
    const padded = (size: number) => JSON.stringify({ x: 'a'.repeat(size - 8) })
    const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`
    const chunked = (size: number) =>
      new ReadableStream({
        start(controller) {
          for (let remaining = size; remaining > 0; remaining -= 8192)
            controller.enqueue(new TextEncoder().encode(' '.repeat(Math.min(remaining, 8192))))
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
    ])('R27: a body in the encoding %s is 415, which names it', async (encoding, unsupportedEncoding, body) => {
      const answer = await send(body, { ...JSON_TYPE, 'content-encoding': encoding })
      expectProblem(answer, 415, 'unsupported_media_type')
      expect(answer.body.message).toContain(`content encoding ${unsupportedEncoding} `)
    })

    test.each([['identity'], ['Identity'], [' identity , '], [',']])(
      'R27: a body in the encoding %j is read',
      async (encoding) => {
        const answer = await send('{}', { ...JSON_TYPE, 'content-encoding': encoding })
        expectProblem(answer, 400, 'validation_failed')
      },
    )

    test('R27: an encoding is refused after the credentials, is not echoed at length, and is ignored without a body', async () => {
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
      ['JSON with a trailing comma', `{"password":"${SECRET}",}`],
      ['JSON in single quotes', `{'password':'${SECRET}'}`],
      ['not UTF-8', Uint8Array.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])],
      ['33 deep', nested(33)],
      ['20,000 deep', nested(20_000)],
      ['20,000 deep in a field', `{"password":"${SECRET}","x":${'{"a":'.repeat(8000)}1${'}'.repeat(8000)}}`],
    ])('check 25: a body that is %s is 400 malformed_json, quickly', async (_, body) => {
      const before = process.cpuUsage()
      const answer = await send(body, JSON_TYPE)
      expectProblem(answer, 400, 'malformed_json')
      // CPU time in microseconds: the services run in this process.
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
      // Only spaces are not JSON.
      expectProblem(await send(chunked(KIB64), JSON_TYPE), 400, 'malformed_json')
    })

    test('the request id is that of the client if it is valid, or a new one', async () => {
      const idOf = async (sent?: string) => {
        const headers = { ...as.operator, ...(sent === undefined ? {} : { 'x-request-id': sent }) }
        const [good, bad] = [await here[name](get, { headers }), await here[name](post, { headers, body: '{' })]
        expect(good.status).toBe(200)
        expect(bad.body.requestId).toBe(bad.headers.get('x-request-id'))
        return [good.headers.get('x-request-id'), bad.headers.get('x-request-id')]
      }
      for (const id of ['a', 'x'.repeat(128), '!~"<script>'] as const) expect(await idOf(id)).toEqual([id, id])
      for (const id of [undefined, 'x'.repeat(129), 'with space', 'ä'])
        for (const generatedId of await idOf(id)) expect(generatedId).toMatch(UUID)
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

    test('an unknown path is 404; an unknown method is 405, with the allowed methods', async () => {
      for (const path of ['/nowhere', `${post.split(' ')[1]}/x/y/z`, '/api/v2/users'])
        for (const method of ['GET', 'POST', 'DELETE'])
          expectProblem(await call(here.system.url[name], `${method} ${path}`), 404, 'not_found')
      const refused = await here[name](post.replace('POST', 'DELETE'), { headers: as.operator })
      expectProblem(refused, 405, 'method_not_allowed')
      const allowed = refused.headers.get('allow')?.split(', ') ?? []
      expect(allowed).toContain('POST')
      expect(allowed).not.toContain('DELETE')
    })

    test('every answer has the security headers', async () => {
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

    test('health reports that the service runs, and whether its database can be written', async () => {
      const base = here.system.url[name]
      const health = await call(base, 'GET /health')
      expectFields(health.body, ['status', 'service', 'version', 'uptime_s'])
      expect(health).toMatchObject({ status: 200, body: { status: 'ok' } })
      const db = await call(base, 'GET /health/db')
      expectFields(db.body, ['status', 'latency_ms'])
      expect(db).toMatchObject({ status: 200, body: { status: 'ok' } })
    })

    test('a balancer may send requests', async () => {
      await awaitReadiness(here.system)
      const answer = await call(here.system.url[name], 'GET /health/ready')
      expect([answer.status, answer.body]).toEqual([200, { status: 'ok' }])
    })
  })

  test('credentials are checked before the body', async () => {
    for (const [body, type] of [
      ['{', 'application/json'],
      [' '.repeat(65 * 1024), 'application/json'],
      ['x', 'text/plain'],
    ] as const)
      expectProblem(
        await here.modules('POST /modules', { body, headers: { 'content-type': type } }),
        401,
        'missing_token',
      )
  })

  test('check 25: of two fields of one name the last counts', async () => {
    const email = newEmail()
    const body = `{"email":"${email}","password":"${PASSWORD}","name":"First","name":"Last"}`
    const answer = await here.users('POST /users', { body, headers: JSON_TYPE })
    expect(answer).toMatchObject({ status: 201, body: { name: 'Last' } })
  })

  test('check 25: prototypes stay unchanged', async () => {
    const body = `{"email":"${newEmail()}","password":"${PASSWORD}","__proto__":{"roles":["ADMIN"],"status":"x"}}`
    expectProblem(await here.users('POST /users', { body, headers: JSON_TYPE }), 400, 'validation_failed')
    const answer = await here.users('POST /users', { body: { email: newEmail(), password: PASSWORD } })
    expectFields(answer.body, FIELDS.user)
    expect(answer.body.roles).toEqual(['USER'])
  })

  test('a database that cannot be written is 503, and works again once it can', async () => {
    const email = newEmail()
    const make = () => here.users('POST /users', { headers: as.operator, body: { email, password: SECRET } })
    const admitWrites = await blockWrites(here.system, 'users')
    try {
      const [creation, health, ready] = await Promise.all([
        make(),
        call(here.system.url.users, 'GET /health/db'),
        call(here.system.url.users, 'GET /health/ready'),
      ])
      expectProblem(creation, 503, 'database_unavailable')
      expect(creation.headers.get('retry-after')).not.toBeNull()
      expect(creation.text).not.toMatch(/sqlite|postgres|locked|read-only|25006|BEGIN|canary/i)
      expect(health.status).toBe(503)
      expectProblem(ready, 503, 'database_unavailable')
      // Requests without a write still work.
      expect((await here.users('GET /users', { headers: as.operator })).status).toBe(200)
      const lookup = await here.users(`GET /users/by-email/${email}`, { headers: as.operator })
      expectProblem(lookup, 404, 'user_not_found')
    } finally {
      await admitWrites()
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

  test('while registration is closed only operators create users', async () => {
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

  test('the minimum length of a password is a setting', async () => {
    const make = (password: string) =>
      users('POST /users', { headers: as.operator, body: { email: newEmail(), password } })
    expect((await make('zq7xk!')).status).toBe(201)
    const short = await make('zq7xk')
    expectProblem(short, 400, 'validation_failed')
    expect(short.body.message).toEqual(['password must be longer than or equal to 6 characters'])
    expectProblem(await make('qwerty'), 400, 'weak_password')
    expectProblem(await make('ch202!'), 400, 'weak_password')
  })

  test('more passwords than the hash queue holds are 503 overloaded, and other requests do not wait', async () => {
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
    const createdAnswers = outcomes.filter(({ status }) => status === 201)
    expect(createdAnswers.length).toBeGreaterThan(0)
    expect(createdAnswers.length).toBeLessThan(24)
    for (const answer of outcomes) if (answer.status !== 201) expectProblem(answer, 503, 'overloaded')
    expect(reads).toEqual(Array(5).fill(200))
    const { body } = await users('GET /users?size=200', { headers: as.operator })
    const storedUsers = body.items.filter(({ email }: { email: string }) => emails.includes(email))
    expect(storedUsers).toHaveLength(createdAnswers.length)
  })

  test('without auth a valid token stays valid for a while, then requests are 503', async () => {
    const ana = await createUser(here.system)
    const headers = as.bearer(ana.tokens.access_token)
    const read = () => users(`GET /users/${ana.id}`, { headers })
    expect((await read()).status).toBe(200)
    await here.system.kill('auth')
    try {
      expect((await read()).status).toBe(200)
      // From then on the lease of the feed has ended. The result is the same before: nothing depends on the time.
      await Bun.sleep(FEED_LEASE)
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
      // Each node of each service counts from its last poll.
      for (const [name, request] of [
        ['users', `GET /users/${ana.id}`],
        ['modules', 'GET /modules/'],
      ] as const)
        for (const url of nodeAddresses(here.system, name)) {
          const ask = () => call(url, request, { headers })
          await eventually(async () => (await ask()).status === 503)
          expectProblem(await ask(), 503, 'auth_unavailable')
        }
      expectProblem(await read(), 503, 'auth_unavailable')
      expect((await users(`GET /users/${ana.id}`, { headers: as.operator })).status).toBe(200)
      expectProblem(await users(`GET /users/${ana.id}`), 401, 'missing_token')
    } finally {
      await here.system.start('auth')
    }
    await eventually(async () => (await read()).status === 200)
  })
})
