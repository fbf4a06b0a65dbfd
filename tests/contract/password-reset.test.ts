import { afterAll, describe, expect, test } from 'bun:test'
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { SMTPServer } from 'smtp-server'
import { createUser, logIn, newEmail, PASSWORD, registerUser, type TestUser } from '../support/actors.ts'
import { atOnce } from '../support/at-once.ts'
import { all, askEach } from '../support/each-service.ts'
import { eventually } from '../support/eventually.ts'
import { expectFields, expectProblem } from '../support/expectations.ts'
import { as, call } from '../support/http.ts'
import { mailedToken, mails, mailsTo, RESET_PAGE, readMail, resetLinkIn } from '../support/mails.ts'
import { storedBytes } from '../support/postgres/database-rows.ts'
import { running } from '../support/running.ts'
import { freePort } from '../support/servers/ports.ts'
import { request as rawRequest } from '../support/sockets.ts'
import { inProcess, inProcessApart } from '../support/system.ts'

const NEW = 'a wholly new password'
/** A registration sends a mail too, to verify the address. */
const isReset = (mail: string) => readMail(mail).includes(`/${RESET_PAGE}?token=`)

describe('password reset', () => {
  describe('with mails as files', () => {
    const here = running(inProcessApart)
    const { auth, users } = here
    const request = (email: unknown, headers = {}) =>
      auth('POST /auth/password-reset-request', { body: { email }, headers })
    const confirm = (token: string, new_password: string = NEW) =>
      auth('POST /auth/password-reset-confirm', { body: { token, new_password } })
    const resetMails = () => mails(here.system).filter(isReset)
    const tokenFor = ({ email }: { email: string }) => mailedToken(auth, here.system, email)

    test('check 21: known, unknown and disabled addresses get the same answer; a mail goes to the known one only', async () => {
      const user = await registerUser(here.system)
      const disabled = newEmail()
      await users('POST /users', {
        headers: as.operator,
        body: { email: disabled, password: PASSWORD, status: 'disabled' },
      })
      const unknown = newEmail()
      const before = resetMails().length
      const answers = []
      // The known address comes last: its mail is written after the others were processed.
      for (const email of [unknown, disabled, user.email.toUpperCase()]) answers.push(await request(email))
      for (const answer of answers) {
        expect(answer.status).toBe(202)
        expectFields(answer.body, ['message'])
      }
      expect(new Set(answers.map(({ text }) => text)).size).toBe(1)
      await eventually(() => mailsTo(here.system, user.email, RESET_PAGE).length > 0)
      expect(resetMails()).toHaveLength(before + 1)
    })

    test('check 22: the link in the mail has the host of PUBLIC_URL, for any host headers of the request', async () => {
      const user = await registerUser(here.system)
      const body = JSON.stringify({ email: user.email })
      const headers = [
        'Host: evil.example.com',
        'X-Forwarded-Host: evil.example.com',
        'X-Forwarded-Server: evil.example.com',
        'X-Forwarded-Port: 666',
        'X-Forwarded-Prefix: /evil',
        'X-Forwarded-Proto: gopher',
        'X-Original-URL: https://evil.example.com/',
        'Forwarded: for=192.0.2.1;host=evil.example.com;proto=gopher',
        'Origin: https://evil.example.com',
        'Referer: https://evil.example.com/',
        'Content-Type: application/json',
        `Content-Length: ${body.length}`,
      ]
      const line = 'POST /api/v1/auth/password-reset-request HTTP/1.1'
      expect((await rawRequest(here.system.url.auth, line, headers, body)).status).toBe(202)
      const mail = await eventually(() => mailsTo(here.system, user.email, RESET_PAGE)[0])
      const link = resetLinkIn(mail)
      expect(link.origin + link.pathname).toBe('https://app.example.org/reset-password')
      expect([...link.searchParams.keys()]).toEqual(['token'])
      expect(link.searchParams.get('token')).toMatch(/^[\w-]{22,}$/)
      expect(mail).toMatch(/^From: .+$/m)
      expect(mail).toMatch(/^Subject: .+$/m)
      expect(readMail(mail)).not.toContain('evil')
      for (const name of readdirSync(join(here.system.dataDir, 'mail'))) {
        expect(name).toEndWith('.eml')
        expect(statSync(join(here.system.dataDir, 'mail', name)).mode & 0o777).toBe(0o600)
      }
    })

    test('the link sets the password once; the old password and every session end', async () => {
      const user = await createUser(here.system, { username: 'forgetful' })
      const second = (await logIn(here.system, user.email)).body
      const token = await tokenFor(user)
      const done = await confirm(token)
      expect([done.status, done.text]).toEqual([204, ''])
      for (const session of [user.tokens, second]) {
        expect(await askEach(here.system, session.access_token)).toEqual(all('token_revoked'))
        const refreshed = await auth('POST /auth/refresh', { body: { refresh_token: session.refresh_token } })
        expectProblem(refreshed, 401, 'invalid_refresh_token')
      }
      expectProblem(await logIn(here.system, user.email), 401, 'invalid_credentials')
      const fresh = await logIn(here.system, 'forgetful', NEW)
      expect(await askEach(here.system, fresh.body.access_token)).toEqual(all(200))
      expectProblem(await confirm(token, 'yet another one'), 400, 'invalid_reset_token')
      expect((await logIn(here.system, user.email, NEW)).status).toBe(200)
    })

    test('check 21: one of 20 concurrent requests redeems a link', async () => {
      const user = await registerUser(here.system)
      const token = await tokenFor(user)
      const passwords = Array.from({ length: 20 }, (_, i) => `new password no ${i}`)
      const answers = await Promise.all(passwords.map((password) => confirm(token, password)))
      const winners = passwords.filter((_, i) => answers[i]?.status === 204)
      expect(winners).toHaveLength(1)
      for (const answer of answers) if (answer.status !== 204) expectProblem(answer, 400, 'invalid_reset_token')
      expect((await logIn(here.system, user.email, winners[0])).status).toBe(200)
    })

    test('a refused password keeps the link valid', async () => {
      const user = await registerUser(here.system)
      const token = await tokenFor(user)
      const short = await confirm(token, 'short')
      expectProblem(short, 400, 'validation_failed')
      expect(short.body.message).toEqual(['new_password must be longer than or equal to 8 characters'])
      expectProblem(await confirm(token, 'password1'), 400, 'weak_password')
      expectProblem(await confirm(token, user.email), 400, 'weak_password')
      expect(await askEach(here.system, user.tokens.access_token)).toEqual(all(200))
      expect((await confirm(token)).status).toBe(204)
    })

    const voiding: [string, (user: TestUser) => Promise<unknown>][] = [
      ['a newer link', tokenFor],
      [
        'changing the password',
        ({ id, tokens }) =>
          users(`POST /users/${id}/change-password`, {
            headers: as.bearer(tokens.access_token),
            body: { current_password: PASSWORD, new_password: 'quite another one' },
          }),
      ],
      [
        'an operator setting the password',
        ({ id }) =>
          users(`POST /users/${id}/set-password`, {
            headers: as.operator,
            body: { new_password: 'quite another one' },
          }),
      ],
      [
        'a change of the email',
        ({ id }) => users(`PATCH /users/${id}`, { headers: as.operator, body: { email: newEmail() } }),
      ],
      [
        'disabling the user',
        ({ id }) => users(`PATCH /users/${id}`, { headers: as.operator, body: { status: 'disabled' } }),
      ],
      ['deleting the user', ({ id }) => users(`DELETE /users/${id}`, { headers: as.operator })],
    ]
    test.each(voiding)('check 21: %s voids a link', async (_, act) => {
      const user = await registerUser(here.system)
      const token = await tokenFor(user)
      await act(user)
      expectProblem(await confirm(token), 400, 'invalid_reset_token')
      expectProblem(await logIn(here.system, user.email, NEW), 401, 'invalid_credentials')
    })

    test('an invalid token is refused', async () => {
      const user = await registerUser(here.system)
      const token = await tokenFor(user)
      const { access_token, refresh_token } = user.tokens
      for (const other of ['x', token.slice(0, -1), `${token}=`, token.toUpperCase(), access_token, refresh_token])
        expectProblem(await confirm(other), 400, 'invalid_reset_token')
      expect((await confirm(token)).status).toBe(204)
    })

    test.each([
      ['request', {}],
      ['request', { email: 'ana' }],
      ['request', { email: ['a@example.org', 'b@example.org'] }],
      ['request', { email: 'a@example.org, b@example.org' }],
      ['request', { email: 'a@example.org\r\nBcc: b@example.org' }],
      ['request', { email: 'a@example.org\nBcc: b@example.org' }],
      ['request', { email: 'a@example.org\r' }],
      ['request', { email: 'a@example.org;b@example.org' }],
      ['request', { email: 'a@example.org\0' }],
      ['request', { email: 'a@example.org', redirect: 'https://evil.example.com' }],
      ['confirm', { token: 'x' }],
      ['confirm', { new_password: NEW }],
      ['confirm', { token: 'x', new_password: NEW, user_id: crypto.randomUUID() }],
    ])('check 22: %s refuses %j', async (call, body) => {
      const before = resetMails().length
      expectProblem(await auth(`POST /auth/password-reset-${call}`, { body }), 400, 'validation_failed')
      expect(resetMails()).toHaveLength(before)
    })

    test('the token is only in the mail: not in the database, the log or the audit', async () => {
      const user = await registerUser(here.system)
      const token = await tokenFor(user)
      const stored = await storedBytes(here.system)
      expect(stored.length).toBeGreaterThan(0)
      expect(stored.some((bytes) => bytes.includes(token))).toBe(false)
      expect((await confirm(token)).status).toBe(204)
      expect(here.system.output().includes(token)).toBe(false)
      expect(here.system.output().includes('mail.written')).toBe(true)
      const { body, text } = await auth(`GET /admin/audit?user_id=${user.id}`, { headers: as.operator })
      const types = body.items.map(({ type }: { type: string }) => type)
      expect(types).toContain('password.reset_requested')
      expect(text.includes(token)).toBe(false)
    })

    test('each of many requests at once gets one mail', async () => {
      const emails: string[] = []
      await atOnce(60, async () => void emails.push((await registerUser(here.system)).email))
      await Promise.all(emails.map((email) => request(email)))
      const times = () => emails.map((email) => mailsTo(here.system, email, RESET_PAGE).length)
      await eventually(() => times().every((one) => one > 0))
      expect(times()).toEqual(emails.map(() => 1))
    })

    test('an address gets five mails an hour, whether it is known or not; other addresses are unaffected', async () => {
      const user = await registerUser(here.system)
      for (const email of [user.email, newEmail()]) {
        for (let i = 0; i < 5; i++) {
          expect((await request(i % 2 ? email : email.toUpperCase())).status).toBe(202)
          // A mail that has not been sent is left out when a newer one has been.
          if (email === user.email) await eventually(() => mailsTo(here.system, email, RESET_PAGE).length === i + 1)
        }
        const sixth = await request(email)
        expectProblem(sixth, 429, 'rate_limited')
        expect(Number(sixth.headers.get('retry-after'))).toBeWithin(1700, 1801)
      }
      const other = await registerUser(here.system)
      await tokenFor(other)
      expect(mailsTo(here.system, user.email, RESET_PAGE)).toHaveLength(5)
    })

    test('check 30: a password reset ends the lockout of an account under attack', async () => {
      const user = await registerUser(here.system)
      for (let i = 0; i < 10; i++) await logIn(here.system, user.email, `wrong ${i}`)
      expectProblem(await logIn(here.system, user.email), 429, 'rate_limited')
      expect((await confirm(await tokenFor(user))).status).toBe(204)
      expect((await logIn(here.system, user.email, NEW)).status).toBe(200)
    })

    test('while users is down a link is not spent', async () => {
      const user = await registerUser(here.system)
      const token = await tokenFor(user)
      await here.system.kill('users')
      expectProblem(await confirm(token), 503, 'users_unavailable')
      await here.system.start('users')
      expect((await confirm(token)).status).toBe(204)
      expect((await logIn(here.system, user.email, NEW)).status).toBe(200)
    })
  })

  describe('with a mail server', () => {
    const port = freePort()
    const here = running(inProcessApart, {
      SMTP_URL: `smtp://127.0.0.1:${port}`,
      MAIL_FROM: 'Ch202 <accounts@example.org>',
    })
    const { auth } = here
    const received: { from: string; to: string[]; text: string }[] = []
    const server = new SMTPServer({
      authOptional: true,
      disabledCommands: ['STARTTLS', 'AUTH'],
      onData(stream, session, done) {
        const chunks: Buffer[] = []
        stream.on('data', (chunk: Buffer) => chunks.push(chunk))
        stream.on('end', () => {
          const { mailFrom, rcptTo } = session.envelope
          const from = mailFrom === false ? '' : mailFrom.address
          received.push({ from, to: rcptTo.map(({ address }) => address), text: Buffer.concat(chunks).toString() })
          done()
        })
      },
    })
    afterAll(() => new Promise<void>((resolve) => server.close(resolve)))
    const receivedBy = (email: string) => received.find(({ text, to }) => to.includes(email) && isReset(text))

    test('a mail that could not be sent is sent when the server is back, even after a crash of auth', async () => {
      const user = await registerUser(here.system)
      const answer = await auth('POST /auth/password-reset-request', { body: { email: user.email } })
      expect(answer.status).toBe(202)
      await eventually(() => here.system.output().includes('mail.failed'))
      await here.system.kill('auth')
      server.listen(port, '127.0.0.1')
      await here.system.start('auth')
      const mail = await eventually(() => receivedBy(user.email))
      expect(mail).toMatchObject({ from: 'accounts@example.org', to: [user.email] })
      const token = resetLinkIn(mail.text).searchParams.get('token') ?? ''
      const done = await auth('POST /auth/password-reset-confirm', { body: { token, new_password: NEW } })
      expect(done.status).toBe(204)
      expect((await logIn(here.system, user.email, NEW)).status).toBe(200)
    })

    test('a mail is sent at once while the server is up, and no file is written', async () => {
      const user = await registerUser(here.system)
      await auth('POST /auth/password-reset-request', { body: { email: user.email } })
      const mail = await eventually(() => receivedBy(user.email))
      expect(resetLinkIn(mail.text).origin).toBe('https://app.example.org')
      expect(mails(here.system)).toEqual([])
      expect(here.system.output().includes(String(resetLinkIn(mail.text).searchParams.get('token')))).toBe(false)
    })
  })
})

