import { describe, expect, test } from 'bun:test'
import { decodeJwt } from 'jose'
import { newEmail, PASSWORD } from '../support/actors.ts'
import { all, askEach } from '../support/each-service.ts'
import { eventually } from '../support/eventually.ts'
import { TIME, UUID } from '../support/expectations.ts'
import { type Answer, as } from '../support/http.ts'
import { storedBytes } from '../support/postgres/database-rows.ts'
import { DAY, forgeriesOf, keysOf, serving } from './serving.ts'

const UUID_4 = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
const JSON_TYPE = /^application\/json(;\s*charset=utf-8)?$/
const USER = ['email', 'id', 'roles']

/** Checks the shape in which the document returns tokens. @returns both tokens */
function expectTokens({ body, headers, status }: Answer, days: number) {
  expect(status).toBe(200)
  expect(headers.get('content-type')).toMatch(JSON_TYPE)
  expect(keysOf(body)).toEqual(['accessToken', 'refreshToken'])
  expect(keysOf(body.refreshToken)).toEqual(['exp', 'token', 'userId'])
  const { exp, token, userId } = body.refreshToken
  expect(exp).toMatch(TIME)
  expect(Date.parse(exp) - Date.now()).toBeWithin((days * DAY - 20) * 1000, days * DAY * 1000 + 1)
  expect(userId).toMatch(UUID)
  return { access: body.accessToken as string, refresh: token as string, userId: userId as string }
}

/** Checks the example of a failure. Further fields beside its three are allowed. */
function expectError({ body, headers, status }: Answer, statusCode: number, error: string, message?: unknown) {
  expect(status).toBe(statusCode)
  expect(headers.get('content-type')).toMatch(JSON_TYPE)
  expect(body).toMatchObject({ statusCode, error })
  if (message === undefined) expect(body.message).toBeString()
  else expect(body.message).toEqual(message)
}

