import { describe, expect, test } from 'bun:test'
import { createUser, logIn, newEmail, PASSWORD, registerUser } from '../support/actors.ts'
import { type Challenged, challenged, invitation, nextMail, requested } from '../support/challenges.ts'
import { eventually } from '../support/eventually.ts'
import { expectFields, expectProblem, FIELDS, TIME } from '../support/expectations.ts'
import { as, call, jsonLines } from '../support/http.ts'
import { mailsTo } from '../support/mails.ts'
import { running } from '../support/running.ts'
import { inProcess } from '../support/system.ts'

const NEW = 'a wholly new password'
const NO_ONE = '0198c0de-0000-7000-8000-000000000000'
/** Valid in form, and of no mail. */
const NO_TOKEN = 'AAAAAAAAAAAAAAAAAAAAAA'
/** 128 bits. */
const CHALLENGE_ID = /^[\w-]{22}$/

/** Another code. */
const wrong = (code: string) => String((Number(code) + 1) % 1_000_000).padStart(6, '0')

const here = running(inProcess, { RATE_LIMIT: 'off', EMAIL_LOGIN: 'on' })
const { auth, users } = here
const post = (path: string, body?: object, headers = {}) => auth(`POST /auth/${path}`, { body, headers })
const read = async (id: string) => (await users(`GET /users/${id}`, { headers: as.operator })).body
const change = (id: string, body: object, headers = as.operator) => users(`PATCH /users/${id}`, { headers, body })
const inviting = (body: object, headers: Record<string, string> = as.operator) =>
  auth('POST /admin/invitations', { body, headers })
const amrOf = async (token: string) =>
  (await auth('POST /auth/introspect', { headers: as.operator, body: { token } })).body.amr

/** Registers a user. @returns them, with the code and the link of the mail */
async function registered(fields = {}) {
  const email = newEmail()
  let user = { id: '', email, tokens: { access_token: '', refresh_token: '' } }
  const mailed = await challenged(here.system, email, async () => {
    const answer = await post('register', { email, password: PASSWORD, ...fields })
    user = { ...user, ...answer.body }
    return answer
  })
  return { ...user, ...mailed }
}
const verified = () => createUser(here.system, { email_verified: true })
/** Waits until what was queued before has been sent, or has turned out to be for nobody. */
async function mailsSent() {
  const { email } = await registered()
  await post('password-reset-request', { email })
  await nextMail(here.system, email, 1)
}

/** The calls that take a code or a token, each with how a user gets one. */
const PROOFS = {
  'email-verification-confirm': { prepare: () => registered(), headers: () => ({}) },
  'email-code-login': {
    async prepare() {
      const user = await verified()
      return { ...user, ...(await requested(here.system, 'email-code-request', { email: user.email })) }
    },
    headers: () => ({}),
  },
  'email-change-confirm': {
    async prepare() {
      const user = await verified()
      const headers = as.bearer(user.tokens.access_token)
      return { ...user, ...(await requested(here.system, 'email-change-request', { new_email: newEmail() }, headers)) }
    },
    headers: ({ tokens }: { tokens: { access_token: string } }) => as.bearer(tokens.access_token),
  },
}

