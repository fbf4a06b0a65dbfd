import { beforeAll, describe, expect, test } from 'bun:test'
import { createUser, logIn, newEmail, PASSWORD, type TestUser } from '../support/actors.ts'
import { atOnce } from '../support/at-once.ts'
import { expectProblem } from '../support/expectations.ts'
import { type Answer, as, byOperator, type Client, call, form, type Options } from '../support/http.ts'
import { ALL_SCOPES, type Machine, newMachine } from '../support/oauth/machines.ts'
import { running } from '../support/running.ts'
import { inProcess } from '../support/system.ts'

const HASH = `$2b$04$${'a'.repeat(53)}`

describe('16: what a client does with its scopes', () => {
  const here = running(inProcess, { RATE_LIMIT: 'off', REGISTRATION: 'closed' })
  const { auth, modules, users } = here
  let machine: Machine
  let admin: TestUser
  beforeAll(async () => {
    machine = await newMachine(here.system, { scopes: ALL_SCOPES })
    admin = await createUser(here.system, { roles: ['USER', 'ADMIN'] })
  })
  const by = (body?: unknown): Options => ({
    headers: as.bearer(machine.token),
    ...(body === undefined ? {} : { body }),
  })
  const newUser = (fields: object = {}) => createUser(here.system, { roles: ['USER'], ...fields })
  const recordOf = async ({ id }: { id: string }) => (await users(`GET /users/${id}`, byOperator())).body
  const auditOf = async (id: string): Promise<{ type: string; actor: string }[]> =>
    (await auth(`GET /admin/audit?user_id=${id}`, byOperator())).body.items

  describe('users:write', () => {
    test('creates users, also while registrations are closed, with a first password or without one', async () => {
      const rows = [{ password: PASSWORD }, {}, { password: PASSWORD, roles: ['USER', 'SALES'], email_verified: true }]
      for (const fields of rows) {
        const email = newEmail()
        const { body, status } = await users('POST /users', by({ email, ...fields }))
        const { password, ...rest } = fields as { password?: string }
        expect([status, body]).toMatchObject([201, { email, has_password: password !== undefined, ...rest }])
        expect((await logIn(here.system, email)).status).toBe(password === undefined ? 401 : 200)
        const rowsOfUser = await auditOf(body.id)
        expect(rowsOfUser.find(({ type }) => type === 'user.created')?.actor).toBe(`client:${machine.id}`)
      }
    })

    const created: [string, object, number, string][] = [
      ['a hash', { password_hash: HASH }, 403, 'forbidden_field'],
      ['a hash and a password', { password: PASSWORD, password_hash: HASH }, 403, 'forbidden_field'],
      ['ADMIN', { password: PASSWORD, roles: ['ADMIN'] }, 403, 'forbidden_field'],
      ['ADMIN among others', { password: PASSWORD, roles: ['USER', 'ADMIN'] }, 403, 'forbidden_field'],
      ['ADMIN beside what is no role', { password: PASSWORD, roles: [1, 'ADMIN'] }, 403, 'forbidden_field'],
      ['ADMIN as a text', { password: PASSWORD, roles: 'ADMIN' }, 400, 'validation_failed'],
      ['ADMIN in blanks', { password: PASSWORD, roles: [' ADMIN '] }, 400, 'validation_failed'],
    ]
    test.each(created)('creates nobody with %s', async (_, fields, status, code) => {
      const email = newEmail()
      for (const [client, request] of [
        [users, 'POST /users'],
        [users, 'POST /user/register'],
        [auth, 'POST /admin/invitations'],
      ] as [Client, string][]) {
        if (request.endsWith('invitations') && ('password' in fields || 'password_hash' in fields)) continue
        expectProblem(await client(request, by({ email, ...fields })), status, code)
      }
      expectProblem(await users(`GET /users/by-email/${email}`, byOperator()), 404, 'user_not_found')
    })

    test('updates, disables and enables a user, and gives other roles', async () => {
      const user = await newUser()
      const line = `/users/${user.id}`
      expect((await users(`PATCH ${line}`, by({ name: 'Ana', roles: ['USER', 'SALES'] }))).status).toBe(200)
      expect((await users(`PATCH ${line}`, by({ status: 'disabled' }))).status).toBe(200)
      expect(await recordOf(user)).toMatchObject({ name: 'Ana', roles: ['USER', 'SALES'], status: 'disabled' })
      const me = await auth('GET /auth/me', { headers: as.bearer(user.tokens.access_token) })
      expectProblem(me, 401, 'token_revoked')
      expect((await users(`PUT ${line}`, by({ email: user.email, status: 'active' }))).status).toBe(200)
      expect(await recordOf(user)).toMatchObject({ name: null, status: 'active' })
      expect((await users(`DELETE ${line}`, by())).status).toBe(204)
      expectProblem(await users(`GET ${line}`, byOperator()), 404, 'user_not_found')
    })

    const changed: [string, object, number, string][] = [
      ['PATCH', { roles: ['ADMIN'] }, 403, 'forbidden_field'],
      ['PATCH', { name: 'Ana', roles: ['USER', 'ADMIN'] }, 403, 'forbidden_field'],
      ['PATCH', { roles: ['ADMIN'], nonsense: 1 }, 403, 'forbidden_field'],
      ['PATCH', { password: 'a wholly new password' }, 400, 'validation_failed'],
      ['PATCH', { password_hash: HASH }, 400, 'validation_failed'],
      ['PUT', { email: 'other@example.org', roles: ['ADMIN'] }, 403, 'forbidden_field'],
    ]
    test.each(changed)('%s %j of a user is refused, and changes nothing', async (method, body, status, code) => {
      const user = await newUser()
      const before = await recordOf(user)
      expectProblem(await users(`${method} /users/${user.id}`, by(body)), status, code)
      expect(await recordOf(user)).toEqual(before)
      expect((await logIn(here.system, user.email)).status).toBe(200)
    })

    test('sets no password of a user', async () => {
      const user = await newUser()
      const body = { new_password: 'a wholly new password', current_password: PASSWORD }
      for (const how of ['set-password', 'change-password', 'password'])
        expectProblem(await users(`POST /users/${user.id}/${how}`, by(body)), 403, 'insufficient_scope')
      expect((await logIn(here.system, user.email)).status).toBe(200)
    })

    const ADMINS = ['active', 'disabled'] as const
    test.each(ADMINS)('neither changes nor deletes nor invites an administrator who is %s', async (status) => {
      // Without a password, so that an invitation is refused for the role alone.
      const { body } = await users('POST /users', byOperator({ email: newEmail(), roles: ['ADMIN', 'USER'], status }))
      const before = await recordOf(body)
      const line = `/users/${body.id}`
      const rows: [Client, string, Options][] = [
        [users, `PATCH ${line}`, by({ name: 'x' })],
        [users, `PATCH ${line}`, by({ roles: ['USER'] })],
        [users, `PATCH ${line}`, by({ status: status === 'active' ? 'disabled' : 'active' })],
        [users, `PATCH ${line}`, by({})],
        [users, `PUT ${line}`, by({ email: newEmail() })],
        [users, `DELETE ${line}`, by()],
        [auth, 'POST /admin/invitations', by({ user_id: body.id })],
        [auth, 'POST /admin/invitations', by({ email: body.email })],
      ]
      for (const [client, request, options] of rows) expectProblem(await client(request, options), 403, 'forbidden')
      expect(await recordOf(body)).toEqual(before)
      const types = (await auditOf(body.id)).map(({ type }) => type)
      expect(types).not.toContain('user.invited')
      // It sees them: only changes are limited.
      expect((await users(`GET ${line}`, by())).body.id).toBe(body.id)
    })

    test('never reaches a user who becomes an administrator at the same time', async () => {
      const wrong: unknown[] = []
      const promote = (id: string) => users(`PATCH /users/${id}`, byOperator({ roles: ['ADMIN'] }))
      await atOnce(40, async () => {
        const { body: one } = await users('POST /users', byOperator({ email: newEmail() }))
        const [renamed, promoted] = await Promise.all([
          users(`PATCH /users/${one.id}`, by({ name: 'Renamed' })),
          promote(one.id),
        ])
        // The answer to the operator shows whether the client was there before.
        const expected = renamed.status === 200 ? 'Renamed' : null
        if (promoted.status !== 200 || promoted.body.name !== expected) wrong.push([renamed.status, promoted.body])

        const { body: other } = await users('POST /users', byOperator({ email: newEmail() }))
        const answers = await Promise.all([users(`DELETE /users/${other.id}`, by()), promote(other.id)])
        const statuses = answers.map(({ status }) => status).join()
        if (!['204,404', '403,200'].includes(statuses)) wrong.push(statuses)
      })
      expect(wrong).toEqual([])
    })

    test('invites a user, who sets the first password', async () => {
      const email = newEmail()
      const { body, status } = await auth('POST /admin/invitations', by({ email, roles: ['USER', 'SALES'] }))
      expect([status, body.user]).toMatchObject([201, { email, roles: ['USER', 'SALES'], has_password: false }])
      expect((await auth('POST /admin/invitations', by({ user_id: body.user.id }))).status).toBe(201)
      const rows = (await auditOf(body.user.id)).filter(({ type }) => /^user\.(created|invited)$/.test(type))
      expect(new Set(rows.map(({ actor }) => actor))).toEqual(new Set([`client:${machine.id}`]))
    })
  })

  test('users:read reads every user, administrators too', async () => {
    const { body } = await users('GET /users?role=ADMIN', by())
    expect(body.items.map(({ id }: TestUser) => id)).toContain(admin.id)
    expect((await users(`GET /users/by-email/${admin.email}`, by())).body.id).toBe(admin.id)
    expect((await users('GET /users', by())).text).not.toMatch(/\$2[aby]\$/)
  })

  describe('sessions', () => {
    test('are listed for a user or for everyone, who must be named', async () => {
      const user = await newUser()
      const { body } = await auth(`GET /auth/sessions?user_id=${user.id}`, by())
      expect(body.items.map(({ current, id }: { current: boolean; id: string }) => [id, current])).toEqual([
        [user.tokens.session_id, false],
      ])
      expect((await auth('GET /auth/sessions?all=true', by())).body.total).toBeGreaterThan(1)
      expectProblem(await auth('GET /auth/sessions', by()), 400, 'validation_failed')
    })

    test('end as by an operator: one, those of a user, and all', async () => {
      const [one, other, third] = [await newUser(), await newUser(), await newUser()]
      const isOver = async ({ tokens }: TestUser) =>
        (await auth('GET /auth/me', { headers: as.bearer(tokens.access_token) })).body.code === 'token_revoked'
      expect((await auth(`DELETE /auth/sessions/${one.tokens.session_id}`, by())).status).toBe(204)
      expect([await isOver(one), await isOver(other)]).toEqual([true, false])
      expect((await auth(`DELETE /auth/sessions?user_id=${other.id}`, by())).body).toEqual({ revoked: 1 })
      expect([await isOver(other), await isOver(third)]).toEqual([true, false])
      expect((await auth('DELETE /auth/sessions?all=true', by())).status).toBe(200)
      expect(await isOver(third)).toBe(true)
      const row = (await auditOf(one.id)).find(({ type }) => type === 'session.revoked')
      expect(row?.actor).toBe(`client:${machine.id}`)
    })
  })

  describe('modules', () => {
    const MODULE = { id: 'billing', name: 'Billing', description: 'Invoices' }

    test('are created, changed, enabled for a user whom it names, and deleted', async () => {
      const user = await newUser()
      expect((await modules('POST /modules', by(MODULE))).status).toBe(201)
      expect((await modules('PATCH /modules/billing', by({ name: 'Bills' }))).body.name).toBe('Bills')
      expectProblem(await modules('POST /modules/billing/enable', by({})), 400, 'validation_failed')
      expectProblem(await modules('POST /modules/billing/enable', by()), 400, 'validation_failed')
      const enabled = await modules('POST /modules/billing/enable', by({ user_id: user.id }))
      expect(enabled.body).toMatchObject({ id: 'billing', enabled: true })
      expect((await modules(`GET /modules/users/${user.id}`, by())).body.modules).toEqual(['billing'])
      expect((await modules('GET /modules/billing/users', by())).body.items).toMatchObject([{ user_id: user.id }])
      expect((await modules(`GET /modules?user_id=${user.id}`, by())).body.items[0].enabled).toBe(true)
      expect((await modules('GET /modules', by())).body.items[0].enabled).toBeNull()
      expect((await modules('POST /modules/billing/disable', by({ user_id: user.id }))).body.enabled).toBe(false)
      expect((await modules('DELETE /modules/billing', by())).status).toBe(204)
    })
  })

  test('a token of a client is never one of a user', async () => {
    const user = await newUser()
    const body = { refresh_token: user.tokens.refresh_token }
    const rows: [Client, string, Options][] = [
      [auth, 'GET /auth/me', by()],
      [auth, 'POST /auth/logout', by()],
      [auth, 'POST /auth/logout', by(body)],
      [auth, 'POST /auth/logout-all', by()],
      [auth, 'GET /auth/activity', by()],
      [auth, 'POST /auth/reauthenticate', by({ password: PASSWORD })],
      [auth, 'POST /auth/email-change-request', by({ new_email: newEmail() })],
      [users, `POST /users/${machine.id}/change-password`, by({ current_password: 'x', new_password: PASSWORD })],
    ]
    for (const [client, request, options] of rows)
      expectProblem(await client(request, options), 403, 'insufficient_scope')
    for (const request of [`GET /users/${machine.id}`, `PATCH /users/${machine.id}`, `DELETE /users/${machine.id}`])
      expectProblem(
        await users(request, by(request.startsWith('PATCH') ? { name: 'x' } : undefined)),
        404,
        'user_not_found',
      )
    // Version 0.0.1 has no scopes.
    const v0 = (request: string, options: Options): Promise<Answer> => call(here.system.url.users, request, options)
    for (const request of [`GET /user/${user.id}`, `DELETE /user/${user.id}`])
      expectProblem(await v0(request, by()), 403, 'insufficient_scope')
    expectProblem(await v0('POST /user', by({ email: newEmail(), password: PASSWORD })), 403, 'insufficient_scope')
    expect((await auth('GET /auth/me', { headers: as.bearer(user.tokens.access_token) })).status).toBe(200)
  })

  test('a client reads the feed of revocations, which has no private key', async () => {
    const page = (options: Options, follower: string) =>
      auth(`GET /auth/revocations?follower=${follower}&after=0&epoch=`, options)
    const { body, status } = await page(by(), 'users')
    expect([status, body.complete]).toEqual([200, true])
    expect(JSON.stringify(body.keys)).not.toContain('"d"')
  })

  test('a client introspects by its token and by its own credentials, with the scope alone', async () => {
    const user = await newUser()
    const only = await newMachine(
      here.system,
      { scopes: ['introspect'], token_auth_method: 'client_secret_post' },
      'without a token',
    )
    const other = await newMachine(
      here.system,
      { scopes: ['metrics'], token_auth_method: 'client_secret_post' },
      'without a token',
    )
    const ask = ({ id, secret }: Machine) =>
      auth('POST /auth/introspect', form({ token: user.tokens.access_token, client_id: id, client_secret: secret }))
    expect((await ask(only)).body).toMatchObject({ active: true, sub: user.id })
    const refused = await ask(other)
    expect([refused.status, refused.body.code]).toEqual([403, 'insufficient_scope'])
    expect(refused.text).not.toContain(user.id)
  })
})
