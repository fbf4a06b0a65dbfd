import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { newEmail, PASSWORD, registerUser } from '../support/actors.ts'
import { expectOAuthProblem, expectProblem, OAUTH_CALL, OPEN_CALL, OPERATOR_FIELDS } from '../support/expectations.ts'
import { type Answer, as, call, type Options } from '../support/http.ts'
import { distinctRoutes, isPublic, type Schema, type ServedRoute, samplePath, servedRoutes } from '../support/routes.ts'
import { request, sendChunked } from '../support/sockets.ts'
import { inProcess, type System } from '../support/system.ts'

/** Stands in for every secret in a request. No answer may contain it, and no process may print it. */
const CANARY = 'canary-7Qw9xT2r'
const ORIGIN = 'https://app.example.org'
const OTHER_KEYS = {
  OPERATOR_API_KEY: 'new-operator-key-0123456789abcdefghij, old-operator-key-0123456789abcdefghij',
  INTERNAL_API_KEY: 'new-internal-key-0123456789abcdefghij, old-internal-key-0123456789abcdefghij',
}
const JSON_TYPE = { 'content-type': 'application/json' }
const LOGIN = 'POST /api/v1/auth/login'

const all = await servedRoutes()
const routes = distinctRoutes(all)
const withBody = routes.filter(({ body }) => body)
const guarded = routes.filter((route) => !isPublic(route))

/** Asserts a Problem that echoes nothing of the request. */
function expectProblemWithoutEcho(answer: Answer, status: number, code: string): void {
  // Only OAuth endpoints add the fields of RFC 6749.
  const isOAuth = /^[a-z_]+$/.test(answer.body.error)
  if (isOAuth) expectOAuthProblem(answer, status, code, answer.body.error)
  else expectProblem(answer, status, code)
  expect(answer.text).not.toContain(CANARY)
}

/** Whether a registration has a field of operators: then `forbidden_field` comes before any other error. */
function isForbidden({ path }: { path: string }, field: string): boolean {
  return /^(\/api\/v1)?(\/auth)?\/register$/.test(path) && [...OPERATOR_FIELDS, 'password_hash'].includes(field)
}

/** Bodies that each have one field of a wrong type, with the name of that field. */
function wronglyTyped({ properties = {} }: Schema): { field: string; body: unknown }[] {
  return Object.entries(properties).flatMap(([field, { type }]) => {
    const types = [type].flat()
    const wrong: unknown[] = [
      types.includes('array') ? [1, null] : [CANARY],
      { [CANARY]: CANARY },
      { toString: CANARY },
    ]
    if (!types.includes('string')) wrong.push(CANARY, '')
    if (!types.includes('integer')) wrong.push(1, 0)
    else wrong.push(1.5, 2 ** 60)
    if (!types.includes('boolean')) wrong.push(true, false)
    if (!types.includes('null')) wrong.push(null)
    return wrong
      .filter((value) => !types.includes('object') || typeof value !== 'object')
      .map((value) => ({ field, body: { [field]: value } }))
  })
}

const NOT_OBJECTS = ['[]', '[1]', '"text"', '1', 'true', 'null', `["${CANARY}"]`]

