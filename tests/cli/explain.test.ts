import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { createUser, newEmail, PASSWORD, registerUser } from '../support/actors.ts'
import { eventually } from '../support/eventually.ts'
import { enrolApp, enrolPasskey } from '../support/factors.ts'
import { as, call, form } from '../support/http.ts'
import { mailsTo, RESET_PAGE, resetLinkIn } from '../support/mails.ts'
import { basic, type OAuthClient, requestToken } from '../support/oauth/clients.ts'
import { authorizationOf, CALLBACK, createApp, PKCE, sentTo } from '../support/oauth/code-flow.ts'
import { ScriptedMailServer } from '../support/servers/mail-server.ts'
import { freePort } from '../support/servers/ports.ts'
import { openInstance } from '../support/shell.ts'
import { launch, ownSettings, runTool } from '../support/tool.ts'

setDefaultTimeout(120_000)

let instance: Awaited<ReturnType<typeof openInstance>>
beforeAll(async () => {
  const env = { EMAIL_LOGIN: 'on', RATE_LIMIT: 'on', TRUSTED_PROXIES: '127.0.0.1', SMTP_URL: 'smtp://127.0.0.1:1' }
  instance = await openInstance('explain', env)
})
afterAll(() => instance?.close())

const WRONG = 'not the password of anyone'
const HOME = '198.51.100.1'

/** Logs in from an address. Gives the status. */
async function logIn(login: string, password: string, more: { from?: string; id?: string } = {}): Promise<number> {
  const { from = HOME, id } = more
  const headers = { 'x-forwarded-for': from, ...(id === undefined ? {} : { 'x-request-id': id }) }
  const answer = await call(instance.system.url.auth, 'POST /api/v1/auth/login', { headers, body: { login, password } })
  return answer.status
}

async function fail(login: string, n: number, more: { from?: string; id?: string } = {}): Promise<void> {
  for (let i = 0; i < n; i++) expect(await logIn(login, WRONG, more)).toBe(401)
}

const asOperator = async (request: string, body?: unknown) => {
  const base = request.includes('/users') ? instance.system.url.users : instance.system.url.auth
  const answer = await call(base, request.replace(' ', ' /api/v1'), { headers: as.operator, body })
  expect([request, answer.status < 300]).toEqual([request, true])
  return answer.body
}
const status = (id: string, to: 'active' | 'disabled') => asOperator(`PATCH /users/${id}`, { status: to })
const explain = async (subject: string, env: Record<string, string> = instance.shell.env) => {
  const ended = await runTool(['audit', 'explain', subject, '-o', 'json'], { env })
  expect(ended.stderr).toBe('')
  for (const secret of [PASSWORD, WRONG, '$2b$', as.operator['x-api-key']]) expect(ended.stdout).not.toContain(secret)
  return { exit: ended.status, ...JSON.parse(ended.stdout) }
}

const international = () => `ivan-${Math.random().toString(36).slice(2, 10)}@пример.рф`
const ascii = (email: string) => email.replace('пример.рф', 'xn--e1afmkfd.xn--p1ai')

/** More than may come from one address. */
let flood: Promise<string> | undefined
function floodedAddress(): Promise<string> {
  flood ??= (async () => {
    const from = '203.0.113.9'
    const tenOfStrangers = async () => {
      for (let i = 0; i < 10; i++) await fail(newEmail(), 1, { from })
    }
    await Promise.all(Array.from({ length: 30 }, tenOfStrangers))
    return from
  })()
  return flood
}

async function imported(fields: Record<string, unknown>): Promise<{ id: string; email: string }> {
  const email = newEmail()
  const line = { email, password_hash: await Bun.password.hash(PASSWORD, { algorithm: 'bcrypt', cost: 4 }), ...fields }
  const { body } = await call(instance.system.url.users, 'POST /api/v1/users/import', {
    headers: { ...as.operator, 'content-type': 'application/x-ndjson' },
    body: JSON.stringify(line),
  })
  expect(body.status).toBe('created')
  return { id: body.id, email }
}

interface Case {
  it: string
  /** Creates the situation. Gives the subject, and the email that the answer must name if it differs. */
  given: () => Promise<string | [subject: string, email: string]>
  reason: string
  /** `EMAIL` stands for the email. */
  says: RegExp
  fix: string | null
}

const LONG_AGO = '2026-01-01T00:00:00.000Z'

