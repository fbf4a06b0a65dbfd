import { describe, expect, test } from 'bun:test'
import { createUser, logIn, registerUser, type TestUser } from '../../support/actors.ts'
import { eventually, PROMPT } from '../../support/eventually.ts'
import { expectFields, expectProblem, FIELDS, TIME } from '../../support/expectations.ts'
import { as, call } from '../../support/http.ts'
import { running, type Start } from '../../support/running.ts'

const NO_ONE = '0198c0de-0000-7000-8000-000000000000'
const MODULE = [
  ...['id', 'name', 'description', 'version', 'required_roles', 'requires'],
  ...['enabled', 'enabled_at', 'available'],
]
const bearer = (user: TestUser) => as.bearer(user.tokens.access_token)

let counter = 0
const newId = () => `m${++counter}-${Math.random().toString(36).slice(2, 6)}`

export function modulesContract(start: Start): void {
  const here = running(start)
  const { auth, modules, users } = here
  const operator = (request: string, body?: unknown) => modules(request, { headers: as.operator, body })
  const make = async (fields: object = {}): Promise<string> => {
    const answer = await operator('POST /modules', { id: newId(), name: 'A module', description: '', ...fields })
    if (answer.status !== 201) throw new Error(answer.text)
    return answer.body.id
  }
  const enable = (user: TestUser, id: string) => modules(`POST /modules/${id}/enable`, { headers: bearer(user) })
  const usableModules = async (id: string) =>
    (await modules(`GET /modules/users/${id}`, { headers: as.internal })).body.modules as string[]

  test('an operator creates, changes, lists and deletes a module', async () => {
    const admin = await createUser(here.system, { roles: ['ADMIN'] })
    const [base, id] = [await make(), newId()]
    const fields = {
      id,
      name: 'Billing',
      description: 'Invoices',
      version: '2',
      required_roles: ['STAFF'],
      requires: [base],
    }
    const nulls = { enabled: null, enabled_at: null, available: null }
    const creation = await call(here.system.url.modules, 'POST /modules', { headers: as.operator, body: fields })
    expect(creation).toMatchObject({ status: 201, body: { ...fields, ...nulls } })
    expectFields(creation.body, MODULE)
    expect(creation.headers.get('location')).toBe(`/modules/${id}`)
    expectProblem(await operator('POST /modules', fields), 409, 'module_exists')
    for (const invalidId of ['users', 'sync', 'Not-A-Slug', '-a', ''])
      expectProblem(await operator('POST /modules', { ...fields, id: invalidId }), 400, 'validation_failed')
    expectProblem(await operator(`PATCH /modules/${base}`, { requires: [id] }), 400, 'validation_failed')
    const unknown = await operator(`PATCH /modules/${id}`, { nickname: 'x' })
    expectProblem(unknown, 400, 'validation_failed')
    expect(unknown.body.message).toEqual(['nickname should not exist'])
    expectProblem(await operator(`DELETE /modules/${base}`), 409, 'module_dependency')
    const patched = await modules(`PATCH /modules/${id}`, {
      headers: bearer(admin),
      body: { name: 'Money', requires: [] },
    })
    expect(patched).toMatchObject({ status: 200, body: { ...fields, name: 'Money', requires: [] } })
    for (const path of ['/modules', '/modules/']) {
      const { body } = await operator(`GET ${path}`)
      expectFields(body, ['items'])
      for (const item of body.items) expectFields(item, MODULE)
      expect(body.items).toContainEqual({ ...fields, name: 'Money', requires: [], ...nulls })
    }
    expect((await operator(`DELETE /modules/${base}`)).status).toBe(204)
    expectProblem(await operator(`GET /modules/${base}`), 404, 'module_not_found')
    expectProblem(await operator(`PATCH /modules/${base}`, { name: 'x' }), 404, 'module_not_found')
    expectProblem(await operator(`DELETE /modules/${base}`), 404, 'module_not_found')
    await users(`DELETE /users/${admin.id}`, { headers: as.operator })
  })

  test('a user enables and disables a module, and gets the same answer again', async () => {
    const [ana, ben] = [await registerUser(here.system), await registerUser(here.system)]
    const id = await make()
    const first = await enable(ana, id)
    expect(first.status).toBe(200)
    expectFields(first.body, MODULE)
    expect(first.body).toMatchObject({ id, enabled: true, available: true })
    expect(first.body.enabled_at).toMatch(TIME)
    expect((await enable(ana, id)).body).toEqual(first.body)
    expect((await modules(`GET /modules/${id}`, { headers: bearer(ana) })).body).toEqual(first.body)
    expect((await modules('GET /modules/', { headers: bearer(ana) })).body.items).toContainEqual(first.body)
    expect((await modules(`GET /modules/${id}`, { headers: bearer(ben) })).body).toMatchObject({
      enabled: false,
      enabled_at: null,
    })
    const off = () => modules(`POST /modules/${id}/disable`, { headers: bearer(ana), body: {} })
    const second = await off()
    expect(second).toMatchObject({ status: 200, body: { id, enabled: false, enabled_at: null, available: true } })
    expect((await off()).body).toEqual(second.body)
    for (const verb of ['enable', 'disable'])
      expectProblem(await modules(`POST /modules/gone/${verb}`, { headers: bearer(ana) }), 404, 'module_not_found')
  })

  test('a module can only be enabled while the module that it requires is enabled', async () => {
    const ana = await registerUser(here.system)
    const base = await make()
    const top = await make({ requires: [base] })
    expectProblem(await enable(ana, top), 409, 'module_dependency')
    expect((await enable(ana, base)).status).toBe(200)
    expect((await enable(ana, top)).status).toBe(200)
    const disable = (id: string) => modules(`POST /modules/${id}/disable`, { headers: bearer(ana) })
    expectProblem(await disable(base), 409, 'module_dependency')
    expect((await disable(top)).status).toBe(200)
    expect((await disable(base)).status).toBe(200)
  })

  test('check 17: each operation accepts the documented callers only', async () => {
    const ana = await registerUser(here.system)
    const id = await make()
    const body = { id: newId(), name: 'x', description: '' }
    const rows: [string, unknown, nobody: string, user: string | number, internal: string | number][] = [
      ['GET /modules/', undefined, 'missing_token', 200, 'forbidden'],
      [`GET /modules/${id}`, undefined, 'missing_token', 200, 'forbidden'],
      ['POST /modules', body, 'missing_token', 'forbidden', 'forbidden'],
      [`PATCH /modules/${id}`, {}, 'missing_token', 'forbidden', 'forbidden'],
      [`DELETE /modules/${id}`, undefined, 'missing_token', 'forbidden', 'forbidden'],
      [`POST /modules/${id}/enable`, {}, 'missing_token', 200, 'forbidden'],
      [`POST /modules/${id}/disable`, {}, 'missing_token', 200, 'forbidden'],
      [`GET /modules/${id}/users`, undefined, 'missing_token', 'forbidden', 'forbidden'],
      [`GET /modules/users/${ana.id}`, undefined, 'missing_token', 'forbidden', 200],
      ['POST /modules/sync/user-deleted', { user_id: NO_ONE }, 'invalid_api_key', 'forbidden', 204],
    ]
    const outcome = async (request: string, sent: unknown, headers: Record<string, string>) => {
      const answer = await modules(request, { headers, body: sent })
      return answer.status < 300 ? answer.status : answer.body.code
    }
    for (const [request, sent, nobody, user, internal] of rows) {
      const outcomes = [
        await outcome(request, sent, {}),
        await outcome(request, sent, bearer(ana)),
        await outcome(request, sent, as.internal),
      ]
      expect([request, ...outcomes]).toEqual([request, nobody, user, internal])
      // Credentials are checked before the body and the query.
      expect(await outcome(`${request}?x=1`, sent && '{', {})).toBe(nobody)
    }
    expect(await outcome('POST /modules/sync/user-deleted', { user_id: NO_ONE }, as.operator)).toBe('forbidden')
    expect(await outcome(`GET /modules/users/${ana.id}`, undefined, as.operator)).toBe(200)
  })

  describe('roles', () => {
    test('check 18: are those of the users service; a change counts from its answer on', async () => {
      const ana = await registerUser(here.system)
      const id = await make({ required_roles: ['STAFF', 'USER'] })
      expect((await modules(`GET /modules/${id}`, { headers: bearer(ana) })).body.available).toBe(false)
      expectProblem(await enable(ana, id), 403, 'module_not_available')

      const roles = (roles: string[]) => users(`PATCH /users/${ana.id}`, { headers: as.operator, body: { roles } })
      await roles(['USER', 'STAFF'])
      // The old token has the previous roles and is refused. The operator and the new token see the current ones.
      expectProblem(await enable(ana, id), 401, 'token_revoked')
      const forAna = await operator(`GET /modules/${id}?user_id=${ana.id}`)
      expect(forAna.body).toMatchObject({ available: true, enabled: false })
      const again = (await logIn(here.system, ana.email)).body
      const enabled = await modules(`POST /modules/${id}/enable`, { headers: as.bearer(again.access_token) })
      expect(enabled.body).toMatchObject({ enabled: true, available: true })
      expect(await usableModules(ana.id)).toEqual([id])

      await roles(['USER'])
      expect(await usableModules(ana.id)).toEqual([])
      expect((await operator(`GET /modules/${id}?user_id=${ana.id}`)).body).toMatchObject({
        available: false,
        enabled: true,
      })
      await roles(['STAFF', 'USER'])
      expect(await usableModules(ana.id)).toEqual([id])
    })
  })

  describe('a user who is named by', () => {
    test('an operator, by key or by role, in a body or a query', async () => {
      const [ana, ben] = [await registerUser(here.system), await registerUser(here.system)]
      const admin = await createUser(here.system, { roles: ['ADMIN'] })
      const [id, staff] = [await make(), await make({ required_roles: ['STAFF'] })]
      for (const headers of [as.operator, bearer(admin)]) {
        const turn = (verb: string, body?: unknown, module = id) =>
          modules(`POST /modules/${module}/${verb}`, { headers, body })
        expect((await turn('enable', { user_id: ana.id })).body).toMatchObject({ id, enabled: true, available: true })
        expect((await modules(`GET /modules/${id}`, { headers: bearer(ana) })).body.enabled).toBe(true)
        expect((await modules(`GET /modules/${id}`, { headers: bearer(ben) })).body.enabled).toBe(false)
        expect((await modules(`GET /modules/?user_id=${ana.id}`, { headers })).body.items).toContainEqual(
          (await modules(`GET /modules/${id}`, { headers: bearer(ana) })).body,
        )
        expectProblem(await turn('enable', { user_id: ana.id }, staff), 403, 'module_not_available')
        expectProblem(await turn('enable', { user_id: NO_ONE }), 404, 'user_not_found')
        expectProblem(await turn('enable', { user_id: 'ana' }), 400, 'validation_failed')
        expectProblem(await turn('enable', { user_id: ana.id, x: 1 }), 400, 'validation_failed')
        expectProblem(await modules(`GET /modules/${id}?user_id=${NO_ONE}`, { headers }), 404, 'user_not_found')
        expect((await turn('disable', { user_id: ana.id })).body).toMatchObject({ id, enabled: false })
      }
      expectProblem(await operator(`POST /modules/${id}/enable`), 400, 'validation_failed')
      // Without a user id an administrator acts on their own modules.
      expect((await enable(admin, id)).body.enabled).toBe(true)
      expect((await modules(`GET /modules/${id}`, { headers: bearer(ana) })).body.enabled).toBe(false)
      await users(`DELETE /users/${admin.id}`, { headers: as.operator })
    })

    test('check 18: another user is refused, and nothing changes', async () => {
      const [ana, ben] = [await registerUser(here.system), await registerUser(here.system)]
      const id = await make()
      for (const user_id of [ben.id, ana.id]) {
        const headers = bearer(ana)
        expectProblem(await modules(`GET /modules/?user_id=${user_id}`, { headers }), 403, 'forbidden')
        expectProblem(await modules(`GET /modules/${id}?user_id=${user_id}`, { headers }), 403, 'forbidden')
        const attempt = await modules(`POST /modules/${id}/enable`, { headers, body: { user_id } })
        expectProblem(attempt, 403, 'forbidden_field')
      }
      expect([await usableModules(ana.id), await usableModules(ben.id)]).toEqual([[], []])
    })
  })

  describe('the users of a module', () => {
    test('are listed by page and by cursor', async () => {
      const id = await make()
      const some = []
      for (let i = 0; i < 5; i++) some.push(await registerUser(here.system))
      for (const user of some) await enable(user, id)
      const page = await operator(`GET /modules/${id}/users?size=2`)
      expectFields(page.body, FIELDS.page)
      expect(page.body).toMatchObject({ total: 5, page: 1, size: 2, pages: 3 })
      const seen: string[] = []
      for (let query = 'size=2', turn = 0; turn < 5; turn++) {
        const { body } = await operator(`GET /modules/${id}/users?${query}`)
        for (const item of body.items) {
          expectFields(item, ['user_id', 'enabled_at'])
          expect(item.enabled_at).toMatch(TIME)
          seen.push(item.user_id)
        }
        if (body.next_cursor === null) break
        query = `size=2&cursor=${body.next_cursor}`
      }
      expect(seen.toSorted()).toEqual(some.map((user) => user.id).toSorted())
      const other = await make()
      const cursor = page.body.next_cursor
      expectProblem(await operator(`GET /modules/${other}/users?cursor=${cursor}`), 400, 'validation_failed')
      expectProblem(await operator(`GET /modules/${id}/users?size=201`), 400, 'validation_failed')
      expectProblem(await operator('GET /modules/gone/users'), 404, 'module_not_found')
    })
  })

  describe('a deleted user', () => {
    test('has no choices left, and can make no new ones', async () => {
      const [ana, ben] = [await registerUser(here.system), await registerUser(here.system)]
      const id = await make()
      await enable(ana, id)
      await enable(ben, id)
      expect((await users(`DELETE /users/${ana.id}`, { headers: bearer(ana) })).status).toBe(204)
      const { body } = await operator(`GET /modules/${id}/users`)
      expect(body.items.map(({ user_id }: { user_id: string }) => user_id)).toEqual([ben.id])
      expect(await usableModules(ana.id)).toEqual([])
      expect([await usableModules(ben.id), await usableModules(NO_ONE)]).toEqual([[id], []])
      expectProblem(await enable(ana, id), 401, 'token_revoked')
      const late = await operator(`POST /modules/${id}/enable`, { user_id: ana.id })
      expectProblem(late, 404, 'user_not_found')
    })

    test('may be reported twice, and before modules has received anything about them', async () => {
      const ana = await registerUser(here.system)
      const id = await make({ default_enabled: true })
      await enable(ana, id)
      for (const user_id of [ana.id, ana.id.toUpperCase(), NO_ONE]) {
        const notice = await modules('POST /modules/sync/user-deleted', { headers: as.internal, body: { user_id } })
        expect([notice.status, notice.text]).toEqual([204, ''])
      }
      expectProblem(await enable(ana, id), 404, 'user_not_found')
      for (const body of [{}, { user_id: 'x' }, { user_id: ana.id, x: 1 }]) {
        const refused = await modules('POST /modules/sync/user-deleted', { headers: as.internal, body })
        expectProblem(refused, 400, 'validation_failed')
      }
      await operator(`DELETE /modules/${id}`)
    })
  })

  test('a change is an event in the audit', async () => {
    const ana = await registerUser(here.system)
    const id = await make()
    await modules(`POST /modules/${id}/enable`, { headers: { ...bearer(ana), 'x-request-id': `req-${id}` } })
    const row = await eventually(async () => {
      const { body } = await auth(`GET /admin/audit?request_id=req-${id}`, { headers: as.operator })
      return body.items[0]
    })
    expect(row).toMatchObject({
      type: 'module.enabled',
      user_id: ana.id,
      actor: `user:${ana.id}`,
      detail: { module: id },
    })
  })

  test('while users is down, operations without a named user work and the others are 503', async () => {
    const ana = await registerUser(here.system)
    const [id, staff] = [await make(), await make({ required_roles: ['STAFF'] })]
    await enable(ana, id)
    await here.system.kill('users')
    try {
      expect((await enable(ana, id)).body.enabled).toBe(true)
      expectProblem(await enable(ana, staff), 403, 'module_not_available')
      expect((await modules('GET /modules/', { headers: bearer(ana) })).status).toBe(200)
      expect(await usableModules(ana.id)).toEqual([id])
      for (const request of [`GET /modules/?user_id=${ana.id}`, `GET /modules/${id}?user_id=${ana.id}`])
        expectProblem(await operator(request), 503, 'users_unavailable')
      for (const verb of ['enable', 'disable'])
        expectProblem(await operator(`POST /modules/${id}/${verb}`, { user_id: ana.id }), 503, 'users_unavailable')
    } finally {
      await here.system.start('users')
    }
    expect((await operator(`GET /modules/${id}?user_id=${ana.id}`)).body.enabled).toBe(true)
  })

  test('while modules is down, a deletion is answered, and its notice is sent when modules is back', async () => {
    const ana = await registerUser(here.system)
    const id = await make()
    await enable(ana, id)
    await here.system.kill('modules')
    const began = performance.now()
    expect((await users(`DELETE /users/${ana.id}`, { headers: bearer(ana) })).status).toBe(204)
    // The answer waits for modules at most a second.
    expect(performance.now() - began).toBeLessThan(PROMPT)
    await here.system.start('modules')
    await eventually(async () => (await operator(`GET /modules/${id}/users`)).body.total === 0)
  })
}
