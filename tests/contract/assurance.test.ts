import { describe, expect, test } from 'bun:test'
import { DAY, MINUTE, SECOND } from '../../services/kit/clock.ts'
import { logIn, newEmail, PASSWORD } from '../support/actors.ts'
import { callByPages } from '../support/browser/pages.ts'
import { challenged, nextMail, requested } from '../support/challenges.ts'
import { eventually } from '../support/eventually.ts'
import { expectFields, expectProblem, FIELDS } from '../support/expectations.ts'
import { type Answer, as, call } from '../support/http.ts'
import { mailedToken, mailsTo, readMail } from '../support/mails.ts'
import { movingClock } from '../support/moving-clock.ts'
import { running } from '../support/running.ts'
import { inProcess } from '../support/system.ts'

const NEW = 'a wholly new password'
const FIREFOX = 'Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0'
const claimsOf = (token: string) => JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())

/** A system whose clock a test moves. */
function timed(env: Record<string, string> = {}) {
  const clock = movingClock()
  const here = running(() => inProcess({ EMAIL_LOGIN: 'on', ...env }, { clock }))
  const post = (path: string, body: object, headers = {}) => here.auth(`POST /auth/${path}`, { body, headers })
  return {
    clock,
    here,
    post,
    /** Creates a user by the operator key. */
    async newUser(fields: object = {}) {
      const email = newEmail()
      const body = { email, password: PASSWORD, email_verified: true, ...fields }
      const answer = await here.users('POST /users', { headers: as.operator, body })
      return { id: answer.body.id as string, email }
    },
  }
}