describe.each(Object.keys(PROOFS) as (keyof typeof PROOFS)[])('contract 12: POST /auth/%s', (path) => {
  const { headers, prepare } = PROOFS[path]
  const confirm = (body: object, user: { tokens: { access_token: string } }) => post(path, body, headers(user))

  test('takes the code or the token of the mail, and each once', async () => {
    const one = await prepare()
    expect([one.code, one.token]).toEqual([expect.stringMatching(/^\d{6}$/), expect.stringMatching(/^[\w-]{22}$/)])
    expect(one.challenge_id).toMatch(CHALLENGE_ID)
    expect((await confirm({ challenge_id: one.challenge_id, code: one.code }, one)).status).toBe(200)
    expectProblem(await confirm({ challenge_id: one.challenge_id, code: one.code }, one), 400, 'invalid_challenge')
    expectProblem(await confirm({ token: one.token }, one), 400, 'invalid_challenge')
    const other = await prepare()
    expect((await confirm({ token: other.token }, other)).status).toBe(200)
    expectProblem(await confirm({ token: other.token }, other), 400, 'invalid_challenge')
    expectProblem(
      await confirm({ challenge_id: other.challenge_id, code: other.code }, other),
      400,
      'invalid_challenge',
    )
  })

  test('a wrong code is 401, and may be followed by the right one', async () => {
    const user = await prepare()
    const { challenge_id, code } = user
    for (const typed of [wrong(code), '0', 'a code'])
      expectProblem(await confirm({ challenge_id, code: typed }, user), 401, 'invalid_code')
    expect((await confirm({ challenge_id, code }, user)).status).toBe(200)
  })

  test('an unknown challenge or token is 400', async () => {
    const user = await prepare()
    expectProblem(await confirm({ challenge_id: NO_TOKEN, code: user.code }, user), 400, 'invalid_challenge')
    expectProblem(await confirm({ token: NO_TOKEN }, user), 400, 'invalid_challenge')
    expectProblem(await confirm({ token: user.code }, user), 400, 'invalid_challenge')
  })

  test.each<[string, object]>([
    ['nothing', {}],
    ['a code alone', { code: '123456' }],
    ['a challenge alone', { challenge_id: NO_TOKEN }],
    ['a code and a token', { challenge_id: NO_TOKEN, code: '123456', token: NO_TOKEN }],
    ['a challenge and a token', { challenge_id: NO_TOKEN, token: NO_TOKEN }],
    ['a number as a code', { challenge_id: NO_TOKEN, code: 123456 }],
    ['an unknown field', { token: NO_TOKEN, email: 'ana@example.org' }],
  ])('%s is 400', async (_, body) => {
    const user = await verified()
    expectProblem(await confirm(body, user), 400, 'validation_failed')
  })
})

