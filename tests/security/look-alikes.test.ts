import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { logIn, newEmail, PASSWORD, registerUser } from '../support/actors.ts'
import { as, call } from '../support/http.ts'
import type { Name } from '../support/settings.ts'
import { inProcess, type System } from '../support/system.ts'
import { Databases } from './databases.ts'

const LINES = { ...as.operator, 'content-type': 'application/x-ndjson' }

let system: System
let databases: Databases
beforeAll(async () => {
  system = await inProcess({ RATE_LIMIT: 'off' })
  databases = new Databases(system)
})
afterAll(async () => {
  databases?.close()
  await system?.stop()
})

describe('check 26: an email', () => {
  /** Every call with an email that creates or changes a user. */
  const takers = (email: string): [Name, string, Record<string, string>, object][] => [
    ['auth', 'POST /api/v1/auth/register', {}, { email, password: PASSWORD }],
    ['auth', 'POST /auth/register', {}, { email, password: PASSWORD }],
    ['users', 'POST /users', {}, { email, password: PASSWORD }],
    ['users', 'POST /user', {}, { email, password: PASSWORD }],
    ['users', 'POST /user/register', as.operator, { email, password: PASSWORD }],
  ]
  const look = (email: string) => {
    const [front = '', host = ''] = email.split('@')
    return [
      ...['\u200b', '\u200c', '\u200d', '\u2060', '\u00ad', '\u202e', '\u0301', '\ufe0f'].flatMap((mark) => [
        `${mark}${email}`,
        `${front}${mark}@${host}`,
        `${front}@${mark}${host}`,
        `${email}${mark}`,
      ]),
      email.replace('a', 'а'),
      email.replace('e', 'е'),
      email.replace('@', '＠'),
      email.replace('.', '。'),
      email.replace('o', 'о'),
      email.replace('s', 'ſ'),
      email.replace('l', 'ⅼ'),
      `${front}@xn--\u0430.org`,
      `${email}.`,
      `"${front}"@${host}`,
      `${front}(x)@${host}`,
      `<${email}>`,
      `${email},${email}`,
      `${front}\\@${host}`,
    ]
  }

  test('in upper or lower case is one account, whichever call creates it', async () => {
    const { email } = await registerUser(system)
    // The Kelvin sign is a K in its normal form.
    const kelvin = `k${newEmail()}`
    expect((await call(system.url.users, 'POST /users', { body: { email: kelvin, password: PASSWORD } })).status).toBe(
      201,
    )
    const before = databases.users()
    for (const spelled of [email, email.toUpperCase(), kelvin.replace('k', '\u212a')])
      for (const [service, line, headers, body] of takers(spelled)) {
        const { body: problem, status } = await call(system.url[service], line, { headers, body })
        expect([line, spelled, status, problem.code]).toEqual([line, spelled, 409, 'email_taken'])
      }
    expect(databases.users()).toBe(before)
    expect((await logIn(system, email.toUpperCase())).status).toBe(200)
  })

  test('that looks like another, or contains invisible characters, is 400 everywhere, and gives no access to the other', async () => {
    const ana = await registerUser(system)
    const ben = await registerUser(system)
    const before = databases.state(ana.id)
    const bearer = as.bearer(ben.tokens.access_token)
    for (const spelled of look(ana.email)) {
      const calls: [Name, string, Record<string, string>, object][] = [
        ...takers(spelled),
        ['users', `PATCH /users/${ben.id}`, bearer, { email: spelled }],
        ['users', `PUT /users/${ben.id}`, bearer, { email: spelled }],
        ['auth', 'POST /auth/password-reset-request', {}, { email: spelled }],
      ]
      const answers = await Promise.all(
        calls.map(async ([service, line, headers, body]) => {
          const { body: problem, status } = await call(system.url[service], line, { headers, body })
          return [line, status, problem.code]
        }),
      )
      expect([spelled, answers]).toEqual([spelled, calls.map(([, line]) => [line, 400, 'validation_failed'])])
      const line = JSON.stringify({ email: spelled, password: PASSWORD })
      const imported = await call(system.url.users, 'POST /users/import', { headers: LINES, body: line })
      expect([imported.body.status, imported.body.code]).toEqual(['failed', 'validation_failed'])
      const lookup = await call(system.url.users, `GET /users/by-email/${encodeURIComponent(spelled)}`, {
        headers: as.operator,
      })
      expect([spelled, lookup.status]).toEqual([spelled, 404])
      const { body, status } = await logIn(system, spelled)
      expect([spelled, status, body.code]).toEqual([spelled, 401, 'invalid_credentials'])
    }
    expect(databases.state(ana.id) === before).toBeTrue()
  })
})
