import { describe, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ACTIVITY } from '../../services/auth/audit/activity.ts'
import { createUser, logIn, newEmail, PASSWORD, registerUser, type TestUser } from '../support/actors.ts'
import { BROWSER, callByPages } from '../support/browser/pages.ts'
import { requested } from '../support/challenges.ts'
import { eventually } from '../support/eventually.ts'
import { expectProblem } from '../support/expectations.ts'
import { as, byOperator } from '../support/http.ts'
import { mailedToken } from '../support/mails.ts'
import { running } from '../support/running.ts'
import { inProcess } from '../support/system.ts'
import { ROOT } from '../support/tool.ts'

interface Activity {
  id: string
  at: string
  type: string
  ip: string | null
  request_id: string | null
  detail: Record<string, unknown>
}

const NEW = 'a wholly new password'

describe('contract 14: GET /auth/activity', () => {
  const here = running(inProcess, { RATE_LIMIT: 'off', EMAIL_LOGIN: 'on', EMAIL_VERIFICATION: 'off' })
  const activity = async ({ tokens }: Pick<TestUser, 'tokens'>, query = ''): Promise<Activity[]> =>
    (await here.auth(`GET /auth/activity?size=200${query}`, { headers: as.bearer(tokens.access_token) })).body.items
  /** Waits for a row: those of users arrive after the answer. */
  const rowOf = (user: Pick<TestUser, 'tokens'>, type: string) =>
    eventually(async () => (await activity(user)).find((row) => row.type === type))
  /** Writes a row, as another service does. */
  const record = (user: { id: string } | null, row: object) => {
    const fixed = { id: Bun.randomUUIDv7(), at: Date.now(), user_id: user?.id ?? null, ip: null, request_id: null }
    return here.auth('POST /auth/audit', { headers: as.internal, body: { ...fixed, actor: 'operator', ...row } })
  }

  test("lists what happened to the caller's own account, newest first", async () => {
    const user = await createUser(here.system)
    await logIn(here.system, user.email, 'wrong')
    const rows = await eventually(async () => {
      const current = await activity(user)
      return current.some(({ type }) => type === 'user.created') ? current : undefined
    })
    const others = rows.filter(({ type }) => type !== 'user.created')
    expect(others).toEqual([
      {
        id: expect.any(String),
        at: expect.any(String),
        type: 'login.failed',
        ip: '127.0.0.1',
        request_id: expect.any(String),
        detail: { reason: 'wrong_password' },
      },
      {
        id: expect.any(String),
        at: expect.any(String),
        type: 'session.created',
        ip: '127.0.0.1',
        request_id: expect.any(String),
        detail: { session_id: user.tokens.session_id, amr: ['pwd'] },
      },
    ])
    for (const { at } of rows) expect(Math.abs(Date.parse(at) - Date.now())).toBeLessThan(120_000)
  })

  test('is of the caller alone: also for an administrator, and whatever the query says', async () => {
    const [ana, ben] = [await createUser(here.system), await createUser(here.system)]
    const admin = await createUser(here.system, { roles: ['ADMIN'] })
    await logIn(here.system, ben.email, 'wrong')
    for (const user of [ana, admin]) {
      const headers = as.bearer(user.tokens.access_token)
      const sessions = (await activity(user)).filter(({ type }) => type === 'session.created')
      expect(sessions.map(({ detail }) => detail.session_id)).toEqual([user.tokens.session_id])
      expect((await activity(user)).map(({ type }) => type)).not.toContain('login.failed')
      for (const query of [`user_id=${ben.id}`, 'type=login.failed', `after_id=${Bun.randomUUIDv7()}`])
        expectProblem(await here.auth(`GET /auth/activity?${query}`, { headers }), 400, 'validation_failed')
    }
    const revoked = await here.auth(`DELETE /auth/sessions/${ben.tokens.session_id}`, {
      headers: as.bearer(admin.tokens.access_token),
    })
    expect(revoked.status).toBe(204)
    // The row is about the owner of the session, not about whoever ended it.
    expect((await activity(admin)).map(({ type }) => type)).not.toContain('session.revoked')
    const { body: again } = await logIn(here.system, ben.email)
    expect(await rowOf({ tokens: again }, 'session.revoked')).toMatchObject({ ip: null, request_id: null })
  })

  test('what an operator did has neither their name nor their address nor their text', async () => {
    const user = await createUser(here.system)
    const admin = await createUser(here.system, { roles: ['ADMIN'] })
    const typed = { 'x-request-id': 'call-us-at-0800-1234' }
    const headers = { ...as.bearer(admin.tokens.access_token), ...typed }
    const change = (body: object) => here.users(`PATCH /users/${user.id}`, { headers, body })
    await change({ roles: ['USER', 'EDITOR'], app_metadata: { note: 'a note of the operator' } })
    await here.users(`POST /users/${user.id}/set-password`, { headers, body: { new_password: NEW } })
    const { body: tokens } = await logIn(here.system, user.email, NEW)
    for (const [type, detail] of [
      ['password.set', {}],
      ['user.roles_changed', { from: ['USER'], to: ['USER', 'EDITOR'] }],
      ['user.updated', { fields: ['app_metadata'] }],
    ] as const)
      expect(await rowOf({ tokens }, type)).toMatchObject({ ip: null, request_id: null, detail })
    const text = JSON.stringify(await activity({ tokens }))
    for (const hidden of [admin.id, admin.email, 'operator', 'call-us', 'a note']) expect(text).not.toContain(hidden)
  })

  test('what someone else typed is left out: the id of their request, and the name that they tried', async () => {
    const user = await createUser(here.system)
    const body = { login: user.email, password: 'wrong' }
    await here.auth('POST /auth/login', { body, headers: { 'x-request-id': 'call-us-at-0800-1234' } })
    expect(await rowOf(user, 'login.failed')).toMatchObject({ ip: '127.0.0.1', request_id: null })
    await record(user, {
      type: 'login.failed',
      actor: 'anyone',
      detail: { reason: 'unknown_or_wrong', email: 'typed' },
    })
    expect(JSON.stringify(await activity(user))).not.toContain('typed')
    // A user's own ids are shown, whatever they are.
    const headers = { ...as.bearer(user.tokens.access_token), 'x-request-id': 'my-request' }
    await here.users(`PATCH /users/${user.id}`, { headers, body: { name: 'Ana' } })
    expect(await rowOf(user, 'user.updated')).toMatchObject({
      ip: '127.0.0.1',
      request_id: 'my-request',
      detail: { fields: ['name'] },
    })
  })

  test('rows and fields that the table does not name are not shown', async () => {
    const user = await createUser(here.system)
    await record(user, { type: 'product.bought', detail: {} })
    await record(user, { type: 'cache.dropped', detail: {} })
    await record(user, { type: 'password.rehashed', detail: {} })
    await record(user, { type: 'mail.retried', detail: { mail_id: 'x' } })
    await record(user, { type: 'device.confirmed', detail: { device_id: 'x', secret: 'hidden' } })
    await record(null, { type: 'session.all_revoked', detail: { sessions: 7 } })
    const rows = await activity(user)
    expect(new Set(rows.map(({ type }) => type)).difference(new Set(Object.keys(ACTIVITY)))).toEqual(new Set())
    expect(rows.find(({ type }) => type === 'device.confirmed')?.detail).toEqual({})
    expect(JSON.stringify(rows)).not.toContain('hidden')
  })

  test('pages by number and by cursor, each row once, however many hidden rows lie between', async () => {
    const user = await createUser(here.system)
    await rowOf(user, 'user.created')
    const at = Date.now()
    for (let n = 0; n < 4; n++) {
      for (let hidden = 0; hidden < 30; hidden++) await record(user, { type: 'cache.dropped', at, detail: {} })
      await logIn(here.system, user.email, 'wrong')
    }
    const headers = as.bearer(user.tokens.access_token)
    const list = async (query: string) => (await here.auth(`GET /auth/activity?${query}`, { headers })).body
    const all = (await activity(user)).map(({ id }) => id)
    expect(all).toHaveLength(6)
    let page = await list('size=2')
    expect(page).toMatchObject({ total: 6, page: 1, pages: 3, size: 2 })
    expect((await list('size=2&page=3')).items.map(({ id }: Activity) => id)).toEqual(all.slice(4))
    const seen: string[] = []
    for (;;) {
      seen.push(...page.items.map(({ id }: Activity) => id))
      if (page.next_cursor === null) break
      // A new row comes before the first page: it moves none.
      await logIn(here.system, user.email, 'wrong')
      page = await list(`size=2&cursor=${page.next_cursor}`)
      expect([page.total, page.page, page.pages]).toEqual([null, null, null])
    }
    expect(seen).toEqual(all)
  })

  test('a cursor is of one user, and shows no number of rows', async () => {
    const [ana, ben] = [await createUser(here.system), await createUser(here.system)]
    for (const { email } of [ana, ben]) await logIn(here.system, email, 'wrong')
    const list = (user: TestUser, query: string) =>
      here.auth(`GET /auth/activity?size=1${query}`, { headers: as.bearer(user.tokens.access_token) })
    const cursor: string = (await list(ana, '')).body.next_cursor
    expect((await list(ana, `&cursor=${cursor}`)).status).toBe(200)
    const [digest, ...position] = JSON.parse(Buffer.from(cursor, 'base64url').toString())
    expect(position).toEqual([(await activity(ana))[0]?.id])
    const forged = (...parts: unknown[]) => Buffer.from(JSON.stringify([digest, ...parts])).toString('base64url')
    for (const text of [forged(1), forged('1'), forged('\0'), forged(Bun.randomUUIDv7()), forged("' OR 1=1"), 'x'])
      expectProblem(await list(ana, `&cursor=${text}`), 400, 'validation_failed')
    expectProblem(await list(ben, `&cursor=${cursor}`), 400, 'validation_failed')
    expectProblem(await list(ana, `&page=1&cursor=${cursor}`), 400, 'validation_failed')
  })

  test('a call of the pages has the address of the browser', async () => {
    const user = await createUser(here.system)
    const body = { login: user.email, password: PASSWORD }
    const login = await callByPages(here.system.url.auth, 'POST /api/v1/auth/login', { body })
    const [row] = await activity({ tokens: login.body })
    expect(row).toMatchObject({ type: 'session.created', ip: BROWSER.ip })
  })

  test('a registration, a code by mail and a reset have the address', async () => {
    const { email, tokens } = await registerUser(here.system)
    const { token } = await requested(here.system, 'email-code-request', { email })
    const { body: second } = await here.auth('POST /auth/email-code-login', { body: { token } })
    expect(tokens.session_id).not.toBe(second.session_id)
    const verified = await rowOf({ tokens: second }, 'email.verified')
    expect(verified).toMatchObject({ ip: '127.0.0.1', detail: { by: 'email_code' } })
    expect(await rowOf({ tokens: second }, 'user.registered')).toMatchObject({ ip: '127.0.0.1', detail: {} })
    const reset = { token: await mailedToken(here.auth, here.system, email), new_password: NEW }
    await here.auth('POST /auth/password-reset-confirm', { body: reset })
    const { body: third } = await logIn(here.system, email, NEW)
    for (const type of ['password.reset_requested', 'password.reset_confirmed'])
      expect(await rowOf({ tokens: third }, type)).toMatchObject({ ip: '127.0.0.1', detail: {} })
    await rowOf({ tokens: third }, 'password.reset')
  })

  test('keys have no activity, nor has anyone without a token', async () => {
    expectProblem(await here.auth('GET /auth/activity'), 401, 'missing_token')
    expectProblem(await here.auth('GET /auth/activity', byOperator()), 403, 'forbidden')
    expectProblem(await here.auth('GET /auth/activity', { headers: as.internal }), 403, 'forbidden')
  })

  test('a user who logs in for the first time has a short list', async () => {
    const email = newEmail()
    const { body } = await here.auth('POST /auth/register', { body: { email, password: PASSWORD } })
    const rows = await rowOf(body, 'user.created')
    expect(rows).toMatchObject({ detail: { roles: ['USER'] } })
  })
})