describe('contract 12: verification', () => {
  test('a registration answers with the id of its mail; code and link verify the address and end nothing', async () => {
    for (const by of ['code', 'token'] as const) {
      const ana = await registered()
      expect(ana.page).toBe('verify-email')
      const proof = by === 'code' ? { challenge_id: ana.challenge_id, code: ana.code } : { token: ana.token }
      const answer = await post('email-verification-confirm', proof)
      expect([answer.status, answer.body]).toEqual([200, { email: ana.email, email_verified: true }])
      expect((await read(ana.id)).email_verified).toBe(true)
      const me = await auth('GET /auth/me', { headers: as.bearer(ana.tokens.access_token) })
      expect([me.status, me.body.email_verified]).toEqual([200, true])
      expect((await logIn(here.system, ana.email)).status).toBe(200)
    }
  })

  test('is requested for the own address by a Bearer, with or without a body, and for any by anyone', async () => {
    const ana = await registered()
    const bearer = as.bearer(ana.tokens.access_token)
    const requests: [body: object | undefined, headers: object][] = [
      [undefined, bearer],
      [{}, bearer],
      [{ email: ana.email.toUpperCase() }, bearer],
      [{ email: ` ${ana.email} ` }, {}],
    ]
    const mails: Challenged[] = []
    for (const [body, headers] of requests)
      mails.push(
        await challenged(here.system, ana.email, async () => {
          const answer = await post('email-verification-request', body, headers)
          expect(answer.status).toBe(202)
          expectFields(answer.body, ['message', 'challenge_id'])
          expect(answer.body.challenge_id).toMatch(CHALLENGE_ID)
          return answer
        }),
      )
    expect(new Set(mails.flatMap(({ challenge_id, token }) => [challenge_id, token])).size).toBe(2 * mails.length)
    // A newer mail does not void an older one.
    expect((await post('email-verification-confirm', { token: ana.token })).status).toBe(200)
    const [first] = mails
    expect((await post('email-verification-confirm', { token: first?.token })).status).toBe(200)
  })

  test('nobody, without an address: 400; a token that is not valid: 401', async () => {
    const answer = await post('email-verification-request')
    expectProblem(answer, 400, 'validation_failed')
    expect(answer.body.message).toEqual(['email is required'])
    expectProblem(await post('email-verification-request', {}, as.bearer('x.y.z')), 401, 'invalid_token')
    expectProblem(await post('email-verification-request', { email: 'ana@' }), 400, 'validation_failed')
  })

  test('of a verified address: 409 to its owner, 202 and no mail to anyone else', async () => {
    const [ana, ben] = [await verified(), await verified()]
    const bearer = as.bearer(ana.tokens.access_token)
    expectProblem(await post('email-verification-request', undefined, bearer), 409, 'already_verified')
    expectProblem(await post('email-verification-request', { email: ana.email }, bearer), 409, 'already_verified')
    expect((await post('email-verification-request', { email: ana.email })).status).toBe(202)
    expect((await post('email-verification-request', { email: ben.email }, bearer)).status).toBe(202)
    await mailsSent()
    expect([mailsTo(here.system, ana.email), mailsTo(here.system, ben.email)]).toEqual([[], []])
  })

  test('of another address than the own, by a Bearer, goes to that address', async () => {
    const [ana, ben] = [await verified(), await registered()]
    const bearer = as.bearer(ana.tokens.access_token)
    const { token } = await requested(here.system, 'email-verification-request', { email: ben.email }, bearer)
    expect((await post('email-verification-confirm', { token })).body.email).toBe(ben.email)
    expect((await read(ben.id)).email_verified).toBe(true)
  })

  test('a code and a link become void when the email changes, also when it changes back', async () => {
    const ana = await registered()
    const next = newEmail()
    await change(ana.id, { email: next })
    const confirm = (body: object) => post('email-verification-confirm', body)
    expectProblem(await confirm({ token: ana.token }), 400, 'invalid_challenge')
    expectProblem(await confirm({ challenge_id: ana.challenge_id, code: ana.code }), 400, 'invalid_challenge')
    expect(await read(ana.id)).toMatchObject({ email: next, email_verified: false })
    await change(ana.id, { email: ana.email })
    expectProblem(await confirm({ token: ana.token }), 400, 'invalid_challenge')
    expect((await read(ana.id)).email_verified).toBe(false)
  })

  test('imports and operators who create users send no mail', async () => {
    const [imported, created, invited] = [newEmail(), newEmail(), newEmail()]
    await users('POST /users/import', jsonLines([{ email: imported, password: PASSWORD }]))
    await users('POST /users', { headers: as.operator, body: { email: created, password: PASSWORD } })
    await users('POST /users', { headers: as.operator, body: { email: invited } })
    await mailsSent()
    expect([imported, created, invited].map((email) => mailsTo(here.system, email))).toEqual([[], [], []])
  })

  test.each<[string, 'auth' | 'users', string, object]>([
    ['v0', 'auth', 'POST /auth/register', {}],
    ['the bare form', 'auth', 'POST /register', {}],
    ['POST /users', 'users', 'POST /api/v1/users', {}],
    ['POST /user/register', 'users', 'POST /user/register', {}],
    ['POST /user, v0', 'users', 'POST /user', {}],
  ])('a registration by %s sends the mail too', async (_, service, request) => {
    const email = newEmail()
    const answer = await call(here.system.url[service], request, { body: { email, password: PASSWORD } })
    expect([200, 201]).toContain(answer.status)
    const { page, token } = await nextMail(here.system, email)
    expect(page).toBe('verify-email')
    expect((await post('email-verification-confirm', { token })).body).toEqual({ email, email_verified: true })
  })
})

describe('contract 12: a code to log in', () => {
  test('opens a session by e-mail, which verifies the address', async () => {
    const email = newEmail()
    const { body: user } = await users('POST /users', { headers: as.operator, body: { email } })
    const answer = await post('email-code-request', { email: email.toUpperCase() })
    expect(answer.status).toBe(202)
    expectFields(answer.body, ['message', 'challenge_id'])
    const { code, page } = await nextMail(here.system, email)
    expect(page).toBe('sign-in-link')
    const login = await post('email-code-login', { challenge_id: answer.body.challenge_id, code })
    expect(login.status).toBe(200)
    expectFields(login.body, FIELDS.token)
    expect(await amrOf(login.body.access_token)).toEqual(['email'])
    expect(await read(user.id)).toMatchObject({ email_verified: true, has_password: false })
  })

  test('to a verified user keeps their password and sessions', async () => {
    const ana = await verified()
    const { token } = await requested(here.system, 'email-code-request', { email: ana.email })
    expect((await post('email-code-login', { token })).status).toBe(200)
    expect((await auth('GET /auth/me', { headers: as.bearer(ana.tokens.access_token) })).status).toBe(200)
    expect((await logIn(here.system, ana.email)).status).toBe(200)
  })
})

