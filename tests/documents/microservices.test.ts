import { describe, expect, test } from 'bun:test'
import { newEmail, PASSWORD } from '../support/actors.ts'
import { all, askEach } from '../support/each-service.ts'
import { FIELDS } from '../support/expectations.ts'
import { as } from '../support/http.ts'
import { keysOf, linkMailedTo, serving } from './serving.ts'

const NEW_PASSWORD = 'another horse battery'
const USER_READ = FIELDS.user.toSorted()

/** `001_809414c4ffa9b022.txt`, «Микросервисы Бэкенда». A test's name begins with the line that it proves. */
describe('001, over four processes', () => {
  const here = serving()
  const { auth, users } = here

  const newcomer = async (fields: Record<string, unknown> = {}) => {
    const email = newEmail()
    const created = await users('POST /api/v1/users/', {
      body: { email, password: PASSWORD, ...fields },
      headers: as.operator,
    })
    const { body: tokens } = await logIn(email)
    return { id: created.body.id as string, email, tokens, bearer: as.bearer(tokens.access_token) }
  }
  const logIn = (email: string, password = PASSWORD) => auth('POST /api/v1/auth/login', { body: { email, password } })

  test('001:7 POST /api/v1/auth/register', async () => {
    const answer = await auth('POST /api/v1/auth/register', { body: { email: newEmail(), password: PASSWORD } })
    expect(answer.status).toBe(201)
  })

  test('001:8 a registration takes a UserCreate', async () => {
    const body = { email: newEmail(), password: PASSWORD, username: `u${newEmail().slice(4, 10)}`, name: 'Ana' }
    const answer = await auth('POST /api/v1/auth/register', { body })
    expect(answer.body).toMatchObject({ email: body.email, username: body.username, name: 'Ana' })
  })

  test('001:9 a registration returns a UserRead with the first token', async () => {
    const { body, text } = await auth('POST /api/v1/auth/register', { body: { email: newEmail(), password: PASSWORD } })
    // A client reads the fields that it knows. This one names the mail that was sent.
    const { challenge_id: _, tokens, ...user } = body
    expect(keysOf(user)).toEqual(USER_READ)
    expect(text).not.toContain(PASSWORD)
    expect(await askEach(here.system, tokens.access_token)).toEqual(all(200))
  })

  test('001:10 POST /api/v1/auth/login', async () => {
    const { email } = await newcomer()
    expect((await logIn(email)).status).toBe(200)
    expect((await logIn(email, NEW_PASSWORD)).status).toBe(401)
  })

  test('001:11 a login takes email and password, and nothing unknown', async () => {
    const { email } = await newcomer()
    for (const body of [{ email }, { password: PASSWORD }, { email, password: PASSWORD, remember: true }])
      expect((await auth('POST /api/v1/auth/login', { body })).status).toBe(400)
  })

  test('001:12 a login returns a Token: access_token, refresh_token', async () => {
    const { tokens } = await newcomer()
    expect(tokens.access_token).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+$/)
    expect(tokens.refresh_token).toBeString()
    expect(tokens.token_type).toBe('Bearer')
  })

  const refresh = (refresh_token: string) => auth('POST /api/v1/auth/refresh', { body: { refresh_token } })

  test('001:13 POST /api/v1/auth/refresh', async () => {
    const { tokens } = await newcomer()
    expect((await refresh(tokens.refresh_token)).status).toBe(200)
    expect((await refresh(`${tokens.refresh_token}x`)).body.code).toBe('invalid_refresh_token')
  })

  test('001:14 a refresh takes refresh_token', async () => {
    expect((await auth('POST /api/v1/auth/refresh', { body: {} })).status).toBe(400)
  })

  test('001:15 a refresh returns a Token: a new access_token, and a new refresh_token', async () => {
    const { tokens } = await newcomer()
    const { body } = await refresh(tokens.refresh_token)
    expect(keysOf(body)).toEqual(keysOf(tokens))
    expect(body.access_token).not.toBe(tokens.access_token)
    expect(body.refresh_token).not.toBe(tokens.refresh_token)
    expect(body.session_id).toBe(tokens.session_id)
  })

  test.each([
    ['only the access token', true, false],
    ['only the refresh token', false, true],
    ['both', true, true],
  ])('001:16 POST /api/v1/auth/logout with %s revokes the refresh token', async (_, header, field) => {
    const { bearer, tokens } = await newcomer()
    const { status } = await auth('POST /api/v1/auth/logout', {
      ...(header ? { headers: bearer } : {}),
      ...(field ? { body: { refresh_token: tokens.refresh_token } } : {}),
    })
    expect(status).toBe(204)
    expect((await refresh(tokens.refresh_token)).body.code).toBe('invalid_refresh_token')
    expect(await askEach(here.system, tokens.access_token)).toEqual(all('token_revoked'))
  })

  test('001:17 POST /api/v1/auth/password-reset-request gives the same answer for a known and an unknown email', async () => {
    const { email } = await newcomer()
    const request = (address: string) => auth('POST /api/v1/auth/password-reset-request', { body: { email: address } })
    const [knownAnswer, unknownAnswer] = [await request(email), await request(newEmail())]
    expect([knownAnswer.status, unknownAnswer.status]).toEqual([202, 202])
    expect(knownAnswer.text).toBe(unknownAnswer.text)
    expect((await linkMailedTo(here.system, email)).searchParams.has('token')).toBe(true)
  })

  test('001:18 POST /api/v1/auth/password-reset-confirm: the new password works, the old one and the sessions end', async () => {
    const { email, tokens } = await newcomer()
    await auth('POST /api/v1/auth/password-reset-request', { body: { email } })
    const token = (await linkMailedTo(here.system, email)).searchParams.get('token')
    const confirm = () =>
      auth('POST /api/v1/auth/password-reset-confirm', { body: { token, new_password: NEW_PASSWORD } })
    expect((await confirm()).status).toBe(204)
    expect([(await logIn(email, NEW_PASSWORD)).status, (await logIn(email)).status]).toEqual([200, 401])
    expect(await askEach(here.system, tokens.access_token)).toEqual(all('token_revoked'))
    expect((await confirm()).body.code).toBe('invalid_reset_token')
  })

  test('001:19 GET /api/v1/auth/me needs an access token', async () => {
    const { bearer } = await newcomer()
    expect((await auth('GET /api/v1/auth/me')).status).toBe(401)
    expect((await auth('GET /api/v1/auth/me', { headers: bearer })).status).toBe(200)
  })

  test('001:20 GET /api/v1/auth/me returns a UserRead', async () => {
    const { bearer, id, email } = await newcomer()
    const { body } = await auth('GET /api/v1/auth/me', { headers: bearer })
    expect(keysOf(body)).toEqual(USER_READ)
    expect(body).toMatchObject({ id, email })
  })

  test('001:27 POST /api/v1/users/, for anyone and for administrators, with no redirect', async () => {
    const admin = await newcomer({ roles: ['USER', 'ADMIN'] })
    for (const headers of [{}, admin.bearer]) {
      const answer = await fetch(`${here.system.url.users}/api/v1/users/`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: JSON.stringify({ email: newEmail(), password: PASSWORD }),
        redirect: 'error',
      })
      expect(answer.status).toBe(201)
    }
  })

  test('001:28 POST /api/v1/users/ takes a UserCreate; only administrators may set roles', async () => {
    const body = { email: newEmail(), password: PASSWORD, roles: ['ADMIN'] }
    expect((await users('POST /api/v1/users/', { body })).body.code).toBe('forbidden_field')
    const admin = await newcomer({ roles: ['ADMIN'] })
    expect((await users('POST /api/v1/users/', { body, headers: admin.bearer })).body.roles).toEqual(['ADMIN'])
  })

  test('001:29 POST /api/v1/users/ returns a UserRead', async () => {
    const answer = await users('POST /api/v1/users/', { body: { email: newEmail(), password: PASSWORD } })
    expect(keysOf(answer.body)).toEqual(USER_READ)
    expect(answer.headers.get('location')).toBe(`/api/v1/users/${answer.body.id}`)
  })

  test('001:30 GET /api/v1/users/, for administrators, in pages and with filters', async () => {
    const admin = await newcomer({ roles: ['USER', 'ADMIN', 'FINDER'] })
    const user = await newcomer({ name: 'Searched-For' })
    expect((await users('GET /api/v1/users/')).status).toBe(401)
    expect((await users('GET /api/v1/users/', { headers: user.bearer })).status).toBe(403)
    const ask = (query: string) => users(`GET /api/v1/users/?${query}`, { headers: admin.bearer })
    const page = await ask('page=2&size=1&sort=email')
    expect(page.body).toMatchObject({ page: 2, size: 1 })
    expect(page.body.items).toHaveLength(1)
    const idsOf = async (query: string) => (await ask(query)).body.items.map((item: { id: string }) => item.id)
    expect(await idsOf('search=searched-for')).toEqual([user.id])
    expect(await idsOf('role=FINDER&status=active')).toEqual([admin.id])
  })

  test('001:31 GET /api/v1/users/ returns a Paginated[UserRead]', async () => {
    const { body } = await users('GET /api/v1/users/', { headers: as.operator })
    expect(keysOf(body)).toEqual(['items', 'next_cursor', 'page', 'pages', 'size', 'total'])
    for (const item of body.items) expect(keysOf(item)).toEqual(USER_READ)
  })

  test('001:32 GET /api/v1/users/{user_id} returns the caller, and any user to administrators', async () => {
    const [admin, user] = [await newcomer({ roles: ['ADMIN'] }), await newcomer()]
    const path = `GET /api/v1/users/${user.id}`
    expect((await users(path, { headers: user.bearer })).status).toBe(200)
    expect((await users(path, { headers: admin.bearer })).status).toBe(200)
    expect((await users(path)).status).toBe(401)
    const other = await newcomer()
    expect((await users(path, { headers: other.bearer })).body.code).toBe('user_not_found')
  })

  test('001:33 GET /api/v1/users/{user_id} returns a UserRead', async () => {
    const { bearer, id } = await newcomer()
    expect(keysOf((await users(`GET /api/v1/users/${id}`, { headers: bearer })).body)).toEqual(USER_READ)
  })

  test('001:34 PUT /api/v1/users/{user_id} replaces all fields', async () => {
    const { bearer, id } = await newcomer({ name: 'Ana' })
    const email = newEmail()
    const { body, status } = await users(`PUT /api/v1/users/${id}`, { body: { email }, headers: bearer })
    expect(status).toBe(200)
    expect(body).toMatchObject({ email, name: null, username: null })
    expect((await logIn(email)).status).toBe(200)
  })

  test('001:35 PUT /api/v1/users/{user_id} takes a complete UserUpdate', async () => {
    const { bearer, email, id } = await newcomer()
    const put = (body: object) => users(`PUT /api/v1/users/${id}`, { body, headers: bearer })
    expect((await put({ name: 'Ana' })).body.message).toEqual(['email is required'])
    expect((await put({ email, roles: ['ADMIN'] })).body.code).toBe('forbidden_field')
  })

  test('001:36 PUT /api/v1/users/{user_id} returns a UserRead', async () => {
    const { bearer, email, id } = await newcomer()
    const { body } = await users(`PUT /api/v1/users/${id}`, { body: { email, name: 'Ana' }, headers: bearer })
    expect(keysOf(body)).toEqual(USER_READ)
  })

  test('001:37 PATCH /api/v1/users/{user_id} changes the fields in its body', async () => {
    const { bearer, email, id } = await newcomer({ name: 'Ana' })
    const username = `p${id.slice(-8)}`
    const { body, status } = await users(`PATCH /api/v1/users/${id}`, { body: { username }, headers: bearer })
    expect(status).toBe(200)
    expect(body).toMatchObject({ email, name: 'Ana', username })
  })

  test('001:38 PATCH /api/v1/users/{user_id} takes any part of a UserUpdate', async () => {
    const { bearer, id } = await newcomer()
    const patch = (body: object) => users(`PATCH /api/v1/users/${id}`, { body, headers: bearer })
    expect((await patch({})).status).toBe(200)
    expect((await patch({ nickname: 'x' })).body.message).toEqual(['nickname should not exist'])
    expect((await patch({ status: 'disabled' })).body.code).toBe('forbidden_field')
  })

  test('001:39 PATCH /api/v1/users/{user_id} returns a UserRead', async () => {
    const { bearer, id } = await newcomer()
    const { body } = await users(`PATCH /api/v1/users/${id}`, { body: { name: 'Ana' }, headers: bearer })
    expect(keysOf(body)).toEqual(USER_READ)
  })

  test('001:40 DELETE /api/v1/users/{user_id} removes the user, and ends their sessions and tokens', async () => {
    const { bearer, email, id, tokens } = await newcomer()
    const other = await newcomer()
    expect((await users(`DELETE /api/v1/users/${id}`, { headers: other.bearer })).status).toBe(404)
    expect((await users(`DELETE /api/v1/users/${id}`, { headers: bearer })).status).toBe(204)
    expect(await askEach(here.system, tokens.access_token)).toEqual(all('token_revoked'))
    expect((await logIn(email)).status).toBe(401)
    expect((await users(`GET /api/v1/users/${id}`, { headers: as.operator })).status).toBe(404)
  })
})
