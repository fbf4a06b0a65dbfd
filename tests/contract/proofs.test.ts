import { describe, expect, test } from 'bun:test'
import { createUser, logIn, newEmail, PASSWORD, registerUser, type TestUser } from '../support/actors.ts'
import { all, askEach } from '../support/each-service.ts'
import { addWebhook, outboxesEmpty, outgoingEvents } from '../support/events.ts'
import { eventually } from '../support/eventually.ts'
import { expectFields, expectProblem, FIELDS } from '../support/expectations.ts'
import { as } from '../support/http.ts'
import { running } from '../support/running.ts'
import { inProcessApart } from '../support/system.ts'

const NEW = 'a wholly new password'
const NO_ONE = '0198c0de-0000-7000-8000-000000000000'
const MARKS = ['sessions_from', 'session_kept', 'all_sessions_from', 'tokens_from']
interface Invitation {
  user: { id: string }
  created: boolean
}

const BY = { actor: 'anyone', ip: '203.0.113.9' }

const here = running(inProcessApart)
const { auth, users } = here
const read = async (id: string) => (await users(`GET /users/${id}`, { headers: as.operator })).body
const change = (id: string, body: object) => users(`PATCH /users/${id}`, { headers: as.operator, body })
const prove = (id: string, body: object, headers = {}) =>
  users(`POST /users/${id}/proof`, { headers: { ...as.internal, ...headers }, body })
/** The type, the actor, the address and the details of each audit row of a request. */
const rowsOf = async (requestId: string) => {
  const { body } = await auth(`GET /admin/audit?request_id=${requestId}`, { headers: as.operator })
  return body.items.map(({ actor, detail, ip, type }: Record<string, unknown>) => [type, actor, ip, detail])
}
const expectSession = async ({ tokens }: TestUser, isLive: boolean) =>
  expect(await askEach(here.system, tokens.access_token)).toEqual(all(isLive ? 200 : 'token_revoked'))
const unverified = () => registerUser(here.system)
const verified = () => createUser(here.system, { email_verified: true })