describe('contract 11: auth_time and amr', () => {
  const { clock, here, newUser, post } = timed({ RATE_LIMIT: 'off' })
  const seconds = () => Math.floor(clock.now() / 1000)

  /** Asserts what a token says, and that introspection and the list of sessions say the same. */
  async function expectAuthentication(access: string, amr: string[], at: number, refresh?: string) {
    const { auth_time, sid } = claimsOf(access)
    expect(Math.abs(auth_time - at)).toBeLessThanOrEqual(5)
    expect(claimsOf(access).amr).toEqual(amr)
    for (const token of [access, ...(refresh === undefined ? [] : [refresh])]) {
      const { body } = await here.auth('POST /auth/introspect', { headers: as.operator, body: { token } })
      expect([body.active, body.auth_time, body.amr]).toEqual([true, auth_time, amr])
    }
    const list = await here.auth('GET /auth/sessions', { headers: as.bearer(access) })
    const session = list.body.items.find(({ id }: { id: string }) => id === sid)
    expect([session.auth_time, session.amr]).toEqual([auth_time, amr])
    return auth_time as number
  }

  test('stand in tokens, introspection, sessions and the audit, and a refresh keeps them', async () => {
    const { email, id } = await newUser()
    const began = seconds()
    const { body: tokens } = await logIn(here.system, email)
    await expectAuthentication(tokens.access_token, ['pwd'], began, tokens.refresh_token)
    const { body: audit } = await here.auth(`GET /admin/audit?user_id=${id}&type=session.created`, {
      headers: as.operator,
    })
    const { amr, auth_time } = claimsOf(tokens.access_token)
    expect(audit.items[0].detail).toEqual({ session_id: tokens.session_id, amr, auth_time })
    clock.pass(20 * MINUTE)
    const { body: refreshed } = await post('refresh', { refresh_token: tokens.refresh_token })
    await expectAuthentication(refreshed.access_token, ['pwd'], began, refreshed.refresh_token)
  })

  test('a wrong code of a mail is a failed login in the audit, of a known and an unknown address', async () => {
    const { email, id } = await newUser()
    for (const [address, userId] of [
      [email, id],
      [newEmail(), null],
    ] as const) {
      const { body } = await post('email-code-request', { email: address })
      if (userId !== null) await nextMail(here.system, address)
      const requestId = `wrong-${Bun.randomUUIDv7()}`
      const guess = { challenge_id: body.challenge_id, code: 'none' }
      expectProblem(await post('email-code-login', guess, { 'x-request-id': requestId }), 401, 'invalid_code')
      const { body: audit } = await here.auth(`GET /admin/audit?request_id=${requestId}`, { headers: as.operator })
      expect(audit.items).toMatchObject([
        {
          type: 'login.failed',
          user_id: userId,
          actor: 'anyone',
          ip: '127.0.0.1',
          detail: { reason: 'wrong_code', by: 'mail' },
        },
      ])
    }
  })

  test('v0 and the bare form have them too', async () => {
    const { email } = await newUser()
    for (const path of ['POST /auth/login', 'POST /login']) {
      const { body } = await call(here.system.url.auth, path, { body: { email, password: PASSWORD } })
      await expectAuthentication(body.accessToken ?? body.access_token, ['pwd'], seconds())
    }
  })

  test('reauthenticate sets the time and adds the method, for the same session', async () => {
    const { email, id } = await newUser()
    const { token } = await requested(here.system, 'email-code-request', { email })
    const began = seconds()
    const { body: tokens } = await post('email-code-login', { token })
    await expectAuthentication(tokens.access_token, ['email'], began)
    clock.pass(20 * MINUTE)
    const headers = as.bearer(tokens.access_token)
    const answer = await post('reauthenticate', { password: PASSWORD }, headers)
    expect(answer.status).toBe(200)
    expectFields(answer.body, ['access_token', 'token_type', 'expires_in', 'auth_time'])
    expect([answer.body.token_type, answer.body.auth_time]).toEqual([
      'Bearer',
      claimsOf(answer.body.access_token).auth_time,
    ])
    await expectAuthentication(answer.body.access_token, ['email', 'pwd'], seconds())
    const [before, after] = [tokens.access_token, answer.body.access_token].map(claimsOf)
    expect([after.sid, after.sub, before.auth_time]).toEqual([before.sid, id, claimsOf(tokens.access_token).auth_time])
    // The token before keeps its time, and goes on working.
    expect((await here.auth('GET /auth/me', { headers })).status).toBe(200)
    const change = { new_email: newEmail() }
    expectProblem(await post('email-change-request', change, headers), 401, 'reauthentication_required')
    expect((await post('email-change-request', change, as.bearer(answer.body.access_token))).status).toBe(202)
    const { body: refreshed } = await post('refresh', { refresh_token: tokens.refresh_token })
    await expectAuthentication(refreshed.access_token, ['email', 'pwd'], answer.body.auth_time)
    const { body: list } = await here.auth('GET /auth/sessions', { headers: as.bearer(refreshed.access_token) })
    expect(list.items).toHaveLength(1)
  })

  test('reauthenticate needs a live session, the right password and nothing else', async () => {
    const [ana, ben] = [await newUser(), await newUser({ password: 'the password of Ben' })]
    const { body: tokens } = await logIn(here.system, ana.email)
    const headers = as.bearer(tokens.access_token)
    expectProblem(await post('reauthenticate', { password: PASSWORD }), 401, 'missing_token')
    expectProblem(await post('reauthenticate', { password: PASSWORD }, as.operator), 403, 'forbidden')
    for (const password of ['wrong', 'the password of Ben'])
      expectProblem(await post('reauthenticate', { password }, headers), 401, 'invalid_credentials')
    for (const body of [{}, { password: 1 }, { password: PASSWORD, email: ben.email }])
      expectProblem(await post('reauthenticate', body, headers), 400, 'validation_failed')
    await post('logout', {}, headers)
    expectProblem(await post('reauthenticate', { password: PASSWORD }, headers), 401, 'token_revoked')
  })

  test('a user without a password cannot reauthenticate by one', async () => {
    const { email } = await newUser({ password: undefined })
    const { token } = await requested(here.system, 'email-code-request', { email })
    const { body } = await post('email-code-login', { token })
    const answer = await post('reauthenticate', { password: PASSWORD }, as.bearer(body.access_token))
    expectProblem(answer, 401, 'invalid_credentials')
  })
})

