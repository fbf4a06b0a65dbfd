import { describe, expect, test } from 'bun:test'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { createRemoteJWKSet, jwtVerify } from 'jose'
import { newEmail, PASSWORD } from '../support/actors.ts'
import { all, askEach } from '../support/each-service.ts'
import { as } from '../support/http.ts'
import { mailsTo, RESET_PAGE } from '../support/mails.ts'
import { forgeriesOf, linkMailedTo, serving } from './serving.ts'

const NEW_PASSWORD = 'another horse battery'

/** `003_074b1feaa1c3ecfd.txt`, «Обзор auth_service». A test's name begins with the line that it proves. */
describe('003, over four processes', () => {
  const here = serving()
  const { auth, modules, users } = here

  const newcomer = async () => {
    const user = { email: newEmail(), username: `u${crypto.randomUUID().slice(0, 8)}` }
    const registered = await auth('POST /register', { body: { ...user, password: PASSWORD } })
    expect(registered.status).toBe(201)
    const { body: tokens } = await logIn(user.username)
    return { ...user, id: registered.body.id as string, tokens, bearer: as.bearer(tokens.access_token) }
  }
  const logIn = (login: string, password = PASSWORD) => auth('POST /login', { body: { login, password } })
  const refresh = (refresh_token: string) => auth('POST /token/refresh', { body: { refresh_token } })

  test('003:6 other services talk with it over its API', async () => {
    const { bearer, tokens } = await newcomer()
    const validation = await auth('POST /validate-token', { body: { token: tokens.access_token } })
    expect(validation.body.valid).toBe(true)
    expect((await modules('GET /modules/', { headers: bearer })).status).toBe(200)
  })

  test('003:10 a registration creates a user in the system', async () => {
    const { email, id, username } = await newcomer()
    const { body } = await users(`GET /users/${id}`, { headers: as.operator })
    expect(body).toMatchObject({ id, email, username, roles: ['USER'], status: 'active' })
  })

  const GOOD = { email: 'not.registered@example.org', password: PASSWORD }
  test.each([
    ['an invalid email', { ...GOOD, email: 'ana' }, 'email must be an email'],
    ['a short password', { ...GOOD, password: 'short' }, 'password must be longer than or equal to 8 characters'],
    ['no password', { email: GOOD.email }, 'password is required'],
    ['a short username', { ...GOOD, username: 'a' }, 'username must be 3 to 32'],
    ['an unknown field', { ...GOOD, admin: true }, 'admin should not exist'],
  ])('003:11 a registration is validated: %s', async (_, body, complaint) => {
    const answer = await auth('POST /register', { body })
    expect(answer.status).toBe(400)
    expect(answer.body.message).toHaveLength(1)
    expect(answer.body.message[0]).toStartWith(complaint)
    expect((await logIn(GOOD.email)).status).toBe(401)
  })

  test('003:14 a login needs the right name and the right password', async () => {
    const { email, username } = await newcomer()
    for (const name of [username, email, username.toUpperCase()]) {
      expect((await logIn(name)).status).toBe(200)
      expect((await logIn(name, NEW_PASSWORD)).body.message).toBe('Invalid credentials')
    }
    for (const field of ['username', 'login'])
      expect((await auth('POST /login', { body: { [field]: username, password: PASSWORD } })).status).toBe(200)
  })

  test('003:15 the tokens are JWTs, which anyone can verify with the public keys', async () => {
    const { id, tokens } = await newcomer()
    const keys = createRemoteJWKSet(new URL(`${here.system.url.auth}/.well-known/jwks.json`))
    const { payload } = await jwtVerify(tokens.access_token, keys, { audience: 'ch202', typ: 'at+jwt' })
    expect(payload.sub).toBe(id)
    for (const forged of forgeriesOf(tokens.access_token)) await expect(jwtVerify(forged, keys)).rejects.toThrow()
  })

  test('003:18 tokens are validated', async () => {
    const { tokens } = await newcomer()
    expect(await askEach(here.system, tokens.access_token)).toEqual(all(200))
    for (const forged of forgeriesOf(tokens.access_token))
      expect(await askEach(here.system, forged)).toEqual(all('invalid_token'))
  })

  test('003:19 tokens are refreshed, as often as necessary', async () => {
    let { tokens } = await newcomer()
    for (let round = 0; round < 5; round++) {
      const { body, status } = await refresh(tokens.refresh_token)
      expect(status).toBe(200)
      expect(body.refresh_token).not.toBe(tokens.refresh_token)
      tokens = body
    }
    expect(await askEach(here.system, tokens.access_token)).toEqual(all(200))
  })

  test('003:22 a password is reset by mail', async () => {
    const { email, tokens, username } = await newcomer()
    await auth('POST /password-reset', { body: { email } })
    const token = (await linkMailedTo(here.system, email)).searchParams.get('token')
    const body = { token, new_password: NEW_PASSWORD }
    expect((await auth('POST /auth/password-reset-confirm', { body })).status).toBe(204)
    expect([(await logIn(username, NEW_PASSWORD)).status, (await logIn(username)).status]).toEqual([200, 401])
    expect(await askEach(here.system, tokens.access_token)).toEqual(all('token_revoked'))
    expect((await refresh(tokens.refresh_token)).status).toBe(401)
  })

  test('003:23 the mail is a file with a link to our own host, for any Host of the request', async () => {
    const { email } = await newcomer()
    await auth('POST /password-reset', { body: { email }, headers: { 'x-forwarded-host': 'evil.example.com' } })
    expect((await linkMailedTo(here.system, email)).href).toMatch(
      /^https:\/\/app\.example\.org\/reset-password\?token=[\w-]{22}$/,
    )
    const [mail = ''] = mailsTo(here.system, email, RESET_PAGE)
    for (const header of ['From', 'Subject', 'Date']) expect(mail).toMatch(new RegExp(`^${header}: .`, 'm'))
    expect(mail).not.toContain('evil.example.com')
  })

  test('003:28 the database of auth is a SQLite file, unless a DATABASE_URL names another', () => {
    expect(existsSync(join(here.system.dataDir, 'auth.sqlite'))).toBe(here.system.database === undefined)
  })

  test('003:67 POST /register', async () => {
    const body = { email: newEmail(), password: PASSWORD }
    const answer = await auth('POST /register', { body })
    expect(answer.status).toBe(201)
    expect(answer.body).toMatchObject({ email: body.email, roles: ['USER'] })
    expect(await askEach(here.system, answer.body.tokens.access_token)).toEqual(all(200))
    expect((await auth('POST /register', { body })).body.code).toBe('email_taken')
  })

  test('003:72 POST /login', async () => {
    const { tokens } = await newcomer()
    expect([typeof tokens.access_token, typeof tokens.refresh_token]).toEqual(['string', 'string'])
    expect(await askEach(here.system, tokens.access_token)).toEqual(all(200))
  })

  test('003:77 POST /password-reset gives the same answer for a known and an unknown email', async () => {
    const { email } = await newcomer()
    const [knownAnswer, unknownAnswer] = [
      await auth('POST /password-reset', { body: { email } }),
      await auth('POST /password-reset', { body: { email: newEmail() } }),
    ]
    expect([knownAnswer.status, unknownAnswer.status]).toEqual([202, 202])
    expect(knownAnswer.text).toBe(unknownAnswer.text)
  })

  test('003:82 POST /token/refresh: an older token that is used again ends the session', async () => {
    const { tokens } = await newcomer()
    const second = await refresh(tokens.refresh_token)
    expect(second.status).toBe(200)
    expect((await refresh(tokens.refresh_token)).body.refresh_token).toBe(second.body.refresh_token)
    const third = await refresh(second.body.refresh_token)
    expect((await refresh(tokens.refresh_token)).body.code).toBe('refresh_token_reused')
    expect((await refresh(third.body.refresh_token)).status).toBe(401)
    expect(await askEach(here.system, third.body.access_token)).toEqual(all('token_revoked'))
    expect((await refresh('not-a-token')).body.code).toBe('invalid_refresh_token')
  })
})