const CASES: Case[] = [
  {
    it: 'no one has that name',
    given: async () => {
      const email = newEmail()
      await fail(email, 2)
      return email
    },
    reason: 'no_such_user',
    says: /^There is no user EMAIL\. Someone tried to log in 2 times, last at .* from 198\.51\.100\.1\.$/,
    fix: 'ch202 users create EMAIL --generate',
  },
  {
    it: 'R20: no one has the email, in any spelling',
    given: async () => {
      const email = international()
      await fail(email, 1)
      await fail(ascii(email), 1)
      return [`${email} `, email]
    },
    reason: 'no_such_user',
    says: /^There is no user EMAIL\. Someone tried to log in 2 times, last at /,
    fix: "ch202 users create 'EMAIL' --generate",
  },
  {
    it: 'R20: the password is wrong, for an email in another spelling',
    given: async () => {
      const email = international()
      await registerUser(instance.system, { email })
      await fail(email, 1)
      await fail(ascii(email), 1)
      return [ascii(email), email]
    },
    reason: 'wrong_password',
    says: /^The password of EMAIL was wrong 2 times, /,
    fix: "ch202 users send-reset 'EMAIL'",
  },
  {
    it: 'the name is misspelt',
    given: async () => {
      const { email } = await registerUser(instance.system)
      return [email.replace('example', 'exmaple'), email]
    },
    reason: 'no_such_user',
    says: /Did you mean EMAIL\?$/,
    fix: 'ch202 audit explain EMAIL',
  },
  {
    it: 'the password is wrong',
    given: async () => {
      const { email } = await createUser(instance.system)
      await fail(email, 3)
      return email
    },
    reason: 'wrong_password',
    says: /^The password of EMAIL was wrong 3 times, last at \S+ \S+Z from 198\.51\.100\.1\.$/,
    fix: 'ch202 users send-reset EMAIL',
  },
  {
    it: 'the password is wrong, for a username',
    given: async () => {
      const username = `u${Date.now().toString(36)}`
      const { email } = await registerUser(instance.system, { username })
      await fail(username, 1)
      return [username, email]
    },
    reason: 'wrong_password',
    says: /EMAIL was wrong once,/,
    fix: 'ch202 users send-reset EMAIL',
  },
  {
    it: 'the old password is tried',
    given: async () => {
      const { email, id } = await registerUser(instance.system)
      await asOperator(`POST /users/${id}/set-password`, { new_password: 'quite another one' })
      await fail(email, 1)
      return [id, email]
    },
    reason: 'wrong_password',
    says: /It was changed at .*, by operator: they may be using the old one/,
    fix: 'ch202 users send-reset EMAIL',
  },
  {
    it: 'R23: there is no password',
    given: async () => {
      const email = newEmail()
      const { id } = await asOperator('POST /users', { email })
      await call(instance.system.url.auth, 'POST /api/v1/admin/password-cache/sync', {
        headers: as.operator,
        body: { user_id: id },
      })
      await fail(email, 2)
      return email
    },
    reason: 'no_password',
    says: /^EMAIL had no password, and tried to log in 2 times, last at .* A reset link lets them set one\.$/,
    fix: 'ch202 users send-reset EMAIL',
  },
  {
    it: 'the password has been set since',
    given: async () => {
      const { email, id } = await registerUser(instance.system)
      await fail(email, 1)
      await asOperator(`POST /users/${id}/set-password`, { new_password: 'quite another one' })
      await rowOf(id, 'password.set')
      return email
    },
    reason: 'password_changed_since',
    says: /The password was changed at .*, with no attempt since\.$/,
    fix: 'ch202 users send-reset EMAIL',
  },
  {
    it: 'too many logins failed: the account is paused',
    given: async () => {
      const { email } = await registerUser(instance.system)
      await fail(email, 10)
      expect(await logIn(email, PASSWORD)).toBe(429)
      return email
    },
    reason: 'account_paused',
    says: /^Logins of EMAIL are locked until .*: 10 failed within a day, last at .* from 198\.51\.100\.1\./,
    fix: 'ch202 users send-reset EMAIL',
  },
  {
    it: 'too many logins failed from that address',
    given: async () => {
      const { email } = await registerUser(instance.system)
      expect(await logIn(email, PASSWORD, { from: await floodedAddress() })).toBe(429)
      return email
    },
    reason: 'address_paused',
    says: /EMAIL at .* came from 203\.0\.113\.9, .* locked until .*TRUSTED_PROXIES/,
    fix: 'ch202 audit list --type login.failed --since 1h',
  },
  {
    it: 'the account is disabled',
    given: async () => {
      const { email, id } = await registerUser(instance.system)
      await status(id, 'disabled')
      await rowOf(id, 'user.disabled')
      expect(await logIn(email, PASSWORD)).toBe(403)
      return email
    },
    reason: 'account_disabled',
    says: /^EMAIL is disabled since .*, by operator:/,
    fix: 'ch202 users enable EMAIL',
  },
  {
    it: 'the account was disabled then',
    given: async () => {
      const { email, id } = await registerUser(instance.system)
      await status(id, 'disabled')
      expect(await logIn(email, PASSWORD)).toBe(403)
      await status(id, 'active')
      return email
    },
    reason: 'was_disabled',
    says: /EMAIL was disabled at their last attempt, .* active now/,
    fix: 'ch202 sessions list --user EMAIL',
  },
  {
    it: 'auth has an older record than users',
    given: async () => {
      const { email, id } = await imported({ created_at: LONG_AGO, updated_at: LONG_AGO })
      const user = await asOperator(`GET /users/${id}`)
      const { id: user_id, ...rest } = user
      const body = { ...rest, user_id, status: 'disabled', password_hash: '$2b$04$another', password_version: 99 }
      await call(instance.system.url.auth, 'POST /auth/sync/password', { headers: as.internal, body })
      return email
    },
    reason: 'cache_behind',
    says: /^Auth's cache is out of date: it has another status for EMAIL/,
    fix: 'ch202 cache sync --user EMAIL',
  },
  {
    it: 'the mail with the link is not sent',
    given: async () => {
      const { email, id } = await registerUser(instance.system)
      await fail(email, 1)
      const body = { email }
      await call(instance.system.url.auth, 'POST /api/v1/auth/password-reset-request', { body })
      await rowOf(id, 'password.reset_requested', 2)
      return email
    },
    reason: 'reset_mail_failing',
    says: /EMAIL requested a password reset, but the email .* could not be sent: tried (once|\d+ times)/,
    fix: 'ch202 users set-password EMAIL --generate',
  },
  {
    it: 'nothing is wrong',
    given: async () => {
      const { email } = await registerUser(instance.system)
      await fail(email, 1)
      expect(await logIn(email, PASSWORD)).toBe(200)
      return email
    },
    reason: 'no_failure',
    says: /^Nothing is wrong: EMAIL is active, and last logged in at .* from 198\.51\.100\.1\.$/,
    fix: 'ch202 sessions list --user EMAIL',
  },
  {
    it: 'no one has tried to log in',
    given: async () => (await imported({})).email,
    reason: 'no_login_tried',
    says: /EMAIL is active and has never tried/,
    fix: 'ch202 users send-reset EMAIL',
  },
  {
    it: 'a request with a wrong password, which started a pause',
    given: async () => {
      const [id, { email }] = [crypto.randomUUID(), await registerUser(instance.system)]
      await fail(email, 9)
      await fail(email, 1, { id })
      return [id, email]
    },
    reason: 'wrong_password',
    says: /^The password of EMAIL was wrong at .* from 198\.51\.100\.1\. This locked logins until/,
    fix: 'ch202 users send-reset EMAIL',
  },
  {
    it: 'a request with an unknown name',
    given: async () => {
      const [id, email] = [crypto.randomUUID(), newEmail()]
      await fail(email, 1, { id })
      return [id, email]
    },
    reason: 'no_such_user',
    says: /^There was no user EMAIL at/,
    fix: 'ch202 audit explain EMAIL',
  },
  {
    it: 'a request of a disabled account',
    given: async () => {
      const [request, { email, id }] = ['req-disabled', await registerUser(instance.system)]
      await status(id, 'disabled')
      expect(await logIn(email, PASSWORD, { id: request })).toBe(403)
      return [request, email]
    },
    reason: 'account_disabled',
    says: /^The password of EMAIL was correct at .*, but the account was disabled\.$/,
    fix: 'ch202 users enable EMAIL',
  },
  {
    it: 'a request of a paused account',
    given: async () => {
      const [id, { email }] = [crypto.randomUUID(), await registerUser(instance.system)]
      await fail(email, 10)
      expect(await logIn(email, PASSWORD, { id })).toBe(429)
      return [id, email]
    },
    reason: 'account_paused',
    says: /EMAIL at .* was refused without checking the password: after too many failures, .* locked until/,
    fix: 'ch202 users send-reset EMAIL',
  },
  {
    it: 'a request from an address that must wait',
    given: async () => {
      const [id, email] = [crypto.randomUUID(), newEmail()]
      expect(await logIn(email, PASSWORD, { id, from: await floodedAddress() })).toBe(429)
      return [id, email]
    },
    reason: 'address_paused',
    says: /^A login at .* came from 203\.0\.113\.9/,
    fix: 'ch202 audit list --type login.failed --since 1h',
  },
  {
    it: 'a request that succeeded',
    given: async () => {
      const [id, { email }] = [crypto.randomUUID(), await registerUser(instance.system)]
      expect(await logIn(email, PASSWORD, { id })).toBe(200)
      return [id, email]
    },
    reason: 'no_failure',
    says: /^The login of EMAIL succeeded at/,
    fix: 'ch202 sessions list --user EMAIL',
  },
  {
    it: 'a request that was not a login',
    given: async () => {
      const [request, { email, id }] = [crypto.randomUUID(), await registerUser(instance.system)]
      const headers = { ...as.operator, 'x-request-id': request }
      await call(instance.system.url.users, `PATCH /users/${id}`, { headers, body: { roles: ['EDITOR'] } })
      await rowOf(id, 'user.roles_changed')
      return [request, email]
    },
    reason: 'not_a_login',
    says: /^This request was not a failed login: .*user\.roles_changed of EMAIL by operator/,
    fix: 'ch202 audit list --user EMAIL',
  },
]

