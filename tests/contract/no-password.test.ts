import { describe, expect, spyOn, test } from 'bun:test'
import { HashWorkers } from '../../services/kit/passwords/hash-workers.ts'
import { createUser, logIn, newEmail, PASSWORD, registerUser } from '../support/actors.ts'
import { cacheHealth } from '../support/cache-health.ts'
import { eventually } from '../support/eventually.ts'
import { expectProblem } from '../support/expectations.ts'
import { as, call, jsonLines, type Options, parseLines } from '../support/http.ts'
import { mailedToken } from '../support/mails.ts'
import { changeRows } from '../support/postgres/database-rows.ts'
import { running } from '../support/running.ts'
import { inProcess, inThisProcess } from '../support/system.ts'

const HASH = `$2b$04$${'a'.repeat(53)}`
const OTHER = 'another horse battery'

describe('R23: a user without a password', () => {
  const here = running(inProcess, { RATE_LIMIT: 'off' })
  const { auth, users } = here
  const importLines = async (lines: object[], onConflict = 'fail') =>
    parseLines(await users(`POST /users/import?on_conflict=${onConflict}`, jsonLines(lines)))
  const exported = async (email: string) => {
    const lines = parseLines(await users('GET /users/export?with_hashes=true', { headers: as.operator }))
    return lines.find((user) => user.email === email)
  }
  const recordOf = async (id: string) => (await users(`GET /users/${id}/password-hash`, { headers: as.internal })).body
  const listed = async (query: string) => {
    const { body } = await users(`GET /users?size=200&${query}`, { headers: as.operator })
    return body.items.map(({ email }: { email: string }) => email)
  }
  const createWithout = async (fields: object = {}) => {
    const { status, body } = await users('POST /users', {
      headers: as.operator,
      body: { email: newEmail(), ...fields },
    })
    expect(status).toBe(201)
    return body as { id: string; email: string }
  }

  test('is created by operators only', async () => {
    const admin = await createUser(here.system, { roles: ['ADMIN'] })
    for (const headers of [as.operator, as.bearer(admin.tokens.access_token)]) {
      const answer = await users('POST /users', { headers, body: { email: newEmail(), name: 'Ana' } })
      expect([answer.status, answer.body.name]).toEqual([201, 'Ana'])
      expect(answer.text).not.toMatch(/hash/)
    }
    const user = await registerUser(here.system)
    for (const headers of [{}, as.internal, as.bearer(user.tokens.access_token)]) {
      const answer = await users('POST /users', { headers, body: { email: newEmail() } })
      expectProblem(answer, 400, 'validation_failed')
      expect(answer.body.message).toEqual(['password is required'])
    }
    expectProblem(await auth('POST /auth/register', { body: { email: newEmail() } }), 400, 'validation_failed')
    await users(`DELETE /users/${admin.id}`, { headers: as.operator })
  })

  test('is imported by a line without a password, or with a hash that means no password', async () => {
    const emails = [newEmail(), newEmail(), newEmail()]
    const lines = [
      { email: emails[0] },
      { email: emails[1], password_hash: '!' },
      { email: emails[2], password_hash: '!2YrQ1aVJ0kK9mZ8pL7sX' },
    ]
    for (const { status } of await importLines(lines)) expect(status).toBe('created')
    expect((await listed('has_password=false')).filter((email: string) => emails.includes(email))).toEqual(emails)
    for (const email of emails) {
      expect(await exported(email)).not.toHaveProperty('password_hash')
      expectProblem(await logIn(here.system, email), 401, 'invalid_credentials')
    }
    const both = await importLines([{ email: newEmail(), password: PASSWORD, password_hash: '!' }])
    expect(both[0]).toMatchObject({ status: 'failed', code: 'validation_failed' })
  })

  test('is exported so that an import creates the same user', async () => {
    const { email, id } = await createWithout({ name: 'Ana', username: `ana-${Bun.randomUUIDv7().slice(-12)}` })
    const line = await exported(email)
    expect(line).not.toHaveProperty('password_hash')
    await users(`DELETE /users/${id}`, { headers: as.operator })
    const { id: _, ...rest } = line
    expect((await importLines([rest]))[0]).toMatchObject({ status: 'created' })
    expect(await exported(email)).toMatchObject(rest)
    expect(await listed('has_password=false')).toContain(email)
  })

  test('stays without one when an update has no password, and other users keep theirs', async () => {
    const user = await createUser(here.system)
    for (const line of [{ name: 'A' }, { name: 'B', password_hash: '!' }]) {
      const [answer] = await importLines([{ email: user.email, ...line }], 'update')
      expect(answer).toMatchObject({ status: 'updated' })
      expect((await logIn(here.system, user.email)).status).toBe(200)
    }
    const { email, id } = await createWithout()
    expect((await importLines([{ email, name: 'C' }], 'update'))[0]).toMatchObject({ status: 'updated' })
    expect(await recordOf(id)).toMatchObject({ password_hash: null })
    expect((await importLines([{ email, password: PASSWORD }], 'update'))[0]).toMatchObject({ status: 'updated' })
    expect((await logIn(here.system, email)).status).toBe(200)
  })

  test('gets the same answers as a user with a wrong password, in the cache of auth or not', async () => {
    const answers = new Set<string>()
    const { email, id } = await createWithout()
    const userWithPassword = await createUser(here.system)
    const guess = async (login: string) => {
      const { body, status } = await logIn(here.system, login, OTHER)
      answers.add(JSON.stringify([status, { ...body, requestId: '' }]))
    }
    await auth('POST /admin/password-cache/sync', { headers: as.operator, body: { user_id: id } })
    await guess(email)
    await guess(userWithPassword.email)
    await auth(`DELETE /admin/password-cache/${id}`, { headers: as.operator })
    await guess(email)
    await guess('no.one@example.org')
    expect([...answers]).toEqual([expect.stringContaining('invalid_credentials')])
    const { body } = await users('POST /users/verify-credentials', {
      headers: as.internal,
      body: { login: email, password: OTHER },
    })
    expect(body).toEqual({ valid: false })
  })

  test('is in the password cache, with a record that says so', async () => {
    const { email, id } = await createWithout()
    const record = await recordOf(id)
    expect(record).toMatchObject({ user_id: id, email, password_hash: null, password_version: 1 })
    const cached = async () => {
      const { body } = await auth(`GET /admin/password-cache?search=${email}`, { headers: as.operator })
      return body.items[0]
    }
    expect(await eventually(cached)).toMatchObject({ user_id: id, password_version: 1 })
    const all = await users('GET /users/password-hashes?limit=500', { headers: as.internal })
    expect(all.body.items.find((one: { user_id: string }) => one.user_id === id)).toEqual(record)
    const hits = async () => (await cacheHealth(here.system)).hits
    const before = await hits()
    expectProblem(await logIn(here.system, email), 401, 'invalid_credentials')
    expect(await hits()).toBe(before + 1)

    const syncRecord = (fields: object) =>
      auth('POST /auth/sync/password', { headers: as.internal, body: { ...record, ...fields } })
    expectProblem(await syncRecord({ password_hash: '' }), 400, 'validation_failed')
    expect((await syncRecord({ password_version: 50, password_hash: HASH })).status).toBe(204)
    expect((await syncRecord({ password_version: 51, password_hash: null })).status).toBe(204)
    expect((await syncRecord({ password_version: 49, password_hash: HASH })).status).toBe(204)
    expect(await cached()).toMatchObject({ password_version: 51 })
  })

  test('has has_password: false wherever a user is returned', async () => {
    const { email, id } = await createWithout()
    const flags = async () => [
      (await users(`GET /users/${id}`, { headers: as.operator })).body.has_password,
      (await users(`GET /users/by-email/${email}`, { headers: as.operator })).body.has_password,
      (await users(`GET /users?search=${email}`, { headers: as.operator })).body.items[0].has_password,
      (await users(`GET /users/${id}/password-hash`, { headers: as.internal })).body.has_password,
      (await users(`PATCH /users/${id}`, { headers: as.operator, body: {} })).body.has_password,
      (await exported(email)).has_password,
    ]
    expect(await flags()).toEqual(Array(6).fill(false))
    await users(`POST /users/${id}/set-password`, { headers: as.operator, body: { new_password: PASSWORD } })
    expect(await flags()).toEqual(Array(6).fill(true))

    const {
      challenge_id: _,
      tokens,
      ...registered
    } = (await auth('POST /auth/register', { body: { email: newEmail(), password: PASSWORD } })).body
    expect(registered.has_password).toBe(true)
    expect((await auth('GET /auth/me', { headers: as.bearer(tokens.access_token) })).body).toEqual(registered)
    // An operator can neither set the field nor change it by an import.
    for (const value of [true, false]) {
      const headers = as.operator
      const patched = await users(`PATCH /users/${id}`, { headers, body: { has_password: value } })
      expect(patched.body.message).toEqual(['has_password should not exist'])
      const line = { ...(await exported(email)), has_password: value }
      expect(await importLines([line], 'update')).toEqual([{ line: 1, status: 'unchanged', id }])
    }
  })

  test('sets their first password by a link, or gets one from an operator', async () => {
    const byLink = await createWithout()
    const token = await mailedToken(auth, here.system, byLink.email)
    const body = { token, new_password: PASSWORD }
    expect((await auth('POST /auth/password-reset-confirm', { body })).status).toBe(204)
    const byOperator = await createWithout()
    const set = { headers: as.operator, body: { new_password: PASSWORD } }
    expect((await users(`POST /users/${byOperator.id}/set-password`, set)).status).toBe(204)
    for (const { email, id } of [byLink, byOperator]) {
      expect((await logIn(here.system, email)).status).toBe(200)
      expectProblem(await logIn(here.system, email, OTHER), 401, 'invalid_credentials')
      expect(await listed('has_password=false')).not.toContain(email)
      expect((await recordOf(id)).password_hash).toStartWith('$2b$')
    }
  })

  test('can’t change a password that they don’t have, even with a session', async () => {
    const user = await createUser(here.system)
    // No operation removes a password, so the test writes to the database.
    await changeRows(here.system, 'users', `UPDATE users SET password_hash = '!' WHERE id = '${user.id}'`)
    for (const current_password of [PASSWORD, '!', ' ']) {
      const answer = await users(`POST /users/${user.id}/change-password`, {
        headers: as.bearer(user.tokens.access_token),
        body: { current_password, new_password: OTHER },
      })
      expectProblem(answer, 401, 'invalid_credentials')
    }
    expect(await recordOf(user.id)).toMatchObject({ password_hash: null, password_version: 1 })
  })

  test('is listed by the filter has_password, as others are by email_verified', async () => {
    const tag = Bun.randomUUIDv7().slice(-12)
    const make = (name: string, fields: object) => createWithout({ email: `${name}.${tag}@example.org`, ...fields })
    await make('zoe', { email_verified: true })
    await make('ana', { password_hash: HASH })
    await make('ben', { roles: ['STAFF'] })
    await make('cy', { password_hash: HASH, email_verified: true })
    const localParts = async (query: string) =>
      (await listed(`search=${tag}&${query}`)).map((email: string) => email.split('.')[0])
    const rows: [string, string[]][] = [
      ['has_password=false', ['zoe', 'ben']],
      ['has_password=false&sort=email', ['ben', 'zoe']],
      ['has_password=false&sort=-created_at', ['ben', 'zoe']],
      ['has_password=true', ['ana', 'cy']],
      ['email_verified=false', ['ana', 'ben']],
      ['email_verified=true&sort=-email', ['zoe', 'cy']],
      ['email_verified=false&has_password=false&role=STAFF&status=active', ['ben']],
      ['email_verified=true&has_password=true', ['cy']],
    ]
    for (const [query, names] of rows) expect([query, await localParts(query)]).toEqual([query, names])
    for (const query of ['has_password=', 'has_password=no', 'email_verified=1', 'has_password=TRUE', 'verified=true'])
      expectProblem(await users(`GET /users?${query}`, { headers: as.operator }), 400, 'validation_failed')

    const page = (query: string) => users(`GET /users?${query}`, { headers: as.operator })
    const { body: all } = await page('has_password=false&size=1')
    expect(all.total).toBe((await listed('has_password=false')).length)
    const next = await page(`has_password=false&size=1&cursor=${all.next_cursor}`)
    expect(next.status).toBe(200)
    const other = await page(`has_password=true&size=1&cursor=${all.next_cursor}`)
    expectProblem(other, 400, 'validation_failed')
  })
})

