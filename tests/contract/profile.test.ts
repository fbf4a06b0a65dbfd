import { describe, expect, test } from 'bun:test'
import { createUser, newEmail, PASSWORD, registerUser } from '../support/actors.ts'
import { expectProblem, FIELDS } from '../support/expectations.ts'
import { as, call } from '../support/http.ts'
import { running } from '../support/running.ts'
import { inProcess } from '../support/system.ts'

/** Builds an object with the given depth. */
function nested(levels: number): Record<string, unknown> {
  return levels === 1 ? {} : { a: nested(levels - 1) }
}

/** Builds an object whose JSON has the given number of bytes. */
function ofBytes(bytes: number, letter = 'x'): Record<string, unknown> {
  const letters = (bytes - '{"a":""}'.length) / Buffer.byteLength(letter)
  return { a: letter.repeat(letters) }
}

const KIB = 1024

/** Objects, as JSON, that are returned as they were sent. */
const VALID: [what: string, json: string][] = [
  ['nothing', '{}'],
  ['every kind of value', '{"a":null,"b":true,"c":false,"d":-0.5e-7,"e":"","f":[],"g":{},"h":[[null,{"i":[1]}]]}'],
  ['null in an array, and below it', '{"a":[null,{"b":null}]}'],
  ['letters of any script', '{"имя":"Ёж 🐴","":"","a b":"ß","\u05d0":"\u202e"}'],
  ['SQL, HTML, a template', `{"a":"'); DROP TABLE users;--","<b>":"<script>","\${x}":"{{x}}"}`],
  ['control characters', '{"a":"\\u0001\\n\\u2028\\u001b[31m"}'],
  ['names of prototypes', '{"__proto__":{"operator":true},"constructor":{"prototype":{"operator":true}},"toString":1}'],
  ['names of columns', '{"id":1,"email":"x","roles":["ADMIN"],"password_hash":"x"}'],
  ['names like numbers', '{"1":"a","2":"b","-1":"c"}'],
  ['a number of 15 digits', '{"a":123456789012345}'],
  ['8 levels of objects', JSON.stringify(nested(8))],
  ['8 levels of arrays', '{"a":[[[[[[[]]]]]]]}'],
  ['8 KiB', JSON.stringify(ofBytes(8 * KIB))],
  ['8 KiB of two bytes a letter', JSON.stringify(ofBytes(8 * KIB, 'ж'))],
]

/** Values that are refused, as JSON, with the code of the error. */
const INVALID: [what: string, json: string, code: string, limit: number | null][] = [
  ['null', 'null', 'type', null],
  ['a text', '"{}"', 'type', null],
  ['a list', '[]', 'type', null],
  ['a number', '1', 'type', null],
  ['true', 'true', 'type', null],
  ['9 levels of objects', JSON.stringify(nested(9)), 'too_many', 8],
  ['9 levels of arrays', '{"a":[[[[[[[[]]]]]]]]}', 'too_many', 8],
  ['a byte more than 8 KiB', JSON.stringify(ofBytes(8 * KIB + 1)), 'too_large', 8 * KIB],
  ['8 KiB of letters that have two bytes', JSON.stringify({ a: 'ж'.repeat(5000) }), 'too_large', 8 * KIB],
  [
    'many names',
    JSON.stringify(Object.fromEntries(Array.from({ length: 2000 }, (_, n) => [n, 1]))),
    'too_large',
    8 * KIB,
  ],
  ['a number that no double holds', '{"a":[1e999]}', 'not_allowed', null],
  ['NUL in a name', '{"a\\u0000":1}', 'pattern', null],
  ['half a character in a name', '{"\\ud800":1}', 'pattern', null],
]

