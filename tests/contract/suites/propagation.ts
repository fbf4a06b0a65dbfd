import { describe, expect, test } from 'bun:test'
import { openUsersStore } from '../../../db/users/store.ts'
import type { NewNotice } from '../../../services/kit/outbox/outbox.ts'
import { changeNotice, deletionNotices } from '../../../services/users/notices.ts'
import type { User, UsersStore } from '../../../services/users/store.ts'
import { createUser, logIn, newEmail, PASSWORD, registerUser, type TestUser } from '../../support/actors.ts'
import { eventually, PROMPT } from '../../support/eventually.ts'
import { expectProblem } from '../../support/expectations.ts'
import { as } from '../../support/http.ts'
import { running, type Start } from '../../support/running.ts'

const OTHER = 'quite another secret'
const bearer = (user: TestUser) => as.bearer(user.tokens.access_token)
const newName = () => `name-${Math.random().toString(36).slice(2, 10)}`

export function propagationContract(start: Start): void {
  const here = running(start)
  const { auth, users } = here
  const patch = async (user: TestUser, body: object) => {
    const answer = await users(`PATCH /users/${user.id}`, { headers: as.operator, body })
    if (answer.status !== 200) throw new Error(answer.text)
  }
  const record = async (id: string) => (await users(`GET /users/${id}/password-hash`, { headers: as.internal })).body
  const sync = async (body: unknown) => {
    const answer = await auth('POST /auth/sync/password', { headers: as.internal, body })
    if (answer.status !== 204) throw new Error(answer.text)
  }
  const cached = async (user: TestUser) => {
    const { body } = await auth('GET /admin/password-cache?size=200', { headers: as.operator })
    return body.items.find(({ user_id }: { user_id: string }) => user_id === user.id)
  }
  /** Logs in. @returns 200, or the code of the problem */
  const login = async (name: string, password = PASSWORD) => {
    const { body, status } = await logIn(here.system, name, password)
    return status === 200 ? 200 : body.code
  }
  const me = async (token: string) => (await auth('GET /auth/me', { headers: as.bearer(token) })).body
  /** Waits for a result. The contract allows a second, and a busy machine may need longer. */
  const expectSoon = async (expected: unknown, look: () => Promise<unknown>) => {
    await eventually(async () => Bun.deepEquals(await look(), expected)).catch(() => undefined)
    expect(await look()).toEqual(expected)
  }

  describe('a login follows a change at users:', () => {
    test('a new email and username: the old ones do not work any more', async () => {
      const [email, username] = [newEmail(), newName()]
      const ana = await registerUser(here.system, { username: newName() })
      const before = await record(ana.id)
      await patch(ana, { email, username: username.toUpperCase() })
      await expectSoon([200, 200], async () => [await login(email.toUpperCase()), await login(username)])
      expect([await login(ana.email), await login(before.username)]).toEqual([
        'invalid_credentials',
        'invalid_credentials',
      ])
      expect(await cached(ana)).toMatchObject({ email, username, password_version: before.password_version + 1 })
      // The session stays, and has the new names.
      expect(await me(ana.tokens.access_token)).toMatchObject({ email, username })
    })

    test('an email or a username that another user takes over', async () => {
      const [ana, ben] = [await registerUser(here.system, { username: newName() }), await registerUser(here.system)]
      const { username } = await record(ana.id)
      await users(`POST /users/${ben.id}/set-password`, { headers: as.operator, body: { new_password: OTHER } })
      await patch(ana, { email: newEmail(), username: null })
      await patch(ben, { email: ana.email, username })
      await expectSoon([200, 200], async () => [await login(ana.email, OTHER), await login(username, OTHER)])
      expect(await login(ana.email)).toBe('invalid_credentials')
      expect(await login(username)).toBe('invalid_credentials')
    })

    test.each([
      ['set by an operator', 'set-password', { new_password: OTHER }, as.operator],
      ['set by a reset', 'password', { new_password: OTHER }, as.internal],
    ])('a new password, %s', async (_, path, body, headers) => {
      const ana = await registerUser(here.system)
      expect((await users(`POST /users/${ana.id}/${path}`, { headers, body })).status).toBe(204)
      await expectSoon([200, 'invalid_credentials'], async () => [
        await login(ana.email, OTHER),
        await login(ana.email),
      ])
      const refresh = await auth('POST /auth/refresh', { body: { refresh_token: ana.tokens.refresh_token } })
      expectProblem(refresh, 401, 'invalid_refresh_token')
    })

    test('a new password by its owner: this session stays, the others end', async () => {
      const ana = await registerUser(here.system)
      const elsewhere = (await logIn(here.system, ana.email)).body
      const body = { current_password: PASSWORD, new_password: OTHER }
      await users(`POST /users/${ana.id}/change-password`, { headers: bearer(ana), body })
      expect([await login(ana.email, OTHER), await login(ana.email)]).toEqual([200, 'invalid_credentials'])
      const refresh = (refresh_token: string) => auth('POST /auth/refresh', { body: { refresh_token } })
      expect((await refresh(elsewhere.refresh_token)).status).toBe(401)
      expect((await refresh(ana.tokens.refresh_token)).status).toBe(200)
    })

    test('new roles: older access tokens are refused, a refresh returns one with the new roles', async () => {
      const ana = await registerUser(here.system)
      await patch(ana, { roles: ['STAFF', 'USER'] })
      expectProblem(await auth('GET /auth/me', { headers: bearer(ana) }), 401, 'token_revoked')
      const { body } = await auth('POST /auth/refresh', { body: { refresh_token: ana.tokens.refresh_token } })
      expect((await me(body.access_token)).roles).toEqual(['STAFF', 'USER'])
      const { body: validation } = await auth('POST /auth/validate-token', { body: { token: body.access_token } })
      expect(validation).toMatchObject({ valid: true, roles: ['STAFF', 'USER'] })
    })

    test('a new status: disabled ends sessions and blocks logins; active allows logins, and the old sessions stay ended', async () => {
      const ana = await registerUser(here.system)
      await patch(ana, { status: 'disabled' })
      expectProblem(await auth('GET /auth/me', { headers: bearer(ana) }), 401, 'token_revoked')
      const refresh = () => auth('POST /auth/refresh', { body: { refresh_token: ana.tokens.refresh_token } })
      expect((await refresh()).status).toBe(401)
      expect([await login(ana.email), await login(ana.email, OTHER)]).toEqual([
        'account_disabled',
        'invalid_credentials',
      ])
      await patch(ana, { status: 'active' })
      await expectSoon(200, () => login(ana.email))
      expect((await refresh()).status).toBe(401)
      expectProblem(await auth('GET /auth/me', { headers: bearer(ana) }), 401, 'token_revoked')
    })

    test('a deletion: the user has no session, no login and no entry in the cache', async () => {
      const ana = await registerUser(here.system)
      expect(await cached(ana)).toBeDefined()
      await users(`DELETE /users/${ana.id}`, { headers: as.operator })
      expect(await cached(ana)).toBeUndefined()
      expect(await login(ana.email)).toBe('invalid_credentials')
      expectProblem(await auth('GET /auth/me', { headers: bearer(ana) }), 401, 'token_revoked')
      const { body } = await auth(`GET /auth/sessions?user_id=${ana.id}`, { headers: as.operator })
      expect(body.items).toEqual([])
    })

    test('a creation: the user logs in at once, and again from the cache only', async () => {
      const ana = await createUser(here.system)
      await expectSoon(true, async () => (await cached(ana)) !== undefined)
      expect(await login(ana.email)).toBe(200)
    })
  })

  describe('check 34: out-of-order and lost notices', () => {
    test('late and reordered notices change nothing', async () => {
      const ana = await registerUser(here.system, { username: newName() })
      const versions = [await record(ana.id)]
      for (const change of [{ email: newEmail() }, { username: newName() }, { roles: ['STAFF'] }]) {
        await patch(ana, change)
        versions.push(await record(ana.id))
      }
      await users(`POST /users/${ana.id}/set-password`, { headers: as.operator, body: { new_password: OTHER } })
      const last = await record(ana.id)
      versions.push(last)
      const entry = await cached(ana)
      const session = (await logIn(here.system, last.email, OTHER)).body
      for (const order of [
        [4, 3, 2, 1, 0],
        [0, 1, 2, 3, 4],
        [2, 0, 4, 1, 3, 3],
      ])
        for (const version of order) await sync(versions[version])
      await Promise.all([...versions, ...versions].map(sync))
      expect(await cached(ana)).toEqual(entry)
      expect(await login(last.email, OTHER)).toBe(200)
      expect(await login(last.username, OTHER)).toBe(200)
      expect(await login(last.email)).toBe('invalid_credentials')
      expect(await login(ana.email, OTHER)).toBe('invalid_credentials')
      // No session ends either.
      expect((await me(session.access_token)).roles).toEqual(['STAFF'])
    })

    test('an older notice does not enable a disabled user, and a repeated one does not end a session again', async () => {
      const ana = await registerUser(here.system)
      const active = await record(ana.id)
      await patch(ana, { status: 'disabled' })
      const disabled = await record(ana.id)
      await sync(active)
      expect(await login(ana.email)).toBe('account_disabled')
      await patch(ana, { status: 'active' })
      const session = (await logIn(here.system, ana.email)).body
      await sync(disabled)
      await sync(active)
      expect((await me(session.access_token)).id).toBe(ana.id)
      expect(await login(ana.email)).toBe(200)
    })

    test('after an account was dropped from the cache, an older notice is not stored as the newest', async () => {
      const ana = await registerUser(here.system)
      const old = await record(ana.id)
      await users(`POST /users/${ana.id}/set-password`, { headers: as.operator, body: { new_password: OTHER } })
      await auth(`DELETE /admin/password-cache/${ana.id}`, { headers: as.operator })
      await sync(old)
      expect(await cached(ana)).toBeUndefined()
      expect([await login(ana.email), await login(ana.email, OTHER)]).toEqual(['invalid_credentials', 200])
    })

    test('late notices do not restore a deleted user, and a deletion may be sent twice', async () => {
      const ana = await registerUser(here.system)
      const old = await record(ana.id)
      await users(`DELETE /users/${ana.id}`, { headers: as.operator })
      await sync(old)
      await sync({ ...old, password_version: old.password_version + 100 })
      const syncDeletion = (user_id: string) =>
        auth('POST /auth/sync/user-deleted', { headers: as.internal, body: { user_id } })
      for (const id of [ana.id, ana.id.toUpperCase(), '0198c0de-0000-7000-8000-000000000001'])
        expect((await syncDeletion(id)).status).toBe(204)
      await sync(old)
      expect(await cached(ana)).toBeUndefined()
      expect(await login(ana.email)).toBe('invalid_credentials')
      expectProblem(await auth('GET /auth/me', { headers: bearer(ana) }), 401, 'token_revoked')
      // The email of the deleted user is free for another.
      const ben = await users('POST /users', { body: { email: ana.email, password: OTHER } })
      expect(ben.status).toBe(201)
      await expectSoon(200, () => login(ana.email, OTHER))
      await sync(old)
      expect([await login(ana.email, OTHER), await login(ana.email)]).toEqual([200, 'invalid_credentials'])
    })

    test('the next notice replaces a lost one, and ends the sessions that the lost one would have ended', async () => {
      const ana = await registerUser(here.system)
      const session = (await logIn(here.system, ana.email)).body
      const { password_version } = await record(ana.id)
      // The notice of the password change is lost, that of the name change arrives.
      await here.system.terminate('users')
      await change(ana.id, (user) => {
        const version = user.version + 1
        return [{ ...user, version, passwordHash: OTHER_HASH, sessionsFrom: version, sessionKept: null }, []]
      })
      await here.system.start('users')
      await patch(ana, { name: 'Ana' })
      expect(await cached(ana)).toMatchObject({ password_version: password_version + 2 })
      expect([await login(ana.email, OTHER), await login(ana.email)]).toEqual([200, 'invalid_credentials'])
      expectProblem(await auth('GET /auth/me', { headers: as.bearer(session.access_token) }), 401, 'token_revoked')
    })

    test('a full sync replaces all lost notices', async () => {
      const [ana, ben] = [await registerUser(here.system), await registerUser(here.system)]
      const email = newEmail()
      await here.system.terminate('users')
      await change(ana.id, (user) => [{ ...user, version: user.version + 1, email }, []])
      await withStore((store) => store.removeUser(ben.id, []))
      await here.system.start('users')
      const synced = await auth('POST /admin/password-cache/sync', { headers: as.operator })
      expect(synced.body.synced).toBe(1)
      expect(synced.body.removed).toBe(1)
      expect([await login(email), await login(ana.email), await login(ben.email)]).toEqual([
        200,
        'invalid_credentials',
        'invalid_credentials',
      ])
      const ended = await auth('GET /auth/me', { headers: bearer(ben) })
      expectProblem(ended, 401, 'token_revoked')
    })
  })

  describe('check 34: pending notices survive', () => {
    test('a kill of users between a change and its notice', async () => {
      const [ana, ben] = [await registerUser(here.system), await registerUser(here.system)]
      const email = newEmail()
      await here.system.kill('users')
      await change(ana.id, (user) => [
        { ...user, version: user.version + 1, email },
        [changeNotice(user.id, Date.now())],
      ])
      await withStore((store) => store.removeUser(ben.id, deletionNotices(ben.id, ['modules'], Date.now())))
      await here.system.start('users')
      await expectSoon([200, 'invalid_credentials', 'invalid_credentials'], async () => [
        await login(email),
        await login(ana.email),
        await login(ben.email),
      ])
      expect(await cached(ben)).toBeUndefined()
      expectProblem(await auth('GET /auth/me', { headers: bearer(ben) }), 401, 'token_revoked')
    })

    test('a downtime of auth during changes, and a kill of users before auth is back', async () => {
      const [ana, ben] = [await registerUser(here.system), await registerUser(here.system)]
      const email = newEmail()
      await here.system.kill('auth')
      const began = performance.now()
      const disabled = patch(ana, { email, status: 'disabled' })
      await eventually(async () => (await record(ana.id)).status === 'disabled')
      await Promise.all([
        disabled,
        patch(ana, { status: 'active' }),
        patch(ben, { roles: ['STAFF'] }),
        users(`POST /users/${ben.id}/set-password`, { headers: as.operator, body: { new_password: OTHER } }),
      ])
      // The answers wait for auth at most a second.
      expect(performance.now() - began).toBeLessThan(PROMPT)
      await here.system.kill('users')
      await here.system.start('users')
      await here.system.start('auth')
      // A restarted auth answers once it has all changes.
      expect(await login(email)).toBe(200)
      expect([await login(ben.email, OTHER), await login(ben.email)]).toEqual([200, 'invalid_credentials'])
      expect(await login(ana.email)).toBe('invalid_credentials')
      // Sessions that ended because the user was disabled stay ended.
      for (const user of [ana, ben]) {
        expectProblem(await auth('GET /auth/me', { headers: bearer(user) }), 401, 'token_revoked')
        const { refresh_token } = user.tokens
        expect((await auth('POST /auth/refresh', { body: { refresh_token } })).status).toBe(401)
      }
    }, 120_000)

    test('check 34: users in the cache log in while the users service is down', async () => {
      const ana = await registerUser(here.system)
      await here.system.kill('users')
      try {
        expect([await login(ana.email), await login(ana.email, OTHER)]).toEqual([200, 'invalid_credentials'])
        const unknown = await logIn(here.system, newEmail())
        expectProblem(unknown, 503, 'users_unavailable')
        const { body, headers } = await auth('GET /auth/me', { headers: bearer(ana) })
        expect(body).toMatchObject({ id: ana.id, email: ana.email })
        expect(headers.get('x-ch202-stale')).toBe('1')
      } finally {
        await here.system.start('users')
      }
    })
  })

  // Simulates a users service that is killed before it sends a notice: the tests write to its database while it is down.

  const OTHER_HASH = Bun.password.hashSync(OTHER, { algorithm: 'bcrypt', cost: 4 })

  async function withStore<T>(work: (store: UsersStore) => Promise<T>): Promise<T> {
    const store = await openUsersStore({
      dataDir: here.system.dataDir,
      databaseUrl: here.system.database?.addressOf('users') ?? null,
    })
    try {
      return await work(store)
    } finally {
      await store.close()
    }
  }

  function change(id: string, next: (user: User) => [User, NewNotice[]]) {
    return withStore(async (store) => {
      const user = await store.userById(id)
      if (!user) throw new Error('There is no such user')
      expect(await store.replaceUser(...next(user))).toBe('replaced')
    })
  }
}
