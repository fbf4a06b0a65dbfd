import { describe, expect, test } from 'bun:test'
import { newEmail, PASSWORD } from '../support/actors.ts'
import { cacheHealth } from '../support/cache-health.ts'
import { all, askEach } from '../support/each-service.ts'
import { eventually } from '../support/eventually.ts'
import { as } from '../support/http.ts'
import { forgeriesOf, keysOf, serving } from './serving.ts'

const NEW_PASSWORD = 'another horse battery'
const NOBODY = '00000000-0000-4000-8000-000000000000'

/** `004_746a467ce1b763d7.txt`, «Распределение эндпоинтов». A test's name begins with the line that it proves. */
describe('004, over four processes', () => {
  const here = serving()
  const { auth, users } = here

  const logIn = (login: string, password = PASSWORD) => auth('POST /login', { body: { login, password } })
  const newcomer = async (fields: Record<string, unknown> = {}) => {
    const user = { email: newEmail(), username: `u${crypto.randomUUID().slice(0, 8)}` }
    const created = await users('POST /users', {
      body: { ...user, password: PASSWORD, ...fields },
      headers: as.operator,
    })
    expect(created.status).toBe(201)
    const { body: tokens } = await logIn(user.username)
    return { ...user, id: created.body.id as string, tokens, bearer: as.bearer(tokens.access_token) }
  }
  const administrator = () => newcomer({ roles: ['USER', 'ADMIN'] })
  const hashOf = async (id: string) =>
    (await users(`GET /users/${id}/password-hash`, { headers: as.internal })).body.password_hash as string

  // Распределение эндпоинтов: auth_service.

  test('004:4 POST /login takes a name and a password, and returns a token', async () => {
    const { email, tokens, username } = await newcomer()
    expect(tokens.access_token).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+$/)
    for (const login of [username, email]) expect((await logIn(login)).status).toBe(200)
    expect((await logIn(username, NEW_PASSWORD)).status).toBe(401)
  })

  test('004:4 POST /login asks the users service when the user is not in the cache', async () => {
    const { id, username } = await newcomer()
    expect((await auth(`DELETE /admin/password-cache/${id}`, { headers: as.operator })).status).toBe(204)
    const before = (await cacheHealth(here.system)).misses
    expect((await logIn(username)).status).toBe(200)
    expect((await cacheHealth(here.system)).misses).toBe(before + 1)
  })

  test('004:5 POST /refresh', async () => {
    const { tokens } = await newcomer()
    const { body, status } = await auth('POST /refresh', { body: { refresh_token: tokens.refresh_token } })
    expect(status).toBe(200)
    expect(keysOf(body)).toEqual(keysOf(tokens))
    expect(body.refresh_token).not.toBe(tokens.refresh_token)
  })

  test('004:6 POST /logout revokes the token', async () => {
    const { bearer, tokens } = await newcomer()
    expect((await auth('POST /logout', { headers: bearer })).status).toBe(204)
    expect(await askEach(here.system, tokens.access_token)).toEqual(all('token_revoked'))
    const refreshed = await auth('POST /refresh', { body: { refresh_token: tokens.refresh_token } })
    expect(refreshed.status).toBe(401)
  })

  test('004:7 GET /whoami', async () => {
    const { bearer, email, id, username } = await newcomer()
    const { body, status } = await auth('GET /whoami', { headers: bearer })
    expect(status).toBe(200)
    expect(body).toMatchObject({ id, email, username })
    expect((await auth('GET /whoami')).status).toBe(401)
  })

  test.each(['/validate-token', '/auth/validate-token'])('004:8 POST %s, called by another service', async (path) => {
    const { bearer, id, tokens } = await newcomer()
    const ask = async (token: string) => {
      const { body, status } = await auth(`POST ${path}`, { body: { token }, headers: as.internal })
      expect(status).toBe(200)
      return body
    }
    expect(await ask(tokens.access_token)).toMatchObject({ valid: true, user_id: id, roles: ['USER'] })
    expect((await auth(`POST ${path}`, { headers: bearer })).body.valid).toBe(true)
    for (const forged of forgeriesOf(tokens.access_token)) expect((await ask(forged)).valid).toBe(false)
    await auth('POST /logout', { headers: bearer })
    expect(await ask(tokens.access_token)).toEqual({ valid: false, reason: 'revoked' })
  })

  // user_service.

  test('004:11 POST /users registers a user, and stores the password only as a hash', async () => {
    const answer = await users('POST /users', { body: { email: newEmail(), password: PASSWORD } })
    expect(answer.status).toBe(201)
    expect(answer.text).not.toMatch(/"password|hash/)
    expect(answer.text).not.toContain(PASSWORD)
    const hash = await hashOf(answer.body.id)
    expect(hash).toMatch(/^\$2[aby]\$/)
    expect(await Bun.password.verify(PASSWORD, hash)).toBe(true)
  })

  test('004:12 GET /users/{id}', async () => {
    const { bearer, email, id, username } = await newcomer()
    const { body, status } = await users(`GET /users/${id}`, { headers: bearer })
    expect(status).toBe(200)
    expect(body).toMatchObject({ id, email, username })
    expect((await users(`GET /users/${id}`)).status).toBe(401)
  })

  test('004:13 PUT /users/{id} changes email, name and other fields', async () => {
    const { bearer, id, username } = await newcomer()
    const email = newEmail()
    const body = { email, username, name: 'Ana' }
    const answer = await users(`PUT /users/${id}`, { body, headers: bearer })
    expect(answer.status).toBe(200)
    expect(answer.body).toMatchObject(body)
    expect((await auth('GET /whoami', { headers: bearer })).body).toMatchObject(body)
    expect((await logIn(email)).status).toBe(200)
  })

  test('004:14 DELETE /users/{id}', async () => {
    const { bearer, id, tokens, username } = await newcomer()
    expect((await users(`DELETE /users/${id}`, { headers: bearer })).status).toBe(204)
    expect(await askEach(here.system, tokens.access_token)).toEqual(all('token_revoked'))
    expect((await logIn(username)).status).toBe(401)
  })

  test('004:15 POST /users/{id}/change-password stores a new hash', async () => {
    const { bearer, id, username } = await newcomer()
    const before = await hashOf(id)
    const change = (current_password: string) =>
      users(`POST /users/${id}/change-password`, {
        body: { current_password, new_password: NEW_PASSWORD },
        headers: bearer,
      })
    expect((await change('not my password')).body.code).toBe('invalid_credentials')
    expect((await change(PASSWORD)).status).toBe(204)
    const after = await hashOf(id)
    expect(after).not.toBe(before)
    expect(await Bun.password.verify(NEW_PASSWORD, after)).toBe(true)
    expect([(await logIn(username, NEW_PASSWORD)).status, (await logIn(username)).status]).toEqual([200, 401])
  })

  test('004:16 GET /users?search=…, for administrators', async () => {
    const [admin, user] = [await administrator(), await newcomer()]
    const path = `GET /users?search=${user.username.slice(1).toUpperCase()}`
    expect((await users(path, { headers: user.bearer })).status).toBe(403)
    const { body } = await users(path, { headers: admin.bearer })
    expect(body.items.map((item: { id: string }) => item.id)).toEqual([user.id])
  })

  test('004:20 POST /user/register', async () => {
    const body = { email: newEmail(), password: PASSWORD, username: `r${crypto.randomUUID().slice(0, 8)}` }
    const answer = await users('POST /user/register', { body })
    expect(answer.status).toBe(201)
    expect(answer.body).toMatchObject({ email: body.email, username: body.username, roles: ['USER'] })
    expect((await logIn(body.username)).status).toBe(200)
    expect((await users('POST /user/register', { body })).body.code).toBe('email_taken')
  })

  test('004:21 a registration at auth creates the same user', async () => {
    const { body } = await auth('POST /register', { body: { email: newEmail(), password: PASSWORD } })
    expect((await users(`GET /users/${body.id}`, { headers: as.operator })).body.email).toBe(body.email)
  })

  // User Service Endpoints.

  test('004:30 POST /users accepts an email once', async () => {
    const body = { email: newEmail(), password: PASSWORD }
    expect((await users('POST /users', { body })).status).toBe(201)
    expect((await users('POST /users', { body: { ...body, email: body.email.toUpperCase() } })).status).toBe(409)
  })

  test('004:31 POST /users/verify-credentials', async () => {
    const { id, username, email } = await newcomer()
    const verify = async (login: string, password: string) => {
      const answer = await users('POST /users/verify-credentials', { body: { login, password }, headers: as.internal })
      expect(answer.status).toBe(200)
      expect(answer.text).not.toContain('$2')
      return answer.body
    }
    for (const login of [username, email]) {
      const { user, valid } = await verify(login, PASSWORD)
      expect([valid, user.id]).toEqual([true, id])
      expect(await verify(login, NEW_PASSWORD)).toEqual({ valid: false })
    }
    expect(await verify('nobody', PASSWORD)).toEqual({ valid: false })
  })

  test('004:32 GET /users/{user_id} is 404 for another user', async () => {
    const [one, other] = [await newcomer(), await newcomer()]
    const answer = await users(`GET /users/${one.id}`, { headers: other.bearer })
    expect(answer.body.code).toBe('user_not_found')
  })

  test('004:33 PUT /users/{user_id} is refused to another user', async () => {
    const [one, other] = [await newcomer(), await newcomer()]
    const answer = await users(`PUT /users/${one.id}`, { body: { email: newEmail() }, headers: other.bearer })
    expect(answer.body.code).toBe('user_not_found')
    expect((await users(`GET /users/${one.id}`, { headers: one.bearer })).body.email).toBe(one.email)
  })

  test('004:34 DELETE /users/{user_id} is refused to another user, and allowed to an administrator', async () => {
    const [admin, one, other] = [await administrator(), await newcomer(), await newcomer()]
    expect((await users(`DELETE /users/${one.id}`, { headers: other.bearer })).status).toBe(404)
    expect((await users(`DELETE /users/${one.id}`, { headers: admin.bearer })).status).toBe(204)
  })

  test('004:35 POST /users/{user_id}/change-password ends the other sessions, and keeps the one of the caller', async () => {
    const { bearer, id, tokens, username } = await newcomer()
    const { body: elsewhere } = await logIn(username)
    const body = { current_password: PASSWORD, new_password: NEW_PASSWORD }
    expect((await users(`POST /users/${id}/change-password`, { body, headers: bearer })).status).toBe(204)
    expect(await askEach(here.system, tokens.access_token)).toEqual(all(200))
    expect(await askEach(here.system, elsewhere.access_token)).toEqual(all('token_revoked'))
  })

  test('004:36 GET /users/{user_id}/password-hash', async () => {
    const { email, id } = await newcomer()
    const { body, status } = await users(`GET /users/${id}/password-hash`, { headers: as.internal })
    expect(status).toBe(200)
    expect(body).toMatchObject({ user_id: id, email })
    expect(body.password_version).toBeGreaterThan(0)
    expect(await Bun.password.verify(PASSWORD, body.password_hash)).toBe(true)
  })

  test('004:37 POST /users/{user_id}/password-changed sends the record to auth again', async () => {
    const { id, username } = await newcomer()
    await auth(`DELETE /admin/password-cache/${id}`, { headers: as.operator })
    expect((await users(`POST /users/${id}/password-changed`, { headers: as.internal })).status).toBe(202)
    await eventually(async () => (await cached(username)).length === 1)
  })

  test('004:38 GET /users, for administrators', async () => {
    const [admin, user] = [await administrator(), await newcomer()]
    expect((await users('GET /users')).status).toBe(401)
    expect((await users('GET /users', { headers: user.bearer })).status).toBe(403)
    const { body } = await users('GET /users?size=200', { headers: admin.bearer })
    expect(body.items.map((item: { id: string }) => item.id)).toContain(user.id)
  })

  test('004:39 GET /users/by-username/{username}', async () => {
    const { bearer, id, username } = await newcomer()
    const find = (headers: Record<string, string>) => users(`GET /users/by-username/${username}`, { headers })
    for (const headers of [as.internal, as.operator]) expect((await find(headers)).body.id).toBe(id)
    expect((await find(bearer)).status).toBe(403)
    expect((await users('GET /users/by-username/nobody', { headers: as.internal })).status).toBe(404)
  })

  test('004:40 GET /users/by-email/{email}', async () => {
    const { bearer, email, id } = await newcomer()
    const find = (headers: Record<string, string>) => users(`GET /users/by-email/${email}`, { headers })
    for (const headers of [as.internal, as.operator]) expect((await find(headers)).body.id).toBe(id)
    expect((await find(bearer)).status).toBe(403)
    expect((await users(`GET /users/by-email/${newEmail()}`, { headers: as.internal })).status).toBe(404)
  })

  test('004:46 GET /health of users', async () => {
    expect((await users('GET /health')).body.status).toBe('ok')
  })

  test('004:47 GET /health/db of users', async () => {
    const { body, status } = await users('GET /health/db')
    expect([status, body.status]).toEqual([200, 'ok'])
  })

  // Auth Service Endpoints.

  test('004:55 POST /auth/login returns tokens', async () => {
    const { username } = await newcomer()
    const { body, status } = await auth('POST /auth/login', { body: { login: username, password: PASSWORD } })
    expect(status).toBe(200)
    expect(await askEach(here.system, body.accessToken)).toEqual(all(200))
  })

  test('004:56 POST /auth/refresh takes the refresh token of any login', async () => {
    const { tokens, username } = await newcomer()
    const { body } = await auth('POST /auth/login', { body: { login: username, password: PASSWORD } })
    for (const refresh_token of [tokens.refresh_token, body.refreshToken.token]) {
      const answer = await auth('POST /auth/refresh', { body: { refresh_token } })
      expect(answer.status).toBe(200)
      expect(await askEach(here.system, answer.body.accessToken)).toEqual(all(200))
    }
  })

  test('004:57 POST /auth/logout', async () => {
    const { username } = await newcomer()
    const { body } = await auth('POST /auth/login', { body: { login: username, password: PASSWORD } })
    expect((await auth('POST /auth/logout', { headers: as.bearer(body.accessToken) })).status).toBe(204)
    expect(await askEach(here.system, body.accessToken)).toEqual(all('token_revoked'))
  })

  test('004:58 POST /auth/logout-all ends every session of this user, and of no other', async () => {
    const [one, other] = [await newcomer(), await newcomer()]
    const { body: elsewhere } = await logIn(one.username)
    expect((await auth('POST /auth/logout-all', { headers: one.bearer })).body).toEqual({ revoked: 2 })
    for (const token of [one.tokens.access_token, elsewhere.access_token])
      expect(await askEach(here.system, token)).toEqual(all('token_revoked'))
    expect(await askEach(here.system, other.tokens.access_token)).toEqual(all(200))
  })

  test('004:64 POST /auth/validate-token needs no key, only the token', async () => {
    const { id, tokens } = await newcomer()
    const { body } = await auth('POST /auth/validate-token', { body: { token: tokens.access_token } })
    expect(body).toMatchObject({ valid: true, user_id: id, session_id: tokens.session_id })
  })

  test('004:65 POST /auth/introspect', async () => {
    const { email, id, tokens, username } = await newcomer()
    const ask = (token: string, headers = as.internal) => auth('POST /auth/introspect', { body: { token }, headers })
    for (const token of [tokens.access_token, tokens.refresh_token])
      expect((await ask(token)).body).toMatchObject({ active: true, sub: id, email, username, roles: ['USER'] })
    for (const forged of forgeriesOf(tokens.access_token)) expect((await ask(forged)).body).toEqual({ active: false })
    expect((await auth('POST /auth/introspect', { body: { token: tokens.access_token } })).status).toBe(401)
  })

  test('004:66 GET /auth/me', async () => {
    const { bearer, id } = await newcomer()
    expect((await auth('GET /auth/me', { headers: bearer })).body.id).toBe(id)
  })

  const sessionsOf = async (bearer: Record<string, string>) =>
    (await auth('GET /auth/sessions', { headers: bearer })).body.items as { id: string; current: boolean }[]

  test('004:72 GET /auth/sessions lists all live sessions of the user', async () => {
    const { bearer, tokens, username } = await newcomer()
    const { body: elsewhere } = await logIn(username)
    const sessions = await sessionsOf(bearer)
    expect(sessions.map(({ id }) => id).sort()).toEqual([tokens.session_id, elsewhere.session_id].sort())
    expect(sessions.filter(({ current }) => current).map(({ id }) => id)).toEqual([tokens.session_id])
  })

  test('004:73 DELETE /auth/sessions/{session_id}', async () => {
    const [one, other] = [await newcomer(), await newcomer()]
    const { body: elsewhere } = await logIn(one.username)
    const end = (headers: Record<string, string>) => auth(`DELETE /auth/sessions/${elsewhere.session_id}`, { headers })
    expect((await end(other.bearer)).status).toBe(404)
    expect((await end(one.bearer)).status).toBe(204)
    expect(await askEach(here.system, elsewhere.access_token)).toEqual(all('token_revoked'))
    expect((await sessionsOf(one.bearer)).map(({ id }) => id)).toEqual([one.tokens.session_id])
  })

  const cached = async (search: string) =>
    (await auth(`GET /admin/password-cache?search=${search}`, { headers: as.operator })).body.items as {
      user_id: string
      password_version: number
    }[]

  test('004:79 POST /auth/sync/password stores a newer password, and ignores an older one', async () => {
    const { id, username } = await newcomer()
    const { body: record } = await users(`GET /users/${id}/password-hash`, { headers: as.internal })
    const password_hash = await Bun.password.hash(NEW_PASSWORD, { algorithm: 'bcrypt', cost: 4 })
    const sync = (password_version: number) =>
      auth('POST /auth/sync/password', { body: { ...record, password_hash, password_version }, headers: as.internal })
    expect((await sync(record.password_version - 1)).status).toBe(204)
    expect((await logIn(username)).status).toBe(200)
    expect((await sync(record.password_version + 1)).status).toBe(204)
    expect([(await logIn(username, NEW_PASSWORD)).status, (await logIn(username)).status]).toEqual([200, 401])
  })

  test('004:80 POST /auth/sync/user-deleted removes the entry and the sessions', async () => {
    const { id, tokens, username } = await newcomer()
    const answer = await auth('POST /auth/sync/user-deleted', { body: { user_id: id }, headers: as.internal })
    expect(answer.status).toBe(204)
    expect(await askEach(here.system, tokens.access_token)).toEqual(all('token_revoked'))
    expect(await cached(username)).toEqual([])
  })

  test('004:86 GET /health of auth', async () => {
    expect((await auth('GET /health')).body.status).toBe('ok')
  })

  test('004:87 GET /health/db of auth', async () => {
    const { body, status } = await auth('GET /health/db')
    expect([status, body.status]).toEqual([200, 'ok'])
  })

  test('004:88 GET /health/cache has counts, and no names', async () => {
    const { username } = await newcomer()
    const before = await auth('GET /health/cache')
    expect(keysOf(before.body)).toEqual(['entries', 'hit_ratio', 'hits', 'last_sync_at', 'misses', 'pending'])
    expect(before.text).not.toContain(username)
    const { hits } = await cacheHealth(here.system)
    await logIn(username)
    expect((await cacheHealth(here.system)).hits).toBe(hits + 1)
  })

  test('004:94 GET /admin/password-cache, for administrators, without hashes', async () => {
    const [admin, user] = [await administrator(), await newcomer()]
    const path = `GET /admin/password-cache?search=${user.username}`
    expect((await auth(path)).status).toBe(401)
    expect((await auth(path, { headers: user.bearer })).status).toBe(403)
    const answer = await auth(path, { headers: admin.bearer })
    expect(answer.body.items).toHaveLength(1)
    expect(answer.body.items[0]).toMatchObject({ user_id: user.id, email: user.email, username: user.username })
    expect(answer.text).not.toContain('$2')
  })

  test('004:95 DELETE /admin/password-cache/{user_id}: the next login fetches the entry again', async () => {
    const [admin, user] = [await administrator(), await newcomer()]
    const drop = (id: string) => auth(`DELETE /admin/password-cache/${id}`, { headers: admin.bearer })
    expect((await drop(user.id)).status).toBe(204)
    expect(await cached(user.username)).toEqual([])
    expect((await logIn(user.username)).status).toBe(200)
    expect(await cached(user.username)).toHaveLength(1)
    expect((await drop(NOBODY)).body.code).toBe('user_not_found')
  })

  test('004:96 POST /admin/password-cache/sync, of one user or all', async () => {
    const [admin, user] = [await administrator(), await newcomer()]
    const sync = (body?: object) => auth('POST /admin/password-cache/sync', { body, headers: admin.bearer })
    expect(keysOf((await sync()).body)).toEqual(['duration_ms', 'removed', 'synced', 'unchanged'])
    await auth(`DELETE /admin/password-cache/${user.id}`, { headers: admin.bearer })
    expect((await sync({ user_id: user.id })).body).toMatchObject({ synced: 1, removed: 0, unchanged: 0 })
    expect(await cached(user.username)).toHaveLength(1)
  })

  // Ключевое.

  test('004:102 users is the source of truth: auth returns the same data', async () => {
    const [admin, user] = [await administrator(), await newcomer()]
    const body = { name: 'Ana', roles: ['USER', 'EDITOR'] }
    expect((await users(`PATCH /users/${user.id}`, { body, headers: admin.bearer })).status).toBe(200)
    expect(await askEach(here.system, user.tokens.access_token)).toEqual(all('token_revoked'))
    const { body: tokens } = await auth('POST /refresh', { body: { refresh_token: user.tokens.refresh_token } })
    const { body: whoami } = await auth('GET /whoami', { headers: as.bearer(tokens.access_token) })
    expect(whoami).toEqual((await users(`GET /users/${user.id}`, { headers: as.operator })).body)
    expect(whoami).toMatchObject(body)
  })

  const INTERNAL = [
    ['users', `GET /users/${NOBODY}/password-hash`],
    ['users', 'POST /users/verify-credentials'],
    ['users', `POST /users/${NOBODY}/password-changed`],
    ['users', `POST /users/${NOBODY}/password`],
    ['users', 'GET /users/password-hashes'],
    ['auth', 'POST /auth/sync/password'],
    ['auth', 'POST /auth/sync/user-deleted'],
    ['auth', 'GET /auth/revocations?follower=x&after=0&epoch='],
    ['modules', 'POST /modules/sync/user-deleted'],
  ] as const
  test.each(INTERNAL)('004:106 %s %s is for services only, with X-API-Key', async (name, request) => {
    const ask = async (headers: Record<string, string>) => {
      const { body, status } = await here[name](request, {
        headers,
        ...(request.startsWith('POST') ? { body: {} } : {}),
      })
      return [status, body.code]
    }
    expect(await ask({})).toEqual([401, 'invalid_api_key'])
    expect(await ask({ 'x-api-key': 'not the key' })).toEqual([401, 'invalid_api_key'])
    expect(await ask(as.operator)).toEqual([403, 'forbidden'])
    for (const { bearer } of [await newcomer(), await administrator()])
      expect(await ask(bearer)).toEqual([403, 'forbidden'])
    expect([401, 403]).not.toContain((await ask(as.internal))[0])
  })

  test('004:108 users sends a new password to auth before it answers', async () => {
    const { bearer, id, username } = await newcomer()
    const [before] = await cached(username)
    const body = { current_password: PASSWORD, new_password: NEW_PASSWORD }
    expect((await users(`POST /users/${id}/change-password`, { body, headers: bearer })).status).toBe(204)
    const [after] = await cached(username)
    expect(after?.password_version).toBeGreaterThan(before?.password_version ?? 0)
    const misses = (await cacheHealth(here.system)).misses
    expect([(await logIn(username, NEW_PASSWORD)).status, (await logIn(username)).status]).toEqual([200, 401])
    expect((await cacheHealth(here.system)).misses).toBe(misses)
  })

  test('004:104 auth checks passwords by its cache, and issues tokens, while users is down', async () => {
    const { username } = await newcomer()
    await here.system.kill('users')
    expect((await logIn(username)).status).toBe(200)
    expect((await logIn(username, NEW_PASSWORD)).status).toBe(401)
    await here.system.start('users')
  })
})
