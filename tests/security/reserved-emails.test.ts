import { describe, expect, test } from 'bun:test'
import { createUser, newEmail, PASSWORD, registerUser } from '../support/actors.ts'
import { expectProblem } from '../support/expectations.ts'
import { as } from '../support/http.ts'
import { movingClock } from '../support/moving-clock.ts'
import { running } from '../support/running.ts'
import { inProcess } from '../support/system.ts'

const DAY = 24 * 3600 * 1000

describe('Check 44: while a change of an email can be undone', () => {
  const clock = movingClock()
  const here = running((env) => inProcess(env, { clock }), { RATE_LIMIT: 'off' })
  const { auth, users } = here
  const change = (id: string, body: object, method = 'PATCH') =>
    users(`${method} /users/${id}`, { headers: as.operator, body })
  const prove = (id: string, kind: string, email: string) =>
    users(`POST /users/${id}/proof`, { headers: as.internal, body: { kind, email } })
  const create = (email: string) => users('POST /users', { body: { email, password: PASSWORD } })
  const importLine = async (email: string, onConflict: string) => {
    const headers = { ...as.operator, 'content-type': 'application/x-ndjson' }
    const body = `${JSON.stringify({ email, password: PASSWORD })}\n`
    const answer = await users(`POST /users/import?on_conflict=${onConflict}`, { headers, body })
    return { status: answer.body.status, code: answer.body.code }
  }

  test('nobody else can take the earlier one, whoever changed it and however someone tries', async () => {
    const ana = await createUser(here.system, { email_verified: true })
    const ben = await registerUser(here.system)
    const byAna = await users(`PATCH /users/${ana.id}`, {
      headers: as.bearer(ana.tokens.access_token),
      body: { email: newEmail() },
    })
    expect(byAna.status).toBe(200)
    const email = ana.email.toUpperCase()
    const invited = { headers: as.internal, body: { email } }
    for (const answer of [
      await create(email),
      await auth('POST /auth/register', { body: { email, password: PASSWORD } }),
      await users('POST /users', { headers: as.operator, body: { email } }),
      await users('POST /users/invited', invited),
      await change(ben.id, { email }),
      await change(ben.id, { email }, 'PUT'),
      await prove(ben.id, 'email_change', email),
      await prove(ben.id, 'undo', email),
    ])
      expectProblem(answer, 409, 'email_taken')
    expect(await importLine(email, 'fail')).toEqual({ status: 'failed', code: 'email_taken' })
    expect(await importLine(email, 'update')).toEqual({ status: 'failed', code: 'email_taken' })
    expect(await importLine(email, 'skip')).toEqual({ status: 'skipped', code: undefined })

    const undone = await prove(ana.id, 'undo', ana.email)
    expect(undone.body).toMatchObject({ outcome: 'proved', record: { email: ana.email, email_verified: true } })
    expectProblem(await create(email), 409, 'email_taken')
  })

  test('its user can take it back', async () => {
    const ana = await createUser(here.system, { email_verified: true })
    await change(ana.id, { email: newEmail() })
    expect((await change(ana.id, { email: ana.email })).body).toMatchObject({ email: ana.email, email_verified: false })
    await change(ana.id, { email: newEmail() })
    expectProblem(await create(ana.email), 409, 'email_taken')
    expect((await prove(ana.id, 'email_change', ana.email)).body.record.email).toBe(ana.email)
  })

  test('a change of a change can be undone too, and then the later address is free', async () => {
    const ana = await createUser(here.system, { email_verified: true })
    const [second, third] = [newEmail(), newEmail()]
    await prove(ana.id, 'email_change', second)
    await prove(ana.id, 'email_change', third)
    expectProblem(await create(ana.email), 409, 'email_taken')
    expectProblem(await create(second), 409, 'email_taken')
    expect((await prove(ana.id, 'undo', ana.email)).body.record.email).toBe(ana.email)
    for (const free of [second, third]) expect((await create(free)).status).toBe(201)
  })

  test('an address that nobody had proved is free at once', async () => {
    const ana = await registerUser(here.system)
    await change(ana.id, { email: newEmail() })
    expect((await create(ana.email)).status).toBe(201)
  })

  test('it is free when its user is gone, or after seven days', async () => {
    const [ana, ben] = [
      await createUser(here.system, { email_verified: true }),
      await createUser(here.system, { email_verified: true }),
    ]
    for (const { id } of [ana, ben]) await change(id, { email: newEmail() })
    await users(`DELETE /users/${ana.id}`, { headers: as.operator })
    expect((await create(ana.email)).status).toBe(201)
    clock.pass(7 * DAY - 60_000)
    expectProblem(await create(ben.email), 409, 'email_taken')
    clock.pass(60_000)
    expect((await create(ben.email)).status).toBe(201)
    expectProblem(await prove(ben.id, 'undo', ben.email), 409, 'email_taken')
  })
})