/** Requests about a client, each with its sentence. EMAIL stands for the name of the client. */
const CLIENT_CASES: Case[] = (
  [
    ['client.created', '', undefined, /^This request was no login: it created the client EMAIL, by operator, at/],
    ['client.updated', 'PATCH', { scopes: ['metrics'] }, /it changed the client EMAIL: scopes, by operator/],
    [
      'client.secret_rotated',
      'POST /secret',
      {},
      /it gave the client EMAIL another secret; the one before works until/,
    ],
    ['client.secret_rotated', 'POST /secret', { only: true }, /another secret; all others stopped working at once, by/],
    ['client.token_revoked', 'revoke', undefined, /it revoked an access token of the client EMAIL, by/],
    ['client.deleted', 'DELETE', undefined, /it deleted the client [0-9a-f-]{36}; its tokens are refused, by operator/],
  ] as const
).map(([type, way, body, says]) => ({
  it: `${type} ${JSON.stringify(body ?? '')}`,
  given: async () => {
    const [request, name] = [crypto.randomUUID(), `client-${crypto.randomUUID()}`]
    await requestAboutClient(request, name, way, body)
    return [request, name]
  },
  reason: 'not_a_login',
  says,
  fix: type === 'client.deleted' ? 'ch202 audit list --type client.deleted' : 'ch202 clients get EMAIL',
}))