/** `002_9e1c49b8e4c1bd3d.txt`, «API Version 0.0.1». A test's name begins with the line that it proves. */
describe('002, over four processes', () => {
  // The example of a short password shows 6.
  const here = serving({ PASSWORD_MIN_LENGTH: '6' })
  const { auth, users } = here

  const logIn = (email: string, password = PASSWORD) => auth('POST /auth/login', { body: { email, password } })
  const refresh = (refreshToken: string) => auth('POST /auth/refresh', { body: { refreshToken } })
  /** Registers a user, and logs them in. */
  const newcomer = async () => {
    const email = newEmail()
    const { body } = await auth('POST /auth/register', { body: { email, password: PASSWORD } })
    const tokens = expectTokens(await logIn(email), 30)
    return { id: body.id as string, email, ...tokens, bearer: as.bearer(tokens.access) }
  }
  /** Creates an administrator. @returns the header with their token */
  const administrator = async () => {
    const body = { email: newEmail(), password: PASSWORD, roles: ['USER', 'ADMIN'] }
    await users('POST /api/v1/users', { body, headers: as.operator })
    return as.bearer(expectTokens(await logIn(body.email), 30).access)
  }

  test('002:6 the base is /: each path is at the root, and without a trailing slash or with one', async () => {
    const body = { email: newEmail(), password: PASSWORD }
    expect((await auth('POST /auth/register/', { body })).status).toBe(200)
    expect((await auth('POST /auth/login/', { body })).status).toBe(200)
  })

  test('002:7 every answer is JSON', async () => {
    const { bearer, email, id } = await newcomer()
    const answers = [
      await users(`GET /user/${email}`, { headers: bearer }),
      await users(`GET /user/${email}`),
      await auth('POST /auth/login', { body: '{' }),
      await auth('GET /auth/login'),
      await users(`DELETE /user/${id}`, { headers: bearer }),
    ]
    expect(answers.map(({ status }) => status)).toEqual([200, 401, 415, 405, 200])
    for (const { body, headers } of answers) {
      expect(headers.get('content-type')).toMatch(JSON_TYPE)
      expect(body).toBeObject()
    }
  })

  test('002:8 the JWT goes into the header Authorization: Bearer', async () => {
    const { access, id } = await newcomer()
    const status = async (headers: Record<string, string>) => (await users(`GET /user/${id}`, { headers })).status
    expect(await status({ authorization: `Bearer ${access}` })).toBe(200)
    expect(await status({ authorization: access })).toBe(401)
    expect(await status({})).toBe(401)
    for (const forged of forgeriesOf(access)) expect(await status(as.bearer(forged))).toBe(401)
  })

  test('002:9 an access token lives an hour', async () => {
    const { exp = 0, iat = 0 } = decodeJwt((await newcomer()).access)
    expect(exp - iat).toBe(3600)
  })

  test('002:16 POST /auth/register answers 200 with id, email and roles', async () => {
    const email = newEmail()
    const { body, headers, status } = await auth('POST /auth/register', { body: { email, password: PASSWORD } })
    expect(status).toBe(200)
    expect(headers.get('content-type')).toMatch(JSON_TYPE)
    expect(body).toEqual({ id: body.id, email, roles: ['USER'] })
    expect(body.id).toMatch(UUID)
  })

  test('002:22 a registration takes email and password, and nothing else', async () => {
    const body = { email: newEmail(), password: PASSWORD }
    const register = (fields: object) => auth('POST /auth/register', { body: fields })
    expectError(await register({ email: body.email }), 400, 'Bad Request', ['password is required'])
    expectError(await register({ password: PASSWORD }), 400, 'Bad Request', ['email is required'])
    expectError(await register({ ...body, roles: ['ADMIN'] }), 403, 'Forbidden', 'Only an operator may set roles')
    expectError(await logIn(body.email), 401, 'Unauthorized')
  })

  test('002:39 POST /auth/login answers 200 with a JWT that every service takes', async () => {
    const { access, id, userId } = await newcomer()
    expect(userId).toBe(id)
    expect(decodeJwt(access).sub).toBe(id)
    expect(await askEach(here.system, access)).toEqual(all(200))
  })

  test('002:55 the refresh token of a login is a UUID v4', async () => {
    const tokens = await Promise.all([newcomer(), newcomer(), newcomer()])
    for (const { refresh } of tokens) expect(refresh).toMatch(UUID_4)
    expect(new Set(tokens.map(({ refresh }) => refresh)).size).toBe(3)
  })

  test('002:56 the exp of a login is a date in 30 days', async () => {
    const { email } = await newcomer()
    expectTokens(await logIn(email), 30)
  })

  test('002:65 POST /auth/refresh answers as login does, with new tokens', async () => {
    const { access, id, refresh: first } = await newcomer()
    const next = expectTokens(await refresh(first), 30)
    expect(next.refresh).toMatch(UUID_4)
    expect(next.userId).toBe(id)
    expect([next.refresh === first, next.access === access]).toEqual([false, false])
    expect(await askEach(here.system, next.access)).toEqual(all(200))
  })

  test('002:71 a refresh takes the refreshToken of the login; any other is 401', async () => {
    const { access, refresh: first } = await newcomer()
    for (const token of [crypto.randomUUID(), access, 'x', `${first}0`, first.replaceAll('-', '')])
      expectError(await refresh(token), 401, 'Unauthorized')
    expectError(await auth('POST /auth/refresh', { body: {} }), 400, 'Bad Request', ['refreshToken is required'])
    const asObject = { refreshToken: { token: first } }
    expectError(await auth('POST /auth/refresh', { body: asObject }), 400, 'Bad Request', [
      'refreshToken must be a string',
    ])
    expectTokens(await refresh(first), 30)
  })

  test('002:71 the previous refresh token returns the same new one again within the grace period', async () => {
    const { refresh: first } = await newcomer()
    const answers = await Promise.all(Array.from({ length: 10 }, () => refresh(first)))
    const tokens = new Set(answers.map((answer) => expectTokens(answer, 30).refresh))
    expect(tokens.size).toBe(1)
    expectTokens(await refresh([...tokens][0] ?? ''), 30)
  })

  test('002:71 an older refresh token ends the session, at every service', async () => {
    const { access, refresh: first } = await newcomer()
    const second = expectTokens(await refresh(first), 30)
    const third = expectTokens(await refresh(second.refresh), 30)
    const reused = await refresh(first)
    expectError(reused, 401, 'Unauthorized')
    expect(reused.body.code).toBe('refresh_token_reused')
    expectError(await refresh(third.refresh), 401, 'Unauthorized')
    for (const token of [access, second.access, third.access])
      expect(await askEach(here.system, token)).toEqual(all('token_revoked'))
  })

  test.each([
    ['its id', (id: string) => id],
    ['its id in capitals', (id: string) => id.toUpperCase()],
    ['its email', (_: string, email: string) => email],
    ['its email, encoded', (_: string, email: string) => encodeURIComponent(email)],
    ['its email in capitals', (_: string, email: string) => email.toUpperCase()],
  ])('002:80 GET /user/:idOrEmail by %s', async (_, name) => {
    const { bearer, email, id } = await newcomer()
    const { body, headers, status } = await users(`GET /user/${name(id, email)}`, { headers: bearer })
    expect(status).toBe(200)
    expect(headers.get('content-type')).toMatch(JSON_TYPE)
    expect(body).toEqual({ id, email, roles: ['USER'] })
  })

  test('002:84 every email that can be registered can stand in the path', async () => {
    const administration = { headers: await administrator() }
    for (const local of ['plus+tag', 'per%cent', 'per%40cent', "o'neil", 'a/b', 'what?', 'x#y', '{a}|b']) {
      const email = `${local}.${newEmail()}`
      const { body: user } = await users('POST /user', { body: { email, password: PASSWORD } })
      expect(user.email).toBe(email)
      const lookup = await users(`GET /user/${encodeURIComponent(email)}`, administration)
      expect(lookup.body).toEqual({ id: user.id, email, roles: ['USER'] })
    }
    const plus = `a+b.${newEmail()}`
    await users('POST /user', { body: { email: plus, password: PASSWORD } })
    expect((await users(`GET /user/${plus}`, administration)).body.email).toBe(plus)
  })

  test('002:86 GET /user/:idOrEmail returns any user to an administrator, and to nobody else', async () => {
    const [user, other, administration] = [await newcomer(), await newcomer(), await administrator()]
    for (const name of [user.id, user.email]) {
      const answer = await users(`GET /user/${name}`, { headers: administration })
      expect(keysOf(answer.body)).toEqual(USER)
      expect(answer.body.id).toBe(user.id)
      expectError(await users(`GET /user/${name}`, { headers: other.bearer }), 404, 'Not Found')
      expectError(await users(`GET /user/${name}`), 401, 'Unauthorized')
    }
  })

  test('002:98 POST /user answers 200 with id, email and roles; the user can log in at once', async () => {
    const email = newEmail()
    const { body, headers, status } = await users('POST /user', { body: { email, password: PASSWORD } })
    expect(status).toBe(200)
    expect(headers.get('content-type')).toMatch(JSON_TYPE)
    expect(body).toEqual({ id: body.id, email, roles: ['USER'] })
    expect(body.id).toMatch(UUID)
    expect(expectTokens(await logIn(email), 30).userId).toBe(body.id)
  })

  test('002:104 POST /user takes email and password, and nothing else', async () => {
    const create = (body: object) => users('POST /user', { body })
    const good = { email: newEmail(), password: PASSWORD }
    expectError(await create({ ...good, email: 'ana' }), 400, 'Bad Request', ['email must be an email'])
    expectError(await create({ ...good, roles: ['ADMIN'] }), 403, 'Forbidden', 'Only an operator may set roles')
    expect((await create(good)).status).toBe(200)
    expectError(await create(good), 409, 'Conflict')
  })

  test('002:112 DELETE /user/:id returns the user, whose logins and tokens no longer work', async () => {
    const { access, bearer, email, id, refresh: token } = await newcomer()
    const { body, headers, status } = await users(`DELETE /user/${id}`, { headers: bearer })
    expect(status).toBe(200)
    expect(headers.get('content-type')).toMatch(JSON_TYPE)
    expect(body).toEqual({ id, email, roles: ['USER'] })
    expect(await askEach(here.system, access)).toEqual(all('token_revoked'))
    expectError(await logIn(email), 401, 'Unauthorized')
    expectError(await refresh(token), 401, 'Unauthorized')
    expectError(await users(`GET /user/${id}`, { headers: await administrator() }), 404, 'Not Found')
  })

  test('002:116 DELETE /user/:id takes the id of the caller, or any id from an administrator', async () => {
    const [user, other] = [await newcomer(), await newcomer()]
    expectError(await users(`DELETE /user/${user.id}`, { headers: other.bearer }), 404, 'Not Found')
    expectError(await users(`DELETE /user/${user.email}`, { headers: user.bearer }), 404, 'Not Found')
    expectError(await users(`DELETE /user/${user.id}`), 401, 'Unauthorized')
    expect((await users(`DELETE /user/${user.id}`, { headers: await administrator() })).body.id).toBe(user.id)
    expect((await users(`GET /user/${other.id}`, { headers: other.bearer })).status).toBe(200)
  })

  test('002:120 400 Bad Request', async () => {
    const headers = { 'content-type': 'application/json' }
    expectError(await auth('POST /auth/login', { body: '{"email":', headers }), 400, 'Bad Request')
  })

  test('002:121 401 Unauthorized', async () => {
    expectError(await users(`GET /user/${newEmail()}`), 401, 'Unauthorized')
  })

  test('002:122 403 Forbidden', async () => {
    const { email, id } = await newcomer()
    await users(`PATCH /api/v1/users/${id}`, { body: { status: 'disabled' }, headers: as.operator })
    expectError(await logIn(email), 403, 'Forbidden')
  })

  test('002:123 404 Not Found', async () => {
    const headers = await administrator()
    for (const name of [newEmail(), crypto.randomUUID(), 'ana'])
      expectError(await users(`GET /user/${name}`, { headers }), 404, 'Not Found')
    expectError(await users('GET /no/such/path'), 404, 'Not Found')
  })

  test('002:130 wrong credentials get the same answer for an existing and an unknown user', async () => {
    const { email } = await newcomer()
    for (const name of [email, newEmail()])
      expectError(await logIn(name, 'wrong password'), 401, 'Unauthorized', 'Invalid credentials')
  })

  test.each([
    ['POST /auth/register', auth],
    ['POST /user', users],
  ])('002:140 %s refuses a password of five characters', async (path, ask) => {
    const message = ['password must be longer than or equal to 6 characters']
    expectError(await ask(path, { body: { email: newEmail(), password: 'fivec' } }), 400, 'Bad Request', message)
    expect((await ask(path, { body: { email: newEmail(), password: 'sixchr' } })).status).toBe(200)
  })

  test('002:148 neither of the two tokens is accepted in place of the other', async () => {
    const { access, id, refresh: token } = await newcomer()
    expect((await users(`GET /user/${id}`, { headers: as.bearer(token) })).status).toBe(401)
    expectError(await refresh(access), 401, 'Unauthorized')
  })

  test('002:149 the access token holds the id, the email and the roles of its user', async () => {
    const { access, email, id } = await newcomer()
    expect(decodeJwt(access)).toMatchObject({ sub: id, email, roles: ['USER'] })
  })

  test('002:150 the refresh token survives a crash, and cannot be read from the database', async () => {
    const { refresh: token } = await newcomer()
    const stored = await storedBytes(here.system)
    expect(stored.length).toBeGreaterThan(0)
    for (const bytes of stored) expect(bytes.includes(token)).toBe(false)
    await here.system.kill('auth')
    await here.system.start('auth')
    expectTokens(await refresh(token), 30)
  })

  // Documents 002 and 004 both describe these paths, with different shapes. Clients of either work, also together.
  describe('beside the other documents', () => {
    const registered = async () => {
      const body = { email: newEmail(), password: PASSWORD, username: `u${crypto.randomUUID().slice(0, 8)}` }
      expect((await users('POST /user/register', { body })).status).toBe(201)
      return body
    }
    const begin = {
      v0: async (email: string) =>
        (await auth('POST /auth/login', { body: { email, password: PASSWORD } })).body.refreshToken.token as string,
      v1: async (email: string) =>
        (await auth('POST /api/v1/auth/login', { body: { email, password: PASSWORD } })).body.refresh_token as string,
    }
    const KINDS = [
      ['v0', 30],
      ['v1', 7],
    ] as const
    const PATHS = [
      '/refresh',
      '/token/refresh',
      '/auth/token/refresh',
      '/api/v1/auth/refresh',
      '/api/v1/auth/token/refresh',
    ]

    test.each([
      ['email', 'email'],
      ['login', 'email'],
      ['login', 'username'],
      ['username', 'username'],
    ] as const)('002:39 POST /auth/login by %s, when that is the %s', async (field, of) => {
      const user = await registered()
      expectTokens(await auth('POST /auth/login', { body: { [field]: user[of], password: PASSWORD } }), 30)
    })

    test.each(KINDS)(
      '002:65 POST /auth/refresh takes either spelling of a %s token, and never two',
      async (kind, days) => {
        const { email } = await registered()
        let token = await begin[kind](email)
        for (const field of ['refreshToken', 'refresh_token', 'refreshToken'])
          token = expectTokens(await auth('POST /auth/refresh', { body: { [field]: token } }), days).refresh
        const both = { refreshToken: token, refresh_token: token }
        expectError(await auth('POST /auth/refresh', { body: both }), 400, 'Bad Request', [
          'refresh_token should not exist beside refreshToken',
        ])
      },
    )

    test.each(PATHS.flatMap((path) => KINDS.map(([kind, days]) => [path, kind, days] as const)))(
      '002:65 POST %s takes a %s token, answers in its own shape, and the token keeps its kind',
      async (path, kind, days) => {
        const { email } = await registered()
        const first = await begin[kind](email)
        const ask = () => auth(`POST ${path}`, { body: { refresh_token: first } })
        const { body, status } = await ask()
        expect(status).toBe(200)
        expect(keysOf(body)).toEqual([
          'access_token',
          'expires_in',
          'refresh_expires_in',
          'refresh_token',
          'session_id',
          'token_type',
        ])
        expect(UUID_4.test(body.refresh_token)).toBe(kind === 'v0')
        expect(body.refresh_expires_in).toBeWithin(days * DAY - 20, days * DAY + 1)
        // A retry at either path returns the same token.
        expect((await ask()).body.refresh_token).toBe(body.refresh_token)
        const again = await auth('POST /auth/refresh', { body: { refreshToken: first } })
        expect(expectTokens(again, days).refresh).toBe(body.refresh_token)
        // At the first path again: the shape of the path, the kind of the session.
        const back = await auth('POST /auth/refresh', { body: { refreshToken: body.refresh_token } })
        expect(UUID_4.test(expectTokens(back, days).refresh)).toBe(kind === 'v0')
      },
    )

    test('002:71 a token that was used at another path ends the session too', async () => {
      const { email } = await registered()
      const first = await begin.v0(email)
      const second = await auth('POST /refresh', { body: { refresh_token: first } })
      await auth('POST /api/v1/auth/refresh', { body: { refresh_token: second.body.refresh_token } })
      const reused = await auth('POST /auth/refresh', { body: { refreshToken: first } })
      expect(reused.body.code).toBe('refresh_token_reused')
      const me = await auth('GET /whoami', { headers: as.bearer(second.body.access_token) })
      expect(me.body.code).toBe('token_revoked')
    })

    test('002:71 a session of 002 can be ended by operations of the other documents: logout, revoke, the list', async () => {
      const { email } = await registered()
      const endings = [
        (token: string) => auth('POST /logout', { body: { refresh_token: token } }),
        (token: string) => auth('POST /auth/revoke', { body: { token } }),
        async (token: string) => {
          const introspected = await auth('POST /auth/introspect', { body: { token }, headers: as.internal })
          return auth(`DELETE /auth/sessions/${introspected.body.sid}`, { headers: as.operator })
        },
      ]
      for (const end of endings) {
        const token = await begin.v0(email)
        expect((await end(token)).status).toBeWithin(200, 205)
        expectError(await auth('POST /auth/refresh', { body: { refreshToken: token } }), 401, 'Unauthorized')
      }
    })
  })
})

