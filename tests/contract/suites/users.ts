import { describe, expect, test } from 'bun:test'
import { createUser, logIn, newEmail, PASSWORD, registerUser, type TestUser } from '../../support/actors.ts'
import { expectFields, expectProblem, FIELDS, TIME, UUID } from '../../support/expectations.ts'
import { as, call } from '../../support/http.ts'
import { running, type Start } from '../../support/running.ts'

const NO_ONE = '0198c0de-0000-7000-8000-000000000000'
const OTHER = 'quite another secret'
const HASH = `$2b$04$${'a'.repeat(53)}`
const bearer = (user: TestUser) => as.bearer(user.tokens.access_token)

let counter = 0
const newName = () => `name-${++counter}-${Math.random().toString(36).slice(2, 6)}`

export function usersContract(start: Start): void {
  const here = running(start)
  const { users } = here
  const post = (body: unknown, headers = {}) => users('POST /users', { body, headers })
  const read = async (id: string) => (await users(`GET /users/${id}`, { headers: as.operator })).body

  describe('creating a user', () => {
    test.each([
      ['POST /users', '/users'],
      ['POST /users/', '/users'],
      ['POST /user/register', '/users'],
      ['POST /api/v1/users', '/api/v1/users'],
      ['POST /api/v1/user/register', '/api/v1/users'],
    ])('%s returns 201, the user and their location', async (request, place) => {
      const email = `Ana.${newEmail()}`
      const username = newName()
      const body = { email, password: PASSWORD, username: username.toUpperCase(), name: 'Ana Ñandú' }
      const answer = await call(here.system.url.users, request, { body })
      expect(answer.status).toBe(201)
      expectFields(answer.body, FIELDS.user)
      expect(answer.body).toMatchObject({
        email,
        username,
        name: 'Ana Ñandú',
        roles: ['USER'],
        status: 'active',
        email_verified: false,
      })
      expect(answer.body.id).toMatch(UUID)
      expect(answer.body.id[14]).toBe('7')
      expect(answer.body.created_at).toMatch(TIME)
      expect(answer.body.updated_at).toBe(answer.body.created_at)
      expect(answer.text).not.toContain(PASSWORD)
      expect(answer.text).not.toContain('$2')
      expect(answer.headers.get('location')).toBe(`${place}/${answer.body.id}`)
      const lookup = await call(here.system.url.users, `GET ${answer.headers.get('location')}`, {
        headers: as.operator,
      })
      expect(lookup.body).toEqual(answer.body)
      expect((await logIn(here.system, email)).status).toBe(200)
    })

    test('username and name may be missing or null', async () => {
      for (const fields of [{}, { username: null, name: null }])
        expect((await post({ email: newEmail(), password: PASSWORD, ...fields })).body).toMatchObject({
          username: null,
          name: null,
        })
    })

    test('an operator, by key or role, may set the fields of operators', async () => {
      const admin = await createUser(here.system, { roles: ['ADMIN'] })
      const fields = { roles: ['ZETA', 'USER', 'A_1'], status: 'disabled', email_verified: true }
      for (const headers of [as.operator, bearer(admin)]) {
        const email = newEmail()
        const creation = await post({ email, password: PASSWORD, ...fields }, headers)
        expect(creation).toMatchObject({ status: 201, body: { email, ...fields } })
        expectFields(creation.body, FIELDS.user)
        expectProblem(await logIn(here.system, email), 403, 'account_disabled')
      }
      await users(`DELETE /users/${admin.id}`, { headers: as.operator })
    })

    const good = { email: 'someone.new@example.org', password: PASSWORD }
    const roles = (count: number) => Array.from({ length: count }, (_, i) => `R${i}`)
    test.each<[string, Record<string, unknown>, string]>([
      ['nothing', {}, 'email is required'],
      ['no email', { password: PASSWORD }, 'email is required'],
      ['null for an email', { ...good, email: null }, 'email must be a string'],
      ['an invalid email', { ...good, email: 'ana' }, 'email must be an email'],
      ['an email with a name', { ...good, email: 'Ana <ana@example.org>' }, 'email must be an email'],
      ['two emails', { ...good, email: 'a@b.org,c@d.org' }, 'email must be an email'],
      ['a line break in an email', { ...good, email: 'a@b.org\r\nBcc: c@d.org' }, 'email must be an email'],
      ['a look-alike email', { ...good, email: 'аna@example.org' }, 'email must be an email'],
      ['a zero-width email', { ...good, email: 'a\u200bna@example.org' }, 'email must be an email'],
      ['an email of 255 characters', { ...good, email: `${'a'.repeat(243)}@example.org` }, 'email must be shorter'],
      [
        'a password of 7 characters',
        { ...good, password: 'sh0rt!!' },
        'password must be longer than or equal to 8 characters',
      ],
      [
        'a password of 257 characters',
        { ...good, password: `${'x!'.repeat(128)}x` },
        'password must be shorter than or equal to 256',
      ],
      ['a number for a password', { ...good, password: 12_345_678 }, 'password must be a string'],
      ['a NUL in a password', { ...good, password: `${PASSWORD}\0` }, 'password must not contain NUL'],
      ['a short username', { ...good, username: 'ab' }, 'username must be 3 to 32'],
      ['a long username', { ...good, username: 'a'.repeat(33) }, 'username must be 3 to 32'],
      ['a space in a username', { ...good, username: 'an a' }, 'username must be 3 to 32'],
      ['a username with other letters', { ...good, username: 'änä' }, 'username must be 3 to 32'],
      ['a username with a letter that becomes ASCII', { ...good, username: 'ana\u017f' }, 'username must be 3 to 32'],
      ['an email for a username', { ...good, username: 'a@b.org' }, 'username must be 3 to 32'],
      ['a long name', { ...good, name: 'x'.repeat(201) }, 'name must be shorter than or equal to 200 characters'],
      ['a control character in a name', { ...good, name: 'a\u0007b' }, 'name must not contain control characters'],
      ['a line break in a name', { ...good, name: 'a\nb' }, 'name must not contain control characters'],
      ['a number for a name', { ...good, name: 7 }, 'name must be a string'],
      ['an unknown field', { ...good, nickname: 'x' }, 'nickname should not exist'],
      ['an id', { ...good, id: NO_ONE }, 'id should not exist'],
      ['__proto__', { ...good, ['__proto__']: { roles: ['ADMIN'] } }, '__proto__ should not exist'],
      ['constructor', { ...good, constructor: {} }, 'constructor should not exist'],
      ['a role in lower case', { ...good, roles: ['user'] }, 'roles.0 must'],
      ['a role of 33 characters', { ...good, roles: ['A'.repeat(33)] }, 'roles.0 must'],
      ['33 roles', { ...good, roles: roles(33) }, 'roles must'],
      ['one role twice', { ...good, roles: ['A', 'A'] }, 'roles.1 must'],
      ['roles as a string', { ...good, roles: 'ADMIN' }, 'roles must be an array'],
      ['an unknown status', { ...good, status: 'locked' }, 'status must be one of'],
      ['yes', { ...good, email_verified: 'yes' }, 'email_verified must be a boolean'],
      ['a hash beside a password', { ...good, password_hash: HASH }, 'password_hash should not exist'],
      ['an invalid hash', { email: good.email, password_hash: OTHER }, 'password_hash must'],
      ['an unsupported hash', { email: good.email, password_hash: `$6$salt$${'a'.repeat(86)}` }, 'password_hash must'],
      [
        'a hash above the cost limit',
        { email: good.email, password_hash: HASH.replace('04', '31') },
        'password_hash must',
      ],
    ])('refuses %s', async (_, body, message) => {
      // JSON.stringify omits a `__proto__` that was assigned; a body can have it as a property.
      const answer = await post(JSON.stringify(body), { ...as.operator, 'content-type': 'application/json' })
      expectProblem(answer, 400, 'validation_failed')
      expect(answer.body.message).toBeArray()
      expect(answer.body.message.join('\n')).toStartWith(message)
      for (const secret of [body.password, body.password_hash])
        if (typeof secret === 'string') expect(answer.text).not.toContain(secret)
      expectProblem(await users(`GET /users/by-email/${good.email}`, { headers: as.operator }), 404, 'user_not_found')
    })

    test.each<[string, Record<string, unknown>]>([
      ['a common one', { password: 'password1' }],
      ['a common one in mixed case', { password: 'PaSSword123' }],
      ['the name of the product', { password: 'ch202', email: newEmail() }],
      ['the name of the product with a suffix', { password: 'Ch202!2026' }],
      ['the email of the user', { password: 'me-myself@example.org', email: 'Me-Myself@example.org' }],
      ['the local part of their email', { password: 'ME-myself2', email: 'me-myself2@example.org' }],
      ['their username', { password: 'Username-77', username: 'username-77' }],
      ['their name', { password: 'ana maría', name: 'Ana María' }],
    ])('check 3: refuses a weak password: %s', async (_, fields) => {
      const body: Record<string, unknown> = { email: newEmail(), ...fields }
      const answer = await post(body)
      // A password below the minimum length is refused for its length.
      const short = String(body.password).length < 8
      expectProblem(answer, 400, short ? 'validation_failed' : 'weak_password')
      expect(answer.text).not.toContain(String(body.password))
      if (!short) expect(answer.body.message).toContain('too easy to guess: ')
      expectProblem(await users(`GET /users/by-email/${body.email}`, { headers: as.operator }), 404, 'user_not_found')
    })

    test.each([
      ['8 lower-case letters', 'zqzqzqxz'],
      ['64 characters', `${'a b'.repeat(21)}c`],
      ['256 characters', 'x!'.repeat(128)],
      ['256 characters of four bytes', '🐴'.repeat(256)],
      ['spaces around it', '  two words  '],
      ['a tab and a line break', 'one\ttwo\nthree'],
    ])('checks 1 and 2: accepts a password of %s, and checks all of it', async (_, password) => {
      const email = newEmail()
      expect((await post({ email, password })).status).toBe(201)
      expect((await logIn(here.system, email, password)).status).toBe(200)
      const others = [[...password].slice(1).join(''), password.trim(), password.toUpperCase()]
      for (const wrong of others)
        if (wrong !== password) expectProblem(await logIn(here.system, email, wrong), 401, 'invalid_credentials')
    })

    test('check 2: both Unicode forms of a password are accepted', async () => {
      const [nfc, nfd] = ['Ünïcödé-é', 'Ünïcödé-é'.normalize('NFD')]
      const [composed, decomposed] = [newEmail(), newEmail()]
      await post({ email: composed, password: nfc })
      await post({ email: decomposed, password: nfd })
      for (const email of [composed, decomposed])
        for (const password of [nfc, nfd]) expect((await logIn(here.system, email, password)).status).toBe(200)
    })

    test('check 19: a field that only an operator may set is 403 to anyone else, for any body', async () => {
      const user = await registerUser(here.system)
      for (const [field, value] of Object.entries({
        roles: ['ADMIN'],
        status: 'active',
        email_verified: true,
        password_hash: HASH,
      })) {
        const body = { email: newEmail(), password: PASSWORD, [field]: value }
        for (const headers of [{}, bearer(user), as.internal]) {
          const answer = await post(body, headers)
          expectProblem(answer, 403, 'forbidden_field')
          expect(answer.body.message).toContain(field)
        }
        const lookup = await users(`GET /users/by-email/${body.email}`, { headers: as.operator })
        expectProblem(lookup, 404, 'user_not_found')
      }
    })

    test('check 26: an email or a username is taken in upper and lower case, and free after the user is deleted', async () => {
      const email = `Mixed.Case-${newEmail()}`
      const username = newName()
      const first = await post({ email, username, password: PASSWORD })
      expect(first.body.email).toBe(email)
      for (const other of [email, email.toLowerCase(), email.toUpperCase()])
        expectProblem(await post({ email: other, password: PASSWORD }), 409, 'email_taken')
      for (const other of [username, username.toUpperCase()])
        expectProblem(await post({ email: newEmail(), username: other, password: PASSWORD }), 409, 'username_taken')
      await users(`DELETE /users/${first.body.id}`, { headers: as.operator })
      const second = await post({ email: email.toLowerCase(), username, password: OTHER })
      expect(second.status).toBe(201)
      expect(second.body.id).not.toBe(first.body.id)
      expect((await logIn(here.system, email, OTHER)).status).toBe(200)
      expectProblem(await logIn(here.system, email, PASSWORD), 401, 'invalid_credentials')
    })

    test('one of many concurrent requests gets an email', async () => {
      const email = newEmail()
      const answers = await Promise.all(
        Array.from({ length: 10 }, (_, i) =>
          post({ email: i % 2 ? email : email.toUpperCase(), password: `${PASSWORD} ${i}` }),
        ),
      )
      expect(answers.map(({ status }) => status).toSorted()).toEqual([201, ...Array(9).fill(409)])
      const won = answers.findIndex(({ status }) => status === 201)
      expect((await logIn(here.system, email, `${PASSWORD} ${won}`)).status).toBe(200)
    })
  })

  describe('reading a user', () => {
    test('returns all fields to the user, to operators and to services, and nothing to others', async () => {
      const [ana, ben] = [
        await registerUser(here.system, { username: newName(), name: 'Ana' }),
        await registerUser(here.system),
      ]
      const fullRecord = await read(ana.id)
      for (const headers of [bearer(ana), as.operator, as.internal])
        for (const path of [`/users/${ana.id}`, `/users/${ana.id.toUpperCase()}`]) {
          const answer = await users(`GET ${path}`, { headers })
          expect(answer).toMatchObject({ status: 200, body: fullRecord })
          expectFields(answer.body, FIELDS.user)
          expect(answer.headers.get('cache-control')).toBe('no-store')
        }
      const hidden = await users(`GET /users/${ana.id}`, { headers: bearer(ben) })
      const unknown = await users(`GET /users/${NO_ONE}`, { headers: bearer(ben) })
      expectProblem(hidden, 404, 'user_not_found')
      // The two answers are the same.
      expect({ ...hidden.body, requestId: '' }).toEqual({ ...unknown.body, requestId: '' })
      for (const id of [NO_ONE, 'me', '1', '%00', '..%2f..', "'%20OR%201=1"])
        expectProblem(await users(`GET /users/${id}`, { headers: as.operator }), 404, 'user_not_found')
      expectProblem(await users(`GET /users/${ana.id}`), 401, 'missing_token')
      expectProblem(await users(`GET /users/${ana.id}`, { headers: as.bearer('x.y.z') }), 401, 'invalid_token')
      expectProblem(await users(`GET /users/${ana.id}`, { headers: { 'x-api-key': 'no' } }), 401, 'invalid_api_key')
      expectProblem(await users(`GET /users/${ana.id}?x-api-key=${as.operator['x-api-key']}`), 401, 'missing_token')
    })

    test('by email or username, in upper or lower case, is for operators and services', async () => {
      const email = `Odd+Tag.%41&${newEmail()}`
      const fullRecord = (await post({ email, username: newName(), password: PASSWORD })).body
      const asOwner = as.bearer((await logIn(here.system, email)).body.access_token)
      for (const headers of [as.operator, as.internal])
        for (const path of [
          `/users/by-email/${encodeURIComponent(email)}`,
          `/users/by-email/${encodeURIComponent(email.toUpperCase())}`,
          `/users/by-username/${fullRecord.username}`,
          `/users/by-username/${fullRecord.username.toUpperCase()}`,
        ])
          expect((await users(`GET ${path}`, { headers })).body).toEqual(fullRecord)
      for (const path of ['/users/by-email/nobody@example.org', '/users/by-email/x', '/users/by-username/nobody'])
        expectProblem(await users(`GET ${path}`, { headers: as.operator }), 404, 'user_not_found')
      for (const path of [
        `/users/by-email/${encodeURIComponent(email)}`,
        `/users/by-username/${fullRecord.username}`,
      ]) {
        expectProblem(await users(`GET ${path}`, { headers: asOwner }), 403, 'forbidden')
        expectProblem(await users(`GET ${path}`), 401, 'missing_token')
      }
    })
  })

  describe('changing a user', () => {
    test('PUT replaces: a missing field becomes null, the fields of operators stay', async () => {
      const ana = await createUser(here.system, {
        username: newName(),
        name: 'Ana',
        roles: ['STAFF', 'USER'],
        email_verified: true,
      })
      const before = await read(ana.id)
      const put = await users(`PUT /users/${ana.id}`, { headers: bearer(ana), body: { email: ana.email } })
      expect(put.status).toBe(200)
      expectFields(put.body, FIELDS.user)
      expect(put.body).toEqual({ ...before, username: null, name: null, updated_at: expect.any(String) })
      expect(Date.parse(put.body.updated_at)).toBeGreaterThanOrEqual(Date.parse(before.updated_at))
      expect(await read(ana.id)).toEqual(put.body)
      const replacement = { email: newEmail(), username: newName().toUpperCase(), name: 'Ana B' }
      expect((await users(`PUT /users/${ana.id}`, { headers: as.operator, body: replacement })).body).toMatchObject({
        ...replacement,
        username: replacement.username.toLowerCase(),
        roles: ['STAFF', 'USER'],
        // The new email is not verified.
        email_verified: false,
      })
      for (const body of [{}, { name: 'x' }, { email: null }])
        expectProblem(await users(`PUT /users/${ana.id}`, { headers: bearer(ana), body }), 400, 'validation_failed')
    })

    test('PATCH changes the fields in the body, for the user and for operators', async () => {
      const ana = await createUser(here.system, { username: newName(), name: 'Ana' })
      const before = await read(ana.id)
      const patch = async (body: unknown, headers: Record<string, string> = bearer(ana)) =>
        users(`PATCH /users/${ana.id}`, { headers, body })
      expect((await patch({})).body).toEqual(before)
      expect((await patch({ name: 'Ana' })).body).toEqual(before)
      expect((await users(`PATCH /users/${ana.id}`, { headers: bearer(ana) })).body).toEqual(before)
      const renamed = await patch({ name: 'Ana B' })
      expectFields(renamed.body, FIELDS.user)
      expect(renamed.body).toEqual({ ...before, name: 'Ana B', updated_at: expect.any(String) })
      expect((await patch({ name: null, username: null })).body).toMatchObject({ name: null, username: null })
      expect((await patch({ email: ana.email.toUpperCase() })).body.email).toBe(ana.email.toUpperCase())
      const fields = { roles: ['B', 'A', 'USER'], email_verified: true, status: 'active' }
      expect((await patch(fields, as.operator)).body).toMatchObject(fields)
      expect((await patch({ roles: [] }, as.operator)).body.roles).toEqual([])
      expect((await read(ana.id)).created_at).toBe(before.created_at)
    })

    test('check 19: a field that only an operator may set is 403, an unknown one 400, and nothing is changed', async () => {
      const ana = await createUser(here.system, { name: 'Ana' })
      const before = await read(ana.id)
      for (const method of ['PUT', 'PATCH']) {
        const change = (body: object, headers: Record<string, string> = bearer(ana)) =>
          users(`${method} /users/${ana.id}`, { headers, body: { email: newEmail(), name: 'New', ...body } })
        for (const [field, value] of Object.entries({ roles: ['ADMIN'], status: 'disabled', email_verified: true })) {
          const answer = await change({ [field]: value })
          expectProblem(answer, 403, 'forbidden_field')
          expect(answer.body.message).toContain(field)
        }
        for (const field of ['nickname', 'id', 'password', 'password_hash', 'created_at', 'user_id', 'version'])
          for (const headers of [bearer(ana), as.operator]) {
            const answer = await change({ [field]: OTHER }, headers)
            expectProblem(answer, 400, 'validation_failed')
            expect(answer.body.message).toEqual([`${field} should not exist`])
            expect(answer.text).not.toContain(OTHER)
          }
      }
      expect(await read(ana.id)).toEqual(before)
    })

    test('an email or a username of another user is refused', async () => {
      const [ana, ben] = [await createUser(here.system, { username: newName() }), await createUser(here.system)]
      const { username } = await read(ana.id)
      const before = await read(ben.id)
      for (const method of ['PUT', 'PATCH'])
        for (const headers of [bearer(ben), as.operator]) {
          const change = (body: object) => users(`${method} /users/${ben.id}`, { headers, body })
          expectProblem(await change({ email: ana.email.toUpperCase() }), 409, 'email_taken')
          expectProblem(await change({ email: ben.email, username: username.toUpperCase() }), 409, 'username_taken')
        }
      expect(await read(ben.id)).toEqual(before)
    })

    test('concurrent changes are all stored', async () => {
      const ana = await createUser(here.system)
      const bodies = [{ name: 'Ana' }, { username: newName() }, { email_verified: true }, { roles: ['A', 'USER'] }]
      const answers = await Promise.all(
        bodies.map((body) => users(`PATCH /users/${ana.id}`, { headers: as.operator, body })),
      )
      expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200])
      expect(await read(ana.id)).toMatchObject(Object.assign({}, ...bodies))
    })
  })

  describe('the password', () => {
    test('is changed by its owner: the other sessions end, this one stays', async () => {
      const ana = await registerUser(here.system)
      const elsewhere = (await logIn(here.system, ana.email)).body
      const change = (current_password: string, new_password: string) =>
        users(`POST /users/${ana.id}/change-password`, {
          headers: bearer(ana),
          body: { current_password, new_password },
        })
      const wrong = await change('not it at all', OTHER)
      expectProblem(wrong, 401, 'invalid_credentials')
      for (const typed of ['not it at all', OTHER]) expect(wrong.text).not.toContain(typed)
      expectProblem(await change(PASSWORD, 'password1'), 400, 'weak_password')
      expectProblem(await change(PASSWORD, ana.email), 400, 'weak_password')
      expectProblem(await change(PASSWORD, 'short'), 400, 'validation_failed')
      expectProblem(await change(PASSWORD, 'x'.repeat(257)), 400, 'validation_failed')
      expectProblem(await change('', OTHER), 400, 'validation_failed')
      expect((await logIn(here.system, ana.email)).status).toBe(200)

      const done = await change(PASSWORD, OTHER)
      expect([done.status, done.text]).toEqual([204, ''])
      expectProblem(await logIn(here.system, ana.email), 401, 'invalid_credentials')
      expect((await logIn(here.system, ana.email, OTHER)).status).toBe(200)
      expect((await users(`GET /users/${ana.id}`, { headers: bearer(ana) })).status).toBe(200)
      const ended = await users(`GET /users/${ana.id}`, { headers: as.bearer(elsewhere.access_token) })
      expectProblem(ended, 401, 'token_revoked')
    })

    test('is set by an operator: every session ends', async () => {
      const ana = await registerUser(here.system)
      const set = (new_password: unknown, id = ana.id) =>
        users(`POST /users/${id}/set-password`, { headers: as.operator, body: { new_password } })
      expectProblem(await set('password1'), 400, 'weak_password')
      expectProblem(await set('short'), 400, 'validation_failed')
      expectProblem(await set(7), 400, 'validation_failed')
      expectProblem(await set(OTHER, NO_ONE), 404, 'user_not_found')
      expect((await set(OTHER)).status).toBe(204)
      expectProblem(await users(`GET /users/${ana.id}`, { headers: bearer(ana) }), 401, 'token_revoked')
      expectProblem(await logIn(here.system, ana.email), 401, 'invalid_credentials')
      expect((await logIn(here.system, ana.email, OTHER)).status).toBe(200)
    })

    test('cannot be changed by another user', async () => {
      const [ana, ben] = [await registerUser(here.system), await registerUser(here.system)]
      const admin = await createUser(here.system, { roles: ['ADMIN'] })
      const change = { current_password: PASSWORD, new_password: OTHER }
      const path = (what: string) => `POST /users/${ana.id}/${what}`
      const refusals: [string, object, Record<string, string>, number, string][] = [
        ['change-password', change, bearer(ben), 404, 'user_not_found'],
        // An operator cannot either: `set-password` is for them.
        ['change-password', change, bearer(admin), 404, 'user_not_found'],
        ['change-password', change, as.operator, 403, 'forbidden'],
        ['change-password', change, as.internal, 403, 'forbidden'],
        ['change-password', change, {}, 401, 'missing_token'],
        ['set-password', { new_password: OTHER }, bearer(ana), 403, 'forbidden'],
        ['set-password', { new_password: OTHER }, bearer(ben), 403, 'forbidden'],
        ['set-password', { new_password: OTHER }, as.internal, 403, 'forbidden'],
        ['set-password', { new_password: OTHER }, {}, 401, 'missing_token'],
      ]
      for (const [what, body, headers, status, code] of refusals) {
        expectProblem(await users(path(what), { headers, body }), status, code)
        // Credentials are checked before the body.
        if (code !== 'user_not_found') expectProblem(await users(path(what), { headers, body: '{' }), status, code)
      }
      expect((await logIn(here.system, ana.email)).status).toBe(200)
      expect(
        (await users(path('set-password'), { headers: bearer(admin), body: { new_password: OTHER } })).status,
      ).toBe(204)
      await users(`DELETE /users/${admin.id}`, { headers: as.operator })
    })

    test('is protected from guessing by a limit, and the session of its owner stays', async () => {
      const ana = await registerUser(here.system)
      const guess = (current_password: string) =>
        users(`POST /users/${ana.id}/change-password`, {
          headers: bearer(ana),
          body: { current_password, new_password: OTHER },
        })
      const answers = await Promise.all(Array.from({ length: 15 }, (_, i) => guess(`wrong guess ${i}`)))
      const codes = answers.map(({ body }) => body.code).toSorted()
      expect(codes).toEqual([...Array(10).fill('invalid_credentials'), ...Array(5).fill('rate_limited')])
      const limited = await guess(PASSWORD)
      expectProblem(limited, 429, 'rate_limited')
      expect(Number(limited.headers.get('retry-after'))).toBeWithin(1, 901)
      expect((await users(`GET /users/${ana.id}`, { headers: bearer(ana) })).status).toBe(200)
    })
  })

  describe('check 18: another user', () => {
    test('is 404 for every request', async () => {
      const [ana, ben] = [await createUser(here.system, { name: 'Ana' }), await createUser(here.system)]
      const before = await read(ana.id)
      for (const id of [ana.id, ana.id.toUpperCase(), NO_ONE, 'nonsense']) {
        for (const [request, body] of [
          [`GET /users/${id}`, undefined],
          [`PUT /users/${id}`, { email: newEmail() }],
          [`PATCH /users/${id}`, { name: 'Mine' }],
          [`PATCH /users/${id}`, { roles: ['ADMIN'] }],
          [`DELETE /users/${id}`, undefined],
        ] as const)
          expectProblem(await users(request, { headers: bearer(ben), body }), 404, 'user_not_found')
      }
      expect(await read(ana.id)).toEqual(before)
    })
  })

  describe('deleting a user', () => {
    test('is 204 for the user and for operators, and removes them everywhere', async () => {
      for (const headersOf of [bearer, () => as.operator]) {
        const ana = await registerUser(here.system, { username: newName() })
        const deletion = await users(`DELETE /users/${ana.id}`, { headers: headersOf(ana) })
        expect([deletion.status, deletion.text]).toEqual([204, ''])
        expectProblem(await users(`GET /users/${ana.id}`, { headers: bearer(ana) }), 401, 'token_revoked')
        expectProblem(await users(`GET /users/${ana.id}`, { headers: as.operator }), 404, 'user_not_found')
        expectProblem(await users(`DELETE /users/${ana.id}`, { headers: as.operator }), 404, 'user_not_found')
        expectProblem(await logIn(here.system, ana.email), 401, 'invalid_credentials')
      }
    })

    test('is refused to others', async () => {
      const ana = await registerUser(here.system)
      expectProblem(await users(`DELETE /users/${ana.id}`), 401, 'missing_token')
      expectProblem(await users(`DELETE /users/${ana.id}`, { headers: as.internal }), 403, 'forbidden')
      expect(await read(ana.id)).toMatchObject({ id: ana.id })
    })
  })

  describe('check 18: the last active administrator', () => {
    const admins = async (): Promise<string[]> => {
      const { body } = await users('GET /users?role=ADMIN&status=active&size=200', { headers: as.operator })
      return body.items.map(({ id }: { id: string }) => id)
    }
    const leaveOnly = async (...some: TestUser[]) => {
      for (const id of await admins())
        if (some.every((user) => user.id !== id)) await users(`DELETE /users/${id}`, { headers: as.operator })
    }

    test('cannot be deleted, disabled or stripped of the role, by themselves or by the operator’s key', async () => {
      const root = await createUser(here.system, { roles: ['USER', 'ADMIN'] })
      await leaveOnly(root)
      await createUser(here.system, { roles: ['ADMIN'], status: 'disabled' })
      const before = await read(root.id)
      for (const headers of [bearer(root), as.operator])
        for (const [request, body] of [
          ['DELETE', undefined],
          ['PATCH', { status: 'disabled' }],
          ['PATCH', { roles: ['USER'] }],
          ['PATCH', { roles: [] }],
          ['PATCH', { roles: ['ADMIN'], status: 'disabled', name: 'x' }],
          ['PUT', { email: root.email, status: 'disabled' }],
          ['PUT', { email: root.email, roles: ['USER'] }],
        ] as const)
          expectProblem(await users(`${request} /users/${root.id}`, { headers, body }), 409, 'last_admin')
      expect(await read(root.id)).toEqual(before)
      // The refused requests ended no session.
      expect((await users(`GET /users/${root.id}`, { headers: bearer(root) })).status).toBe(200)

      const second = await createUser(here.system, { roles: ['ADMIN'] })
      expect((await users(`DELETE /users/${root.id}`, { headers: bearer(root) })).status).toBe(204)
      expectProblem(await users(`DELETE /users/${second.id}`, { headers: as.operator }), 409, 'last_admin')
    })

    test.each([
      ['delete', 'DELETE', undefined],
      ['disable', 'PATCH', { status: 'disabled' }],
      ['strip', 'PATCH', { roles: ['USER'] }],
    ])('remains when two administrators %s each other at once', async (_, method, body) => {
      for (let round = 0; round < 4; round++) {
        const [ana, ben] = [
          await createUser(here.system, { roles: ['ADMIN'] }),
          await createUser(here.system, { roles: ['ADMIN'] }),
        ]
        await leaveOnly(ana, ben)
        const answers = await Promise.all([
          users(`${method} /users/${ben.id}`, { headers: bearer(ana), body }),
          users(`${method} /users/${ana.id}`, { headers: bearer(ben), body }),
        ])
        expect(answers.filter(({ status }) => status < 300)).toHaveLength(1)
        // By then the other one was the last administrator, or was not one any more.
        const code = answers.find(({ status }) => status >= 300)?.body.code
        expect(['last_admin', 'token_revoked', 'forbidden', 'user_not_found']).toContain(code)
        expect(await admins()).toHaveLength(1)
      }
    })
  })
}