/** Requests about the access of an app to a user, each with its sentence. EMAIL stands for the name of the app. */
const GRANT_CASES: Case[] = (
  [
    ['grant.consented', /it allowed the client EMAIL: openid, offline_access, by user:/],
    ['grant.issued', /it gave the client EMAIL tokens of a user, by/],
    ['grant.ended', /it took away the access of the client EMAIL to a user, by user:/],
    ['grant.token_revoked', /it ended the access of the client EMAIL to a user, which it does not need any more, by/],
    ['grant.code_reused', /it had a code of the client EMAIL that was used before; the access that it gave has ended/],
    ['grant.reuse_detected', /it had a refresh token of the client EMAIL that was used before; the access to its user/],
  ] as const
).map(([type, says]) => ({
  it: type,
  given: async () => {
    const request = crypto.randomUUID()
    return [request, await requestAboutGrant(request, type)]
  },
  reason: 'not_a_login',
  says,
  fix: 'ch202 clients get EMAIL',
}))

const ALL_CASES = [...CASES, ...CLIENT_CASES, ...GRANT_CASES]

/** Gives an app access to a user, and makes a request about it with this id. @returns the name of the app */
async function requestAboutGrant(id: string, type: string): Promise<string> {
  const { system } = instance
  const marked = { 'x-request-id': id }
  const markedIf = (isThis: boolean): Record<string, string> => (isThis ? marked : {})
  const app = await createApp(system, { name: `app-${crypto.randomUUID()}`, first_party: false })
  const { name } = app as OAuthClient & { name: string }
  const { access_token } = (await registerUser(system)).tokens
  const send = (request: string, headers: Record<string, string>, body?: object) =>
    call(system.url.auth, request, { headers: { ...as.bearer(access_token), ...headers }, ...(body ? { body } : {}) })
  const authorization = { ...authorizationOf(app, { scope: 'openid offline_access' }), consent: 'given' }
  const code =
    sentTo(await send('POST /auth/authorizations', markedIf(type === 'grant.consented'), authorization)).get('code') ??
    ''
  const fields = { grant_type: 'authorization_code', code, redirect_uri: CALLBACK, code_verifier: PKCE.verifier }
  const secret = basic(app.id, app.client_secret)
  const ask = (parameters: Record<string, string>, headers: Record<string, string> = {}) =>
    requestToken(system, parameters, { ...secret, ...headers })
  let { refresh_token } = (await ask(fields, markedIf(type === 'grant.issued'))).body
  if (type === 'grant.code_reused') await ask(fields, marked)
  if (type === 'grant.token_revoked')
    await call(system.url.auth, 'POST /auth/revoke', form({ token: refresh_token }, { ...secret, ...marked }))
  if (type === 'grant.ended') {
    const [grant] = (await send('GET /auth/grants', {})).body.items
    await send(`DELETE /auth/grants/${grant.id}`, marked)
  }
  if (type === 'grant.reuse_detected') {
    const first = refresh_token
    for (let n = 0; n < 2; n++)
      refresh_token = (await ask({ grant_type: 'refresh_token', refresh_token })).body.refresh_token
    await ask({ grant_type: 'refresh_token', refresh_token: first }, marked)
  }
  return name
}