/** Types that users do not see: what operators and the services do among themselves, and what is about no user. */
const HIDDEN = [
  ...['cache.dropped', 'cache.sync_begun', 'cache.synced', 'key.rotated', 'key.activated', 'key.retired'],
  'key.removed',
  ...['webhook.created', 'webhook.deleted', 'webhook.enabled', 'webhook.disabled', 'webhook.replayed'],
  ...['module.created', 'module.updated', 'module.deleted', 'mail.retried', 'mail.test_sent', 'instance.restored'],
  ...['users.created', 'users.imported', 'users.exported', 'password.rehashed', 'user.deleted'],
  ...['user.erased', 'erasure.completed', 'erasure.remains', 'audit.trimmed'],
  ...['session.all_revoked', 'session.ended_by_deletion'],
  ...['client.created', 'client.updated', 'client.deleted', 'client.secret_rotated', 'client.token_revoked'],
  ...['client.logout_acknowledged', 'client.logout_failed'],
]

test('contract 14: users see each type of the audit, or it is one for operators', () => {
  const page = readFileSync(join(ROOT, 'docs/operate/audit.md'), 'utf8')
  const [, table = ''] = page.split(/^## Types$/m)
  const [rows = ''] = table.split(/^## /m)
  const types = rows.split('\n').flatMap((row) => [...(row.split('|')[1] ?? '').matchAll(/`([a-z_]+\.[a-z_]+)`/g)])
  const documented = types.map(([, type = '']) => type)
  expect(documented.length).toBeGreaterThan(40)
  expect(documented.toSorted()).toEqual([...Object.keys(ACTIVITY), ...HIDDEN].toSorted())
})