describe('contract 11: attempts to reauthenticate', () => {
  const { here, newUser, post } = timed()

  test('count in the limits of the account, as logins do', async () => {
    const { email } = await newUser()
    const { body } = await logIn(here.system, email)
    const headers = as.bearer(body.access_token)
    for (let n = 0; n < 5; n++) {
      expectProblem(await post('reauthenticate', { password: 'wrong' }, headers), 401, 'invalid_credentials')
      expectProblem(await logIn(here.system, email, 'wrong'), 401, 'invalid_credentials')
    }
    expectProblem(await post('reauthenticate', { password: PASSWORD }, headers), 429, 'rate_limited')
    expectProblem(await logIn(here.system, email), 429, 'rate_limited')
    // The live session is not touched.
    expect((await here.auth('GET /auth/me', { headers })).status).toBe(200)
  })
})

describe('contract 11: calls of auth that need recent authentication', () => {
  const CALLS: [name: string, by: 'user' | 'admin', send: (here: Running, headers: object) => Promise<Answer>][] = [
    [
      'a change of the own email',
      'user',
      (here, h) => sendTo(here, 'POST /auth/email-change-request', h, { new_email: newEmail() }),
    ],
    [
      'an invitation with roles',
      'admin',
      (here, h) => sendTo(here, 'POST /admin/invitations', h, { email: newEmail(), roles: ['STAFF'] }),
    ],
    ['a new key', 'admin', (here, h) => sendTo(here, 'POST /admin/keys/rotate', h)],
    [
      'the removal of a key',
      'admin',
      async (here, h) => {
        const { body } = await sendTo(here, 'POST /admin/keys/rotate', as.operator)
        return sendTo(here, `DELETE /admin/keys/${body.kid}`, h)
      },
    ],
  ]
  type Running = ReturnType<typeof running>
  const sendTo = (here: Running, line: string, headers: object, body?: object) =>
    here.auth(line, { headers: headers as Record<string, string>, ...(body ? { body } : {}) })

  describe.each([
    ['10m, the default', {}, 600],
    ['1m', { REAUTH_MAX_AGE: '1m' }, 60],
  ])('REAUTH_MAX_AGE=%s', (_, env, age) => {
    const { clock, here, newUser, post } = timed({ RATE_LIMIT: 'off', ...env })

    test.each(CALLS)('%s', async (_, by, send) => {
      const { email } = await newUser(by === 'admin' ? { roles: ['ADMIN'] } : {})
      const { body: tokens } = await logIn(here.system, email)
      const headers = as.bearer(tokens.access_token)
      clock.pass((age - 10) * SECOND)
      expect((await send(here, headers)).status).toBeWithin(200, 300)
      clock.pass(12 * SECOND)
      const refused = await send(here, headers)
      expectProblem(refused, 401, 'reauthentication_required')
      expect(refused.headers.get('www-authenticate')).toBe(
        `Bearer error="insufficient_user_authentication", max_age=${age}`,
      )
      const { body: fresh } = await post('reauthenticate', { password: PASSWORD }, headers)
      expect((await send(here, as.bearer(fresh.access_token))).status).toBeWithin(200, 300)
      if (by === 'admin') expect((await send(here, as.operator)).status).toBeWithin(200, 300)
    })

    test('an invitation without roles needs none', async () => {
      const { email } = await newUser({ roles: ['ADMIN'] })
      const { body: tokens } = await logIn(here.system, email)
      clock.pass(30 * MINUTE)
      const body = { email: newEmail() }
      expect((await sendTo(here, 'POST /admin/invitations', as.bearer(tokens.access_token), body)).status).toBe(201)
    })
  })

  describe('REAUTH_MAX_AGE=off', () => {
    const { clock, here, newUser } = timed({ RATE_LIMIT: 'off', REAUTH_MAX_AGE: 'off' })

    test.each(CALLS)('%s is allowed at any time', async (_, by, send) => {
      const { email } = await newUser(by === 'admin' ? { roles: ['ADMIN'] } : {})
      const { body: tokens } = await logIn(here.system, email)
      clock.pass(59 * MINUTE)
      expect((await send(here, as.bearer(tokens.access_token))).status).toBeWithin(200, 300)
    })
  })
})

