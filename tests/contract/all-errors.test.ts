import { describe, expect, test } from 'bun:test'
import { FIELD_CODES, type FieldError } from '../../services/kit/field-errors.ts'
import { MAIL_SETTINGS } from '../security/mailed-values.ts'
import { credentialsOf, fixtureFor, requestOf, servedOperations } from '../security/operations.ts'
import { may, POLICY } from '../security/policy.ts'
import { createUser, newEmail, PASSWORD, registerUser } from '../support/actors.ts'
import { expectOAuthProblem, expectProblem, OAUTH_CALL, OPEN_CALL, OPERATOR_FIELDS } from '../support/expectations.ts'
import { type Answer, as, call } from '../support/http.ts'
import { mailedToken } from '../support/mails.ts'
import { running } from '../support/running.ts'
import type { Name } from '../support/settings.ts'
import { inProcess } from '../support/system.ts'

const CANARY = 'canary-7Qw9xT2r'
const HASH = `$2b$04$${'a'.repeat(53)}`
const JSON_TYPE = { 'content-type': 'application/json' }

/** The errors of an answer as `field code` or `field code limit`, sorted. */
function listed({ body }: Answer): string[] {
  return (body.errors as FieldError[])
    .map(({ code, field, limit }) => [field, code, ...(limit === undefined ? [] : [limit])].join(' '))
    .sort()
}

interface Property {
  type?: string | string[]
  properties?: Record<string, Property>
  required?: string[]
}

/** Fields that a caller without a key may not send: sending one is the only error that is reported. */
const FORBIDDEN: string[] = [...OPERATOR_FIELDS, 'password_hash']

/** A value whose type differs from the types that the field accepts. */
function brokenValue({ type }: Property): unknown {
  return [type].flat().includes('object') ? CANARY : { [CANARY]: CANARY }
}

