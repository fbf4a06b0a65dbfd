import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { createUser, PASSWORD, registerUser } from '../support/actors.ts'
import { readChain } from '../support/audit-chain.ts'
import { eventually } from '../support/eventually.ts'
import { expectProblem } from '../support/expectations.ts'
import { enrolApp } from '../support/factors.ts'
import { as, call } from '../support/http.ts'
import { createApp, tokensFor } from '../support/oauth/code-flow.ts'
import { databaseRows, storedBytes } from '../support/postgres/database-rows.ts'
import type { DatabaseKind } from '../support/postgres/system-database.ts'
import { receivers } from '../support/servers/receiver.ts'
import { type InProcessSystem, inProcess } from '../support/system.ts'
import { WHOLE } from '../support/whole.ts'

setDefaultTimeout(120_000)

const AGENT = 'Canary-Browser/41.5 (erasure)'
const ADDRESS = '198.51.100.177'
const REQUEST = 'canary-request-4711'
/** The end of the name: three characters are a term of the search index, of which a deletion could leave them. */
const LETTERS = 'ξψω'
const CANARIES = {
  email: 'canary.of.ana@erasure.example.org',
  'earlier email': 'canary.before@erasure.example.org',
  username: 'canary-username',
  name: 'Canary Name Of Ana',
  'end of the name': Buffer.from(LETTERS).toString('latin1'),
  metadata: 'canary-metadata',
  'app metadata': 'canary-app-metadata',
  'user agent': AGENT,
  address: ADDRESS,
  'request id': REQUEST,
}
const HEADERS = { 'user-agent': AGENT, 'x-forwarded-for': ADDRESS, 'x-request-id': REQUEST }
const SETTINGS = { TRUSTED_PROXIES: '127.0.0.1', EMAIL_LOGIN: 'on' }

/** The canaries that the databases have. */
async function canariesIn(system: InProcessSystem): Promise<string[]> {
  const stored = await storedBytes(system)
  // Compared without case: emails are also stored as they are compared.
  const texts = stored.map((bytes) => bytes.toString('latin1').toLowerCase())
  return Object.entries(CANARIES)
    .filter(([, canary]) => texts.some((text) => text.includes(canary.toLowerCase())))
    .map(([what]) => what)
}

/** Creates a user who has left something everywhere. */
async function lived(system: InProcessSystem, hook: string): Promise<string> {
  const { auth, modules, users } = system.url
  const send = async (at: string, request: string, status: number, body?: unknown, headers: object = {}) => {
    const answer = await call(at, request.replace(' /', ' /api/v1/'), {
      headers: { ...('x-api-key' in headers ? {} : HEADERS), ...headers },
      body,
    })
    expect([request, answer.status, answer.text]).toEqual([request, status, expect.any(String)])
    return answer
  }
  const webhook = { url: hook }
  await call(auth, 'POST /admin/webhooks', { headers: as.operator, body: webhook })
  // Before anyone has the address: the audit names it.
  for (const login of [CANARIES.email, CANARIES['earlier email']])
    await send(auth, 'POST /auth/login', 401, { login, password: PASSWORD })
  const { body: registered } = await send(auth, 'POST /auth/register', 201, {
    email: CANARIES['earlier email'],
    username: CANARIES.username,
    name: `${CANARIES.name} ${LETTERS}`,
    password: PASSWORD,
    metadata: { canary: CANARIES.metadata },
  })
  const { id } = registered
  const path = `/users/${id}`
  await send(
    users,
    `PATCH ${path}`,
    200,
    { email_verified: true, app_metadata: { canary: CANARIES['app metadata'] } },
    as.operator,
  )
  const bearer = as.bearer(registered.tokens.access_token)
  await send(users, `PATCH ${path}`, 200, { email: CANARIES.email }, bearer)
  await send(users, `PATCH ${path}`, 200, { email_verified: true }, as.operator)
  await send(auth, 'POST /auth/login', 401, { login: CANARIES.email, password: 'a wrong one' })
  await send(auth, 'POST /auth/login', 401, { login: CANARIES.username, password: 'a wrong one' })
  const { body: tokens } = await send(auth, 'POST /auth/login', 200, { login: CANARIES.email, password: PASSWORD })
  for (const kind of ['password-reset-request', 'email-code-request'])
    await send(auth, `POST /auth/${kind}`, 202, { email: CANARIES.email })
  await enrolApp(system, tokens.access_token, Date.now())
  await tokensFor(system, tokens.access_token, await createApp(system))
  const module = `module-${id}`
  await send(modules, 'POST /modules', 201, { id: module, name: 'M', description: 'M' }, as.operator)
  await send(modules, `POST /modules/${module}/enable`, 200, {}, as.bearer(tokens.access_token))
  await send(users, `PATCH ${path}`, 200, { status: 'disabled' }, as.operator)
  return id
}