describe('contract 11: known devices', () => {
  const { clock, here, newUser, post } = timed({ DEVICE_TRUST: 'all', RATE_LIMIT: 'off' })
  const logInFrom = (email: string, device_token?: string, password = PASSWORD) =>
    post('login', { login: email, password, ...(device_token === undefined ? {} : { device_token }) })
  /** Confirms a new device. @returns its token */
  async function confirmed(email: string, password = PASSWORD) {
    const mail = await challenged(here.system, email, () => logInFrom(email, undefined, password))
    const { body } = await post('device-confirm', { challenge_id: mail.challenge_id, code: mail.code })
    return body as { access_token: string; device_token: string }
  }
  const expectAsked = (answer: Answer) => {
    expect([answer.status, answer.body.code]).toEqual([403, 'device_confirmation_required'])
    expectFields(answer.body, [...FIELDS.problem, 'challenge_id', 'expires_in'])
    expect(answer.body.expires_in).toBe(600)
  }

  test('a new one is confirmed by a code by mail, and then known', async () => {
    const { email } = await newUser()
    const before = mailsTo(here.system, email).length
    const answer = await logInFrom(email)
    expectAsked(answer)
    const { code, page } = await nextMail(here.system, email, before)
    expect([code, page]).toEqual([expect.stringMatching(/^\d{6}$/), ''])
    const opened = await post('device-confirm', { challenge_id: answer.body.challenge_id, code })
    expect(opened.status).toBe(200)
    expectFields(opened.body, [...FIELDS.token, 'device_token'])
    expect(claimsOf(opened.body.access_token).amr).toEqual(['pwd', 'rba'])
    const later = await logInFrom(email, opened.body.device_token)
    expectFields(later.body, FIELDS.token)
    expect(later.status).toBe(200)
    expectProblem(await logInFrom(email, opened.body.device_token, 'wrong'), 401, 'invalid_credentials')
    expectAsked(await logInFrom(email))
  })

  test('v0 and the bare form ask too, and take the token', async () => {
    const { email } = await newUser()
    const { device_token } = await confirmed(email)
    for (const path of ['POST /auth/login', 'POST /login']) {
      const body = { email, password: PASSWORD }
      expectAsked(await call(here.system.url.auth, path, { body }))
      expect((await call(here.system.url.auth, path, { body: { ...body, device_token } })).status).toBe(200)
    }
  })

  test('a token is of one account, and no other text is one', async () => {
    const [ana, ben] = [await newUser(), await newUser()]
    const { access_token, device_token } = await confirmed(ana.email)
    expectAsked(await logInFrom(ben.email, device_token))
    for (const token of [
      device_token.slice(0, -1),
      `${device_token}x`,
      device_token.toLowerCase(),
      access_token.slice(0, 40),
    ])
      expectAsked(await logInFrom(ana.email, token))
    expect((await logInFrom(ana.email, device_token)).status).toBe(200)
  })

  test('a token is valid for 90 days', async () => {
    const [ana, ben] = [await newUser(), await newUser()]
    const [first, second] = [await confirmed(ana.email), await confirmed(ben.email)]
    clock.pass(90 * DAY - MINUTE)
    expect((await logInFrom(ana.email, first.device_token)).status).toBe(200)
    clock.pass(MINUTE + SECOND)
    expectAsked(await logInFrom(ben.email, second.device_token))
  })

  test.each<[string, (user: { id: string; email: string }, token: string) => Promise<unknown>]>([
    [
      'its owner',
      ({ id }, token) =>
        here.users(`POST /users/${id}/change-password`, {
          headers: as.bearer(token),
          body: { current_password: PASSWORD, new_password: NEW },
        }),
    ],
    [
      'an operator',
      ({ id }) => here.users(`POST /users/${id}/set-password`, { headers: as.operator, body: { new_password: NEW } }),
    ],
    [
      'a reset',
      async ({ email }) =>
        post('password-reset-confirm', { token: await mailedToken(here.auth, here.system, email), new_password: NEW }),
    ],
  ])('a change of the password by %s voids the token', async (_, change) => {
    const ana = await newUser()
    const { access_token, device_token } = await confirmed(ana.email)
    await change(ana, access_token)
    expectAsked(await logInFrom(ana.email, device_token, NEW))
  })

  test('a code that waits is void after a change of the password', async () => {
    const ana = await newUser()
    const { challenge_id, code } = await challenged(here.system, ana.email, () => logInFrom(ana.email))
    await here.users(`POST /users/${ana.id}/set-password`, { headers: as.operator, body: { new_password: NEW } })
    expectProblem(await post('device-confirm', { challenge_id, code }), 400, 'invalid_challenge')
  })

  test('nobody is asked without a right password, with an unverified address, or after a code by mail', async () => {
    const [ana, ben] = [await newUser(), await newUser({ email_verified: false })]
    expectProblem(await logInFrom(ana.email, undefined, 'wrong'), 401, 'invalid_credentials')
    expect((await logInFrom(ben.email)).status).toBe(200)
    const { token } = await requested(here.system, 'email-code-request', { email: ana.email })
    expect((await post('email-code-login', { token })).status).toBe(200)
    const disabled = await newUser({ status: 'disabled' })
    expectProblem(await logInFrom(disabled.email), 403, 'account_disabled')
    for (const { email } of [ben, disabled]) expect(mailsTo(here.system, email)).toEqual([])
  })

  test('a notice says what, when and from where, of a device that was confirmed', async () => {
    const { email } = await newUser()
    const { challenge_id, code } = await challenged(here.system, email, () => logInFrom(email))
    await post('device-confirm', { challenge_id, code }, { 'user-agent': FIREFOX })
    const mail = readMail(await eventually(() => mailsTo(here.system, email)[1]))
    for (const part of ['New sign-in', '127.0.0.1', 'Firefox', 'If it was someone else']) expect(mail).toContain(part)
    expect(mail).toMatch(/\d{4}/)
  })
})