describe('R23: the cost of a failed login', () => {
  // Always in this process, also when other tests run over nodes: it counts calls of the hasher.
  const here = running(inThisProcess, { RATE_LIMIT: 'off' })

  test('is one check of a hash with the current cost, whether the user has a password or not', async () => {
    const at = (request: string, options: Options) => call(here.system.url.auth, request, options)
    const make = async (fields: object) => {
      const body = { email: newEmail(), ...fields }
      expect((await at('POST /api/v1/users', { headers: as.operator, body })).status).toBe(201)
      return body.email
    }
    const [none, some] = [await make({}), await make({ password: PASSWORD })]
    await at('POST /api/v1/admin/password-cache/sync', { headers: as.operator, body: {} })
    const fail = async (login: string) => {
      const run = spyOn(HashWorkers.prototype, 'run')
      try {
        const { status } = await at('POST /api/v1/auth/login', { body: { login, password: OTHER } })
        expect(status).toBe(401)
        return run.mock.calls.map(([job]) => (job.kind === 'check' ? job.hash.slice(0, 7) : job.kind))
      } finally {
        run.mockRestore()
      }
    }
    // The first failure creates the decoy hash.
    await fail('no.one@example.org')
    expect(await fail(none)).toEqual(['$2b$04$'])
    expect(await fail(none)).toEqual(await fail(some))
  })
})