const rowsAbout = async (system: InProcessSystem, id: string) =>
  (await readChain(system)).rows.filter(({ user_id }) => user_id === id)
const erase = (system: InProcessSystem, id: string, headers: Record<string, string> = as.operator) =>
  call(system.url.users, `POST /api/v1/users/${id}/erase`, { headers, body: {} })
const completed = (system: InProcessSystem, id: string, times = 1) =>
  eventually(async () => {
    const rows = (await rowsAbout(system, id)).filter(({ type }) => type === 'erasure.completed')
    return rows.length >= times ? rows : undefined
  })

describe.each<DatabaseKind>(['sqlite', 'postgres'])('an erased user, on %s', (databases) => {
  const open = receivers()

  test('leaves nothing in any database but their id, and the audit still verifies', async () => {
    const system = await inProcess(SETTINGS, { databases })
    try {
      const receiver = open(
        ({ message }) => new Response(null, { status: message.type === 'user.updated' ? 500 : 204 }),
      )
      const id = await lived(system, receiver.url)
      await eventually(() => receiver.types().includes('user.updated'))
      const before = await rowsAbout(system, id)
      // The test finds what it looks for.
      expect((await canariesIn(system)).toSorted()).toEqual(Object.keys(CANARIES).toSorted())

      const answer = await erase(system, id)
      expect([answer.status, answer.body]).toEqual([202, { user_id: id }])
      const [row] = await completed(system, id)
      expect(row).toMatchObject({ actor: 'auth', detail: { rows: expect.any(Number) } })

      const { report, rows } = await readChain(system)
      expect([report.fault, (report.erased ?? 0) >= before.length]).toEqual([undefined, true])
      // What happened and when is still there, by the id.
      const after = new Map(rows.map((one) => [one.id, one]))
      for (const { actor, at, id: rowId, ip, type } of before) {
        expect(after.get(rowId)).toMatchObject({ type, at, actor, user_id: id, detail: { erased: true } })
        // Where an operator was is no data of the user.
        expect([type, after.get(rowId)?.ip]).toEqual([type, actor === 'operator' ? ip : null])
      }
      expect((await databaseRows(system, 'auth', 'SELECT 1 FROM mail_requests')).length).toBe(0)
      await receiver.has(1)
      await eventually(() => receiver.types().includes('user.deleted'))
      const waiting = receiver.received.length
      const events = await databaseRows(system, 'auth', `SELECT type FROM events WHERE user_id = '${id}'`)
      expect(events).toEqual([{ type: 'user.deleted' }])
      // A stopped service has written everything into its file.
      await system.terminate('auth')
      expect(await canariesIn(system)).toEqual([])
      expect(receiver.received.length).toBe(waiting)
    } finally {
      await system.stop()
    }
  })

  // In the suite the rest on one of them: the suites of the stores run on both.
  if (databases === 'postgres' && !WHOLE) return

  test('is erased by the id when they were deleted before, and again without harm', async () => {
    const system = await inProcess(SETTINGS, { databases })
    try {
      const id = await lived(system, 'http://127.0.0.1:9/hook')
      const deleted = await call(system.url.users, `DELETE /users/${id}`, { headers: as.operator })
      expect(deleted.status).toBe(204)
      expect((await rowsAbout(system, id)).some(({ ip }) => ip === ADDRESS)).toBe(true)
      for (const times of [1, 2]) {
        expect((await erase(system, id)).status).toBe(202)
        await completed(system, id, times)
      }
      const { report, rows } = await readChain(system)
      expect(report.fault).toBeUndefined()
      const about = rows.filter(({ user_id }) => user_id === id)
      expect(about.filter(({ actor, ip }) => ip !== null && actor !== 'operator')).toEqual([])
      expect(about.filter(({ type }) => type === 'erasure.completed').map(({ detail }) => detail)).toEqual([
        { rows: expect.any(Number) },
        { rows: expect.any(Number) },
      ])
    } finally {
      await system.stop()
    }
  })

  test('what arrives late about them is left out of the audit', async () => {
    const system = await inProcess(SETTINGS, { databases })
    try {
      const { id } = await registerUser(system)
      await erase(system, id)
      await completed(system, id)
      const late = { id: Bun.randomUUIDv7(), at: Date.now(), type: 'module.enabled', ip: ADDRESS, request_id: REQUEST }
      const rows = [
        { ...late, user_id: id, actor: `user:${id}`, detail: { module: 'x' } },
        { ...late, id: Bun.randomUUIDv7(), user_id: null, actor: `user:${id}`, detail: { module: 'x' } },
      ]
      for (const body of rows)
        expect((await call(system.url.auth, 'POST /auth/audit', { headers: as.internal, body })).status).toBe(204)
      const chain = await readChain(system)
      expect(chain.report.fault).toBeUndefined()
      const stored = rows.map((row) => chain.rows.find((one) => one.id === row.id))
      expect(stored).toMatchObject([
        { ip: null, request_id: null, detail: { erased: true } },
        { ip: null, request_id: null, detail: { module: 'x' } },
      ])
    } finally {
      await system.stop()
    }
  })

  test('what an erased administrator did to others stays, without where they were', async () => {
    const system = await inProcess(SETTINGS, { databases })
    try {
      const admin = await createUser(system, { roles: ['USER', 'ADMIN'] })
      const other = await registerUser(system)
      await createUser(system, { roles: ['USER', 'ADMIN'] })
      const headers = { ...HEADERS, ...as.bearer(admin.tokens.access_token) }
      const changed = await call(system.url.users, `PATCH /users/${other.id}`, {
        headers,
        body: { roles: ['USER', 'EDITOR'] },
      })
      expect(changed.status).toBe(200)
      await erase(system, admin.id)
      await completed(system, admin.id)
      const { report, rows } = await readChain(system)
      expect(report.fault).toBeUndefined()
      expect(rows.filter(({ type }) => type === 'user.roles_changed')).toMatchObject([
        {
          user_id: other.id,
          actor: `user:${admin.id}`,
          ip: null,
          request_id: null,
          detail: { to: ['USER', 'EDITOR'] },
        },
      ])
    } finally {
      await system.stop()
    }
  })

  test('who may erase: an operator who has authenticated recently, and never the last administrator', async () => {
    const system = await inProcess(SETTINGS, { databases })
    try {
      const user = await registerUser(system)
      const admin = await createUser(system, { roles: ['USER', 'ADMIN'] })
      expectProblem(await erase(system, admin.id), 409, 'last_admin')
      expectProblem(await erase(system, user.id, as.bearer(user.tokens.access_token)), 403, 'forbidden')
      expectProblem(await erase(system, Bun.randomUUIDv7()), 404, 'user_not_found')
      expectProblem(await erase(system, 'nobody'), 404, 'user_not_found')
      expect((await erase(system, user.id, as.bearer(admin.tokens.access_token))).status).toBe(202)
      const [by] = (await rowsAbout(system, user.id)).filter(({ type }) => type === 'user.erased')
      expect(by).toMatchObject({ actor: `user:${admin.id}`, ip: '127.0.0.1' })
    } finally {
      await system.stop()
    }
  })
})

test('an erasure that auth could not take is done when it is back', async () => {
  const system = await inProcess(SETTINGS, { layout: 'apart' })
  try {
    const id = await lived(system, 'http://127.0.0.1:9/hook')
    await system.terminate('auth')
    expect((await erase(system, id)).status).toBe(202)
    await system.start('auth')
    await completed(system, id)
    expect((await readChain(system)).report.fault).toBeUndefined()
    for (const name of ['auth', 'users', 'modules'] as const) await system.terminate(name)
    expect(await canariesIn(system)).toEqual([])
  } finally {
    await system.stop()
  }
})
