import { describe, expect, test } from 'bun:test'
import { createUser, logIn, newEmail, PASSWORD, registerUser } from '../../support/actors.ts'
import { all, askEach } from '../../support/each-service.ts'
import { expectFields, expectProblem, FIELDS, TIME, UUID } from '../../support/expectations.ts'
import { as } from '../../support/http.ts'
import { running, type Start } from '../../support/running.ts'

const WRONG = 'not the right password'

export function loginContract(start: Start): void {
  describe('with the default settings', () => {
    const here = running(start, { TRUSTED_PROXIES: '127.0.0.1' })
    const { auth, users } = here
    const login = (body: Record<string, unknown>, headers = {}) => auth('POST /auth/login', { body, headers })

    test('register returns the new user, and tokens that every service accepts', async () => {
      const email = newEmail()
      const { status, body, text, headers } = await auth('POST /auth/register', {
        body: { email, password: PASSWORD, username: 'Ana.B', name: 'Ana' },
      })
      expect(status).toBe(201)
      expectFields(body, [...FIELDS.user, 'tokens', 'challenge_id'])
      expectFields(body.tokens, FIELDS.token)
      expect(body).toMatchObject({ email, username: 'ana.b', name: 'Ana', roles: ['USER'], status: 'active' })
      expect(body.email_verified).toBe(false)
      expect(body.id).toMatch(UUID)
      expect(body.created_at).toMatch(TIME)
      expect(text).not.toContain(PASSWORD)
      expect(text).not.toContain('$2')
      expect(headers.get('cache-control')).toBe('no-store')
      expect(await askEach(here.system, body.tokens.access_token)).toEqual(all(200))
    })

    const good = { email: 'someone.new@example.org', password: PASSWORD }
    const deep = `${'{"a":'.repeat(33)}1${'}'.repeat(33)}`
    const json = { 'content-type': 'application/json' }
    test.each([
      ['an empty body', {}, 400, 'validation_failed', 'email'],
      ['no password', { email: good.email }, 400, 'validation_failed', 'password'],
      ['no email', { password: PASSWORD }, 400, 'validation_failed', 'email'],
      ['an invalid email', { ...good, email: 'ana' }, 400, 'validation_failed', 'email must be an email'],
      ['a number for the email', { ...good, email: 7 }, 400, 'validation_failed', 'email must be a string'],
      ['a short password', { ...good, password: 'sh0rt!!' }, 400, 'validation_failed', 'password must be longer'],
      ['a long password', { ...good, password: 'x'.repeat(257) }, 400, 'validation_failed', 'password must be shorter'],
      ['a common password', { ...good, password: 'password1' }, 400, 'weak_password', ''],
      ['the email as the password', { ...good, password: good.email }, 400, 'weak_password', ''],
      ['an unknown field', { ...good, nickname: 'x' }, 400, 'validation_failed', 'nickname should not exist'],
      ['roles', { ...good, roles: ['ADMIN'] }, 403, 'forbidden_field', 'roles'],
      ['a status', { ...good, status: 'active' }, 403, 'forbidden_field', 'status'],
      ['email_verified', { ...good, email_verified: true }, 403, 'forbidden_field', 'email_verified'],
      ['a hash', { ...good, password_hash: `$2b$04$${'a'.repeat(53)}` }, 403, 'forbidden_field', 'password_hash'],
    ])('register refuses %s', async (_, body, status, code, message) => {
      const answer = await auth('POST /auth/register', { body })
      expectProblem(answer, status, code)
      expect(String(answer.body.message)).toContain(message)
      if (typeof (body as { password?: unknown }).password === 'string')
        expect(answer.text).not.toContain((body as { password: string }).password)
      const lookup = await users(`GET /users/by-email/${good.email}`, { headers: as.operator })
      expectProblem(lookup, 404, 'user_not_found')
    })

    test.each([
      ['/auth/register', '{"email":', json, 400, 'malformed_json'],
      ['/auth/login', deep, json, 400, 'malformed_json'],
      ['/auth/login', '[]', json, 400, 'validation_failed'],
      ['/auth/refresh', JSON.stringify({ refresh_token: 'x' }), { 'content-type': 'text/plain' }, 415, ''],
      ['/auth/login', 'login=a&password=b', { 'content-type': 'application/x-www-form-urlencoded' }, 415, ''],
      ['/auth/register', JSON.stringify({ email: 'x'.repeat(66_000) }), json, 413, 'body_too_large'],
    ])('POST %s refuses the body %#', async (path, body, headers, status, code) => {
      expectProblem(await auth(`POST ${path}`, { body, headers }), status, code || 'unsupported_media_type')
    })

    test('register refuses a taken email and a taken username, in upper or lower case', async () => {
      const firstEmail = newEmail()
      const first = { email: firstEmail, password: PASSWORD, username: 'taken.one' }
      expect((await auth('POST /auth/register', { body: first })).status).toBe(201)
      const emailTaken = await auth('POST /auth/register', {
        body: { email: firstEmail.toUpperCase(), password: PASSWORD },
      })
      expectProblem(emailTaken, 409, 'email_taken')
      const nameTaken = await auth('POST /auth/register', {
        body: { email: newEmail(), password: PASSWORD, username: 'TAKEN.ONE' },
      })
      expectProblem(nameTaken, 409, 'username_taken')
    })

    test('one of 20 concurrent registrations gets an email', async () => {
      const body = { email: newEmail(), password: PASSWORD }
      const answers = await Promise.all(Array.from({ length: 20 }, () => auth('POST /auth/register', { body })))
      expect(answers.map(({ status }) => status).sort()).toEqual([201, ...Array(19).fill(409)])
    })

    test('login accepts the email, the username, or either, in upper or lower case', async () => {
      const user = await createUser(here.system, { username: 'by.any.name' })
      const names = [
        ['email', user.email],
        ['email', user.email.toUpperCase()],
        ['username', 'by.any.name'],
        ['username', 'By.Any.Name'],
        ['login', user.email],
        ['login', 'BY.ANY.NAME'],
      ] as const
      for (const [field, name] of names) {
        const { status, body, headers } = await login({ [field]: name, password: PASSWORD })
        expect([field, name, status]).toEqual([field, name, 200])
        expectFields(body, FIELDS.token)
        expect(body).toMatchObject({ token_type: 'Bearer', expires_in: 3600 })
        expect(body.refresh_expires_in).toBeWithin(604_790, 604_801)
        expect(body.session_id).toMatch(UUID)
        expect(headers.get('cache-control')).toBe('no-store')
        expect(headers.get('x-content-type-options')).toBe('nosniff')
        expect(headers.get('referrer-policy')).toBe('no-referrer')
      }
    })

    test.each([
      ['no name', { password: PASSWORD }],
      ['two names', { email: 'a@example.org', username: 'aaa', password: PASSWORD }],
      ['no password', { email: 'a@example.org' }],
      ['an empty password', { email: 'a@example.org', password: '' }],
      ['an unknown field', { email: 'a@example.org', password: PASSWORD, remember: true }],
      ['a number for the password', { email: 'a@example.org', password: 12_345_678 }],
      ['a lone surrogate', { email: 'a@example.org', password: 'abcdefgh\ud800' }],
      ['a NUL', { email: 'a@example.org', password: 'abcdefgh\0' }],
    ])('login refuses %s', async (_, body) => {
      expectProblem(await login(body), 400, 'validation_failed')
    })

    test('check 28: an unknown user, a wrong password, and a wrong one for a disabled account get the same bytes', async () => {
      const { email } = await registerUser(here.system)
      const disabled = await createDisabled()
      const headers = { 'x-request-id': 'the-same' }
      const answers = await Promise.all(
        [email, newEmail(), 'no.such.name', disabled.email].map((name) =>
          login({ login: name, password: WRONG }, headers),
        ),
      )
      for (const answer of answers) expectProblem(answer, 401, 'invalid_credentials')
      expect(new Set(answers.map(({ text }) => text)).size).toBe(1)
      expect(answers[0]?.body.requestId).toBe('the-same')
    })

    const createDisabled = async () => {
      const email = newEmail()
      const { body } = await users('POST /users', {
        headers: as.operator,
        body: { email, password: PASSWORD, status: 'disabled' },
      })
      return { email, id: body.id as string }
    }

    test('login reports a disabled account only for the right password, and works once the account is active', async () => {
      const { email, id } = await createDisabled()
      expectProblem(await login({ email, password: PASSWORD }), 403, 'account_disabled')
      expectProblem(await login({ email, password: WRONG }), 401, 'invalid_credentials')
      await users(`PATCH /users/${id}`, { headers: as.operator, body: { status: 'active' } })
      expect((await login({ email, password: PASSWORD })).status).toBe(200)
    })

    test('check 2: every character of a password counts; NFC and NFD are the same', async () => {
      const email = newEmail()
      const password = `Ünïcode ${'x'.repeat(80)}`
      await auth('POST /auth/register', { body: { email, password: password.normalize('NFC') } })
      const bytes = Buffer.from(password.normalize('NFC'))
      for (const other of [`${password} `, password.toLowerCase(), bytes.subarray(0, 72).toString(), password.slice(1)])
        expectProblem(await login({ email, password: other }), 401, 'invalid_credentials')
      expect((await login({ email, password: password.normalize('NFD') })).status).toBe(200)
    })

    test('me returns the user of the token, as users has them now', async () => {
      const user = await registerUser(here.system)
      const headers = as.bearer(user.tokens.access_token)
      await users(`PATCH /users/${user.id}`, { headers, body: { name: 'Another' } })
      const me = await auth('GET /auth/me', { headers })
      expect(me.status).toBe(200)
      expectFields(me.body, FIELDS.user)
      expect(me.body).toMatchObject({ id: user.id, email: user.email, name: 'Another' })
      expect(me.headers.has('x-ch202-stale')).toBe(false)
      expect(me.headers.get('cache-control')).toBe('no-store')
      expectProblem(await auth('GET /auth/me'), 401, 'missing_token')
      expectProblem(await auth('GET /auth/me', { headers: as.operator }), 403, 'forbidden')
    })

    test('an unknown path is 404, and a wrong method 405', async () => {
      expectProblem(await auth('GET /auth/nothing'), 404, 'not_found')
      const other = await auth('GET /auth/login')
      expectProblem(other, 405, 'method_not_allowed')
      expect(other.headers.get('allow')).toContain('POST')
    })

    describe('limits', () => {
      /** Fails as often as the limit of an account allows. */
      const exhaust = async (names: Record<string, unknown>[]) => {
        for (let i = 0; i < 10; i++)
          expectProblem(
            await login({ ...names[i % names.length], password: `${WRONG} ${i}` }),
            401,
            'invalid_credentials',
          )
      }

      test('checks 29 and 30: after ten failures the right password is refused too, under every name; a live session stays', async () => {
        const user = await createUser(here.system, { username: 'guessed' })
        const other = await registerUser(here.system)
        await exhaust([{ email: user.email }, { username: 'guessed' }, { login: user.email.toUpperCase() }])
        for (const name of [{ email: user.email }, { username: 'guessed' }, { login: 'GUESSED' }]) {
          const answer = await login({ ...name, password: PASSWORD })
          expectProblem(answer, 429, 'rate_limited')
          expect(Number(answer.headers.get('retry-after'))).toBeWithin(1, 61)
        }
        expect(await askEach(here.system, user.tokens.access_token)).toEqual(all(200))
        const refreshed = await auth('POST /auth/refresh', { body: { refresh_token: user.tokens.refresh_token } })
        expect(refreshed.status).toBe(200)
        expect((await logIn(here.system, other.email)).status).toBe(200)
      })

      test('check 29: a username in the email field, or an email in the username field, is refused', async () => {
        const user = await createUser(here.system, { username: 'crossed' })
        expectProblem(await login({ email: 'crossed', password: PASSWORD }), 401, 'invalid_credentials')
        expectProblem(await login({ username: user.email, password: PASSWORD }), 401, 'invalid_credentials')
      })

      test('failures for an unknown name are counted too', async () => {
        const email = newEmail()
        await exhaust([{ email }])
        expectProblem(await login({ email, password: PASSWORD }), 429, 'rate_limited')
      })

      test('a right password resets the count', async () => {
        const { email } = await registerUser(here.system)
        for (let i = 0; i < 9; i++) await login({ email, password: WRONG })
        expect((await login({ email, password: PASSWORD })).status).toBe(200)
        for (let i = 0; i < 9; i++) expectProblem(await login({ email, password: WRONG }), 401, 'invalid_credentials')
        expect((await login({ email, password: PASSWORD })).status).toBe(200)
      })

      test('check 29: of 200 concurrent guesses ten are checked, each time', async () => {
        for (let time = 0; time < 12; time++) {
          const { email } = await registerUser(here.system)
          const client = { 'x-forwarded-for': `192.0.2.${time}` }
          const answers = await Promise.all(
            Array.from({ length: 200 }, (_, i) => login({ email, password: `${WRONG} ${i}` }, client)),
          )
          const statuses = answers.map(({ status }) => status)
          expect(statuses.filter((status) => status === 401)).toHaveLength(10)
          // How many are refused as overloaded depends on the machine.
          expect(new Set(statuses.filter((status) => status !== 503))).toEqual(new Set([401, 429]))
          for (const { body, status } of answers) if (status === 503) expect(body.code).toBe('overloaded')
          expectProblem(await login({ email, password: PASSWORD }, client), 429, 'rate_limited')
        }
      })

      test('check 29: an address has one limit for all accounts, an IPv6 /64 counts as one, and forged X-Forwarded-For entries are ignored', async () => {
        const { email } = await registerUser(here.system)
        const from = (address: string) => ({ 'x-forwarded-for': address })
        const guess = (i: number, headers: Record<string, string>) =>
          login({ email: `guess${i}-${newEmail()}`, password: WRONG }, headers)
        const address = (i: number) => `203.0.113.${i % 200}, 2001:db8:0:1::${(i % 50).toString(16)}`
        const answers = await Promise.all(Array.from({ length: 300 }, (_, i) => guess(i, from(address(i)))))
        expect(answers.every(({ status }) => status === 401 || status === 503)).toBe(true)
        for (let i = 300; (await guess(i, from(address(i)))).status === 401; i++) expect(i).toBeLessThan(600)
        const right = { email, password: PASSWORD }
        expectProblem(await login(right, from('2001:DB8:0:1:ffff:0:0:9')), 429, 'rate_limited')
        expect((await login(right, from('2001:db8:0:2::1'))).status).toBe(200)
        expect((await login(right)).status).toBe(200)
      })

      test('check 29: the count survives a crash', async () => {
        const { email } = await registerUser(here.system)
        await exhaust([{ email }])
        await here.system.kill('auth')
        await here.system.start('auth')
        expectProblem(await login({ email, password: PASSWORD }), 429, 'rate_limited')
      })
    })
  })

  describe('with registration closed and limits off', () => {
    const here = running(start, { REGISTRATION: 'closed', RATE_LIMIT: 'off' })
    const { auth } = here

    test('nobody can register, and an operator can create users', async () => {
      const answer = await auth('POST /auth/register', { body: { email: newEmail(), password: PASSWORD } })
      expectProblem(answer, 403, 'registration_closed')
      const { tokens } = await createUser(here.system)
      expect(await askEach(here.system, tokens.access_token)).toEqual(all(200))
    })

    test('failures are not counted', async () => {
      const { email } = await createUser(here.system)
      for (let i = 0; i < 15; i++) expectProblem(await logIn(here.system, email, WRONG), 401, 'invalid_credentials')
      expect((await logIn(here.system, email)).status).toBe(200)
    })
  })
}
