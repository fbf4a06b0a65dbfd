import { beforeAll, describe, expect, test } from 'bun:test'
import { createUser, logIn, newEmail, PASSWORD, registerUser, type TestUser } from '../support/actors.ts'
import { nextMail } from '../support/challenges.ts'
import { eventually } from '../support/eventually.ts'
import { expectProblem } from '../support/expectations.ts'
import { as, type Options } from '../support/http.ts'
import { mailsTo, readMail } from '../support/mails.ts'
import { running } from '../support/running.ts'
import { inProcess } from '../support/system.ts'

const SUPPORT = 'HELP_DESK'

describe('contract 11, support', () => {
  const here = running(inProcess, { SUPPORT_ROLE: SUPPORT, RATE_LIMIT: 'on' })
  const { auth, users } = here
  let supporter: TestUser
  let headers: Record<string, string>
  beforeAll(async () => {
    supporter = await createUser(here.system, { roles: [SUPPORT, 'USER'] })
    headers = as.bearer(supporter.tokens.access_token)
  })
  const by = (body?: unknown): Options => ({ headers, ...(body === undefined ? {} : { body }) })
  const byOperator = (body?: unknown): Options => ({
    headers: as.operator,
    ...(body === undefined ? {} : { body }),
  })
  const setRoles = async (id: string, roles: string[]) =>
    expect((await users(`PATCH /users/${id}`, byOperator({ roles }))).status).toBe(200)
  const auditOf = async (id: string): Promise<{ type: string; actor: string; user_id: string }[]> =>
    (await auth(`GET /admin/audit?user_id=${id}`, byOperator())).body.items

  describe('the list of users', () => {
    const PREFIX = `listed-${Math.random().toString(36).slice(2, 8)}`
    const KINDS = [['USER'], ['ADMIN'], [SUPPORT], ['USER', 'ADMIN'], [], [`${SUPPORT}_2`], ['ADMIN_2'], ['USER']]
    const COUNT = 24
    /** The front of each email that support may see, in the order of creation. */
    const seen: string[] = []
    beforeAll(async () => {
      for (let n = 0; n < COUNT; n++) {
        const roles = KINDS[n % KINDS.length] ?? []
        // A hash that is never used: hashing a password for each user would be slow.
        const body = { email: `${PREFIX}-${n + 10}@example.org`, roles, password_hash: `$2b$04$${'a'.repeat(53)}` }
        const { status } = await users('POST /users', byOperator(body))
        expect(status).toBe(201)
        if (!roles.includes('ADMIN') && !roles.includes(SUPPORT)) seen.push(body.email)
      }
    })
    const emails = (items: { email: string }[]) => items.map(({ email }) => email)
    const list = (query: string, options = by()) => users(`GET /users?${query}`, options)
    /** Follows the cursors from the first page. */
    const walk = async (query: string) => {
      const all: string[] = []
      let cursor: string | null = ''
      while (cursor !== null) {
        const { body, status } = await list(`${query}&size=2${cursor && `&cursor=${cursor}`}`)
        expect(status).toBe(200)
        all.push(...emails(body.items))
        cursor = body.next_cursor
      }
      return all
    }

    test.each(['created_at', '-created_at', 'email', '-email'])(
      'has no privileged user on any page, in any total or walk, sorted by %s',
      async (sort) => {
        const expected = sort.startsWith('-') ? seen.toReversed() : seen
        expect(expected).toHaveLength((COUNT * 5) / 8)
        for (const search of [`search=${PREFIX}`, `search=${PREFIX.toUpperCase()}-`]) {
          const query = `${search}&sort=${sort}`
          // The operator asks first: their total is not that of support.
          expect((await list(query, byOperator())).body.total).toBe(COUNT)
          const pages = []
          for (let page = 1; page <= 3; page++) {
            const { body } = await list(`${query}&size=5&page=${page}`)
            expect([body.total, body.pages]).toEqual([seen.length, 3])
            pages.push(...emails(body.items))
          }
          expect(pages).toEqual(expected)
          expect(await walk(query)).toEqual(expected)
          expect((await list(query, byOperator())).body.total).toBe(COUNT)
        }
      },
    )

    test('has no privileged user without a search, and counts none', async () => {
      const all = await walk('sort=created_at')
      expect(all).toEqual(expect.arrayContaining(seen))
      for (const email of all.filter((one) => one.startsWith(PREFIX))) expect(seen).toContain(email)
      expect(all).not.toContain(supporter.email)
      expect((await list('size=1')).body.total).toBe(all.length)
    })

    test.each([
      ['role=ADMIN', 0],
      [`role=${SUPPORT}`, 0],
      ['role=ADMIN_2', COUNT / 8],
      [`role=${SUPPORT}_2`, COUNT / 8],
      ['role=USER&status=active&has_password=true&email_verified=false', COUNT / 4],
    ])('by %s has only those whom support may see', async (query, total) => {
      const { body } = await list(`search=${PREFIX}&${query}`)
      expect([body.total, body.items.length]).toEqual([total, total])
    })

    test('follows a change of roles at once', async () => {
      const { email, id } = await createUser(here.system)
      const emailsFound = async () => emails((await list(`search=${email}`)).body.items)
      expect(await emailsFound()).toEqual([email])
      await setRoles(id, ['ADMIN'])
      expect(await emailsFound()).toEqual([])
      await setRoles(id, ['USER'])
      expect(await emailsFound()).toEqual([email])
    })
  })

  describe('a user', () => {
    test('is read by id, email and username, in any case', async () => {
      const username = `u${Date.now()}`
      const { email, id } = await createUser(here.system, { username })
      const paths = [id, id.toUpperCase(), `by-email/${email.toUpperCase()}`, `by-username/${username.toUpperCase()}`]
      for (const path of paths) expect((await users(`GET /users/${path}`, by())).body).toMatchObject({ id, email })
      await setRoles(id, [SUPPORT])
      for (const path of paths) expectProblem(await users(`GET /users/${path}`, by()), 404, 'user_not_found')
    })

    test('is disabled, which ends their sessions, and enabled: the audit names the person', async () => {
      const user = await createUser(here.system)
      const set = (status: string) => users(`PATCH /users/${user.id}`, by({ status }))
      expect((await set('disabled')).body).toMatchObject({ id: user.id, status: 'disabled' })
      const me = await auth('GET /auth/me', { headers: as.bearer(user.tokens.access_token) })
      expectProblem(me, 401, 'token_revoked')
      expectProblem(await logIn(here.system, user.email), 403, 'account_disabled')
      expect((await set('active')).body.status).toBe('active')
      expect((await logIn(here.system, user.email)).status).toBe(200)
      const actor = `user:${supporter.id}`
      const rows = async () => (await auditOf(user.id)).filter((row) => row.actor === actor).map(({ type }) => type)
      expect(await eventually(async () => (await rows()).join() === 'user.enabled,user.disabled')).toBe(true)
    })

    test.each([
      [{ name: 'Eve' }, 403, 'forbidden_field'],
      [{ status: 'disabled', name: 'Eve' }, 403, 'forbidden_field'],
      [{ status: 'disabled', roles: ['USER'] }, 403, 'forbidden_field'],
      [{ email: newEmail() }, 403, 'forbidden_field'],
      [{ username: 'eve' }, 403, 'forbidden_field'],
      [{ metadata: {} }, 403, 'forbidden_field'],
      [{ locale: 'ru' }, 403, 'forbidden_field'],
      [{ app_metadata: {} }, 403, 'forbidden_field'],
      [{ email_verified: true }, 403, 'forbidden_field'],
      [{ roles: 'not a list' }, 403, 'forbidden_field'],
      [{ status: 'gone' }, 400, 'validation_failed'],
      [{ status: 'disabled', nickname: 'Eve' }, 400, 'validation_failed'],
    ])('is not changed by %j', async (body, status, code) => {
      const user = await createUser(here.system)
      const before = (await users(`GET /users/${user.id}`, byOperator())).body
      expectProblem(await users(`PATCH /users/${user.id}`, by(body)), status, code)
      expect((await users(`GET /users/${user.id}`, byOperator())).body).toEqual(before)
    })

    test.each(['PUT', 'DELETE'])('who is seen is not found with %s: it is forbidden', async (method) => {
      const { email, id } = await createUser(here.system)
      const body = method === 'PUT' ? { email } : undefined
      expectProblem(await users(`${method} /users/${id}`, by(body)), 403, 'forbidden')
      await setRoles(id, ['ADMIN'])
      expectProblem(await users(`${method} /users/${id}`, by(body)), 404, 'user_not_found')
    })

    test('who is the support person themself is like any user', async () => {
      expect((await users(`PATCH /users/${supporter.id}`, by({ name: 'Sam' }))).body.name).toBe('Sam')
      expectProblem(await users(`PATCH /users/${supporter.id}`, by({ status: 'disabled' })), 403, 'forbidden_field')
      expect((await users(`GET /users/by-email/${supporter.email}`, by())).body.id).toBe(supporter.id)
      expectProblem(await auth(`GET /auth/sessions?user_id=${supporter.id}`, by()), 404, 'user_not_found')
    })
  })

  describe('sessions', () => {
    test('of a user are listed and ended, one or all: the audit names the person', async () => {
      const user = await createUser(here.system)
      await logIn(here.system, user.email)
      const listed = await auth(`GET /auth/sessions?user_id=${user.id.toUpperCase()}`, by())
      expect(listed.body.total).toBe(2)
      expect(listed.body.items.every((one: { user_id: string }) => one.user_id === user.id)).toBe(true)
      expect((await auth(`DELETE /auth/sessions/${user.tokens.session_id}`, by())).status).toBe(204)
      const me = await auth('GET /auth/me', { headers: as.bearer(user.tokens.access_token) })
      expectProblem(me, 401, 'token_revoked')
      expectProblem(await auth(`DELETE /auth/sessions/${user.tokens.session_id}`, by()), 404, 'session_not_found')
      expect((await auth(`DELETE /auth/sessions?user_id=${user.id}`, by())).body).toEqual({ revoked: 1 })
      expect((await auth(`DELETE /auth/sessions?user_id=${user.id}`, by())).body).toEqual({ revoked: 0 })
      const rows = (await auditOf(user.id)).filter(({ type }) => type === 'session.revoked')
      expect(rows.map(({ actor }) => actor)).toEqual(Array(2).fill(`user:${supporter.id}`))
    })

    test('of one’s own are listed and ended as those of any user', async () => {
      const { body } = await logIn(here.system, supporter.email)
      const listed = (await auth('GET /auth/sessions', by())).body.items
      expect(new Set(listed.map((one: { user_id: string }) => one.user_id))).toEqual(new Set([supporter.id]))
      expect((await auth(`DELETE /auth/sessions/${body.session_id}`, by())).status).toBe(204)
    })

    test('of everyone are for operators', async () => {
      expectProblem(await auth('GET /auth/sessions?all=true', by()), 403, 'forbidden')
      expectProblem(await auth('DELETE /auth/sessions?all=true', by()), 403, 'forbidden')
      expectProblem(await auth('DELETE /auth/sessions', by()), 400, 'validation_failed')
    })

    test('of a user who has just got ADMIN, or the support role, stay', async () => {
      for (const role of ['ADMIN', SUPPORT]) {
        const user = await createUser(here.system)
        await setRoles(user.id, ['USER', role])
        expectProblem(await auth(`GET /auth/sessions?user_id=${user.id}`, by()), 404, 'user_not_found')
        expectProblem(await auth(`DELETE /auth/sessions?user_id=${user.id}`, by()), 404, 'user_not_found')
        expectProblem(await auth(`DELETE /auth/sessions/${user.tokens.session_id}`, by()), 404, 'session_not_found')
        const { refresh_token } = user.tokens
        expect((await auth('POST /auth/refresh', { body: { refresh_token } })).status).toBe(200)
      }
    })
  })

  describe('what happened to a user', () => {
    let user: TestUser
    let admin: TestUser
    beforeAll(async () => {
      user = await registerUser(here.system)
      admin = await createUser(here.system, { roles: ['ADMIN'] })
      for (let n = 0; n < 11; n++) await logIn(here.system, user.email, 'a wrong guess')
      for (let n = 0; n < 11; n++) await logIn(here.system, admin.email, 'a wrong guess')
    })

    test.each(['login-limits', 'refused-logins'])('is in %s, by id, email or username', async (path) => {
      for (const query of [`user_id=${user.id}`, `login=${user.email.toUpperCase()}`]) {
        const answer = await auth(`GET /admin/${path}?${query}`, by())
        expect(answer.body).toEqual((await auth(`GET /admin/${path}?${query}`, byOperator())).body)
      }
      for (const query of [`user_id=${admin.id}`, `login=${admin.email}`, `login=${newEmail()}`, 'login=nobody'])
        expectProblem(await auth(`GET /admin/${path}?${query}`, by()), 404, 'user_not_found')
      expectProblem(await auth(`GET /admin/${path}?address=127.0.0.1`, by()), 403, 'forbidden')
      expectProblem(await auth(`GET /admin/${path}`, by()), 400, 'validation_failed')
    })

    test('is not found by the request of someone: it may be that of an administrator', async () => {
      expectProblem(await auth('GET /admin/refused-logins?request_id=r1', by()), 403, 'forbidden')
      expectProblem(await auth('GET /admin/audit?request_id=r1', by()), 403, 'forbidden')
    })

    test.each(['audit', 'mails'])('is in %s, for a named user alone', async (path) => {
      const listed = async () => (await auth(`GET /admin/${path}?user_id=${user.id}`, by())).body
      expect(await eventually(async () => (await listed()).total > 0)).toBe(true)
      const { items } = await listed()
      expect(new Set(items.map((one: { user_id: string }) => one.user_id))).toEqual(new Set([user.id]))
      expectProblem(await auth(`GET /admin/${path}?user_id=${admin.id}`, by()), 404, 'user_not_found')
      expectProblem(await auth(`GET /admin/${path}`, by()), 403, 'forbidden')
      expectProblem(await auth(`GET /admin/${path}?size=1`, by()), 403, 'forbidden')
    })
  })

  describe('a password reset', () => {
    const reset = (id: string, options: Options = by()) => auth(`POST /admin/users/${id}/password-reset`, options)

    test('is mailed to a user in their language, by a link that works: the audit names the person', async () => {
      const user = await createUser(here.system, { locale: 'ru' })
      const { body, status } = await reset(user.id.toUpperCase())
      expect([status, Object.keys(body)]).toEqual([202, ['message']])
      const { mail, token } = await nextMail(here.system, user.email, 0, 'reset-password')
      expect(readMail(mail)).toContain('парол')
      // Nothing says from where support works.
      expect(mail).not.toContain('127.0.0.1')
      const confirmed = { body: { token, new_password: 'another horse battery' } }
      expect((await auth('POST /auth/password-reset-confirm', confirmed)).status).toBe(204)
      const rows = async () => (await auditOf(user.id)).map(({ actor, type }) => `${type} ${actor}`)
      const sent = ['password.reset_requested auth', `password.reset_sent user:${supporter.id}`]
      const isThere = async () => {
        const current = await rows()
        return sent.every((row) => current.includes(row))
      }
      expect(await eventually(isThere)).toBe(true)
      expect((await reset(user.id, byOperator())).status).toBe(202)
      expect(await rows()).toContain('password.reset_sent operator')
    })

    test('goes to nobody who is disabled, may not be helped, or does not exist', async () => {
      const disabled = await createUser(here.system)
      await users(`PATCH /users/${disabled.id}`, byOperator({ status: 'disabled' }))
      for (const options of [by(), byOperator()])
        expectProblem(await reset(disabled.id, options), 403, 'account_disabled')
      for (const role of ['ADMIN', SUPPORT]) {
        const { email, id } = await createUser(here.system, { roles: [role] })
        expectProblem(await reset(id), 404, 'user_not_found')
        // The mails of an address are sent in their order.
        expect((await reset(id, byOperator())).status).toBe(202)
        expect(await eventually(() => mailsTo(here.system, email).length > 0)).toBe(true)
        expect(mailsTo(here.system, email)).toHaveLength(1)
      }
      for (const options of [by(), byOperator()])
        expectProblem(await reset(Bun.randomUUIDv7(), options), 404, 'user_not_found')
      // That an account is disabled is not said of those whom support does not see.
      await setRoles(disabled.id, [SUPPORT])
      expectProblem(await reset(disabled.id), 404, 'user_not_found')
    })

    test('is counted with those that the user asks for', async () => {
      const user = await createUser(here.system)
      for (let n = 0; n < 3; n++) expect((await reset(user.id)).status).toBe(202)
      for (let n = 0; n < 2; n++)
        expect((await auth('POST /auth/password-reset-request', { body: { email: user.email } })).status).toBe(202)
      expectProblem(await reset(user.id), 429, 'rate_limited')
    })
  })

  describe('an invitation', () => {
    const invite = (body: unknown, options: (body: unknown) => Options = by) =>
      auth('POST /admin/invitations', options(body))

    test('goes to a new user, with names and metadata: the audit names the person', async () => {
      const email = newEmail()
      const fields = { name: 'Ana', username: `i${Date.now()}`, locale: 'ru', metadata: { theme: 'dark' } }
      const { body, status } = await invite({ email, ...fields })
      expect([status, body.user]).toEqual([201, expect.objectContaining({ email, roles: ['USER'], ...fields })])
      expect(await eventually(() => mailsTo(here.system, email).length === 1)).toBe(true)
      // Again, by the email and by the id.
      expect((await invite({ email })).status).toBe(201)
      expect((await invite({ user_id: body.user.id })).status).toBe(201)
      const actors = async () => new Set((await auditOf(body.user.id)).map(({ actor }) => actor))
      expect(await eventually(async () => (await auditOf(body.user.id)).length === 4)).toBe(true)
      expect(await actors()).toEqual(new Set([`user:${supporter.id}`]))
    })

    test.each([{ roles: ['USER'] }, { app_metadata: { plan: 'pro' } }, { roles: 'not a list' }])(
      'does not give %j',
      async (fields) => {
        const email = newEmail()
        expectProblem(await invite({ email, ...fields }), 403, 'forbidden_field')
        expectProblem(await users(`GET /users/by-email/${email}`, byOperator()), 404, 'user_not_found')
      },
    )

    test('does not go to a user with a password', async () => {
      const { email, id } = await createUser(here.system)
      expectProblem(await invite({ email }), 409, 'email_taken')
      expectProblem(await invite({ user_id: id }), 409, 'email_taken')
    })

    test('does not go to a user who is disabled: no row says that it did', async () => {
      const email = newEmail()
      const { body: user } = await users('POST /users', byOperator({ email }))
      await users(`PATCH /users/${user.id}`, byOperator({ status: 'disabled' }))
      for (const options of [by, byOperator])
        for (const body of [{ email }, { user_id: user.id }])
          expectProblem(await invite(body, options), 403, 'account_disabled')
      expect((await auditOf(user.id)).map(({ type }) => type)).not.toContain('user.invited')
      const { body } = await auth(`GET /admin/mails?user_id=${user.id}`, byOperator())
      expect(body.items).toEqual([])
      // That an account is disabled is not said of those whom support does not see.
      await setRoles(user.id, [SUPPORT])
      expectProblem(await invite({ user_id: user.id }), 404, 'user_not_found')
      expectProblem(await invite({ email }), 409, 'email_taken')
    })

    test.each(['ADMIN', SUPPORT])('does not go to a user with the role %s, who gets no mail', async (role) => {
      const email = newEmail()
      const { body } = await users('POST /users', byOperator({ email, roles: [role] }))
      expectProblem(await invite({ email }), 409, 'email_taken')
      expectProblem(await invite({ user_id: body.id }), 404, 'user_not_found')
      expectProblem(await invite({ user_id: Bun.randomUUIDv7() }), 404, 'user_not_found')
      // The mails of an address are sent in their order.
      expect((await invite({ email }, byOperator)).status).toBe(201)
      expect(await eventually(() => mailsTo(here.system, email).length > 0)).toBe(true)
      expect(mailsTo(here.system, email)).toHaveLength(1)
    })
  })

  describe('the role', () => {
    test('beside ADMIN is that of an administrator', async () => {
      const both = await createUser(here.system, { roles: [SUPPORT, 'ADMIN'] })
      const bearer = { headers: as.bearer(both.tokens.access_token) }
      expect((await users(`GET /users/${supporter.id}`, bearer)).status).toBe(200)
      expect((await users(`GET /users?search=${both.email}`, bearer)).body.total).toBe(1)
      expect((await users(`PATCH /users/${both.id}`, { ...bearer, body: { status: 'active' } })).status).toBe(200)
      const changed = { ...bearer, body: { name: 'Sam' } }
      expect((await users(`PATCH /users/${supporter.id}`, changed)).body.name).toBe('Sam')
      expect((await auth('GET /auth/sessions?all=true', bearer)).status).toBe(200)
      expect((await auth('GET /admin/audit', bearer)).status).toBe(200)
    })

    test('ends with the answer to what took it away', async () => {
      const person = await createUser(here.system, { roles: [SUPPORT] })
      const bearer = { headers: as.bearer(person.tokens.access_token) }
      expect((await users('GET /users', bearer)).status).toBe(200)
      await setRoles(person.id, ['USER'])
      expectProblem(await users('GET /users', bearer), 401, 'token_revoked')
      const { body } = await logIn(here.system, person.email, PASSWORD)
      expectProblem(await users('GET /users', { headers: as.bearer(body.access_token) }), 403, 'forbidden')
    })

    test('of another name opens nothing', async () => {
      const person = await createUser(here.system, { roles: [`${SUPPORT}_2`, 'SUPPORT'] })
      const bearer = { headers: as.bearer(person.tokens.access_token) }
      expectProblem(await users('GET /users', bearer), 403, 'forbidden')
      expectProblem(await auth(`GET /auth/sessions?user_id=${person.id}`, bearer), 403, 'forbidden')
    })
  })
})