describe('contract 11: DEVICE_TRUST', () => {
  describe.each([
    ['off, the default without SMTP_URL', {}, false],
    ['pages, the default with SMTP_URL', { SMTP_URL: 'smtp://127.0.0.1:1' }, true],
    ['pages', { DEVICE_TRUST: 'pages' }, true],
  ])('%s', (_, env, asks) => {
    const { here, newUser } = timed(env)
    test('does not ask clients of the API', async () => {
      const { email } = await newUser()
      expect((await logIn(here.system, email)).status).toBe(200)
    })

    test(`${asks ? 'asks' : 'does not ask'} on the pages`, async () => {
      const { email } = await newUser()
      const body = { login: email, password: PASSWORD }
      const answer = await callByPages(here.system.url.auth, 'POST /api/v1/auth/login', { body })
      expect([answer.status, answer.body.code]).toEqual(asks ? [403, 'device_confirmation_required'] : [200, undefined])
    })

    test('does not ask someone who writes the header of the pages', async () => {
      const { email } = await newUser()
      const body = { login: email, password: PASSWORD }
      const forged = { body, key: 'k'.repeat(40) }
      expect((await callByPages(here.system.url.auth, 'POST /api/v1/auth/login', forged)).status).toBe(200)
    })
  })
})

describe('contract 11: limits beside known devices', () => {
  const { here, newUser, post } = timed({ DEVICE_TRUST: 'all' })
  const logInFrom = (email: string, device_token?: string, password = PASSWORD) =>
    post('login', { login: email, password, ...(device_token === undefined ? {} : { device_token }) })

  test('nobody locks a known device out, and it may not guess without a limit either', async () => {
    const { email } = await newUser()
    const mail = await challenged(here.system, email, () => logInFrom(email))
    const { body } = await post('device-confirm', { challenge_id: mail.challenge_id, code: mail.code })
    const { device_token } = body
    for (let n = 0; n < 10; n++)
      expectProblem(
        await logInFrom(email, n % 2 === 0 ? undefined : 'x'.repeat(43), 'wrong'),
        401,
        'invalid_credentials',
      )
    expectProblem(await logInFrom(email), 429, 'rate_limited')
    expect((await logInFrom(email, device_token)).status).toBe(200)
    for (let n = 0; n < 10; n++)
      expectProblem(await logInFrom(email, device_token, 'wrong'), 401, 'invalid_credentials')
    expectProblem(await logInFrom(email, device_token), 429, 'rate_limited')
  })

  test('three codes in a quarter of an hour are mailed after a right password', async () => {
    const { email } = await newUser()
    for (let n = 0; n < 3; n++) expect((await logInFrom(email)).status).toBe(403)
    expectProblem(await logInFrom(email), 429, 'rate_limited')
    // What anyone may ask for is counted apart.
    await requested(here.system, 'email-code-request', { email })
    await eventually(() => mailsTo(here.system, email).length === 4)
  })
})