/** Creates a client, and makes a request about it with this id. @param way of a change, what follows the client's path */
async function requestAboutClient(id: string, name: string, way: string, body: object | undefined): Promise<void> {
  const { auth } = instance.system.url
  const headers = { ...as.operator, 'x-request-id': id }
  const create = { headers: way === '' ? headers : as.operator, body: { name, scopes: ['users:read'] } }
  const client = (await call(auth, 'POST /admin/clients', create)).body
  if (way === '') return
  if (way !== 'revoke') {
    const [method = '', rest = ''] = way.split(' ')
    const answer = await call(auth, `${method} /admin/clients/${client.id}${rest}`, { headers, body })
    expect([way, answer.status < 300]).toEqual([way, true])
    return
  }
  const form = (fields: Record<string, string>, headers: Record<string, string> = {}) => ({
    headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
    body: new URLSearchParams(fields).toString(),
  })
  const credentials = { client_id: client.id, client_secret: client.client_secret }
  await call(auth, `PATCH /admin/clients/${client.id}`, {
    headers: as.operator,
    body: { token_auth_method: 'client_secret_post' },
  })
  const token = await call(auth, 'POST /oauth/token', form({ grant_type: 'client_credentials', ...credentials }))
  expect(token.status).toBe(200)
  const revoked = await call(
    auth,
    'POST /auth/revoke',
    form({ token: token.body.access_token }, { 'x-request-id': id }),
  )
  expect(revoked.status).toBe(200)
}

/** Waits for rows that come from another service, or later. */
async function rowOf(user_id: string, type: string, n = 1): Promise<void> {
  const query = `GET /admin/audit?user_id=${user_id}&type=${type}`
  await eventually(async () => (await asOperator(query)).items.length >= n || undefined)
}

describe('ch202 audit explain, of a mail with a link', () => {
  const mailServer = new ScriptedMailServer()
  const port = freePort()
  let other: Awaited<ReturnType<typeof openInstance>>
  beforeAll(async () => {
    other = await openInstance('explain-mails', { SMTP_URL: `smtp://127.0.0.1:${port}` })
  })
  afterAll(async () => {
    await other?.close()
    mailServer.stop()
  })
  const items = async (path: string) => (await call(other.system.url.auth, path, { headers: as.operator })).body.items
  const withRequest = async () => {
    const { email, id } = await createUser(other.system)
    await call(other.system.url.auth, 'POST /api/v1/auth/login', { body: { login: email, password: WRONG } })
    await call(other.system.url.auth, 'POST /api/v1/auth/password-reset-request', { body: { email } })
    const isMail = (status: string, least: number) =>
      eventually(async () => {
        const [mail] = await items(`GET /admin/mails?user_id=${id}&kind=password_reset`)
        return mail?.status === status && mail.tries >= least
      })
    return { email, isMail }
  }

  test('goes by its state: one that was sent at a later attempt is not failing, one that was refused at once is', async () => {
    const late = await withRequest()
    await late.isMail('queued', 2)
    await mailServer.start(port)
    await late.isMail('sent', 3)
    expect(await explain(late.email, other.shell.env)).toMatchObject({
      reason: 'wrong_password',
      explanation: expect.stringContaining('A reset link was requested'),
    })
    mailServer.script = { RCPT: '550 5.1.1 no such mailbox' }
    const refused = await withRequest()
    await refused.isMail('failed', 1)
    expect(await explain(refused.email, other.shell.env)).toMatchObject({
      reason: 'reset_mail_failing',
      explanation: expect.stringContaining('tried once'),
    })
  })
})

describe('ch202 audit explain', () => {
  const explained = new Map<string, { email: string; answer: Awaited<ReturnType<typeof explain>> }>()
  beforeAll(async () => {
    // Before the others: a change of a user is answered after a second even if auth is too busy to have heard of it.
    await floodedAddress()
    await Promise.all(
      ALL_CASES.map(async ({ given: prepare, it }) => {
        const [subject, email] = [await prepare()].flat() as [string, string?]
        explained.set(it, { email: email ?? subject, answer: { asked: subject, ...(await explain(subject)) } })
      }),
    )
  }, 120_000)

  test.each(ALL_CASES)('$it', ({ it, fix, reason, says }) => {
    const { answer, email = '' } = explained.get(it) ?? {}
    const { asked: subject, ...explanation } = answer
    expect(explanation).toMatchObject({ exit: 0, subject: subject, reason })
    expect(String(explanation.explanation).replaceAll(email, 'EMAIL')).toMatch(says)
    expect(explanation.suggestion?.replaceAll(email, 'EMAIL') ?? null).toBe(fix)
    expect(Object.keys(explanation).sort()).toEqual([
      'evidence',
      'exit',
      'explanation',
      'reason',
      'subject',
      'suggestion',
    ])
    // Every cause is shown by rows.
    const hasEvidence = explanation.evidence.length > 0
    expect(hasEvidence).toBe(reason !== 'no_login_tried' && it !== 'the name is misspelt')
  })

  test.each(['00000000-0000-7000-8000-000000000000', 'no-such-request-0123456789-0123456789', 'nobody', 'a b'])(
    'exits 3 for %s, which is neither a user nor a request',
    async (subject) => {
      const { error, exit } = await explain(subject)
      expect(exit).toBe(3)
      expect(error).toMatchObject({ code: 'not_found', suggestion: expect.stringMatching(/^ch202 logs --request-id /) })
    },
  )

  test('prints the sentence, the command and the rows', async () => {
    const { email } = await registerUser(instance.system)
    await fail(email, 1)
    const { status, stderr, stdout } = await instance.shell.run(`ch202 audit explain ${email}`)
    expect([status, stderr]).toEqual([0, ''])
    const [sentence, command, row, ...rest] = stdout.trimEnd().split('\n')
    expect(sentence).toMatch(/^The password of \S+ was wrong once, last at .*\.$/)
    expect(command).toBe(`→ ch202 users send-reset ${email}`)
    expect(row).toMatch(/^\S+Z {2}login\.failed {2}198\.51\.100\.1 {2}\{"reason":"wrong_password"\}$/)
    expect(rest).toEqual([])
  })
})