describe('R9: an answer lists every error', () => {
  const here = running(inProcess, { RATE_LIMIT: 'off', ...MAIL_SETTINGS })

  describe('of a body', () => {
    const rows: [what: string, at: Name, request: string, headers: object, body: object, errors: string[]][] = [
      [
        'the report',
        'auth',
        'POST /auth/register',
        {},
        { email: 'nope', password: 'short' },
        ['email format', 'password too_short 8'],
      ],
      [
        'a registration with a common password',
        'auth',
        'POST /auth/register',
        {},
        { email: 'nope', password: 'password1', username: 'x', name: 'a\tb', nickname: 1 },
        ['email format', 'name pattern', 'nickname unknown', 'password weak', 'username too_short 3'],
      ],
      [
        'a registration whose password is its email',
        'auth',
        'POST /auth/register',
        {},
        { email: 'ana.lovelace@example.org', password: 'Ana.Lovelace@example.org', username: 'x'.repeat(33) },
        ['password weak', 'username too_long 32'],
      ],
      [
        'a registration whose password is its username',
        'auth',
        'POST /auth/register',
        {},
        { email: 7, password: 'Ana-Lovelace', username: 'ana-lovelace' },
        ['email type', 'password weak'],
      ],
      ['an empty registration', 'auth', 'POST /auth/register', {}, {}, ['email required', 'password required']],
      [
        'a user for an operator',
        'users',
        'POST /users',
        as.operator,
        {
          email: `${'x'.repeat(250)}@example.org`,
          password: 'short',
          username: 'ana lovelace',
          name: 'x'.repeat(201),
          roles: ['USER', 'user', 'USER', 7],
          status: 'gone',
          email_verified: 'yes',
          password_hash: HASH,
        },
        [
          'email too_long 254',
          'email_verified type',
          'name too_long 200',
          'password too_short 8',
          'password_hash not_allowed',
          'roles.1 pattern',
          'roles.2 not_allowed',
          'roles.3 type',
          'status not_allowed',
          'username pattern',
        ],
      ],
      [
        'an unsupported hash, and more roles than allowed',
        'users',
        'POST /users',
        as.operator,
        { password_hash: 'plain', roles: Array.from({ length: 33 }, (_, n) => `R${n}`) },
        ['email required', 'password_hash format', 'roles too_many 32'],
      ],
      ['a login', 'auth', 'POST /auth/login', {}, { x: 1 }, ['email required', 'password required', 'x unknown']],
      [
        'a login with two names',
        'auth',
        'POST /auth/login',
        {},
        { login: 'ana', email: 'ana@example.org' },
        ['login not_allowed', 'password required'],
      ],
      [
        'a reset',
        'auth',
        'POST /auth/password-reset-confirm',
        {},
        { new_password: 'short' },
        ['new_password too_short 8', 'token required'],
      ],
      [
        'a reset to a common password',
        'auth',
        'POST /auth/password-reset-confirm',
        {},
        { token: 7, new_password: 'letmein1' },
        ['new_password weak', 'token type'],
      ],
      [
        'a replacement of a hash',
        'users',
        `POST /users/${Bun.randomUUIDv7()}/password`,
        as.internal,
        { password_hash: 'plain', user_id: 1 },
        ['if_version required', 'password_hash format', 'user_id unknown'],
      ],
      [
        'an invalid version number from a service',
        'users',
        `POST /users/${Bun.randomUUIDv7()}/password`,
        as.internal,
        { password_hash: 'plain', if_version: 0 },
        ['if_version too_small 1', 'password_hash format'],
      ],
      [
        'a module',
        'modules',
        'POST /modules',
        as.operator,
        { id: 'users', name: '', requires: ['a', 'A!', 'a'], required_roles: 'ADMIN', default_enabled: 1 },
        [
          'default_enabled type',
          'description required',
          'id not_allowed',
          'name too_short 1',
          'required_roles type',
          'requires.1 pattern',
          'requires.2 not_allowed',
        ],
      ],
      [
        'a webhook',
        'auth',
        'POST /admin/webhooks',
        as.operator,
        { url: `https://ana:${CANARY}@example.org/`, types: ['user.created', 'x'], description: 7 },
        ['description type', 'types.1 not_allowed', 'url not_allowed'],
      ],
      [
        'a webhook without types',
        'auth',
        'POST /admin/webhooks',
        as.operator,
        { url: 'ftp://example.org', types: [] },
        ['types required', 'url format'],
      ],
      [
        'an audit event',
        'auth',
        'POST /auth/audit',
        as.internal,
        { id: 'x', at: -1, type: 'x', user_id: 1, actor: '', ip: null, request_id: null, detail: [] },
        ['actor too_short 1', 'at too_small 0', 'detail type', 'id format', 'type pattern', 'user_id type'],
      ],
      [
        'the records of a list',
        'auth',
        'POST /auth/sync/events',
        as.internal,
        { events: [{ id: 'x' }, 7] },
        [
          'events.0.at required',
          'events.0.data required',
          'events.0.id format',
          'events.0.type required',
          'events.0.user_id required',
          'events.1 type',
        ],
      ],
      ['a token validation', 'auth', 'POST /auth/validate-token', {}, { x: 1 }, ['token required', 'x unknown']],
      [
        'errors of the schema and errors of the checks after it',
        'auth',
        'POST /auth/register',
        {},
        { email: 'ana\0@example.org', password: 'short', username: 'a' },
        ['email pattern', 'password too_short 8', 'username too_short 3'],
      ],
      [
        'a list that is too long and has invalid elements',
        'users',
        'POST /users',
        as.operator,
        { email: newEmail(), roles: [...Array.from({ length: 32 }, (_, n) => `R${n}`), 'R1', 'bad', 7] },
        ['roles too_many 32', 'roles.32 not_allowed', 'roles.33 pattern', 'roles.34 type'],
      ],
      [
        'a value of another type instead of an enum value',
        'auth',
        'POST /admin/webhooks',
        as.operator,
        { url: 'https://example.org', types: ['user.created', 7, null] },
        ['types.1 type', 'types.2 type'],
      ],
      [
        'an unknown field with any value',
        'users',
        'POST /users',
        as.operator,
        { email: newEmail(), nickname: 'a\0', status: 5 },
        ['nickname unknown', 'status type'],
      ],
    ]
    test.each(rows)('%s', async (_, at, request, headers, body, errors) => {
      const answer = await here[at](request, { headers: { ...headers, ...JSON_TYPE }, body: JSON.stringify(body) })
      expectProblem(answer, 400, 'validation_failed')
      expect(listed(answer)).toEqual(errors)
      for (const secret of [CANARY, 'password1', 'letmein1', HASH, 'Lovelace@', 'plain"'])
        expect(answer.text).not.toContain(secret)
    })

    test('describes each error in words and by field, in the same order', async () => {
      const { body } = await here.auth('POST /auth/register', { body: { email: 'nope', password: 'short' } })
      expect(body).toEqual({
        statusCode: 400,
        error: 'Bad Request',
        code: 'validation_failed',
        message: ['email must be an email', 'password must be longer than or equal to 8 characters'],
        errors: [
          { field: 'email', code: 'format', message: 'must be an email' },
          {
            field: 'password',
            code: 'too_short',
            message: 'must be longer than or equal to 8 characters',
            limit: 8,
          },
        ],
        requestId: expect.any(String),
      })
    })

    test('of a request of version 0.0.1 too', async () => {
      const { auth, users } = here.system.url
      const sent = { body: { email: 'nope', password: 'password1', nickname: 1 } }
      for (const answer of [await call(auth, 'POST /auth/register', sent), await call(users, 'POST /user', sent)])
        expect(listed(answer)).toEqual(['email format', 'nickname unknown', 'password weak'])
      const refresh = await call(auth, 'POST /auth/refresh', { body: { x: 1 } })
      expect(listed(refresh)).toEqual(['refreshToken required', 'x unknown'])
    })

    test('of a password change by the user and by an operator', async () => {
      const ana = await registerUser(here.system)
      const changed = await here.users(`POST /users/${ana.id}/change-password`, {
        headers: as.bearer(ana.tokens.access_token),
        body: { new_password: 'password1' },
      })
      expectProblem(changed, 400, 'validation_failed')
      expect(listed(changed)).toEqual(['current_password required', 'new_password weak'])
      const set = await here.users(`POST /users/${ana.id}/set-password`, {
        headers: as.operator,
        body: { new_password: 'short', force: true },
      })
      expect(listed(set)).toEqual(['force unknown', 'new_password too_short 8'])
    })

    test('of each line of an import', async () => {
      const lines = [
        { email: 'nope', password: 'short', roles: ['a'], created_at: 'yesterday' },
        { email: newEmail(), password: PASSWORD, password_hash: 'plain', id: 7 },
        { email: 'nope', password: 'password1' },
      ]
      const answer = await here.users('POST /users/import', {
        headers: { ...as.operator, 'content-type': 'application/x-ndjson' },
        body: lines.map((line) => JSON.stringify(line)).join('\n'),
      })
      const fields = answer.text
        .trim()
        .split('\n')
        .map((line) =>
          JSON.parse(line)
            .message.map((message: string) => message.split(' ')[0])
            .sort(),
        )
      expect(fields).toEqual([
        ['created_at', 'email', 'password', 'roles.0'],
        ['id', 'password_hash'],
        ['email', 'password'],
      ])
    })

    test('a body that is not an object gets only that error', async () => {
      for (const body of ['[]', '"x"', '7', 'null']) {
        const answer = await here.auth('POST /auth/register', { body, headers: JSON_TYPE })
        expect(answer.body.errors).toEqual([{ field: 'body', code: 'type', message: 'must be an object' }])
      }
    })

    test('an answer lists at most a hundred errors, and one per field', async () => {
      const body = Object.fromEntries(Array.from({ length: 5000 }, (_, n) => [`f${n}`, n]))
      const { body: problem } = await here.auth('POST /auth/register', { body })
      expect([problem.errors.length, problem.message.length]).toEqual([100, 100])
      expect(new Set(problem.errors.map(({ field }: FieldError) => field)).size).toBe(100)
    })

    test('an invalid field name is not echoed', async () => {
      const answer = await here.auth('POST /auth/login', { body: { [`${CANARY} ${CANARY}`]: 1, password: 7 } })
      expect(listed(answer)).toEqual(['an invalid field name unknown', 'email required', 'password type'])
      expect(answer.text).not.toContain(CANARY)
    })
  })

  test('every body of the OpenAPI document: each wrong and each missing field is listed', async () => {
    const operations = await servedOperations(here.system)
    const admin = await createUser(here.system, { roles: ['USER', 'ADMIN'] })
    let tried = 0
    for (const policy of POLICY) {
      const one = operations.get(policy.call)
      const schema = one?.operation.requestBody?.content['application/json']?.schema as Property | undefined
      const caller = (['the operator key', 'the internal key', 'the owner'] as const).find((who) => may(policy, who))
      // The token endpoint looks for the client first, also in the body.
      if (!one || !schema?.properties || !caller || policy.call.endsWith('/oauth/token')) continue
      const fixture = await fixtureFor(here.system, one, { admin })
      const { headers, line } = requestOf(one, fixture, caller)
      // OAuth endpoints ignore unknown parameters and hints (RFC 6749, 3.1 and 3.2).
      const isOAuth = OAUTH_CALL.test(policy.call.replace('POST ', ''))
      const isOpen = OPEN_CALL.test(policy.call.replace('POST ', ''))
      const unknown = isOpen ? [] : ['nickname']
      const send = async (body: object) => {
        const answer = await call(here.system.url[one.at[0] ?? 'auth'], line, {
          headers: { ...headers, ...credentialsOf(caller, fixture), ...JSON_TYPE },
          body: JSON.stringify(body),
        })
        expect([policy.call, answer.status, answer.body.code]).toEqual([policy.call, 400, 'validation_failed'])
        if (isOAuth) expectOAuthProblem(answer, 400, 'validation_failed', 'invalid_request')
        else expectProblem(answer, 400, 'validation_failed')
        expect(answer.text).not.toContain(CANARY)
        return new Set<string>(answer.body.errors.map(({ field }: FieldError) => field.split('.')[0]))
      }
      const isRegistration = policy.call.endsWith('/auth/register')
      const properties = Object.entries(schema.properties).filter(
        ([name]) => !(isRegistration && FORBIDDEN.includes(name)) && !(isOAuth && name !== 'token'),
      )
      const wrong = Object.fromEntries(properties.map(([name, property]) => [name, brokenValue(property)]))
      expect([policy.call, [...(await send({ ...wrong, nickname: 1 }))].sort()]).toEqual([
        policy.call,
        [...Object.keys(wrong), ...unknown].sort(),
      ])
      tried++
      // Those that ignore it need no field either.
      if (isOpen && !schema.required?.length) continue
      const missing = [...(await send({ nickname: 1 }))]
      expect([policy.call, missing]).toEqual([
        policy.call,
        expect.arrayContaining([...unknown, ...(schema.required ?? [])]),
      ])
    }
    expect(tried).toBeGreaterThan(25)
  })

  test('every query of the OpenAPI document: each wrong parameter is listed', async () => {
    const operations = await servedOperations(here.system)
    let tried = 0
    for (const policy of POLICY) {
      const one = operations.get(policy.call)
      const names = (one?.operation.parameters ?? [])
        .filter((parameter) => parameter.in === 'query')
        .map(({ name }) => name)
      const caller = (['the operator key', 'the internal key', 'the owner'] as const).find((who) => may(policy, who))
      if (!one || names.length === 0 || !caller) continue
      const fixture = await fixtureFor(here.system, one)
      const [path] = requestOf(one, fixture, caller).line.split('?')
      // Bun takes a line of no more than 16 KiB.
      const value = `%01${'x'.repeat(Math.min(1001, Math.floor(12_000 / names.length)))}`
      const query = [...names, 'nickname'].map((name) => `${name}=${value}`).join('&')
      const answer = await call(here.system.url[one.at[0] ?? 'auth'], `${path}?${query}`, {
        headers: credentialsOf(caller, fixture),
      })
      expectProblem(answer, 400, 'validation_failed')
      const fields = answer.body.errors.map(({ field }: FieldError) => field).sort()
      const unknown = OPEN_CALL.test(policy.call.replace('GET ', '')) ? [] : ['nickname']
      expect([policy.call, fields]).toEqual([policy.call, [...names, ...unknown].sort()])
      tried++
    }
    expect(tried).toBeGreaterThan(10)
  })

  test('a query: parameters that exclude each other are listed too', async () => {
    const twice = await here.users('GET /users?page=1&cursor=x&size=201', { headers: as.operator })
    expect(listed(twice)).toEqual(['page not_allowed', 'size too_large 200'])
    const both = await here.auth(`GET /auth/sessions?all=true&user_id=${Bun.randomUUIDv7()}&size=0`, {
      headers: as.operator,
    })
    expect(listed(both)).toEqual(['size too_small 1', 'user_id not_allowed'])
    const none = await here.auth('GET /admin/refused-logins?x=1', { headers: as.operator })
    expect(listed(none)).toEqual(['user_id required', 'x unknown'])
  })

  test('the OpenAPI document has every error code of a field', async () => {
    const { body } = await call(here.system.url.auth, 'GET /swagger/json')
    const { FieldError, Problem } = body.components.schemas
    expect(FieldError.properties.code.enum).toEqual([...FIELD_CODES])
    expect(Problem.properties.errors.items).toEqual({ $ref: '#/components/schemas/FieldError' })
  })

  test('a weak password alone is weak_password, with its field', async () => {
    const ana = await registerUser(here.system)
    const asAna = { headers: as.bearer(ana.tokens.access_token) }
    const token = await mailedToken(here.auth, here.system, ana.email)
    const new_password = 'password1'
    for (const [answer, field] of [
      [await here.auth('POST /auth/register', { body: { email: newEmail(), password: new_password } }), 'password'],
      [await here.users('POST /users', { body: { email: newEmail(), password: new_password } }), 'password'],
      [
        await here.users(`POST /users/${ana.id}/change-password`, {
          ...asAna,
          body: { current_password: PASSWORD, new_password },
        }),
        'new_password',
      ],
      [
        await here.users(`POST /users/${ana.id}/set-password`, { headers: as.operator, body: { new_password } }),
        'new_password',
      ],
      [await here.auth('POST /auth/password-reset-confirm', { body: { token, new_password } }), 'new_password'],
    ] as const) {
      expectProblem(answer, 400, 'weak_password')
      expect(answer.body.message).toBe('The password is too easy to guess: it is one of the most used passwords')
      expect(answer.body.errors).toEqual([
        { field, code: 'weak', message: 'is too easy to guess: it is one of the most used passwords' },
      ])
      expect(answer.text).not.toContain(new_password)
    }
  })

  test('a taken email and a taken username are both named', async () => {
    const username = `ana-${Bun.randomUUIDv7().slice(-12)}`
    const [ana, ben] = [await createUser(here.system, { username }), await createUser(here.system)]
    const email = { field: 'email', code: 'taken', message: 'is taken' }
    const name = { field: 'username', code: 'taken', message: 'is taken' }
    const other = { email: newEmail(), password: PASSWORD }
    for (const [body, code, errors] of [
      [{ ...other, email: ana.email.toUpperCase(), username: username.toUpperCase() }, 'email_taken', [email, name]],
      [{ ...other, email: ana.email }, 'email_taken', [email]],
      [{ ...other, username }, 'username_taken', [name]],
    ] as const) {
      for (const answer of [
        await here.auth('POST /auth/register', { body }),
        await here.users('POST /users', { body }),
      ]) {
        expectProblem(answer, 409, code)
        expect(answer.body.errors).toEqual(errors)
      }
      const { password, ...change } = body
      const changed = await here.users(`PATCH /users/${ben.id}`, {
        headers: as.operator,
        body: 'username' in change ? change : { email: change.email },
      })
      expectProblem(changed, 409, code)
      expect(changed.body.errors).toEqual(errors)
    }
  })

  test('a field that the caller may not set is reported before any other error', async () => {
    const ana = await registerUser(here.system)
    const anaHeaders = as.bearer(ana.tokens.access_token)
    for (const [at, request, headers, body] of [
      ['auth', 'POST /auth/register', {}, { email: 'nope', roles: 'ADMIN' }],
      ['users', 'POST /users', {}, { email: 'nope', roles: ['a'], nickname: 1 }],
      ['users', 'POST /users', {}, { password_hash: 7 }],
      ['users', `PATCH /users/${ana.id}`, anaHeaders, { email: 'nope', status: 7 }],
      ['users', `PUT /users/${ana.id}`, anaHeaders, { email_verified: 'yes' }],
      ['modules', 'POST /modules/billing/enable', anaHeaders, { user_id: 'x', nickname: 1 }],
    ] as const)
      expectProblem(await here[at](request, { headers, body }), 403, 'forbidden_field')
  })
})

describe('R9: when registration is closed', () => {
  const here = running(inProcess, { REGISTRATION: 'closed' })

  test.each([
    ['a body that is wrong', { email: 'nope' }, JSON_TYPE],
    ['a body that is not JSON', '{', JSON_TYPE],
    ['a body of another type', 'x', { 'content-type': 'text/plain' }],
    ['a body with a NUL', '{"email":"\\u0000"}', JSON_TYPE],
    ['an unknown field', { nickname: 1 }, JSON_TYPE],
  ])('that is reported before %s', async (_, body, headers) => {
    const sent = { headers, body: typeof body === 'string' ? body : JSON.stringify(body) }
    expectProblem(await here.auth('POST /auth/register', sent), 403, 'registration_closed')
    expectProblem(await here.users('POST /users', sent), 403, 'registration_closed')
  })

  test('an operator gets the errors of the body', async () => {
    const answer = await here.users('POST /users', { headers: as.operator, body: { email: 'nope', password: 'short' } })
    expect(listed(answer)).toEqual(['email format', 'password too_short 8'])
  })
})