describe('contract 11: notices', () => {
  const { here, newUser, post } = timed({ RATE_LIMIT: 'off' })
  const headersOf = (token: string) => ({ ...as.bearer(token), 'user-agent': FIREFOX })
  const noticeTo = async (email: string, subject: string) => {
    const isIt = (mail: string) => readMail(mail).includes(`Subject: ${subject}`)
    return readMail(await eventually(() => mailsTo(here.system, email).find(isIt)))
  }

  /** Asserts that there is one such mail, when the mails of a later request have been sent. */
  const expectOne = async (email: string, text: string) => {
    await mailedToken(here.auth, here.system, email)
    expect(mailsTo(here.system, email).filter((mail) => readMail(mail).includes(text))).toHaveLength(1)
  }

  test.each<[string, (user: { id: string; email: string }, token: string) => Promise<Answer>]>([
    [
      'its owner',
      ({ id }, token) =>
        here.users(`POST /users/${id}/change-password`, {
          headers: headersOf(token),
          body: { current_password: PASSWORD, new_password: NEW },
        }),
    ],
    [
      'an operator',
      ({ id }) =>
        here.users(`POST /users/${id}/set-password`, {
          headers: { ...as.operator, 'user-agent': FIREFOX },
          body: { new_password: NEW },
        }),
    ],
    [
      'a reset',
      async ({ email }) =>
        post(
          'password-reset-confirm',
          { token: await mailedToken(here.auth, here.system, email), new_password: NEW },
          { 'user-agent': FIREFOX },
        ),
    ],
  ])('after a change of the password by %s', async (_, change) => {
    const ana = await newUser()
    const { body } = await logIn(here.system, ana.email)
    expect((await change(ana, body.access_token)).status).toBe(204)
    const mail = await noticeTo(ana.email, 'Your ')
    for (const part of ['password was changed', '127.0.0.1', 'Firefox, Linux', 'If it was someone else'])
      expect(mail).toContain(part)
    expect(mail).not.toContain(NEW)
    await expectOne(ana.email, 'password was changed')
  })

  test.each(['a proof', 'PATCH'])('after a change of the email by %s, to both addresses', async (by) => {
    const ana = await newUser()
    const next = newEmail()
    const { body } = await logIn(here.system, ana.email)
    const headers = headersOf(body.access_token)
    if (by === 'PATCH') await here.users(`PATCH /users/${ana.id}`, { headers, body: { email: next } })
    else {
      const { token } = await requested(here.system, 'email-change-request', { new_email: next }, headers)
      expect((await post('email-change-confirm', { token }, headers)).status).toBe(200)
    }
    const old = readMail(await eventually(() => mailsTo(here.system, ana.email)[0]))
    for (const part of ['was changed', '127.0.0.1', '/undo-email?token=']) expect(old).toContain(part)
    expect(old).not.toContain(next)
    const mail = readMail(await eventually(() => mailsTo(here.system, next)[by === 'PATCH' ? 0 : 1]))
    expect(mail).not.toContain('/undo-email')
    expect(mail).not.toContain(ana.email)
    // A new address that nobody has proved gets the mail by which it is proved.
    if (by === 'PATCH') expect(mail).toContain('/verify-email?token=')
    else await expectOne(next, 'was changed to this address')
    expect(mailsTo(here.system, ana.email)).toHaveLength(1)
  })

  test('no notice after a wrong password, a first proof that is no change, or a login', async () => {
    const ana = await newUser()
    const { body } = await logIn(here.system, ana.email)
    const wrong = { current_password: 'wrong', new_password: NEW }
    await here.users(`POST /users/${ana.id}/change-password`, { headers: headersOf(body.access_token), body: wrong })
    await mailedToken(here.auth, here.system, ana.email)
    expect(mailsTo(here.system, ana.email)).toHaveLength(1)
  })
})