describe('bad input', () => {
  let system: System
  /** Allows pages of `ORIGIN`, and has two keys of each kind. */
  let configured: System
  let bearer: Record<string, string>
  beforeAll(async () => {
    const started = [
      inProcess({ RATE_LIMIT: 'off' }),
      inProcess({ CORS_ORIGINS: `${ORIGIN},https://b.example.org`, ...OTHER_KEYS }),
    ] as const
    ;[system, configured] = await Promise.all(started)
    bearer = as.bearer((await registerUser(system)).tokens.access_token)
  })
  afterAll(() => Promise.all([system.stop(), configured.stop()]))

  const send = (route: ServedRoute, options: Options = {}) =>
    call(system.url[route.service], `${route.method} ${samplePath(route.path)}`, options)

  /** The credentials that a route accepts. @throws Error if it accepts none */
  const credentialsOf = async (route: ServedRoute) => {
    const fresh = async () => as.bearer((await registerUser(system)).tokens.access_token)
    for (const kind of [() => as.operator, () => as.internal, fresh]) {
      const headers = await kind()
      const { status } = await send(route, { headers: { ...headers, ...JSON_TYPE }, body: '{' })
      if (status === 400) return headers
    }
    throw new Error(`No credential opens ${route.method} ${route.path}`)
  }

  describe('every kind of failure is a Problem', () => {
    test.each([
      ['GET', '/api/v1/'],
      ['GET', '/nope'],
      ['POST', '/nope'],
      ['GET', '/api/v1'],
      ['GET', '/api/v1/nope'],
      ['GET', '/api/v2/users'],
      ['GET', '/users/x/y/z'],
      ['GET', '/health/db/x'],
      ['GET', '/favicon.ico'],
    ])('%s %s is 404', async (method, path) => {
      for (const base of Object.values(system.url))
        expectProblemWithoutEcho(await call(base, `${method} ${path}`), 404, 'not_found')
    })

    test('a wrong method is 405, with the allowed methods', async () => {
      const allowed: [keyof System['url'], string, string][] = [
        ['auth', 'GET /auth/login', 'POST'],
        ['auth', 'PUT /api/v1/auth/me', 'GET, HEAD'],
        ['auth', 'DELETE /register', 'POST'],
        ['auth', 'PATCH /auth/sessions', 'DELETE, GET, HEAD'],
        ['users', 'PATCH /users', 'GET, HEAD, POST'],
        ['users', 'POST /api/v1/users/x', 'DELETE, GET, HEAD, PATCH, PUT'],
        ['modules', 'PUT /modules/billing', 'DELETE, GET, HEAD, PATCH'],
        ['modules', 'POST /health', 'GET, HEAD'],
      ]
      for (const [service, line, allow] of allowed) {
        const answer = await call(system.url[service], line)
        expectProblemWithoutEcho(answer, 405, 'method_not_allowed')
        expect(answer.headers.get('allow')).toBe(allow)
      }
    })

    test('check 26: TRACE, unknown methods and malformed request lines are refused, and the service keeps running', async () => {
      for (const base of Object.values(system.url)) {
        for (const method of ['TRACE', 'PROPFIND', 'LOCK', 'CONNECT', 'OPTIONS']) {
          const { status, text } = await request(base, `${method} /health HTTP/1.1`)
          expect([method, status]).toEqual([method, method === 'CONNECT' ? expect.any(Number) : 405])
          expect(status).toBeWithin(400, 500)
          expect(text).not.toContain('Host')
        }
        // Bun closes or refuses these before any code of ours runs.
        for (const line of [
          'FOO /health HTTP/1.1',
          'get /health HTTP/1.1',
          'GET /health',
          'GET /health HTTP/9.9',
          '\0\x01\x02',
        ])
          expect([0, 400, 405, 505]).toContain((await request(base, line)).status)
        expect((await call(base, 'GET /health')).status).toBe(200)
      }
    })

    test('an unknown path does not end the process', async () => {
      for (const name of ['auth', 'users', 'modules'] as const) {
        for (let n = 0; n < 20; n++) await call(system.url[name], `GET /nope/${n}`)
        expect((await call(system.url[name], 'GET /health/db')).status).toBe(200)
      }
      expect(system.output()).not.toMatch(/TypeError|\n\s+at /)
    })

    test('a request id of 1 to 128 visible ASCII characters is kept, any other is replaced', async () => {
      const id = async (sent: string, path: string) => {
        const { headers } = await call(system.url.users, `GET ${path}`, { headers: { 'x-request-id': sent } })
        return headers.get('x-request-id') ?? ''
      }
      for (const path of ['/health', '/nope', '/users']) {
        for (const good of ['a', '!', '~', 'x'.repeat(128), 'trace-"<>\'-1']) expect(await id(good, path)).toBe(good)
        for (const bad of ['', 'x'.repeat(129), 'a b', 'tab\there', 'é', '\x7f']) {
          const replacedId = await id(bad, path)
          expect(replacedId).toMatch(/^[0-9a-f-]{36}$/)
          expect(replacedId).not.toBe(await id(bad, path))
        }
      }
    })

    test('check 26: a header cannot be split into two', async () => {
      for (const header of ['x-request-id: one\r\x20two', 'x-request-id: a\rset-cookie: b=c']) {
        const { headers } = await request(system.url.auth, 'GET /health HTTP/1.1', ['Host: localhost', header])
        expect(headers.has('set-cookie')).toBe(false)
        expect(headers.get('x-request-id') ?? '').not.toContain('two')
      }
    })
  })

  describe('bodies', () => {
    const login = (body: string | Uint8Array, headers: Record<string, string> = JSON_TYPE) =>
      call(system.url.auth, LOGIN, { body, headers })
    const good = JSON.stringify({ login: newEmail(), password: CANARY })

    test.each([
      ['text/plain'],
      ['application/x-www-form-urlencoded'],
      ['multipart/form-data; boundary=x'],
      ['application/json; charset=iso-8859-1'],
      ['application/json; charset="utf-16"'],
      ['application/jsonx'],
      ['application/ld+json'],
      ['json'],
      [','],
      ['application/json, text/plain'],
    ])('as %s are 415', async (type) => {
      expectProblemWithoutEcho(await login(good, { 'content-type': type }), 415, 'unsupported_media_type')
    })

    test('without a content type are 415', async () => {
      const body = JSON.stringify({ login: 'a', password: CANARY })
      const head = ['Host: localhost', `Content-Length: ${body.length}`]
      const { status, body: answer } = await request(system.url.auth, 'POST /auth/login HTTP/1.1', head, body)
      expect([status, answer.code]).toEqual([415, 'unsupported_media_type'])
      expectProblemWithoutEcho(await login(new TextEncoder().encode(good), {}), 415, 'unsupported_media_type')
    })

    test.each([
      ['application/json'],
      ['APPLICATION/JSON'],
      ['application/json;charset=utf-8'],
      ['application/json; charset="UTF-8"'],
      ['application/json ; profile=x'],
    ])('as %s are accepted', async (type) => {
      expectProblemWithoutEcho(await login(good, { 'content-type': type }), 401, 'invalid_credentials')
    })

    test('a form is accepted by the documented endpoints only', async () => {
      const form = {
        body: `token=${CANARY}`,
        headers: { ...as.operator, 'content-type': 'application/x-www-form-urlencoded' },
      }
      for (const path of ['/auth/introspect', '/auth/revoke', '/api/v1/auth/revoke'])
        expect((await call(system.url.auth, `POST ${path}`, form)).status).toBe(200)
      for (const route of withBody.filter(({ path }) => !OAUTH_CALL.test(path))) {
        const headers = { ...(await credentialsOf(route)), 'content-type': 'application/x-www-form-urlencoded' }
        expectProblemWithoutEcho(await send(route, { ...form, headers }), 415, 'unsupported_media_type')
      }
    })

    test('check 25: over 64 KiB are 413, announced or chunked', async () => {
      const large = JSON.stringify({ login: 'a', password: 'x'.repeat(65 * 1024) })
      expectProblemWithoutEcho(await login(large), 413, 'body_too_large')
      const line = 'POST /auth/login HTTP/1.1'
      const pieces = Array.from({ length: 65 }, () => 'x'.repeat(1024))
      for (const chunks of [[large], pieces]) {
        const chunked = await sendChunked(system.url.auth, line, ['Content-Type: application/json'], chunks)
        expect([chunked.status, chunked.body.code]).toEqual([413, 'body_too_large'])
        expect(Object.keys(chunked.body)).toHaveLength(5)
      }
      const just = JSON.stringify({ login: 'a', password: CANARY }).padEnd(64 * 1024)
      expectProblemWithoutEcho(await login(just), 401, 'invalid_credentials')
      expectProblemWithoutEcho(await login(`${just} `), 413, 'body_too_large')
      const chunked = await sendChunked(system.url.auth, line, ['Content-Type: application/json'], [just])
      expect(chunked.body.code).toBe('invalid_credentials')
    })

    test.each([
      ['only a brace', '{'],
      ['a trailing comma', `{"login":"${CANARY}",}`],
      ['single quotes', `{'login':'${CANARY}'}`],
      ['two values', `{}{"a":"${CANARY}"}`],
      ['a comment', `{/*${CANARY}*/}`],
      ['NaN', `{"login":NaN,"x":"${CANARY}"}`],
      ['a byte order mark', '\ufeff{'],
      ['an unescaped control character', `{"login":"a\nb${CANARY}"}`],
      ['a bad escape', `{"login":"\\x41${CANARY}"}`],
      ['white space', '   '],
    ])('with %s are 400 malformed_json', async (_, body) => {
      expectProblemWithoutEcho(await login(body), 400, 'malformed_json')
    })

    test('check 2: that are not UTF-8 are 400', async () => {
      for (const bytes of [[0xff], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0xf5, 0x80, 0x80, 0x80], [0xe2, 0x82]]) {
        const body = Buffer.concat([Buffer.from('{"login":"a","password":"'), Buffer.from(bytes), Buffer.from('"}')])
        expectProblemWithoutEcho(await login(body), 400, 'malformed_json')
      }
    })

    test('check 2: with lone surrogates or NUL in any string, or in a field name, are 400', async () => {
      for (const [text, complaint] of [
        ['\\ud800', 'lone surrogates'],
        ['\\udc00x', 'lone surrogates'],
        ['a\\u0000b', 'NUL'],
      ] as const) {
        const answer = await login(`{"login":"a","password":"${CANARY}${text}"}`)
        expectProblemWithoutEcho(answer, 400, 'validation_failed')
        expect(answer.body.message).toEqual([`password must not contain ${complaint}`])
        const created = await call(system.url.users, 'POST /users', {
          headers: { ...as.operator, ...JSON_TYPE },
          body: `{"email":"${newEmail()}","password":"${PASSWORD}","roles":["USER","A${text}"]}`,
        })
        expectProblemWithoutEcho(created, 400, 'validation_failed')
      }
      expectProblemWithoutEcho(await login(`{"login":"a","password":"b","\\ud800":1}`), 400, 'validation_failed')
      expectProblemWithoutEcho(await login(`{"login":"a","password":"b","\\u0000":1}`), 400, 'validation_failed')
    })

    test('check 25: with names of the prototype are treated like those with other names', async () => {
      for (const name of ['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', '__defineGetter__']) {
        const answer = await login(`{"login":"a","password":"b","${name}":{"isAdmin":true,"${CANARY}":1}}`)
        expectProblemWithoutEcho(answer, 400, 'validation_failed')
        expect(answer.body.message).toEqual([`${name} should not exist`])
        const query = await call(system.url.users, `GET /users?${name}=1`, { headers: as.operator })
        expectProblemWithoutEcho(query, 400, 'validation_failed')
        const module = await call(system.url.modules, `GET /modules/${name}`, { headers: as.operator })
        expect(module.status).toBeOneOf([400, 404])
      }
      const clean = await call(system.url.users, 'GET /users?size=1', { headers: as.operator })
      expect(Object.keys(clean.body.items[0])).not.toContain('isAdmin')
    })

    test('check 25: with the same field twice use the last one, as queries do', async () => {
      const email = newEmail()
      const created = await call(system.url.users, 'POST /users', {
        headers: { ...as.operator, ...JSON_TYPE },
        body: `{"email":"${newEmail()}","name":"first","password":"${PASSWORD}","email":"${email}","name":"last"}`,
      })
      expect(created.body).toMatchObject({ email, name: 'last' })
      const page = await call(system.url.users, 'GET /users?size=1&size=2', { headers: as.operator })
      expect(page.body.size).toBe(2)
      expectProblemWithoutEcho(
        await call(system.url.users, 'GET /users?size=1&size=x', { headers: as.operator }),
        400,
        'validation_failed',
      )
    })
  })

  describe('fields', () => {
    test('check 25: of a wrong type are 400 and named, in every body', async () => {
      let tried = 0
      for (const route of withBody) {
        const headers = await credentialsOf(route)
        const rows = wronglyTyped(route.body ?? {})
        await Promise.all(
          rows.map(async ({ field, body }) => {
            // Hints are optional, and never refused (RFC 7009, 2.1).
            if (field === 'token_type_hint') return
            const answer = await send(route, { headers, body })
            if (isForbidden(route, field)) return expectProblemWithoutEcho(answer, 403, 'forbidden_field')
            expect([route.path, body, answer.status]).toEqual([route.path, body, 400])
            expectProblemWithoutEcho(answer, 400, 'validation_failed')
            // Each field once; the elements of a list by their index: `users.0`.
            const places = answer.body.message.map((message: string) => message.split(' ')[0])
            const fieldPlaces = places.filter((place: string) => place === field || place.startsWith(`${field}.`))
            expect([route.path, body, fieldPlaces.length > 0]).toEqual([route.path, body, true])
            expect([route.path, body, new Set(places).size]).toEqual([route.path, body, places.length])
            return tried++
          }),
        )
      }
      expect(tried).toBeGreaterThan(500)
    })

    test('that are unknown are 400 in every body, and so is a body that is not an object', async () => {
      // The token endpoint looks for the client first, also in the body.
      for (const route of withBody.filter(({ path }) => !path.endsWith('/oauth/token'))) {
        const headers = { ...(await credentialsOf(route)), ...JSON_TYPE }
        // OAuth endpoints ignore unknown parameters (RFC 6749, 3.1 and 3.2).
        if (!OPEN_CALL.test(route.path) || OAUTH_CALL.test(route.path)) {
          const unknown = await send(route, { headers, body: `{"nickname":"${CANARY}"}` })
          expectProblemWithoutEcho(unknown, 400, 'validation_failed')
          const complaint = OAUTH_CALL.test(route.path) ? 'token is required' : 'nickname should not exist'
          expect(unknown.body.message).toContain(complaint)
        }
        for (const body of NOT_OBJECTS)
          expectProblemWithoutEcho(await send(route, { headers, body }), 400, 'validation_failed')
      }
    })

    test('check 25: with very long or unusual values never cause a 500', async () => {
      const odd = [
        '',
        ' ',
        '\u0001',
        '\u202e',
        '\ufeff',
        'x'.repeat(60_000),
        '😀'.repeat(9000),
        "' OR 1=1 --",
        '$' + '{7*7}',
        '../../etc/passwd',
      ]
      for (const route of withBody) {
        const headers = await credentialsOf(route)
        const names = Object.keys(route.body?.properties ?? {})
        const answers = await Promise.all(
          odd.map((value) => send(route, { headers, body: Object.fromEntries(names.map((name) => [name, value])) })),
        )
        expect(answers.filter(({ status }) => status >= 500)).toEqual([])
      }
    })

    test('of a query that are unknown or malformed are 400', async () => {
      // An authorization request ignores what it does not know (RFC 6749, 3.1).
      const queried = routes.filter(({ path, query }) => query && !OPEN_CALL.test(path))
      expect(queried.length).toBeGreaterThan(5)
      for (const route of queried) {
        const answers = await Promise.all(
          [as.operator, as.internal, bearer].map((headers) =>
            call(system.url[route.service], `${route.method} ${samplePath(route.path)}?nickname=1`, { headers }),
          ),
        )
        const refusal = answers.find(({ status }) => status === 400)
        if (!refusal) throw new Error(`${route.path} takes a query that it does not know`)
        expectProblemWithoutEcho(refusal, 400, 'validation_failed')
        expect(refusal.body.message).toContain('nickname should not exist')
      }
      for (const query of [
        'page=0',
        'page=-1',
        'page=1.5',
        'page=1e3',
        'page=',
        'size=0',
        'size=201',
        'size=x',
        'sort=name',
        'sort=email;drop',
        'status=gone',
        'role=admin',
        'search=%00',
        'cursor=x',
        'cursor=%00',
        'page=1&cursor=x',
        'page[]=1',
        'page=99999999999',
      ])
        expectProblemWithoutEcho(
          await call(system.url.users, `GET /users?${query}`, { headers: as.operator }),
          400,
          'validation_failed',
        )
    })

    test('check 26: with SQL in a search or a cursor are plain text', async () => {
      await registerUser(system)
      for (const search of ["' OR '1'='1", '%', '_', '"', '*', "'; DROP TABLE users; --", 'NEAR(a b)', '\\']) {
        const response = await call(system.url.users, `GET /users?search=${encodeURIComponent(search)}`, {
          headers: as.operator,
        })
        expect(response.status).toBe(200)
        for (const user of response.body.items)
          expect(
            [user.email, user.username, user.name].some((text) => text?.toLowerCase().includes(search.toLowerCase())),
          ).toBe(true)
      }
      const forge = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
      for (const cursor of [forge([]), forge(['x', "' OR 1=1"]), forge({}), forge(null), forge([[['a']]]), 'AAAA'])
        expectProblemWithoutEcho(
          await call(system.url.users, `GET /users?cursor=${cursor}`, { headers: as.operator }),
          400,
          'validation_failed',
        )
    })
  })

  describe('credentials', () => {
    test('check 17: are checked before the body: every guarded route is 401 without them, for any body', async () => {
      expect(guarded.length).toBeGreaterThan(30)
      // The credentials of a client may be in the body.
      for (const route of guarded.filter(({ path }) => !path.endsWith('/oauth/token'))) {
        const bodies: { body?: string; headers?: Record<string, string> }[] =
          route.method === 'GET'
            ? [{}]
            : [
                {},
                { body: '{', headers: JSON_TYPE },
                { body: CANARY, headers: { 'content-type': 'text/plain' } },
                { body: '{"nickname":1}', headers: JSON_TYPE },
                { body: 'x'.repeat(70_000), headers: JSON_TYPE },
                { body: '['.repeat(40), headers: JSON_TYPE },
              ]
        for (const sent of bodies) {
          const answer = await send(route, sent)
          expect([route.method, route.path, answer.status]).toEqual([route.method, route.path, 401])
          expectProblemWithoutEcho(answer, 401, answer.body.code)
          expect(answer.body.code).toBeOneOf(['missing_token', 'invalid_api_key'])
          expect(answer.headers.get('www-authenticate')).toStartWith('Bearer')
        }
      }
    })

    test('check 23: that are wrong are refused: keys missing, shortened, doubled, in the query, in another scheme', async () => {
      const key = as.operator['x-api-key']
      const wrong: Record<string, string>[] = [
        {},
        { 'x-api-key': '' },
        { 'x-api-key': key.slice(0, -1) },
        { 'x-api-key': key + key },
        { 'x-api-key': `${key},${key}` },
        { 'x-api-key': `${key} x` },
        { 'x-api-key': key.toUpperCase() },
        { 'x-api-key': `Bearer ${key}` },
        { authorization: `Bearer ${key}` },
        { authorization: `Basic ${btoa(`x:${key}`)}` },
        { authorization: key },
        { authorization: 'Bearer' },
        { authorization: 'Bearer ' },
        { cookie: `x-api-key=${key}` },
      ]
      for (const [service, path] of [
        ['users', '/users'],
        ['auth', '/admin/keys'],
        ['auth', '/auth/sessions?all=true'],
        ['modules', '/modules'],
      ] as const) {
        for (const headers of wrong) {
          const answer = await call(system.url[service], `GET ${path}`, { headers })
          expect([path, headers, answer.status]).toEqual([path, headers, 401])
          expectProblemWithoutEcho(answer, 401, answer.body.code)
          expect(answer.text).not.toContain(key)
        }
        const query = await call(system.url[service], `GET ${path.split('?')[0]}?x-api-key=${key}&api_key=${key}`)
        expect(query.status).toBe(401)
        const twice = await request(system.url[service], `GET ${path} HTTP/1.1`, [
          'Host: localhost',
          `X-API-Key: ${key}`,
          `X-API-Key: ${key}`,
        ])
        expect(twice.status).toBe(401)
        expect((await call(system.url[service], `GET ${path}`, { headers: as.operator })).status).toBe(200)
      }
    })

    test('check 24: of an operator are refused on internal paths, and the internal key on admin paths', async () => {
      const isInternal = (path: string) =>
        /^\/api\/v1\/(auth\/(sync|revocations|audit)|users\/(verify-credentials|password-hashes|announcements|:user_id\/password(-hash|-changed)?$)|[a-z0-9]+\/sync\/)/.test(
          path,
        )
      const internal = routes.filter(({ path }) => isInternal(path))
      const admin = routes.filter(({ path }) => /\/(admin|metrics)(\/|$)/.test(path))
      expect(internal.length).toBeGreaterThan(8)
      expect(admin.length).toBeGreaterThan(6)
      for (const route of internal)
        expectProblemWithoutEcho(await send(route, { headers: as.operator }), 403, 'forbidden')
      for (const route of admin) expectProblemWithoutEcho(await send(route, { headers: as.internal }), 403, 'forbidden')
      for (const route of [...internal, ...admin])
        expectProblemWithoutEcho(await send(route, { headers: bearer }), 403, 'forbidden')
    })

    test('check 23: as two keys separated by a comma both work', async () => {
      for (const key of OTHER_KEYS.OPERATOR_API_KEY.split(', ')) {
        const headers = { 'x-api-key': key }
        expect((await call(configured.url.users, 'GET /users', { headers })).status).toBe(200)
        expect((await call(configured.url.auth, 'GET /admin/keys', { headers })).status).toBe(200)
        expect(
          (await call(configured.url.modules, 'GET /metrics', { headers: { authorization: `Bearer ${key}` } })).status,
        ).toBe(200)
      }
      for (const key of OTHER_KEYS.INTERNAL_API_KEY.split(', '))
        expect(
          (await call(configured.url.users, 'GET /users/password-hashes', { headers: { 'x-api-key': key } })).status,
        ).toBe(200)
      expect(
        (await call(configured.url.users, 'GET /users', { headers: { 'x-api-key': OTHER_KEYS.OPERATOR_API_KEY } }))
          .status,
      ).toBe(401)
      // The services call each other with the first key.
      await registerUser(configured)
    })

    test('check 38: are neither echoed nor printed', async () => {
      const attempts: [keyof System['url'], string, Options][] = [
        ['auth', LOGIN, { body: { login: 'a', password: `${CANARY}${'x'.repeat(300)}` } }],
        ['auth', 'POST /auth/refresh', { body: { refresh_token: CANARY } }],
        ['auth', 'POST /auth/logout', { body: { refresh_token: CANARY } }],
        ['auth', 'POST /auth/password-reset-confirm', { body: { token: CANARY, new_password: CANARY } }],
        ['auth', 'POST /auth/validate-token', { body: { token: CANARY } }],
        ['auth', 'GET /auth/me', { headers: { authorization: `Bearer ${CANARY}` } }],
        ['users', 'GET /users', { headers: { 'x-api-key': CANARY } }],
        ['users', 'POST /users', { body: { email: 'no email', password: CANARY } }],
        ['users', 'POST /users', { body: { email: newEmail(), password_hash: CANARY } }],
        ['users', 'POST /users', { body: { email: newEmail(), password_hash: CANARY }, headers: as.operator }],
        ['users', `GET /users?api_key=${CANARY}`, {}],
        ['modules', `GET /modules/${CANARY}`, { headers: as.operator }],
      ]
      for (const [service, line, options] of attempts) {
        const answer = await call(system.url[service], line, options)
        expect(answer.text + JSON.stringify([...answer.headers])).not.toContain(CANARY)
      }
      expect(system.output()).not.toContain(CANARY)
    })
  })

  describe('headers', () => {
    test('are on every answer, and no answer to a request with credentials may be stored', async () => {
      const wellKnown = '/.well-known/jwks.json'
      const answers = [
        ...(await Promise.all(Object.values(system.url).map((base) => call(base, 'GET /health')))),
        await call(system.url.auth, `GET ${wellKnown}`),
        await call(system.url.auth, `GET ${wellKnown}`, { headers: bearer }),
        await call(system.url.auth, 'GET /auth/me', { headers: bearer }),
        await call(system.url.auth, LOGIN, { body: { login: 'nobody', password: 'x' } }),
        await call(system.url.users, 'GET /users', { headers: as.operator }),
        await call(system.url.modules, 'GET /metrics', { headers: as.operator }),
        await call(system.url.auth, 'POST /auth/logout', {
          headers: as.bearer((await registerUser(system)).tokens.access_token),
        }),
      ]
      for (const { headers } of answers) {
        expect(headers.get('x-content-type-options')).toBe('nosniff')
        expect(headers.get('referrer-policy')).toBe('no-referrer')
        expect(headers.get('x-request-id')).toBeString()
        expect(headers.get('server')).toBeNull()
        expect(headers.get('x-powered-by')).toBeNull()
      }
      for (const { headers } of answers.slice(Object.keys(system.url).length + 1))
        expect(headers.get('cache-control')).toBe('no-store')
    })

    test('for pages of other origins are absent when no origin is listed', async () => {
      for (const path of ['/auth/me', '/health', '/nope'])
        for (const method of ['GET', 'OPTIONS']) {
          const { headers } = await call(system.url.auth, `${method} ${path}`, { headers: { origin: ORIGIN } })
          expect([...headers.keys()].filter((name) => name.startsWith('access-control'))).toEqual([])
        }
    })

    test('for pages of other origins name exactly the listed origins, and never a star', async () => {
      const ask = async (service: keyof System['url'], method: string, path: string, origin: string) => {
        const headers = {
          origin,
          'access-control-request-method': 'POST',
          'access-control-request-headers': 'authorization',
        }
        return (await call(configured.url[service], `${method} ${path}`, { headers })).headers
      }
      for (const method of ['GET', 'OPTIONS'])
        for (const path of ['/auth/me', '/api/v1/auth/login', '/auth/sessions']) {
          for (const origin of [ORIGIN, 'https://b.example.org']) {
            const headers = await ask('auth', method, path, origin)
            expect(headers.get('access-control-allow-origin')).toBe(origin)
            expect(headers.get('access-control-allow-credentials')).toBe('true')
            expect(headers.get('vary') ?? '').toContain('Origin')
          }
          for (const origin of [
            'https://evil.org',
            'null',
            'https://app.example.org.evil.org',
            'http://app.example.org',
            `${ORIGIN}:8443`,
            'https://APP.example.org',
            `${ORIGIN}/`,
            '*',
          ]) {
            const headers = await ask('auth', method, path, origin)
            expect([origin, headers.get('access-control-allow-origin')]).toEqual([origin, null])
          }
        }
      expect((await ask('users', 'OPTIONS', '/users', ORIGIN)).get('access-control-allow-methods') ?? '').toContain(
        'PATCH',
      )
    })

    test('for pages of other origins are absent on the internal and the admin paths', async () => {
      const closed = all.filter(({ path }) =>
        /^(\/api\/v1)?\/(admin|metrics|auth\/(sync|introspect|revocations|audit)|users\/(verify-credentials|password-hashes|announcements|:user_id\/password(-hash|-changed)?$)|[a-z0-9]+\/sync\/|modules\/users)(\/|$)?/.test(
          path,
        ),
      )
      expect(closed.length).toBeGreaterThan(30)
      for (const { service, method, path } of closed)
        for (const requestMethod of [method, 'OPTIONS']) {
          const { headers } = await call(configured.url[service], `${requestMethod} ${samplePath(path)}`, {
            headers: { origin: ORIGIN, 'access-control-request-method': method },
          })
          expect([requestMethod, path, headers.get('access-control-allow-origin')]).toEqual([requestMethod, path, null])
        }
    })
  })

  describe('paths', () => {
    test('with a trailing slash answer as those without', async () => {
      const gets = all.filter(
        ({ method, path }) => method === 'GET' && !path.includes('*') && !path.includes('swagger'),
      )
      expect(gets.length).toBeGreaterThan(40)
      for (const { service, path } of gets) {
        for (const headers of [{}, as.operator, as.internal]) {
          const [plain, slashed] = await Promise.all(
            ['', '/'].map((end) => call(system.url[service], `GET ${samplePath(path)}${end}`, { headers })),
          )
          expect([path, slashed?.status]).toEqual([path, plain?.status])
          expect([path, slashed?.body?.code]).toEqual([path, plain?.body?.code])
        }
      }
      const slashed = await call(system.url.auth, `${LOGIN}/`, { body: { login: 'nobody', password: 'x' } })
      expectProblemWithoutEcho(slashed, 401, 'invalid_credentials')
    })

    test('requested with HEAD answer as with GET, without a body', async () => {
      const requests = [
        ['auth', '/health', {}],
        ['auth', '/auth/me', {}],
        ['auth', '/auth/me', bearer],
        ['auth', '/.well-known/jwks.json', {}],
        ['users', '/users', as.operator],
        ['users', '/nope', {}],
        ['modules', '/api/v1/modules/', as.operator],
      ] as const
      for (const [service, path, headers] of requests) {
        const get = await call(system.url[service], `GET ${path}`, { headers })
        const head = await call(system.url[service], `HEAD ${path}`, { headers })
        expect([path, head.status, head.text]).toEqual([path, get.status, ''])
        expect(head.headers.get('content-type')).toBe(get.headers.get('content-type'))
      }
    })
  })
})