describe('contract 12: a change of the email', () => {
  const asking = (tokens: { access_token: string }, new_email: string) =>
    requested(here.system, 'email-change-request', { new_email }, as.bearer(tokens.access_token))

  test('goes to the new address, and changes nothing until it is proved', async () => {
    for (const by of ['code', 'token'] as const) {
      const ana = await verified()
      const next = newEmail()
      const before = await read(ana.id)
      const mailed = await asking(ana.tokens, next)
      expect(mailed.page).toBe('confirm-email')
      expect(await read(ana.id)).toEqual(before)
      const proof = by === 'code' ? { challenge_id: mailed.challenge_id, code: mailed.code } : { token: mailed.token }
      const answer = await post('email-change-confirm', proof, as.bearer(ana.tokens.access_token))
      expect(answer.status).toBe(200)
      expectFields(answer.body, FIELDS.user)
      expect(answer.body).toMatchObject({ id: ana.id, email: next, email_verified: true })
      expect(await read(ana.id)).toEqual(answer.body)
      expect((await logIn(here.system, next)).status).toBe(200)
      expectProblem(await logIn(here.system, ana.email), 401, 'invalid_credentials')
    }
  })

  test('to a taken address: the same answer, and no mail', async () => {
    const [ana, ben] = [await verified(), await verified()]
    const answer = await post('email-change-request', { new_email: ben.email }, as.bearer(ana.tokens.access_token))
    const free = await post('email-change-request', { new_email: newEmail() }, as.bearer(ana.tokens.access_token))
    expect([answer.status, answer.body.message]).toEqual([202, free.body.message])
    expect(answer.body.challenge_id).toMatch(CHALLENGE_ID)
    await mailsSent()
    expect(mailsTo(here.system, ben.email)).toEqual([])
  })

  test('to an address that was taken meanwhile: 409', async () => {
    const ana = await verified()
    const next = newEmail()
    const { token } = await asking(ana.tokens, next)
    await users('POST /users', { headers: as.operator, body: { email: next, password: PASSWORD } })
    const confirm = () => post('email-change-confirm', { token }, as.bearer(ana.tokens.access_token))
    expectProblem(await confirm(), 409, 'email_taken')
    expect((await read(ana.id)).email).toBe(ana.email)
    expectProblem(await confirm(), 409, 'email_taken')
  })

  test('needs a Bearer: no one, an operator and another user are refused', async () => {
    const [ana, ben] = [await verified(), await verified()]
    expectProblem(await post('email-change-request', { new_email: newEmail() }), 401, 'missing_token')
    expectProblem(await post('email-change-request', { new_email: newEmail() }, as.operator), 403, 'forbidden')
    const { challenge_id, code, token } = await asking(ana.tokens, newEmail())
    for (const body of [{ token }, { challenge_id, code }]) {
      expectProblem(await post('email-change-confirm', body), 401, 'missing_token')
      expectProblem(await post('email-change-confirm', body, as.operator), 403, 'forbidden')
      const byAnother = await post('email-change-confirm', body, as.bearer(ben.tokens.access_token))
      expectProblem(byAnother, 400, 'invalid_challenge')
    }
    expect((await read(ana.id)).email).toBe(ana.email)
    expect((await post('email-change-confirm', { token }, as.bearer(ana.tokens.access_token))).status).toBe(200)
  })

  test('a newer request voids the earlier one', async () => {
    const ana = await verified()
    const first = await asking(ana.tokens, newEmail())
    await asking(ana.tokens, newEmail())
    const confirm = await post('email-change-confirm', { token: first.token }, as.bearer(ana.tokens.access_token))
    expectProblem(confirm, 400, 'invalid_challenge')
  })

  test('the old, verified address can undo it: sessions and password end, and a reset mail follows', async () => {
    const ana = await verified()
    const next = newEmail()
    const { token } = await asking(ana.tokens, next)
    await post('email-change-confirm', { token }, as.bearer(ana.tokens.access_token))
    const undo = await nextMail(here.system, ana.email)
    expect([undo.page, undo.code]).toEqual(['undo-email', ''])
    const answer = await post('email-change-undo', { token: undo.token })
    expect([answer.status, answer.text]).toEqual([204, ''])
    expect(await read(ana.id)).toMatchObject({ email: ana.email, email_verified: true, has_password: false })
    expectProblem(await auth('GET /auth/me', { headers: as.bearer(ana.tokens.access_token) }), 401, 'token_revoked')
    expectProblem(await logIn(here.system, ana.email), 401, 'invalid_credentials')
    const reset = await nextMail(here.system, ana.email, 1)
    expect(reset.page).toBe('reset-password')
    expect((await post('password-reset-confirm', { token: reset.token, new_password: NEW })).status).toBe(204)
    expect((await logIn(here.system, ana.email, NEW)).status).toBe(200)
    expectProblem(await post('email-change-undo', { token: undo.token }), 400, 'invalid_challenge')
    expectProblem(await post('email-change-undo', { token: NO_TOKEN }), 400, 'invalid_challenge')
    expectProblem(await post('email-change-undo', {}), 400, 'validation_failed')
  })
})