describe('contract 12: the language of mails', () => {
  const { here, newUser } = timed({ RATE_LIMIT: 'off' })
  const russian = timed({ RATE_LIMIT: 'off', LOCALE: 'ru' })
  const languageOf = (mail: string) => (/[а-яё]{5}/i.test(mail) ? 'ru' : 'en')
  const askIn = (language: string | undefined, email: string, at = here) =>
    requested(at.system, 'email-code-request', { email }, language === undefined ? {} : { 'accept-language': language })

  test.each<[user: string | null, header: string | undefined, expected: string, byDefault: string]>([
    [null, undefined, 'en', 'ru'],
    [null, 'ru', 'ru', 'ru'],
    [null, 'ru-RU,ru;q=0.9,en;q=0.8', 'ru', 'ru'],
    [null, 'en;q=0.9, ru;q=0.1', 'en', 'en'],
    [null, 'de, fr;q=0.5', 'en', 'ru'],
    [null, 'de, ru;q=0.5', 'ru', 'ru'],
    ['ru', undefined, 'ru', 'ru'],
    ['ru', 'en', 'ru', 'ru'],
    ['en', 'ru', 'en', 'en'],
    ['en', undefined, 'en', 'en'],
  ])(
    'of a user with the locale %p, by the header %p: %s, or where LOCALE=ru %s',
    async (locale, header, expected, byDefault) => {
      const ana = await newUser({ locale })
      expect(languageOf((await askIn(header, ana.email)).mail)).toBe(expected)
      const ben = await russian.newUser({ locale })
      expect(languageOf((await askIn(header, ben.email, russian.here)).mail)).toBe(byDefault)
    },
  )

  test('of a registration is that of the request, and of an invitation that of the user, not of the operator', async () => {
    const email = newEmail()
    const ru = { 'accept-language': 'ru' }
    await here.auth('POST /auth/register', { headers: ru, body: { email, password: PASSWORD } })
    expect(languageOf((await nextMail(here.system, email)).mail)).toBe('ru')
    for (const [locale, expected] of [
      ['ru', 'ru'],
      ['en', 'en'],
      [null, 'en'],
    ]) {
      const invited = newEmail()
      await here.auth('POST /admin/invitations', {
        headers: { ...as.operator, ...ru },
        body: { email: invited, locale },
      })
      expect([locale, languageOf((await nextMail(here.system, invited)).mail)]).toEqual([locale, expected as string])
    }
  })
})