describe('Contract 12: what a proof of an address changes', () => {
  test('a verification: the email is verified, and nothing else', async () => {
    const ana = await unverified()
    const answer = await prove(ana.id, { kind: 'verification', email: ana.email.toUpperCase() })
    expect(answer).toMatchObject({ status: 200, body: { outcome: 'proved', was_verified: false } })
    const { id: _, ...fields } = await read(ana.id)
    expectFields(answer.body.record, [...Object.keys(fields), 'user_id', 'password_hash', 'password_version', ...MARKS])
    expect(answer.body.record).toMatchObject({ ...fields, user_id: ana.id, email: ana.email, email_verified: true })
    await expectSession(ana, true)
    expect((await logIn(here.system, ana.email)).status).toBe(200)

    const { password_version } = answer.body.record
    const again = await prove(ana.id, { kind: 'verification', email: ana.email })
    expect(again.body).toMatchObject({ was_verified: true, record: { password_version } })
  })

  test('a code by mail: the first proof ends the password and all sessions, a later one changes nothing', async () => {
    const ana = await unverified()
    const first = await prove(ana.id, { kind: 'email_code', email: ana.email })
    expect(first.body).toMatchObject({
      outcome: 'proved',
      was_verified: false,
      record: { email_verified: true, has_password: false, password_hash: null },
    })
    await expectSession(ana, false)
    expectProblem(await logIn(here.system, ana.email), 401, 'invalid_credentials')

    const ben = await verified()
    const later = await prove(ben.id, { kind: 'email_code', email: ben.email })
    expect(later.body).toMatchObject({ outcome: 'proved', was_verified: true, record: { has_password: true } })
    await expectSession(ben, true)
    expect((await logIn(here.system, ben.email)).status).toBe(200)
  })

  test.each([
    ['not verified', unverified, false],
    ['verified', verified, true],
  ])('a reset of an address that was %s: the new password works, and all sessions end', async (_, user, before) => {
    const ana = await user()
    const answer = await prove(ana.id, { kind: 'reset', email: ana.email, new_password: NEW })
    expect(answer.body).toMatchObject({ was_verified: before, record: { email_verified: true } })
    expect(answer.text).not.toContain(NEW)
    await expectSession(ana, false)
    expectProblem(await logIn(here.system, ana.email), 401, 'invalid_credentials')
    expect((await logIn(here.system, ana.email, NEW)).status).toBe(200)
  })

  test('a change of the email that is late: nothing, if sessions ended since', async () => {
    const ana = await verified()
    const { body: record } = await users(`GET /users/${ana.id}/password-hash`, { headers: as.internal })
    const late = { kind: 'email_change', email: newEmail(), sessions_from: record.password_version - 1 }
    await prove(ana.id, { kind: 'reset', email: ana.email, new_password: NEW })
    expect((await prove(ana.id, late)).body).toEqual({ outcome: 'email_changed' })
    expect((await read(ana.id)).email).toBe(ana.email)
    const next = { ...late, sessions_from: record.password_version + 9 }
    expect((await prove(ana.id, next)).body).toMatchObject({ outcome: 'proved', record: { email: late.email } })
    expectProblem(await prove(ana.id, { ...late, kind: 'verification' }), 400, 'validation_failed')
  })

  test('an invitation: the first password, names, a verified email, and all sessions end', async () => {
    const ana = await unverified()
    const username = `Ana-${Bun.randomUUIDv7().slice(-12)}`
    const proof = { kind: 'invitation', email: ana.email, new_password: NEW, username, name: 'Ana' }
    const answer = await prove(ana.id, proof)
    expect(answer.body.record).toMatchObject({ username: username.toLowerCase(), name: 'Ana', email_verified: true })
    await expectSession(ana, false)
    expect((await logIn(here.system, username, NEW)).status).toBe(200)

    const ben = await unverified()
    expectProblem(await prove(ben.id, { ...proof, email: ben.email }), 409, 'username_taken')
    const weak = { kind: 'invitation', email: ben.email, username: 'Benjamin-9', new_password: 'benjamin-9' }
    expectProblem(await prove(ben.id, weak), 400, 'weak_password')
    expect(await read(ben.id)).toMatchObject({ username: null, email_verified: false })
    await expectSession(ben, true)
    const later = await prove(ana.id, { kind: 'invitation', email: ana.email, new_password: PASSWORD })
    expect(later.body.record).toMatchObject({ username: username.toLowerCase(), name: 'Ana' })
  })

  test('a change of the email: the new one is verified, and the sessions stay', async () => {
    const [ana, ben] = [await verified(), await unverified()]
    const next = newEmail()
    const answer = await prove(ana.id, { kind: 'email_change', email: next })
    expect(answer.body).toMatchObject({ was_verified: true, record: { email: next, email_verified: true } })
    await expectSession(ana, true)
    expect((await logIn(here.system, next)).status).toBe(200)
    expectProblem(await prove(ana.id, { kind: 'email_change', email: ben.email.toUpperCase() }), 409, 'email_taken')
    expect((await read(ana.id)).email).toBe(next)
  })

  test('an undone change: the old email is back and verified, the password and all sessions end', async () => {
    const ana = await verified()
    await change(ana.id, { email: newEmail() })
    const answer = await prove(ana.id, { kind: 'undo', email: ana.email })
    expect(answer.body).toMatchObject({
      outcome: 'proved',
      was_verified: false,
      record: { email: ana.email, email_verified: true, has_password: false, password_hash: null },
    })
    await expectSession(ana, false)
    expectProblem(await logIn(here.system, ana.email), 401, 'invalid_credentials')
  })

  test.each(['verification', 'email_code', 'reset', 'invitation'])(
    '%s: nothing, if the user has another email by now',
    async (kind) => {
      const ana = await unverified()
      const next = newEmail()
      await change(ana.id, { email: next })
      const before = await read(ana.id)
      const extra = kind === 'reset' || kind === 'invitation' ? { new_password: NEW } : {}
      const answer = await prove(ana.id, { kind, email: ana.email, ...extra })
      expect([answer.status, answer.body]).toEqual([200, { outcome: 'email_changed' }])
      expect(await read(ana.id)).toEqual(before)
      expect((await logIn(here.system, next)).status).toBe(200)
    },
  )

  test('a disabled user stays disabled', async () => {
    for (const kind of ['verification', 'email_code', 'reset', 'invitation', 'email_change', 'undo']) {
      const ana = await unverified()
      await change(ana.id, { status: 'disabled' })
      const extra = kind === 'reset' || kind === 'invitation' ? { new_password: NEW } : {}
      const answer = await prove(ana.id, { kind, email: ana.email, ...extra })
      expect([kind, answer.body.record?.status]).toEqual([kind, 'disabled'])
    }
  })

  test('check 43: of many parallel first proofs one ends the sessions, and a login after it stays', async () => {
    const ana = await unverified()
    const proof = { kind: 'email_code', email: ana.email }
    const answers = await Promise.all(Array.from({ length: 20 }, () => prove(ana.id, proof)))
    expect(answers.map(({ body }) => body.was_verified).filter((before) => !before)).toHaveLength(1)
    await prove(ana.id, { kind: 'reset', email: ana.email, new_password: NEW })
    const session = { ...ana, tokens: (await logIn(here.system, ana.email, NEW)).body }
    await prove(ana.id, proof)
    await expectSession(session, true)
  })

  test.each<[string, object, string[]]>([
    ['nothing', {}, ['kind', 'email']],
    ['an unknown kind', { kind: 'device', email: 'a@b.org' }, ['kind']],
    ['a reset without a password', { kind: 'reset', email: 'a@b.org' }, ['new_password']],
    ['an invitation without a password', { kind: 'invitation', email: 'a@b.org' }, ['new_password']],
    ['a short password', { kind: 'reset', email: 'a@b.org', new_password: 'short' }, ['new_password']],
    ['a code with a password', { kind: 'email_code', email: 'a@b.org', new_password: NEW }, ['new_password']],
    ['an undo with names', { kind: 'undo', email: 'a@b.org', username: 'ana', name: null }, ['name', 'username']],
    ['half a requester', { kind: 'undo', email: 'a@b.org', by: { actor: 'anyone' } }, ['by.ip']],
  ])('refuses %s', async (_, body, fields) => {
    const ana = await unverified()
    const answer = await prove(ana.id, body)
    expectProblem(answer, 400, 'validation_failed')
    expect(answer.body.errors.map(({ field }: { field: string }) => field).sort()).toEqual(fields.toSorted())
    expect(answer.text).not.toContain(NEW)
    await expectSession(ana, true)
  })

  test('is refused for a user who does not exist', async () => {
    expectProblem(await prove(NO_ONE, { kind: 'verification', email: 'a@b.org' }), 404, 'user_not_found')
  })
})