describe('the suggested command', () => {
  /** Runs the suggested command, then explains the same subject again. */
  const mended = async (subject: string) => {
    const { suggestion } = await explain(subject)
    const { status, stdout } = await instance.shell.run(`${suggestion} -o json`)
    expect([suggestion, status]).toEqual([suggestion, 0])
    return JSON.parse(stdout)
  }

  test('S7: ends a pause, with a link that the user gets', async () => {
    // A system that writes its mails to files.
    const { close, shell, system } = await openInstance('explain-reset', { RATE_LIMIT: 'on' })
    const login = (password: string) =>
      call(system.url.auth, 'POST /api/v1/auth/login', { body: { login: email, password } })
    const { email } = await registerUser(system)
    for (let n = 0; n < 10; n++) await login(WRONG)
    expect((await login(PASSWORD)).status).toBe(429)
    const { suggestion } = await explain(email, shell.env)
    expect(suggestion).toBe(`ch202 users send-reset ${email}`)
    expect((await shell.run(suggestion)).status).toBe(0)
    const mail = await eventually(() => mailsTo(system, email, RESET_PAGE)[0])
    const body = { token: resetLinkIn(mail).searchParams.get('token'), new_password: 'another one altogether' }
    expect((await call(system.url.auth, 'POST /api/v1/auth/password-reset-confirm', { body })).status).toBe(204)
    expect((await login('another one altogether')).status).toBe(200)
    expect((await explain(email, shell.env)).reason).toBe('no_failure')
    await close()
  })

  test('lets a disabled user in', async () => {
    const { email, id } = await registerUser(instance.system)
    await status(id, 'disabled')
    await mended(email)
    expect(await logIn(email, PASSWORD)).toBe(200)
  })
})

describe('the API for operators reports', () => {
  const limits = (query: string) => asOperator(`GET /admin/login-limits?${query}`)
  const refused = async (query: string) => (await asOperator(`GET /admin/refused-logins?${query}`)).items

  test('a pause of an address as one row of the audit, without rows for the requests that it refuses', async () => {
    const address = await floodedAddress()
    const ids = Array.from({ length: 25 }, () => crypto.randomUUID())
    for (const id of ids) expect(await logIn(newEmail(), WRONG, { id, from: address })).toBe(429)
    const rows = (await asOperator('GET /admin/audit?type=login.paused&size=200')).items
    const rowsOfAddress = rows.filter(({ detail }: { detail: { address?: string } }) => detail.address === address)
    expect(rowsOfAddress).toHaveLength(1)
    expect(rowsOfAddress[0]).toMatchObject({ user_id: null, ip: address, detail: { until: expect.any(String) } })
    for (const id of ids.slice(0, 3)) expect((await asOperator(`GET /admin/audit?request_id=${id}`)).items).toEqual([])
    expect(await limits(`address=${address}`)).toEqual({
      user_id: null,
      address,
      failures: 300,
      last_failed_at: expect.any(String),
      paused_until: rowsOfAddress[0].detail.until,
    })
    // The IPv6 form of the same IPv4 address.
    expect(await limits(`address=::ffff:${address}`)).toMatchObject({ address, failures: 300 })
    // The last 20 requests of each address are kept: a flood removes only older ones of the same address.
    const refusedLogins = await refused(`address=${address}`)
    expect(refusedLogins.map(({ request_id }: { request_id: string }) => request_id)).toEqual(ids.slice(-20).reverse())
    expect(refusedLogins[0]).toMatchObject({ code: 'rate_limited', paused: 'address', user_id: null, ip: address })
  })

  test('a pause of an account as one row, even if the attempts arrive at once', async () => {
    for (let round = 0; round < 5; round++) {
      const { email, id } = await registerUser(instance.system)
      await Promise.all(Array.from({ length: 10 }, () => logIn(email, WRONG)))
      const { items } = await asOperator(`GET /admin/audit?user_id=${id}&type=login.paused`)
      expect(items).toHaveLength(1)
    }
  })

  test('failures of an account by its id and its names, and of an unknown name by that name', async () => {
    const { email, id } = await registerUser(instance.system)
    await fail(email, 2)
    for (const query of [`user_id=${id.toUpperCase()}`, `login=${email.toUpperCase()}`])
      expect(await limits(query)).toMatchObject({ user_id: id, address: null, failures: 2, paused_until: null })
    const unknownEmail = newEmail()
    await fail(unknownEmail, 10)
    const paused = await limits(`login=${unknownEmail}`)
    expect(paused).toMatchObject({ user_id: null, failures: 10 })
    expect(Date.parse(paused.paused_until) - Date.now()).toBeGreaterThan(30_000)
    expect(await limits(`login=${newEmail()}`)).toMatchObject({ failures: 0, last_failed_at: null, paused_until: null })
  })

  test.each(['', 'user_id=x', 'address=home', 'login=a&address=127.0.0.1', 'nothing=1', 'login='])(
    'limits for exactly one subject: %s is 400',
    async (query) => {
      for (const path of ['login-limits', 'refused-logins']) {
        const answer = await call(instance.system.url.auth, `GET /admin/${path}?${query}`, { headers: as.operator })
        expect([path, answer.status, answer.body.code]).toEqual([path, 400, 'validation_failed'])
      }
    },
  )
})

