import { describe, expect, test } from 'bun:test'
import { createUser, logIn, newEmail, PASSWORD, registerUser } from '../support/actors.ts'
import { cacheHealth } from '../support/cache-health.ts'
import { eventually } from '../support/eventually.ts'
import { expectFields, expectProblem, FIELDS } from '../support/expectations.ts'
import { as } from '../support/http.ts'
import { running } from '../support/running.ts'
import { inProcess } from '../support/system.ts'

const NO_ONE = '0198c0de-0000-7000-8000-000000000000'
const OTHER = 'quite another secret'
const { id: _, ...withoutId } = Object.fromEntries(FIELDS.user.map((field) => [field, field]))
const RECORD = [...Object.keys(withoutId), 'user_id', 'password_hash', 'password_version']

const bcrypt = (password: string, cost = 4) => Bun.password.hash(password, { algorithm: 'bcrypt', cost })

describe('users for the other services', () => {
  const here = running(inProcess)
  const { users, auth } = here
  const internal = (request: string, body?: unknown) => users(request, { headers: as.internal, body })
  const record = async (id: string) => (await internal(`GET /users/${id}/password-hash`)).body
  const read = async (id: string) => (await internal(`GET /users/${id}`)).body

  describe('are for the internal key only', () => {
    const rows: [string, unknown][] = [
      ['POST /users/verify-credentials', { login: 'ana', password: PASSWORD }],
      [`GET /users/${NO_ONE}/password-hash`, undefined],
      [`POST /users/${NO_ONE}/password`, { new_password: OTHER }],
      ['GET /users/password-hashes', undefined],
      [`POST /users/${NO_ONE}/password-changed`, undefined],
    ]
    test.each(rows)('%s', async (request, body) => {
      const admin = await createUser(here.system, { roles: ['ADMIN'] })
      const token = as.bearer(admin.tokens.access_token)
      const broken = request.startsWith('POST') ? '{' : undefined
      for (const sent of [body, broken]) {
        const ask = (headers: Record<string, string>) => users(request, { headers, body: sent })
        expectProblem(await ask({}), 401, 'invalid_api_key')
        expectProblem(await ask({ 'x-api-key': '' }), 401, 'invalid_api_key')
        expectProblem(await ask({ 'x-api-key': as.internal['x-api-key'].slice(0, -1) }), 401, 'invalid_api_key')
        expectProblem(await ask(as.operator), 403, 'forbidden')
        expectProblem(await ask(token), 403, 'forbidden')
        expectProblem(await ask(as.bearer(as.internal['x-api-key'])), 401, 'invalid_token')
      }
      // Another administrator exists by then, so the first one may be deleted.
      await users(`DELETE /users/${admin.id}`, { headers: as.operator })
    })

    test.each([
      ['GET /users', undefined],
      [`PUT /users/${NO_ONE}`, { email: 'a@b.org' }],
      [`PATCH /users/${NO_ONE}`, {}],
      [`DELETE /users/${NO_ONE}`, undefined],
      [`POST /users/${NO_ONE}/set-password`, { new_password: OTHER }],
      [`POST /users/${NO_ONE}/change-password`, { current_password: PASSWORD, new_password: OTHER }],
    ])('which is refused on paths of operators and users: %s', async (request, body) => {
      expectProblem(await internal(request, body), 403, 'forbidden')
    })
  })

  describe('verify-credentials', () => {
    const verify = (login: unknown, password: unknown) =>
      internal('POST /users/verify-credentials', { login, password })

    test('reports whether the password is right, by email or username in upper or lower case, and the user', async () => {
      const username = `ana-${Math.random().toString(36).slice(2, 8)}`
      const ana = await createUser(here.system, { username })
      const fullRecord = await read(ana.id)
      for (const login of [ana.email, ana.email.toUpperCase(), username, username.toUpperCase()]) {
        const right = await verify(login, PASSWORD)
        expect(right).toMatchObject({ status: 200, body: { valid: true, user: fullRecord } })
        expectFields(right.body, ['valid', 'user'])
        expectFields(right.body.user, FIELDS.user)
        const wrong = await verify(login, `${PASSWORD} `)
        expect([wrong.status, wrong.body]).toEqual([200, { valid: false }])
      }
      for (const login of ['nobody', 'nobody@example.org', ana.id, '%', "' OR 1=1 --"])
        expect((await verify(login, PASSWORD)).body).toEqual({ valid: false })
    })

    test('reports a disabled user too', async () => {
      const ana = await createUser(here.system)
      await users(`PATCH /users/${ana.id}`, { headers: as.operator, body: { status: 'disabled' } })
      expect((await verify(ana.email, PASSWORD)).body).toMatchObject({ valid: true, user: { status: 'disabled' } })
      expect((await verify(ana.email, OTHER)).body).toEqual({ valid: false })
    })

    test.each([
      [{}, 'login is required'],
      [{ login: 'ana' }, 'password is required'],
      [{ login: '', password: PASSWORD }, 'login must'],
      [{ login: 'ana', password: '' }, 'password must be longer'],
      [{ login: 'ana', password: 'x'.repeat(257) }, 'password must be shorter'],
      [{ login: ['ana'], password: PASSWORD }, 'login must be a string'],
      [{ login: 'ana', password: PASSWORD, email: 'x' }, 'email should not exist'],
    ])('refuses %j', async (body, message) => {
      const answer = await internal('POST /users/verify-credentials', body)
      expectProblem(answer, 400, 'validation_failed')
      expect(answer.body.message[0]).toStartWith(message)
      expect(answer.text).not.toContain(PASSWORD)
    })
  })

  describe('the password record', () => {
    test('has the user, their hash, and a version that grows with every change that auth must have', async () => {
      const ana = await createUser(here.system, { name: 'Ana' })
      const { id, ...read } = (await internal(`GET /users/${ana.id}`)).body
      const first = await record(ana.id)
      expectFields(first, RECORD)
      expect(first).toEqual({
        user_id: id,
        ...read,
        password_hash: expect.stringMatching(/^\$2b\$04\$/),
        password_version: expect.any(Number),
      })
      let { password_version: version } = first
      const changes: [string, object][] = [
        ['PATCH', { name: 'Ana B' }],
        ['PATCH', { email: newEmail() }],
        ['PATCH', { username: `v-${Math.random().toString(36).slice(2, 8)}` }],
        ['PATCH', { roles: ['STAFF'] }],
        ['PATCH', { status: 'disabled' }],
        ['PATCH', { status: 'active' }],
        ['PATCH', { email_verified: true }],
        ['POST', { new_password: OTHER }],
      ]
      for (const [method, body] of changes) {
        const path = `/users/${ana.id}${method === 'POST' ? '/set-password' : ''}`
        expect((await users(`${method} ${path}`, { headers: as.operator, body })).status).toBeLessThan(300)
        const { password_version } = await record(ana.id)
        expect(password_version).toBeGreaterThan(version)
        version = password_version
      }
      // An update without a difference is not a change.
      await users(`PATCH /users/${ana.id}`, { headers: as.operator, body: { roles: ['STAFF'] } })
      const last = await record(ana.id)
      expect(last.password_version).toBe(version)
      expect(last.password_hash).not.toBe(first.password_hash)
      expectProblem(await internal(`GET /users/${NO_ONE}/password-hash`), 404, 'user_not_found')
      expectProblem(await internal('GET /users/x/password-hash'), 404, 'user_not_found')
    })
  })

  describe('POST /users/{user_id}/password', () => {
    const put = (id: string, body: unknown) => internal(`POST /users/${id}/password`, body)

    test('completes a reset: the new password works, the old one does not, and every session ends', async () => {
      const ana = await registerUser(here.system)
      expect((await put(ana.id, { new_password: OTHER })).status).toBe(204)
      expectProblem(await logIn(here.system, ana.email), 401, 'invalid_credentials')
      expect((await logIn(here.system, ana.email, OTHER)).status).toBe(200)
      const ended = await users(`GET /users/${ana.id}`, { headers: as.bearer(ana.tokens.access_token) })
      expectProblem(ended, 401, 'token_revoked')
    })

    test('replaces an old hash and ends no session, if the version is still the same', async () => {
      const ana = await registerUser(here.system)
      const { password_version } = await record(ana.id)
      const password_hash = await bcrypt(PASSWORD, 5)
      expect((await put(ana.id, { password_hash, if_version: password_version })).status).toBe(204)
      expect(await record(ana.id)).toMatchObject({ password_hash, password_version: password_version + 1 })
      const alive = await users(`GET /users/${ana.id}`, { headers: as.bearer(ana.tokens.access_token) })
      expect(alive.status).toBe(200)
      // The version has changed by now.
      const stale = { password_hash: await bcrypt(OTHER), if_version: password_version }
      expect((await put(ana.id, stale)).status).toBe(204)
      expect(await record(ana.id)).toMatchObject({ password_hash, password_version: password_version + 1 })
      expectProblem(await logIn(here.system, ana.email, OTHER), 401, 'invalid_credentials')
    })

    test('refuses a body without a password and a hash, and one with both', async () => {
      const ana = await registerUser(here.system)
      const before = await record(ana.id)
      const password_hash = await bcrypt(OTHER)
      const refusals: [object, string, string][] = [
        [{}, 'validation_failed', 'new_password is required'],
        [{ password_hash }, 'validation_failed', 'if_version is required'],
        [{ if_version: 1 }, 'validation_failed', 'new_password is required'],
        [{ new_password: OTHER, password_hash, if_version: 1 }, 'validation_failed', 'new_password should not exist'],
        [{ password_hash: 'plain', if_version: 1 }, 'validation_failed', 'password_hash must'],
        [{ password_hash, if_version: '1' }, 'validation_failed', 'if_version must be a whole number'],
        [{ new_password: 'x'.repeat(257) }, 'validation_failed', 'new_password must be shorter'],
        [{ new_password: 'short' }, 'validation_failed', 'new_password must be longer'],
        [{ new_password: OTHER, user_id: NO_ONE }, 'validation_failed', 'user_id should not exist'],
        [{ new_password: 'password1' }, 'weak_password', 'The password is too easy to guess'],
      ]
      for (const [body, code, message] of refusals) {
        const answer = await put(ana.id, body)
        expectProblem(answer, 400, code)
        expect([answer.body.message].flat()[0]).toStartWith(message)
        expect(answer.text).not.toContain(OTHER)
        expect(answer.text).not.toContain(password_hash)
      }
      expect(await record(ana.id)).toEqual(before)
      expectProblem(await put(NO_ONE, { new_password: OTHER }), 404, 'user_not_found')
    })
  })

  test('password-changed announces the record to auth again', async () => {
    const ana = await registerUser(here.system)
    await auth(`DELETE /admin/password-cache/${ana.id}`, { headers: as.operator })
    const cached = async () =>
      (await auth(`GET /admin/password-cache?search=${ana.email}`, { headers: as.operator })).body.items
    expect(await cached()).toEqual([])
    expect((await internal(`POST /users/${ana.id}/password-changed`)).status).toBe(202)
    const [entry] = await eventually(async () => {
      const items = await cached()
      return items.length > 0 ? items : undefined
    })
    expect(entry).toMatchObject({ user_id: ana.id, email: ana.email })
    expect((await internal(`POST /users/${ana.id}/password-changed`, {})).status).toBe(202)
    expectProblem(await internal(`POST /users/${NO_ONE}/password-changed`), 404, 'user_not_found')
  })

  describe('all records', () => {
    const walk = async (limit: number, from?: string) => {
      const seen: { user_id: string; password_hash: string }[] = []
      for (let after = from; ; ) {
        const { status, body } = await internal(
          `GET /users/password-hashes?limit=${limit}${after === undefined ? '' : `&after=${after}`}`,
        )
        expect(status).toBe(200)
        expectFields(body, ['items', 'next_cursor'])
        expect(body.items.length).toBeLessThanOrEqual(limit)
        for (const item of body.items) expectFields(item, RECORD)
        seen.push(...body.items)
        if (body.next_cursor === null) return seen
        after = body.next_cursor
      }
    }

    test('are listed in pages, each once, in the order of their last change', async () => {
      const createdIds: string[] = []
      for (let i = 0; i < 7; i++) createdIds.push((await createUser(here.system)).id)
      const ids = async (limit: number) =>
        (await walk(limit)).map(({ user_id }) => user_id).filter((id) => createdIds.includes(id))
      expect(await ids(3)).toEqual(createdIds)
      expect(await ids(500)).toEqual(createdIds)
      await users(`PATCH /users/${createdIds[2]}`, { headers: as.operator, body: { name: 'New' } })
      await users(`DELETE /users/${createdIds[4]}`, { headers: as.operator })
      expect(await ids(2)).toEqual([0, 1, 3, 5, 6, 2].map((i) => createdIds[i] ?? ''))
      const allRecords = await walk(500)
      expect(new Set(allRecords.map(({ user_id }) => user_id)).size).toBe(allRecords.length)
      expect(allRecords.at(-1)).toEqual(await record(createdIds[2] ?? ''))
    })

    test.each(['limit=0', 'limit=501', 'limit=x', 'after=x', 'after=-1', 'after=', 'after=1;DROP', 'page=1'])(
      '%s is refused',
      async (query) => {
        expectProblem(await internal(`GET /users/password-hashes?${query}`), 400, 'validation_failed')
      },
    )
  })

  describe('an imported hash', () => {
    const kinds: [string, () => Promise<string>][] = [
      ['bcrypt $2a$', async () => (await bcrypt(PASSWORD, 5)).replace('$2b$', '$2a$')],
      ['bcrypt $2y$', async () => (await bcrypt(PASSWORD, 5)).replace('$2b$', '$2y$')],
      ['bcrypt $2b$ of another cost', () => bcrypt(PASSWORD, 6)],
      ['argon2id', () => Bun.password.hash(PASSWORD, { algorithm: 'argon2id', memoryCost: 1024, timeCost: 2 })],
    ]
    test.each(kinds)('works for a login, and is rehashed: %s', async (_, make) => {
      const email = newEmail()
      const password_hash = await make()
      const creation = await users('POST /users', { headers: as.operator, body: { email, password_hash } })
      expect(creation.status).toBe(201)
      expect(creation.text).not.toContain('$')
      const before = await record(creation.body.id)
      expect(before.password_hash).toBe(password_hash)
      expectProblem(await logIn(here.system, email, OTHER), 401, 'invalid_credentials')
      expect((await record(creation.body.id)).password_hash).toBe(password_hash)
      const login = await logIn(here.system, email)
      expect(login.status).toBe(200)
      const after = await eventually(async () => {
        const now = await record(creation.body.id)
        return now.password_hash === password_hash ? undefined : now
      })
      expect(after.password_hash).toMatch(/^\$2b\$04\$/)
      expect(after.password_version).toBeGreaterThan(before.password_version)
      // Auth has the new hash too, and the session from the login stays.
      await eventually(async () => {
        const { body } = await auth(`GET /admin/password-cache?search=${email}`, { headers: as.operator })
        return body.items[0]?.password_version === after.password_version
      })
      const alive = await users(`GET /users/${creation.body.id}`, { headers: as.bearer(login.body.access_token) })
      expect(alive.status).toBe(200)
      expect((await logIn(here.system, email)).status).toBe(200)
      expectProblem(await logIn(here.system, email, OTHER), 401, 'invalid_credentials')
      expect((await record(creation.body.id)).password_hash).toBe(after.password_hash)
    })

    test('with the current cost stays unchanged', async () => {
      const email = newEmail()
      const password_hash = await bcrypt(PASSWORD)
      const creation = await users('POST /users', { headers: as.operator, body: { email, password_hash } })
      expect((await logIn(here.system, email)).status).toBe(200)
      expect((await cacheHealth(here.system)).pending).toBe(0)
      expect(await record(creation.body.id)).toMatchObject({ password_hash, password_version: 1 })
    })
  })
})