describe('contract 12: invitations', () => {
  test('an operator invites a new user, who sets a password and is logged in', async () => {
    const email = newEmail()
    const username = `ana-${Bun.randomUUIDv7().slice(-12)}`
    const fields = { roles: ['STAFF'], name: 'Ana', locale: 'en', metadata: { a: 1 }, app_metadata: { plan: 'pro' } }
    const before = Date.now()
    const answer = await inviting({ email, username, ...fields })
    expect(answer.status).toBe(201)
    expectFields(answer.body, ['user', 'expires_at'])
    expectFields(answer.body.user, FIELDS.user)
    expect(answer.body.user).toMatchObject({ email, username, ...fields, has_password: false, email_verified: false })
    expect(answer.body.expires_at).toMatch(TIME)
    expect(Date.parse(answer.body.expires_at) - before).toBeWithin(7 * 86_400_000, 7 * 86_400_000 + 60_000)
    const { code, page, token } = await nextMail(here.system, email)
    expect([page, code]).toEqual(['invitation', ''])
    const body = { token, new_password: NEW, name: 'Anna', username: `${username.slice(0, 30)}x` }
    const login = await post('invitation-accept', body)
    expect(login.status).toBe(200)
    expectFields(login.body, FIELDS.token)
    expect(await amrOf(login.body.access_token)).toEqual(['email'])
    expect(await read(answer.body.user.id)).toMatchObject({
      ...fields,
      name: 'Anna',
      username: body.username,
      email_verified: true,
      has_password: true,
    })
    expect((await logIn(here.system, email, NEW)).status).toBe(200)
    expectProblem(await post('invitation-accept', body), 400, 'invalid_challenge')
  })

  test('a new invitation voids the earlier one', async () => {
    const email = newEmail()
    const first = await invitation(here.system, email)
    const second = await invitation(here.system, email.toUpperCase() === email ? email : email)
    const accept = (token: string) => post('invitation-accept', { token, new_password: NEW })
    expectProblem(await accept(first), 400, 'invalid_challenge')
    expect((await accept(second)).status).toBe(200)
  })

  test('a user without a password is invited by email in any case, or by id', async () => {
    const email = newEmail()
    const { body: user } = await users('POST /users', { headers: as.operator, body: { email, roles: ['STAFF'] } })
    for (const [index, body] of [
      { email: email.toUpperCase() },
      { user_id: user.id },
      { user_id: user.id.toUpperCase() },
    ].entries()) {
      const answer = await inviting(body)
      expect([answer.status, answer.body.user]).toEqual([201, user])
      await nextMail(here.system, email, index)
    }
    const { token } = await nextMail(here.system, email, 2)
    expect((await post('invitation-accept', { token, new_password: NEW })).status).toBe(200)
    expect((await read(user.id)).roles).toEqual(['STAFF'])
  })

  test('a user with a password is not invited', async () => {
    const ana = await verified()
    expectProblem(await inviting({ email: ana.email }), 409, 'email_taken')
    expectProblem(await inviting({ user_id: ana.id }), 409, 'email_taken')
    expectProblem(await inviting({ user_id: NO_ONE }), 404, 'user_not_found')
    await mailsSent()
    expect(mailsTo(here.system, ana.email)).toEqual([])
  })

  test('only operators invite; an ADMIN whose login is recent may give roles', async () => {
    const [ana, admin] = [await verified(), await createUser(here.system, { roles: ['ADMIN'] })]
    const email = newEmail()
    expectProblem(await inviting({ email }, {}), 401, 'missing_token')
    expectProblem(await inviting({ email }, as.bearer(ana.tokens.access_token)), 403, 'forbidden')
    expectProblem(await inviting({ email }, as.internal), 403, 'forbidden')
    const answer = await inviting({ email, roles: ['STAFF'] }, as.bearer(admin.tokens.access_token))
    expect([answer.status, answer.body.user?.roles]).toEqual([201, ['STAFF']])
    await users(`DELETE /users/${admin.id}`, { headers: as.operator })
  })

  test.each<[string, object, string[]]>([
    ['nothing', {}, ['email']],
    ['an email and an id', { email: 'a@example.org', user_id: NO_ONE }, []],
    ['an id with fields of a new user', { user_id: NO_ONE, name: 'Ana', roles: ['STAFF'] }, ['name', 'roles']],
    ['a password', { email: 'a@example.org', password: PASSWORD }, ['password']],
    ['a status', { email: 'a@example.org', status: 'active' }, ['status']],
    ['malformed fields', { email: 'a@', roles: ['x'] }, ['email', 'roles.0']],
  ])('%s: 400', async (_, body, fields) => {
    const answer = await inviting(body)
    expectProblem(answer, 400, 'validation_failed')
    const inAnswer = answer.body.errors.map(({ field }: { field: string }) => field)
    for (const field of fields) expect(inAnswer).toContain(field)
  })

  test('a weak password or a taken username leaves the invitation as it was', async () => {
    const [ana, email] = [await createUser(here.system, { username: `taken-${Date.now().toString(36)}` }), newEmail()]
    const { username } = await read(ana.id)
    const token = await invitation(here.system, email)
    const accept = (fields: object) => post('invitation-accept', { token, new_password: NEW, ...fields })
    expectProblem(await accept({ new_password: 'short' }), 400, 'validation_failed')
    expectProblem(await accept({ new_password: 'password123' }), 400, 'weak_password')
    expectProblem(await accept({ username }), 409, 'username_taken')
    expectProblem(await accept({ roles: ['ADMIN'] }), 400, 'validation_failed')
    expect((await accept({})).status).toBe(200)
    expectProblem(await post('invitation-accept', { token: NO_TOKEN, new_password: NEW }), 400, 'invalid_challenge')
  })

  test('a user who got a password in another way cannot accept an invitation any more', async () => {
    const email = newEmail()
    const token = await invitation(here.system, email)
    const { token: reset } = await (async () => {
      await post('password-reset-request', { email })
      return nextMail(here.system, email, 1)
    })()
    expect((await post('password-reset-confirm', { token: reset, new_password: NEW })).status).toBe(204)
    expectProblem(await post('invitation-accept', { token, new_password: PASSWORD }), 400, 'invalid_challenge')
    expect((await logIn(here.system, email, NEW)).status).toBe(200)
  })
})