describe('002 and its settings', () => {
  // An empty variable counts as unset, so the default cost is tested.
  const { auth, users } = serving({ JWT_EXPIRE: '8s', BCRYPT_COST: '' })

  test('002:147 passwords are hashed with bcrypt, cost 10', async () => {
    const { body } = await users('POST /user', { body: { email: newEmail(), password: PASSWORD } })
    const record = await users(`GET /users/${body.id}/password-hash`, { headers: as.internal })
    expect(record.body.password_hash).toMatch(/^\$2[aby]\$10\$/)
    expect(await Bun.password.verify(PASSWORD, record.body.password_hash)).toBe(true)
  })

  test('002:9 JWT_EXPIRE sets the lifetime of an access token', async () => {
    const body = { email: newEmail(), password: PASSWORD }
    const { body: user } = await auth('POST /auth/register', { body })
    const { access, refresh } = expectTokens(await auth('POST /auth/login', { body }), 30)
    const { exp = 0, iat = 0 } = decodeJwt(access)
    expect(exp - iat).toBe(8)
    const read = (token: string) => users(`GET /user/${user.id}`, { headers: as.bearer(token) })
    expect((await read(access)).status).toBe(200)
    const expired = await eventually(async () => {
      const answer = await read(access)
      return answer.status === 200 ? undefined : answer
    })
    expectError(expired, 401, 'Unauthorized')
    expect(expired.body.code).toBe('token_expired')
    const next = expectTokens(await auth('POST /auth/refresh', { body: { refreshToken: refresh } }), 30)
    expect((await read(next.access)).status).toBe(200)
  })
})