describe('the profile of a user', () => {
  const here = running(inProcess)
  const { auth, users } = here
  const operator = { headers: as.operator }

  /** Sends a body whose field has exactly this JSON as its value. */
  const send = (request: string, field: string, json: string, headers: Record<string, string>, more: object = {}) => {
    const body = JSON.stringify({ ...more, [field]: null }).replace(`"${field}":null`, `"${field}":${json}`)
    return users(request, { headers: { ...headers, 'content-type': 'application/json' }, body })
  }

  const read = async (id: string) => (await users(`GET /users/${id}`, operator)).body

  test('is null and two empty objects for a new user', async () => {
    const user = await registerUser(here.system)
    const initial = { locale: null, metadata: {}, app_metadata: {} }
    expect(await read(user.id)).toMatchObject(initial)
    expect((await auth('GET /auth/me', { headers: as.bearer(user.tokens.access_token) })).body).toMatchObject(initial)
  })

  describe.each(['metadata', 'app_metadata'])('%s', (field) => {
    test.each(VALID)('holds %s', async (_, json) => {
      const email = newEmail()
      const created = await send('POST /users', field, json, as.operator, { email, password: PASSWORD })
      expect([created.status, created.body.message]).toEqual([201, undefined])
      for (const answer of [created, await users(`GET /users/${created.body.id}`, operator)])
        expect(JSON.stringify(answer.body[field])).toBe(JSON.stringify(JSON.parse(json)))
      const replaced = await send(`PUT /users/${created.body.id}`, field, json, as.operator, { email })
      expect([replaced.status, replaced.body.updated_at]).toEqual([200, created.body.updated_at])
      expect(({} as Record<string, unknown>).operator).toBeUndefined()
    })

    test.each(INVALID)('is refused: %s', async (_, json, code, limit) => {
      const user = await createUser(here.system)
      const before = await read(user.id)
      const calls: [string, object][] = [
        ['POST /users', { email: newEmail(), password: PASSWORD }],
        [`PUT /users/${user.id}`, { email: user.email }],
        [`PATCH /users/${user.id}`, {}],
      ]
      for (const [request, more] of calls) {
        const answer = await send(request, field, json, as.operator, more)
        expectProblem(answer, 400, 'validation_failed')
        const error = { field, code, message: expect.any(String), ...(limit === null ? {} : { limit }) }
        expect([request, answer.body.errors]).toEqual([request, [error]])
      }
      expect(await read(user.id)).toEqual(before)
    })

    test('is stored as JSON, and never as text within text', async () => {
      const { id } = await createUser(here.system, { [field]: { a: '{"b":1}' } })
      expect((await read(id))[field]).toEqual({ a: '{"b":1}' })
    })

    // The examples of RFC 7396, appendix A, whose results are objects.
    test.each<[target: object, patch: object, result: object]>([
      [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
      [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
      [{ a: 'b' }, { a: null }, {}],
      [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
      [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
      [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
      [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
      [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
      [{ e: null }, { a: 1 }, { e: null, a: 1 }],
      [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
      [{ a: 'b' }, {}, { a: 'b' }],
    ])('PATCH merges %j and %j to %j', async (target, patch, result) => {
      const { id } = await createUser(here.system, { [field]: target })
      const patched = await users(`PATCH /users/${id}`, { ...operator, body: { [field]: patch } })
      expect([patched.status, patched.body[field]]).toEqual([200, result])
      expect((await read(id))[field]).toEqual(result)
    })

    test('PATCH merges names of the prototype like other names', async () => {
      const { id } = await createUser(here.system)
      const patch = (json: string) => send(`PATCH /users/${id}`, field, json, as.operator)
      await patch('{"__proto__":{"a":1},"constructor":{"b":1}}')
      const { text } = await patch('{"__proto__":{"c":2},"constructor":null}')
      expect(text).toContain(`"${field}":{"__proto__":{"a":1,"c":2}}`)
      expect(({} as Record<string, unknown>).a).toBeUndefined()
    })

    test('PATCH is refused if the result would exceed the limits', async () => {
      const { id } = await createUser(here.system, { [field]: ofBytes(8 * KIB - 100) })
      const before = await read(id)
      const answer = await users(`PATCH /users/${id}`, { ...operator, body: { [field]: { b: 'x'.repeat(100) } } })
      expectProblem(answer, 400, 'validation_failed')
      expect(answer.body.errors).toMatchObject([{ field, code: 'too_large', limit: 8 * KIB }])
      expect(await read(id)).toEqual(before)
    })

    test('concurrent PATCH requests lose no change', async () => {
      const { id } = await createUser(here.system)
      const names = Array.from({ length: 12 }, (_, n) => `n${n}`)
      const patches = names.map((name) =>
        users(`PATCH /users/${id}`, { ...operator, body: { [field]: { [name]: 1 } } }),
      )
      for (const { status } of await Promise.all(patches)) expect(status).toBe(200)
      expect(Object.keys((await read(id))[field]).sort()).toEqual(names.toSorted())
    })

    test('PUT replaces the value, and keeps it if the field is missing', async () => {
      const { email, id } = await createUser(here.system, { [field]: { a: 1 } })
      const put = (body: object) => users(`PUT /users/${id}`, { ...operator, body: { email, ...body } })
      expect((await put({})).body[field]).toEqual({ a: 1 })
      expect((await put({ [field]: { b: 2 } })).body[field]).toEqual({ b: 2 })
      expect((await put({ [field]: {} })).body[field]).toEqual({})
    })

    test('is absent from tokens and from the list of the password cache', async () => {
      const user = await createUser(here.system, { [field]: { mark: 'of-this-test' } })
      const { body: tokens } = await auth('POST /auth/login', { body: { email: user.email, password: PASSWORD } })
      const claims = Buffer.from(tokens.access_token.split('.')[1], 'base64url').toString()
      const introspected = await auth('POST /auth/introspect', { ...operator, body: { token: tokens.access_token } })
      const cached = await auth(`GET /admin/password-cache?search=${user.email}`, operator)
      for (const text of [claims, introspected.text, cached.text]) expect(text).not.toContain('of-this-test')
    })
  })

  test('metadata and locale are the user’s to write; app_metadata is theirs to read', async () => {
    const user = await registerUser(here.system, { metadata: { theme: 'dark' }, locale: 'ru' })
    const headers = as.bearer(user.tokens.access_token)
    const change = await users(`PATCH /users/${user.id}`, { headers, body: { metadata: { font: 12 }, locale: 'en' } })
    expect(change.body).toMatchObject({ metadata: { theme: 'dark', font: 12 }, locale: 'en' })
    await users(`PATCH /users/${user.id}`, { ...operator, body: { app_metadata: { plan: 'pro' } } })
    expect((await users(`GET /users/${user.id}`, { headers })).body.app_metadata).toEqual({ plan: 'pro' })
    for (const method of ['PATCH', 'PUT'])
      for (const value of [{}, { plan: 'free' }, null, 'x']) {
        const body = { email: user.email, app_metadata: value }
        const answer = await users(`${method} /users/${user.id}`, { headers, body })
        expectProblem(answer, 403, 'forbidden_field')
        expect(answer.body.message).toContain('app_metadata')
      }
    expect((await read(user.id)).app_metadata).toEqual({ plan: 'pro' })
  })

  test('nobody registers with app_metadata, by any path', async () => {
    const paths = {
      auth: ['/auth/register', '/api/v1/auth/register', '/register'],
      users: ['/users', '/api/v1/users', '/user/register', '/user'],
    }
    const calls = (['auth', 'users'] as const).flatMap((name) => paths[name].map((path) => [name, path] as const))
    for (const [name, path] of calls) {
      const body = { email: newEmail(), password: PASSWORD, app_metadata: {} }
      const answer = await call(here.system.url[name], `POST ${path}`, { body })
      expectProblem(answer, 403, 'forbidden_field')
    }
  })

  test('a user can’t read or write the profile of another', async () => {
    const [one, other] = [await registerUser(here.system), await registerUser(here.system, { metadata: { a: 1 } })]
    const headers = as.bearer(one.tokens.access_token)
    const answer = await users(`PATCH /users/${other.id}`, { headers, body: { metadata: { a: null } } })
    expectProblem(answer, 404, 'user_not_found')
    expectProblem(await users(`GET /users/${other.id}`, { headers }), 404, 'user_not_found')
    expect((await read(other.id)).metadata).toEqual({ a: 1 })
  })

  describe('locale', () => {
    test.each(['en', 'ru', null])('may be %p', async (locale) => {
      const { email, id } = await createUser(here.system, { locale })
      expect((await read(id)).locale).toBe(locale)
      expect((await users(`PUT /users/${id}`, { ...operator, body: { email } })).body.locale).toBe(locale)
      const patched = await users(`PATCH /users/${id}`, { ...operator, body: { locale: null } })
      expect([patched.status, patched.body.locale]).toEqual([200, null])
    })

    test.each<[unknown, string]>([
      ['de', 'not_allowed'],
      ['EN', 'not_allowed'],
      ['en-US', 'not_allowed'],
      ['', 'not_allowed'],
      [' en', 'not_allowed'],
      [1, 'type'],
      [['en'], 'type'],
      [{}, 'type'],
    ])('is not %p', async (locale, code) => {
      const answer = await users('POST /users', { body: { email: newEmail(), password: PASSWORD, locale } })
      expectProblem(answer, 400, 'validation_failed')
      expect(answer.body.errors).toEqual([{ field: 'locale', code, message: expect.stringContaining('en, ru') }])
    })
  })

  test('is complete in every answer with a user, and absent in the short answers of v0', async () => {
    const profile = { locale: 'ru', metadata: { a: { b: [1, null] } } }
    const { body: registered } = await auth('POST /auth/register', {
      body: { email: newEmail(), password: PASSWORD, ...profile },
    })
    const { email, id, tokens, ...rest } = registered
    expect(rest).toMatchObject({ ...profile, app_metadata: {} })
    const { body: user } = await users(`PATCH /users/${id}`, { ...operator, body: { app_metadata: { plan: 'pro' } } })
    const bearer = { headers: as.bearer(tokens.access_token) }
    const verifying = { headers: as.internal, body: { login: email, password: PASSWORD } }
    const answers = [
      (await users(`GET /users/${id}`, bearer)).body,
      (await users(`GET /users/by-email/${email}`, operator)).body,
      (await users(`GET /users?search=${email}`, operator)).body.items[0],
      (await users('POST /users/verify-credentials', verifying)).body.user,
      (await auth('GET /auth/me', bearer)).body,
      (await call(here.system.url.auth, 'GET /whoami', bearer)).body,
    ]
    for (const answer of answers) expect(answer).toEqual(user)
    const { body: record } = await users(`GET /users/${id}/password-hash`, { headers: as.internal })
    expect(record).toMatchObject({ ...profile, app_metadata: { plan: 'pro' } })
    const { body: cut } = await call(here.system.url.users, `GET /user/${email}`, operator)
    expect(cut).toEqual({ id, email, roles: ['USER'] })
    expect(Object.keys(user).sort()).toEqual(FIELDS.user.toSorted())
  })

  test('can change alone without ending a session or a token', async () => {
    const user = await registerUser(here.system)
    const bearer = { headers: as.bearer(user.tokens.access_token) }
    const changes = { metadata: { a: 1 }, app_metadata: { b: 1 }, locale: 'en' }
    const { body } = await users(`PATCH /users/${user.id}`, { ...operator, body: changes })
    expect(body).toMatchObject(changes)
    expect((await auth('GET /auth/me', bearer)).body).toEqual(body)
    const refreshed = await auth('POST /auth/refresh', { body: { refresh_token: user.tokens.refresh_token } })
    expect(refreshed.status).toBe(200)
  })

  test('has its changed fields in the audit, without values', async () => {
    const { id } = await createUser(here.system)
    const body = { metadata: { secret: 'of-this-test' }, app_metadata: { b: 'of-this-test' } }
    await users(`PATCH /users/${id}`, { ...operator, body })
    const { body: page, text } = await auth(`GET /admin/audit?user_id=${id}&type=user.updated`, operator)
    expect(page.items).toMatchObject([{ detail: { fields: ['metadata', 'app_metadata'] } }])
    expect(text).not.toContain('of-this-test')
  })
})
