import { afterAll, describe, expect, test } from 'bun:test'
import { SMTPServer } from 'smtp-server'
import { createUser, newEmail, PASSWORD } from '../support/actors.ts'
import { eventually, PROMPT } from '../support/eventually.ts'
import { as } from '../support/http.ts'
import { mailsTo, readMail } from '../support/mails.ts'
import { running } from '../support/running.ts'
import { freePort } from '../support/servers/ports.ts'
import { inProcess, inProcessApart } from '../support/system.ts'

const NEW = 'another horse entirely'

describe('changes of the password and the email', () => {
  const here = running(inProcessApart)
  const { auth, users } = here
  const change = (id: string, headers: Record<string, string>, body: unknown, method = 'PATCH') =>
    users(`${method} /users/${id}`, { headers, body })

  test('check 4: the owner of a session cannot set a password without the current one', async () => {
    const { email, id, tokens } = await createUser(here.system)
    const headers = as.bearer(tokens.access_token)
    const tries: [string, unknown][] = [
      ['change-password', { new_password: NEW }],
      ['change-password', { current_password: 'not the one', new_password: NEW }],
      ['change-password', { current_password: '', new_password: NEW }],
      ['change-password', { current_password: null, new_password: NEW }],
      ['set-password', { new_password: NEW }],
      ['password', { new_password: NEW }],
    ]
    for (const [path, body] of tries) {
      const { status } = await users(`POST /users/${id}/${path}`, { headers, body })
      expect([path, status, status >= 400 && status < 500]).toEqual([path, status, true])
    }
    for (const field of ['password', 'password_hash', 'new_password'])
      expect((await change(id, headers, { [field]: NEW })).status).toBeOneOf([400, 403])
    const login = (password: string) => auth('POST /auth/login', { body: { email, password } })
    expect((await login(NEW)).status).toBe(401)
    expect((await login(PASSWORD)).status).toBe(200)
  })

  /** Changes another user's email and waits for the notice: then no notice of an earlier change is still under way. */
  const laterNoticeArrived = async () => {
    const other = await createUser(here.system)
    await change(other.id, as.operator, { email: newEmail() })
    await eventually(() => mailsTo(here.system, other.email)[0])
  }

  const OWNER = 'its owner'
  test.each([
    [OWNER, 'PATCH'],
    [OWNER, 'PUT'],
    ['an operator', 'PATCH'],
  ])('check 4: when %s changes the email by %s, a notice goes to the old address alone', async (who, method) => {
    const { email, id, tokens } = await createUser(here.system)
    const next = newEmail()
    const headers = who === OWNER ? as.bearer(tokens.access_token) : as.operator
    const sent = { ...headers, 'x-request-id': `change-${id}` }
    expect((await change(id, sent, { email: next }, method)).status).toBe(200)
    const mail = readMail(await eventually(() => mailsTo(here.system, email)[0]))
    expect(mail).toContain('Subject: The email address of your Ch202 account was changed')
    // The notice gives no access to the account, and does not contain the new address.
    for (const absent of [next, 'http', 'token=', id]) expect(mail).not.toContain(absent)
    await laterNoticeArrived()
    expect(mailsTo(here.system, email)).toHaveLength(1)
    // The new address gets a mail to verify it, and no notice.
    await eventually(() => mailsTo(here.system, next, 'verify-email')[0])
    expect(mailsTo(here.system, next)).toHaveLength(1)
  })

  test.each<[string, (email: string) => Record<string, unknown>]>([
    ['the same address', (email) => ({ email })],
    ['the same in another case', (email) => ({ email: email.toUpperCase() })],
    ['another name', () => ({ name: 'Ana' })],
    ['an address that is taken', () => ({ email: 'taken@example.org' })],
    ['a malformed address', () => ({ email: 'a@b@c' })],
  ])('send no mail for %s', async (_, body) => {
    await users('POST /users', { headers: as.operator, body: { email: 'taken@example.org', password: PASSWORD } })
    const { email, id, tokens } = await createUser(here.system)
    await change(id, as.bearer(tokens.access_token), body(email))
    await laterNoticeArrived()
    expect(mailsTo(here.system, email)).toEqual([])
  })

  test('check 4: the notice about a change while auth was down is sent when auth is back', async () => {
    const { email, id } = await createUser(here.system)
    await here.system.kill('auth')
    const before = mailsTo(here.system, email).length
    expect((await change(id, as.operator, { email: newEmail() })).status).toBe(200)
    await here.system.kill('users')
    await Promise.all([here.system.start('auth'), here.system.start('users')])
    await eventually(() => mailsTo(here.system, email)[before])
    expect(mailsTo(here.system, email)).toHaveLength(before + 1)
  })
})

describe('a mail server that refuses some mailboxes', () => {
  const port = freePort()
  const here = running(inProcess, { SMTP_URL: `smtp://127.0.0.1:${port}` })
  const attempts = new Map<string, number>()
  const received: string[] = []
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS', 'AUTH'],
    onRcptTo({ address }, _, done) {
      attempts.set(address, (attempts.get(address) ?? 0) + 1)
      if (/^gone/.test(address)) return done(Object.assign(new Error('No such mailbox'), { responseCode: 550 }))
      if (/^full/.test(address)) return done(Object.assign(new Error('Mailbox full'), { responseCode: 452 }))
      received.push(address)
      done()
    },
    onData(stream, _, done) {
      stream.resume()
      stream.on('end', () => done())
    },
  })
  server.listen(port, '127.0.0.1')
  afterAll(() => new Promise<void>((resolve) => server.close(resolve)))
  const requestReset = async (email: string) => {
    await here.users('POST /users', { headers: as.operator, body: { email, password: PASSWORD } })
    return here.auth('POST /auth/password-reset-request', { body: { email } })
  }

  test('refused mails delay no other; temporary refusals are retried, permanent ones are not', async () => {
    const refused = Array.from({ length: 30 }, (_, index) => `${index % 2 ? 'gone' : 'full'}-${index}@example.org`)
    for (const email of refused) expect((await requestReset(email)).status).toBe(202)
    await eventually(() => refused.every((email) => attempts.has(email)))
    const good = newEmail()
    const began = performance.now()
    await requestReset(good)
    await eventually(() => received.includes(good))
    expect(performance.now() - began).toBeLessThan(PROMPT)
    // A retry follows after half a minute, or after a restart.
    await here.system.kill('auth')
    await here.system.start('auth')
    await eventually(() => refused.filter((email) => /^full/.test(email)).every((email) => attempts.get(email) === 2))
    expect(refused.filter((email) => /^gone/.test(email)).map((email) => attempts.get(email))).toEqual(
      Array(15).fill(1),
    )
  })
})