describe('Check 40: a proof is in the audit', () => {
  const KINDS: [kind: string, extra: object, rows: [type: string, detail: object][]][] = [
    ['verification', {}, [['email.verified', { by: 'verification' }]]],
    [
      'email_code',
      {},
      [
        ['email.verified', { by: 'email_code' }],
        ['password.removed', { by: 'email_code' }],
      ],
    ],
    [
      'reset',
      { new_password: NEW },
      [
        ['email.verified', { by: 'reset' }],
        ['password.reset', {}],
      ],
    ],
    [
      'invitation',
      { new_password: NEW, name: 'Ana' },
      [
        ['email.verified', { by: 'invitation' }],
        ['password.set_by_invitation', {}],
        ['user.updated', { fields: ['name'] }],
      ],
    ],
    ['email_change', {}, [['email.changed', {}]]],
    [
      'undo',
      {},
      [
        ['email.restored', {}],
        ['password.removed', { by: 'undo' }],
      ],
    ],
  ]

  test.each(KINDS)('%s, with who answered the mail and from where', async (kind, extra, expected) => {
    const ana = await unverified()
    const id = `proof-${Bun.randomUUIDv7()}`
    await prove(ana.id, { kind, email: ana.email, ...extra, by: BY }, { 'x-request-id': id })
    const rows = await eventually(async () => {
      const current = (await rowsOf(id)).filter(([, actor]: string[]) => actor === BY.actor)
      return current.length >= expected.length ? current : undefined
    })
    expect(rows.toSorted()).toEqual(expected.map(([type, detail]) => [type, BY.actor, BY.ip, detail]))
  })
})