describe('contract 12: settings', () => {
  describe('EMAIL_LOGIN=off, the default', () => {
    const off = running(inProcess)

    test('refuses codes to log in, to known and unknown addresses', async () => {
      const { email } = await registerUser(off.system)
      for (const address of [email, newEmail()])
        expectProblem(
          await off.auth('POST /auth/email-code-request', { body: { email: address } }),
          403,
          'email_login_disabled',
        )
      for (const body of [{ token: NO_TOKEN }, { challenge_id: NO_TOKEN, code: '123456' }])
        expectProblem(await off.auth('POST /auth/email-code-login', { body }), 403, 'email_login_disabled')
    })
  })

  describe('EMAIL_VERIFICATION=off', () => {
    const off = running(inProcess, { EMAIL_VERIFICATION: 'off' })

    test('a registration answers with tokens and without a challenge, and sends no mail', async () => {
      const email = newEmail()
      const { body, status } = await off.auth('POST /auth/register', { body: { email, password: PASSWORD } })
      expect([status, body.challenge_id, body.tokens.token_type]).toEqual([201, null, 'Bearer'])
      const later = await requested(off.system, 'email-verification-request', { email })
      expect(later.page).toBe('verify-email')
      expect(mailsTo(off.system, email)).toHaveLength(1)
    })
  })

  describe('EMAIL_VERIFICATION=required', () => {
    const must = running(inProcess, { EMAIL_VERIFICATION: 'required' })

    test('a registration opens no session, and a login asks for the proof', async () => {
      const email = newEmail()
      const body = { email, password: PASSWORD }
      const registration = await must.auth('POST /auth/register', { body })
      expectFields(registration.body, [...FIELDS.user, 'tokens', 'challenge_id'])
      expect([registration.status, registration.body.tokens]).toEqual([201, null])
      expect(registration.body.challenge_id).toMatch(CHALLENGE_ID)
      await nextMail(must.system, email)

      expectProblem(
        await must.auth('POST /auth/login', { body: { ...body, password: NEW } }),
        401,
        'invalid_credentials',
      )
      const login = await must.auth('POST /auth/login', { body })
      expect([login.status, login.body.code]).toEqual([403, 'email_not_verified'])
      expectFields(login.body, [...FIELDS.problem, 'challenge_id'])
      const { code } = await nextMail(must.system, email, 1)
      const { challenge_id } = login.body
      const confirmed = await must.auth('POST /auth/email-verification-confirm', { body: { challenge_id, code } })
      expect(confirmed.status).toBe(200)
      expect((await must.auth('POST /auth/login', { body })).status).toBe(200)
    })

    test('logins beyond the limit still answer 403 with a challenge, and send nothing', async () => {
      const email = newEmail()
      const body = { email, password: PASSWORD }
      await must.auth('POST /auth/register', { body })
      await nextMail(must.system, email)
      for (let n = 1; n <= 5; n++) {
        const login = await must.auth('POST /auth/login', { body })
        expect([n, login.status, login.body.code]).toEqual([n, 403, 'email_not_verified'])
        expect(login.body.challenge_id).toMatch(CHALLENGE_ID)
        if (n <= 3) await nextMail(must.system, email, n)
      }
      const { token } = await nextMail(must.system, email, 3)
      // A mail that anyone asks for has a limit of its own.
      await requested(must.system, 'email-verification-request', { email })
      expect(mailsTo(must.system, email)).toHaveLength(5)
      expect((await must.auth('POST /auth/email-verification-confirm', { body: { token } })).status).toBe(200)
    })

    test('v0 and the bare form register without a session, and log in only after the proof', async () => {
      for (const [register, login] of [
        ['POST /auth/register', 'POST /auth/login'],
        ['POST /register', 'POST /login'],
      ] as const) {
        const body = { email: newEmail(), password: PASSWORD }
        const answer = await call(must.system.url.auth, register, { body })
        expect([200, 201]).toContain(answer.status)
        expect(answer.text).not.toContain('access')
        expect((await call(must.system.url.auth, login, { body })).body.code).toBe('email_not_verified')
        const { token } = await nextMail(must.system, body.email)
        await must.auth('POST /auth/email-verification-confirm', { body: { token } })
        expect((await call(must.system.url.auth, login, { body })).status).toBe(200)
      }
    })

    test('an own email is changed by request alone', async () => {
      const ana = await createUser(must.system, { email_verified: true })
      const headers = as.bearer(ana.tokens.access_token)
      for (const method of ['PATCH', 'PUT']) {
        const answer = await must.users(`${method} /users/${ana.id}`, { headers, body: { email: newEmail() } })
        expectProblem(answer, 403, 'forbidden_field')
      }
      const same = await must.users(`PUT /users/${ana.id}`, { headers, body: { email: ana.email, name: 'Ana' } })
      expect([same.status, same.body.name, same.body.email_verified]).toEqual([200, 'Ana', true])
      const { token } = await requested(must.system, 'email-change-request', { new_email: newEmail() }, headers)
      expect((await must.auth('POST /auth/email-change-confirm', { headers, body: { token } })).status).toBe(200)
      const byOperator = await must.users(`PATCH /users/${ana.id}`, {
        headers: as.operator,
        body: { email: newEmail() },
      })
      expect([byOperator.status, byOperator.body.email_verified]).toEqual([200, false])
    })
  })
})

test('contract 12: a mail that waits for the users service is not lost, and its challenge is valid then', async () => {
  const email = newEmail()
  const { body: user } = await users('POST /users', { headers: as.operator, body: { email } })
  await auth(`DELETE /admin/password-cache/${user.id}`, { headers: as.operator })
  const { challenge_id, code } = await requested(here.system, 'email-code-request', { email })
  const login = await eventually(() => post('email-code-login', { challenge_id, code }))
  expect(login.status).toBe(200)
})
