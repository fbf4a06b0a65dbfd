import { describe, expect, test } from 'bun:test'
import { createUser, logIn, newEmail, PASSWORD, registerUser } from '../support/actors.ts'
import { cacheHealth } from '../support/cache-health.ts'
import { all, askEach } from '../support/each-service.ts'
import { eventually } from '../support/eventually.ts'
import { expectFields, expectProblem, FIELDS, PROFILE_FIELDS, TIME } from '../support/expectations.ts'
import { type Answer, as, call } from '../support/http.ts'
import { running } from '../support/running.ts'
import { inProcessApart, nodeAddresses } from '../support/system.ts'

const OTHER = 'quite another one'

describe('the password cache', () => {
  const here = running(inProcessApart)
  const { auth, users } = here
  const operator = { headers: as.operator }
  const list = async (query: string) => (await auth(`GET /admin/password-cache${query}`, operator)).body
  const entryOf = async (email: string) => (await list(`?search=${encodeURIComponent(email)}`)).items[0]
  const drop = (id: string) => auth(`DELETE /admin/password-cache/${id}`, operator)
  const sync = (body?: object) => auth('POST /admin/password-cache/sync', { ...operator, ...(body ? { body } : {}) })
  /** Reads what each node of auth reports. */
  const health = () =>
    Promise.all(nodeAddresses(here.system, 'auth').map(async (url) => (await call(url, 'GET /health/cache')).body))
  const recordOf = async (id: string) => (await users(`GET /users/${id}/password-hash`, { headers: as.internal })).body
  const syncRecord = (record: object) => auth('POST /auth/sync/password', { headers: as.internal, body: record })

  describe('for operators', () => {
    test('the list contains no hash', async () => {
      const user = await createUser(here.system, { username: 'cached.one' })
      const answer = await auth(`GET /admin/password-cache?search=${user.email}`, operator)
      expectFields(answer.body, FIELDS.page)
      expect(answer.body).toMatchObject({ total: 1, page: 1, size: 50, pages: 1, next_cursor: null })
      const [entry] = answer.body.items
      expectFields(entry, FIELDS.cacheEntry)
      expect(entry).toMatchObject({ user_id: user.id, email: user.email, username: 'cached.one', status: 'active' })
      expect(entry.password_version).toBe((await recordOf(user.id)).password_version)
      expect(entry.synced_at).toMatch(TIME)
      expect(answer.text).not.toContain('$2')
      expect((await entryOf('ACHED.ON')).user_id).toBe(user.id)
      expect((await list('?search=%25')).total).toBe(0)
      expect((await list(`?search=${encodeURIComponent("' OR 1=1 --")}`)).total).toBe(0)
    })

    test('R27: an empty search lists all entries, with the same cursor as the list without a search', async () => {
      for (let n = 0; n < 2; n++) await createUser(here.system)
      const fullList = await list('?size=1')
      const empty = await list('?search=&size=1')
      expect(empty).toEqual(fullList)
      expect(empty.total).toBeGreaterThan(1)
      expect(await list(`?size=1&cursor=${empty.next_cursor}`)).toEqual(
        await list(`?search=&size=1&cursor=${empty.next_cursor}`),
      )
    })

    test('a walk by cursor lists each entry once', async () => {
      const created = await Promise.all(
        Array.from({ length: 5 }, async (_, i) => (await createUser(here.system, { username: `walked-${i}` })).id),
      )
      const seen: string[] = []
      let query = '?search=walked-&size=2'
      for (let pages = 1; ; pages++) {
        const body = await list(query)
        expect(body.total).toBe(pages === 1 ? 5 : null)
        seen.push(...body.items.map(({ user_id }: { user_id: string }) => user_id))
        if (body.next_cursor === null) break
        query = `?search=walked-&size=2&cursor=${body.next_cursor}`
      }
      expect(seen).toHaveLength(5)
      expect(new Set(seen)).toEqual(new Set(created))
      for (const bad of ['?cursor=x', '?size=0', '?nothing=1', query.replace('walked', 'other')])
        expectProblem(await auth(`GET /admin/password-cache${bad}`, operator), 400, 'validation_failed')
    })

    test('a dropped entry is fetched again at the next login; sessions stay', async () => {
      const user = await registerUser(here.system)
      expect((await drop(user.id.toUpperCase())).status).toBe(204)
      expectProblem(await drop(user.id), 404, 'user_not_found')
      expect(await entryOf(user.email)).toBeUndefined()
      expect(await askEach(here.system, user.tokens.access_token)).toEqual(all(200))
      expectProblem(await logIn(here.system, user.email, OTHER), 401, 'invalid_credentials')
      expect(await entryOf(user.email)).toBeUndefined()
      const before = await cacheHealth(here.system)
      expect((await logIn(here.system, user.email)).status).toBe(200)
      expect((await logIn(here.system, user.email)).status).toBe(200)
      const after = await cacheHealth(here.system)
      expect([after.misses - before.misses, after.hits - before.hits]).toEqual([1, 1])
      expect((await entryOf(user.email)).user_id).toBe(user.id)
    })

    test('dropping an unknown id is refused', async () => {
      for (const id of [crypto.randomUUID(), 'x', '..%2Fkeys']) expectProblem(await drop(id), 404, 'user_not_found')
    })

    test('a sync fetches one user or all, and reports its changes', async () => {
      const user = await registerUser(here.system)
      await drop(user.id)
      const one = await sync({ user_id: user.id })
      expect(one.status).toBe(200)
      expectFields(one.body, FIELDS.cacheSync)
      expect(one.body).toMatchObject({ synced: 1, removed: 0, unchanged: 0 })
      expect((await sync({ user_id: user.id })).body).toMatchObject({ synced: 0, removed: 0, unchanged: 1 })

      await drop(user.id)
      const total = (await users('GET /users?size=1', operator)).body.total
      const everyone = await sync()
      expect(everyone.body).toMatchObject({ synced: 1, removed: 0, unchanged: total - 1 })
      expect(everyone.text).not.toContain('$2')
      for (const { entries } of await health()) expect(entries).toBe(total)
      expectProblem(await sync({ user_id: crypto.randomUUID() }), 404, 'user_not_found')
      expectProblem(await sync({ user_id: 'x' }), 400, 'validation_failed')
      expectProblem(await sync({ all: true }), 400, 'validation_failed')
    })

    test('a sync removes accounts that users does not have, with all their sessions', async () => {
      const record = await recordOf((await registerUser(here.system)).id)
      const ghosts = [newEmail(), newEmail()].map((email) => ({ ...record, user_id: crypto.randomUUID(), email }))
      const sessions = []
      for (const ghost of ghosts) {
        expect((await syncRecord(ghost)).status).toBe(204)
        sessions.push((await logIn(here.system, ghost.email)).body)
      }
      expect((await sync({ user_id: ghosts[0]?.user_id })).body).toMatchObject({ synced: 0, removed: 1, unchanged: 0 })
      expect((await sync()).body.removed).toBe(1)
      for (const { access_token } of sessions)
        expect(await askEach(here.system, access_token)).toEqual(all('token_revoked'))
    })

    test('anyone may read the health of the cache', async () => {
      await registerUser(here.system)
      const { body, status } = await auth('GET /health/cache')
      expect(status).toBe(200)
      expectFields(body, FIELDS.cacheHealth)
      expect(body.entries).toBe((await list('?size=1')).total)
      expect(body.hit_ratio).toBeWithin(0, 1.001)
      const synced = (await health()).filter(({ last_sync_at }) => last_sync_at !== null)
      expect(synced).not.toBeEmpty()
      for (const { last_sync_at } of synced) expect(last_sync_at).toMatch(TIME)
    })

    const requests = ['GET /admin/password-cache', `DELETE /admin/password-cache/${crypto.randomUUID()}`]
    test.each([...requests, 'POST /admin/password-cache/sync'])('%s is for operators only', async (request) => {
      const user = await registerUser(here.system)
      const admin = await createUser(here.system, { roles: ['ADMIN'] })
      expectProblem(await auth(request), 401, 'missing_token')
      expectProblem(await auth(request, { headers: as.bearer(user.tokens.access_token) }), 403, 'forbidden')
      expectProblem(await auth(request, { headers: as.internal }), 403, 'forbidden')
      expect([200, 404]).toContain((await auth(request, { headers: as.bearer(admin.tokens.access_token) })).status)
    })
  })

  describe('for users', () => {
    test.each(['/auth/sync/password', '/auth/sync/user-deleted'])(
      '%s is for the internal key only, for any body',
      async (path) => {
        const user = await registerUser(here.system)
        const body = { nonsense: true }
        expectProblem(await auth(`POST ${path}`, { body }), 401, 'invalid_api_key')
        expectProblem(await auth(`POST ${path}`, { body, headers: as.operator }), 403, 'forbidden')
        const bearer = as.bearer(user.tokens.access_token)
        expectProblem(await auth(`POST ${path}`, { body, headers: bearer }), 403, 'forbidden')
        expectProblem(await auth(`POST ${path}`, { body, headers: { 'x-api-key': '' } }), 401, 'invalid_api_key')
        expectProblem(await auth(`POST ${path}`, { body, headers: as.internal }), 400, 'validation_failed')
      },
    )

    test('an older version, or the same one again, changes nothing', async () => {
      const user = await registerUser(here.system)
      const old = await recordOf(user.id)
      await users(`POST /users/${user.id}/set-password`, { ...operator, body: { new_password: OTHER } })
      const session = (await logIn(here.system, user.email, OTHER)).body
      const current = await recordOf(user.id)
      expect(current.password_version).toBeGreaterThan(old.password_version)
      const entry = await entryOf(user.email)
      for (const record of [
        old,
        { ...old, status: 'disabled' },
        { ...old, email: newEmail(), roles: ['ADMIN'] },
        current,
      ])
        expect((await syncRecord(record)).status).toBe(204)
      expect(await entryOf(user.email)).toEqual(entry)
      expectProblem(await logIn(here.system, user.email), 401, 'invalid_credentials')
      expect((await logIn(here.system, user.email, OTHER)).status).toBe(200)
      expect(await askEach(here.system, session.access_token)).toEqual(all(200))
    })

    test('a newer version is stored, and ends the sessions that its marks name', async () => {
      const user = await registerUser(here.system)
      const record = await recordOf(user.id)
      const next = { ...record, status: 'disabled', password_version: record.password_version + 5 }
      expect((await syncRecord(next)).status).toBe(204)
      expect(await askEach(here.system, user.tokens.access_token)).toEqual(all('token_revoked'))
      expectProblem(await logIn(here.system, user.email), 403, 'account_disabled')
      expect(await entryOf(user.email)).toMatchObject({ status: 'disabled', password_version: next.password_version })
    })

    test('a record with a missing or an unknown field is refused', async () => {
      const record = await recordOf((await registerUser(here.system)).id)
      for (const field of Object.keys(record)) {
        expectProblem(await syncRecord({ ...record, [field]: [{ a: 1 }] }), 400, 'validation_failed')
        // The hash implies the first field; records of an earlier version lack the others.
        if (['has_password', ...PROFILE_FIELDS].includes(field)) continue
        const { [field]: _, ...rest } = record
        const answer = await syncRecord(rest)
        expectProblem(answer, 400, 'validation_failed')
        expect(String(answer.body.message)).toContain(field)
        expect(answer.text).not.toContain(record.password_hash)
      }
      expectProblem(await syncRecord({ ...record, password: 'x' }), 400, 'validation_failed')
    })

    test('a deleted user is removed at once and for good, even when their record is sent again', async () => {
      const user = await registerUser(here.system)
      const record = await recordOf(user.id)
      const remove = () =>
        auth('POST /auth/sync/user-deleted', { headers: as.internal, body: { user_id: user.id.toUpperCase() } })
      expect((await remove()).status).toBe(204)
      expect(await askEach(here.system, user.tokens.access_token)).toEqual(all('token_revoked'))
      expect(await entryOf(user.email)).toBeUndefined()
      expect((await remove()).status).toBe(204)
      expect((await syncRecord({ ...record, password_version: record.password_version + 1 })).status).toBe(204)
      expect(await entryOf(user.email)).toBeUndefined()
      expectProblem(await logIn(here.system, user.email), 401, 'invalid_credentials')
    })

    test('a change at users is in the cache before its answer: email, username, password, roles, status', async () => {
      const user = await createUser(here.system, { username: 'before' })
      const email = newEmail()
      await users(`PATCH /users/${user.id}`, { ...operator, body: { email, username: 'after' } })
      for (const old of [user.email, 'before']) expectProblem(await logIn(here.system, old), 401, 'invalid_credentials')
      for (const name of [email, 'after']) expect((await logIn(here.system, name)).status).toBe(200)
      await users(`POST /users/${user.id}/set-password`, { ...operator, body: { new_password: OTHER } })
      expectProblem(await logIn(here.system, email), 401, 'invalid_credentials')
      await users(`PATCH /users/${user.id}`, { ...operator, body: { status: 'disabled' } })
      expectProblem(await logIn(here.system, email, OTHER), 403, 'account_disabled')
      await users(`PATCH /users/${user.id}`, { ...operator, body: { status: 'active', roles: ['EDITOR'] } })
      const { body } = await logIn(here.system, email, OTHER)
      const validation = await auth('POST /auth/validate-token', { body: { token: body.access_token } })
      expect(validation.body.roles).toEqual(['EDITOR'])
      await users(`DELETE /users/${user.id}`, operator)
      expectProblem(await logIn(here.system, email, OTHER), 401, 'invalid_credentials')
    })

    test('two users who swap their emails each log in as themselves', async () => {
      const [a, b] = [await createUser(here.system), await createUser(here.system)]
      await users(`PATCH /users/${a.id}`, { ...operator, body: { email: newEmail() } })
      await users(`PATCH /users/${b.id}`, { ...operator, body: { email: a.email } })
      await users(`PATCH /users/${a.id}`, { ...operator, body: { email: b.email } })
      for (const [email, id] of [
        [a.email, b.id],
        [b.email, a.id],
      ] as const) {
        const { body } = await logIn(here.system, email)
        expect((await auth('GET /auth/me', { headers: as.bearer(body.access_token) })).body).toMatchObject({
          id,
          email,
        })
      }
    })

    test('a dropped record that is announced again is restored', async () => {
      const user = await registerUser(here.system)
      await drop(user.id)
      const answer = await users(`POST /users/${user.id}/password-changed`, { headers: as.internal })
      expect(answer.status).toBe(202)
      await eventually(() => entryOf(user.email))
    })
  })

  describe('an outdated hash', () => {
    test.each([
      ['bcrypt of another cost', { algorithm: 'bcrypt', cost: 5 }],
      ['argon2id', { algorithm: 'argon2id', memoryCost: 1024, timeCost: 2 }],
    ] as const)('of %s works for a login and is rehashed in both databases; no session ends', async (_, options) => {
      const password_hash = await Bun.password.hash(PASSWORD, options)
      const user = await createUser(here.system, { password: undefined, password_hash })
      const record = await eventually(async () => {
        const now = await recordOf(user.id)
        return now.password_hash === password_hash ? undefined : now
      })
      expect(record.password_hash).toStartWith('$2b$04$')
      await eventually(async () => (await entryOf(user.email)).password_version === record.password_version)
      expect(await askEach(here.system, user.tokens.access_token)).toEqual(all(200))
      expectProblem(await logIn(here.system, user.email, OTHER), 401, 'invalid_credentials')
      expect((await logIn(here.system, user.email)).status).toBe(200)
      expect((await recordOf(user.id)).password_hash).toBe(record.password_hash)
      await eventually(async () => (await cacheHealth(here.system)).pending === 0)
    })
  })

  describe('with a service down', () => {
    test('check 34: while users is down, users in the cache log in, and operations that need users are 503', async () => {
      const user = await createUser(here.system, { username: 'known', name: 'Known' })
      const dropped = await registerUser(here.system)
      await drop(dropped.id)
      await here.system.kill('users')
      const bearer = { headers: as.bearer(user.tokens.access_token) }

      expect((await logIn(here.system, 'known')).status).toBe(200)
      expectProblem(await logIn(here.system, user.email, OTHER), 401, 'invalid_credentials')
      for (const email of [dropped.email, newEmail()])
        expectProblem(await logIn(here.system, email), 503, 'users_unavailable')
      const body = { email: newEmail(), password: PASSWORD }
      expectProblem(await auth('POST /auth/register', { body }), 503, 'users_unavailable')
      expectProblem(await sync(), 503, 'users_unavailable')
      expectProblem(await sync({ user_id: user.id }), 503, 'users_unavailable')
      const refreshed = await auth('POST /auth/refresh', { body: { refresh_token: user.tokens.refresh_token } })
      expect(refreshed.status).toBe(200)
      expect(await askEach(here.system, refreshed.body.access_token, ['auth', 'modules'])).toEqual(
        all(200, ['auth', 'modules']),
      )

      const stale = await auth('GET /auth/me', bearer)
      expect(stale.status).toBe(200)
      expect(stale.headers.get('x-ch202-stale')).toBe('1')
      expectFields(stale.body, FIELDS.user)
      expect(stale.body).toMatchObject({ id: user.id, email: user.email, username: 'known', name: 'Known' })
      expect(stale.text).not.toContain('$2')

      await here.system.start('users')
      const fresh = await auth('GET /auth/me', bearer)
      expect(fresh.headers.has('x-ch202-stale')).toBe(false)
      expect(fresh.body).toEqual(stale.body)
      expect((await logIn(here.system, dropped.email)).status).toBe(200)
    })

    test('changes from the downtime of auth are in the cache when auth takes requests again', async () => {
      const [changed, disabled, renamed, deleted] = await Promise.all(
        Array.from({ length: 4 }, () => registerUser(here.system)),
      )
      if (!changed || !disabled || !renamed || !deleted) throw new Error('unreachable')
      const second = (await logIn(here.system, changed.email)).body
      const email = newEmail()
      await here.system.kill('auth')
      const answers: Answer[] = await Promise.all([
        users(`POST /users/${changed.id}/change-password`, {
          headers: as.bearer(changed.tokens.access_token),
          body: { current_password: PASSWORD, new_password: OTHER },
        }),
        users(`PATCH /users/${disabled.id}`, { ...operator, body: { status: 'disabled' } }),
        users(`PATCH /users/${renamed.id}`, { ...operator, body: { email } }),
        users(`DELETE /users/${deleted.id}`, operator),
      ])
      expect(answers.map(({ status }) => status)).toEqual([204, 200, 200, 204])
      // The notices come from an outbox that must survive a restart of users too.
      await here.system.kill('users')
      await here.system.start('users')
      await here.system.start('auth')

      await eventually(async () => (await logIn(here.system, changed.email, OTHER)).status === 200)
      expectProblem(await logIn(here.system, changed.email), 401, 'invalid_credentials')
      expect(await askEach(here.system, second.access_token)).toEqual(all('token_revoked'))
      expect(await askEach(here.system, changed.tokens.access_token)).toEqual(all(200))
      expectProblem(await logIn(here.system, disabled.email), 403, 'account_disabled')
      expectProblem(await logIn(here.system, renamed.email), 401, 'invalid_credentials')
      expect((await logIn(here.system, email)).status).toBe(200)
      expectProblem(await logIn(here.system, deleted.email), 401, 'invalid_credentials')
      for (const { tokens } of [disabled, deleted])
        expect(await askEach(here.system, tokens.access_token)).toEqual(all('token_revoked'))
    })
  })
})