test('a first password by an invitation is an event, and the fields that a proof changes are one', async () => {
  await addWebhook(here.system)
  const ana = await unverified()
  await outboxesEmpty(here.system)
  await prove(ana.id, { kind: 'invitation', email: ana.email, new_password: NEW, name: 'Ana' })
  const ben = await unverified()
  await prove(ben.id, { kind: 'email_code', email: ben.email })
  await outboxesEmpty(here.system)
  const eventsOf = async (id: string) =>
    (await outgoingEvents(here.system))
      .filter(({ data, type }) => data.user_id === id && /^(user.updated|password)/.test(type))
      .map(({ data, type }) => [type, 'fields' in data ? data.fields : 'by' in data ? data.by : null])
  expect(await eventsOf(ana.id)).toEqual([
    ['user.updated', ['name', 'email_verified']],
    ['password.changed', 'invitation'],
  ])
  expect(await eventsOf(ben.id)).toEqual([['user.updated', ['email_verified', 'has_password']]])
})

describe('Contract 12: users who are invited', () => {
  const invite = (body: object, headers = {}) =>
    users('POST /users/invited', { headers: { ...as.internal, ...headers }, body })

  test('are created without a password, with the fields that an operator may set', async () => {
    const email = newEmail()
    const fields = {
      roles: ['STAFF'],
      name: 'Ana',
      username: `ana-${Bun.randomUUIDv7().slice(-12)}`,
      locale: 'ru',
      metadata: { theme: 'dark' },
      app_metadata: { plan: 'pro' },
    }
    const id = `invited-${Bun.randomUUIDv7()}`
    const answer = await invite({ email, ...fields, by: { actor: 'operator', ip: BY.ip } }, { 'x-request-id': id })
    expect(answer).toMatchObject({ status: 200, body: { created: true, user: { email, ...fields } } })
    expectFields(answer.body.user, FIELDS.user)
    expect(answer.body.user).toMatchObject({ has_password: false, email_verified: false })
    expect(await read(answer.body.user.id)).toEqual(answer.body.user)
    expectProblem(await logIn(here.system, email), 401, 'invalid_credentials')
    const row = ['user.created', 'operator', BY.ip, { roles: ['STAFF'] }]
    await eventually(async () => (await rowsOf(id)).length > 0)
    expect(await rowsOf(id)).toEqual([row])

    const again = await invite({ email: email.toUpperCase(), roles: ['ADMIN'], name: 'Other' })
    expect([again.status, again.body]).toEqual([200, { created: false, user: answer.body.user }])
  })

  test('must be free, or without a password', async () => {
    const username = `ana-${Bun.randomUUIDv7().slice(-12)}`
    const ana = await createUser(here.system, { username })
    const before = await read(ana.id)
    expectProblem(await invite({ email: ana.email.toUpperCase(), roles: ['ADMIN'] }), 409, 'email_taken')
    expectProblem(await invite({ email: newEmail(), username }), 409, 'username_taken')
    expect(await read(ana.id)).toEqual(before)
  })

  test('have no password', async () => {
    const answer = await invite({ email: newEmail(), password: PASSWORD, password_hash: 'x' })
    expectProblem(answer, 400, 'validation_failed')
    expect(answer.body.message).toEqual(['password should not exist', 'password_hash should not exist'])
  })

  test('are one user, however many invite them at once', async () => {
    const email = newEmail()
    const app = here.system.app('users')
    const headers = { ...as.internal, 'content-type': 'application/json' }
    // Without sockets, so that all look the email up before one of them adds it.
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => {
        const body = JSON.stringify({ email })
        return app.handle(new Request('http://localhost/api/v1/users/invited', { method: 'POST', headers, body }))
      }),
    )
    expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(200))
    const invitations = (await Promise.all(answers.map((answer) => answer.json()))) as Invitation[]
    expect(new Set(invitations.map(({ user }) => user.id)).size).toBe(1)
    expect(invitations.filter(({ created }) => created)).toHaveLength(1)
  })
})

test('proofs and invitations are for the internal key only', async () => {
  const admin = await createUser(here.system, { roles: ['ADMIN'] })
  for (const [path, body] of [
    [`/users/${admin.id}/proof`, { kind: 'undo', email: 'a@b.org' }],
    ['/users/invited', { email: newEmail() }],
  ] as const) {
    const ask = (headers: Record<string, string>) => users(`POST ${path}`, { headers, body })
    expectProblem(await ask({}), 401, 'invalid_api_key')
    expectProblem(await ask(as.operator), 403, 'forbidden')
    expectProblem(await ask(as.bearer(admin.tokens.access_token)), 403, 'forbidden')
  }
})