test('ch202 audit explain works while users is down, and while its notices do not arrive', async () => {
  const settings = ownSettings(instance.shell.fresh())
  const auth = launch([process.execPath, 'cli/main.ts', 'serve', 'auth'], { env: settings })
  await auth.printed(/ready at/)
  const [email, cachedEmail, id] = [newEmail(), newEmail(), crypto.randomUUID()]
  const login = await call(String(settings.AUTH_URL), 'POST /api/v1/auth/login', {
    headers: { 'x-request-id': id },
    body: { email, password: PASSWORD },
  })
  expect([login.status, login.body.code]).toEqual([503, 'users_unavailable'])
  const now = new Date().toISOString()
  const record = { user_id: crypto.randomUUID(), email: cachedEmail, username: null, name: null, roles: ['USER'] }
  await call(String(settings.AUTH_URL), 'POST /auth/sync/password', {
    headers: as.internal,
    body: {
      ...{ ...record, status: 'active', email_verified: false, created_at: now, updated_at: now },
      ...{ password_hash: '$2b$04$invalid', password_version: 1 },
    },
  })
  await call(String(settings.AUTH_URL), 'POST /api/v1/auth/login', { body: { email: cachedEmail, password: WRONG } })
  const [request, unknown, ofCachedEmail] = await Promise.all([
    explain(id, settings),
    explain(email, settings),
    explain(cachedEmail, settings),
  ])

  // Users is back, but its notices do not reach auth.
  const users = launch([process.execPath, 'cli/main.ts', 'serve', 'users'], {
    env: { ...settings, AUTH_URL: 'http://127.0.0.1:1' },
  })
  await users.printed(/ready at/)
  await call(String(settings.USERS_URL), 'POST /api/v1/users', {
    headers: as.operator,
    body: { email, password: PASSWORD },
  })
  await call(String(settings.AUTH_URL), 'POST /api/v1/auth/login', { body: { email, password: WRONG } })
  const unheard = await explain(email, settings)
  for (const one of [auth, users]) one.signal('SIGTERM')
  await Promise.all([auth.ended, users.ended])
  for (const { reason, suggestion } of [request, unknown])
    expect([reason, suggestion]).toEqual(['users_unavailable', 'ch202 health'])
  expect(request.evidence).toMatchObject([{ type: 'login.refused', detail: { code: 'users_unavailable' } }])
  expect(ofCachedEmail).toMatchObject({ exit: 0, reason: 'wrong_password' })
  expect(unheard).toMatchObject({ exit: 0, reason: 'wrong_password' })
  expect(unheard.evidence).toMatchObject([{ user_id: null, detail: { reason: 'unknown_or_wrong', email } }])
})