/** The versions from which sessions and tokens are valid. */
const MARKS = { sessions_from: 2, session_kept: null, all_sessions_from: 2, tokens_from: 2 }

test('a link works when it was sent before auth received the record of the user', async () => {
  const email = newEmail()
  const id = Bun.randomUUIDv7()
  const at = new Date().toISOString()
  const user = { email, username: null, name: null, roles: ['USER'], status: 'active', created_at: at, updated_at: at }
  const read = { ...user, email_verified: false, has_password: false }
  const record = { user_id: id, ...read, password_hash: null, password_version: 3 }
  /** Stands in for a users service that answers auth, and whose notices are late. */
  const answers: Record<string, Response | object> = {
    [`/api/v1/users/by-email/${encodeURIComponent(email)}`]: { id, ...read },
    [`/api/v1/users/${id}/password-hash`]: record,
    [`/api/v1/users/${id}/proof`]: { outcome: 'proved', record: { ...record, ...MARKS }, was_verified: false },
    '/api/v1/users/password-hashes': { items: [], next_cursor: null },
  }
  const users = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    fetch(request) {
      const { pathname } = new URL(request.url)
      return Response.json(answers[pathname] ?? {})
    },
  })
  const settings = (name: string) => (name === 'auth' ? { USERS_URL: `http://127.0.0.1:${users.port}` } : {})
  const system = await inProcess({}, { layout: 'apart', settingsOf: settings })
  try {
    const auth = (request: string, options = {}) => call(system.url.auth, request.replace(' ', ' /api/v1'), options)
    const confirm = async (token: string) =>
      (await auth('POST /auth/password-reset-confirm', { body: { token, new_password: NEW } })).status
    const syncRecord = async (fields: object) => {
      const body = { ...record, ...MARKS, ...fields }
      expect((await auth('POST /auth/sync/password', { headers: as.internal, body })).status).toBe(204)
    }
    const first = await mailedToken(auth, system, email)
    await syncRecord({})
    expect(await confirm(first)).toBe(204)
    // A change that ends the sessions after the link was sent voids the link.
    const second = await mailedToken(auth, system, email)
    await syncRecord({ password_version: 4, sessions_from: 4 })
    expect(await confirm(second)).toBe(400)
  } finally {
    await system.stop()
    await users.stop(true)
  }
}, 120_000)