describe('R3: a name is found', () => {
  test.each([
    ['as long as an email may be', 'x'.repeat(240), 'x'.repeat(239)],
    ['longer than a search may be', `${'y'.repeat(100)}${'z'.repeat(110)}`, `${'y'.repeat(99)}a${'z'.repeat(110)}`],
  ])('that is %s', async (_, local, misspelt) => {
    const email = `${local}@example.org`
    await imported({ email })
    expect(await explain(email)).toMatchObject({ exit: 0, explanation: expect.stringContaining(email) })
    const near = await explain(`${misspelt}@example.org`)
    expect(near).toMatchObject({ reason: 'no_such_user', suggestion: `ch202 audit explain ${email}` })
    const dropped = await runTool(['cache', 'drop', `${misspelt}@example.org`], { env: instance.shell.env })
    expect([dropped.status, dropped.stderr]).toEqual([3, expect.stringContaining('There is no user')])
  })

  test('in characters of two code units', async () => {
    expect(await explain(`a${'𐐔'.repeat(9)}@example.org`)).toMatchObject({ reason: 'no_such_user' })
  })

  test('unless no user can have such a name', async () => {
    const { status, stderr } = await runTool(['audit', 'explain', `${'ж'.repeat(400)}@example.org`], {
      env: instance.shell.env,
    })
    expect([status, stderr]).toEqual([3, expect.stringContaining('There is no user and no request')])
  })
})

describe('13: a login with a second factor', () => {
  async function withApp() {
    const user = await createUser(instance.system, { email_verified: true })
    await enrolApp(instance.system, user.tokens.access_token, Date.now())
    return user
  }
  const answer = async (email: string, code: string, id = Bun.randomUUIDv7()) => {
    const base = instance.system.url.auth
    const headers = { 'x-forwarded-for': HOME, 'x-request-id': id }
    const login = await call(base, 'POST /api/v1/auth/login', { headers, body: { login: email, password: PASSWORD } })
    expect(login.body.code).toBe('second_factor_required')
    const { challenge_id } = login.body
    return (await call(base, 'POST /api/v1/auth/second-factor', { headers, body: { challenge_id, code } })).status
  }

  test('that asks for the code is no failure', async () => {
    const { email } = await withApp()
    expect(await logIn(email, PASSWORD)).toBe(403)
    const { explanation, reason } = await explain(email)
    expect([reason, explanation]).toEqual(['no_failure', expect.stringContaining('ask for a second factor')])
  })

  test('that failed by its code is no wrong password, and the answer names the reset', async () => {
    const { email } = await withApp()
    const id = `factor-${Bun.randomUUIDv7()}`
    expect([await answer(email, '000000'), await answer(email, 'none', id)]).toEqual([401, 401])
    const fix = `ch202 users factors reset ${email}`
    for (const subject of [email, id]) {
      const explained = await explain(subject)
      expect([explained.reason, explained.suggestion]).toEqual(['wrong_second_factor', fix])
      expect(explained.explanation).toStartWith(`${email} entered a wrong code of their second factor`)
    }
    expect((await explain(email)).explanation).toContain(' 2 times, last at ')
  })

  test('that is locked out by wrong codes names the reset too', async () => {
    const { email } = await withApp()
    for (let n = 0; n < 10; n++) expect(await answer(email, '000000')).toBe(401)
    const { explanation, reason, suggestion } = await explain(email)
    expect([reason, suggestion]).toEqual(['account_paused', `ch202 users factors reset ${email}`])
    expect(explanation).toContain('failed at the second factor')
  })

  test('with a passkey that was refused says why', async () => {
    const user = await createUser(instance.system, { email_verified: true })
    const passkey = await enrolPasskey(instance.system, user.tokens.access_token)
    const base = instance.system.url.auth
    const options = await call(base, 'POST /api/v1/auth/passkeys/login-options', { body: {} })
    const body = { credential: passkey.get(options.body) }
    const send = async () => (await call(base, 'POST /api/v1/auth/passkeys/login', { body })).status
    expect([await send(), await send()]).toEqual([200, 401])
    const { explanation, reason, suggestion } = await explain(user.email)
    expect([reason, suggestion]).toEqual(['wrong_passkey', `ch202 users factors reset ${user.email}`])
    expect(explanation).toContain('a passkey that answered twice')
  })
})

test('a wrong code of a mail is no wrong password', async () => {
  const { email } = await imported({})
  const base = instance.system.url.auth
  const { body } = await call(base, 'POST /api/v1/auth/email-code-request', { body: { email } })
  const guess = { challenge_id: body.challenge_id, code: 'none' }
  const id = `code-${Bun.randomUUIDv7()}`
  for (let n = 0; n < 2; n++) {
    const headers = { 'x-forwarded-for': HOME, 'x-request-id': id }
    const { status } = await call(base, 'POST /api/v1/auth/email-code-login', { headers, body: guess })
    expect(status).toBe(401)
  }
  // The audit row names the user once the mail has been written.
  const ofRequest = await explain(id)
  expect(['wrong_code', 'no_such_user']).toContain(ofRequest.reason)
  const again = await call(base, 'POST /api/v1/auth/email-code-login', { body: guess })
  expect(again.status).toBe(401)
  const ofUser = await explain(email)
  expect([ofUser.reason, ofUser.suggestion]).toEqual(['wrong_code', `ch202 users send-reset ${email}`])
  expect(ofUser.explanation).toStartWith(`${email} entered a wrong code of a mail`)
})
