import { describe, expect, test } from 'bun:test'
import { MINUTE, SECOND } from '../../services/kit/clock.ts'
import { createUser, logIn, PASSWORD } from '../support/actors.ts'
import { Authenticator } from '../support/browser/authenticator.ts'
import { expectProblem } from '../support/expectations.ts'
import { appWith, enrolApp, enrolPasskey, ORIGIN } from '../support/factors.ts'
import { as } from '../support/http.ts'
import { movingClock } from '../support/moving-clock.ts'
import { running } from '../support/running.ts'
import { inProcess } from '../support/system.ts'

const STEP = 30 * SECOND
const VERIFIED = { email_verified: true }
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
    /** A user with an app as a second factor, whose next login needs the code of a later step. */
    async userWithApp() {
      const user = await createUser(here.system, VERIFIED)
      const { app, recoveryCodes } = await enrolApp(here.system, user.tokens.access_token, clock.now())
      clock.pass(STEP)
      return { ...user, app, recoveryCodes }
    },
  }
}

describe('contract 13: an app that shows codes', () => {
  const { clock, here, post, userWithApp } = timed({ RATE_LIMIT: 'off' })

  test('is enrolled by its first code, and brings recovery codes', async () => {
    const user = await createUser(here.system, VERIFIED)
    const headers = as.bearer(user.tokens.access_token)
    const begun = await post('factors/totp', {}, headers)
    expect(begun.status).toBe(201)
    expect(Object.keys(begun.body).sort()).toEqual(['id', 'qr', 'secret', 'uri'])
    expect(begun.body.secret).toMatch(/^[A-Z2-7]{32}$/)
    expect(begun.body.uri).toBe(
      `otpauth://totp/Ch202:${encodeURIComponent(user.email)}?secret=${begun.body.secret}&issuer=Ch202&algorithm=SHA1&digits=6&period=30`,
    )
    expect(begun.body.qr).toStartWith('<svg')
    expect((await here.auth('GET /auth/factors', { headers })).body).toEqual({ items: [], recovery_codes_left: 0 })
    expect((await logIn(here.system, user.email)).status).toBe(200)

    const { codeAt, id } = appWith(begun.body)
    const confirmed = await post('factors/totp/confirm', { id, code: codeAt(clock.now()) }, headers)
    expect(confirmed.status).toBe(200)
    const { factor, recovery_codes } = confirmed.body
    expect(factor).toMatchObject({ id, kind: 'totp', name: 'Authenticator app' })
    expect(new Set(recovery_codes).size).toBe(10)
    for (const code of recovery_codes) expect(code).toMatch(/^([a-z2-7]{4}-){5}[a-z2-7]{4}$/)
    const list = await here.auth('GET /auth/factors', { headers })
    expect(list.body).toEqual({ items: [factor], recovery_codes_left: 10 })
  })

  test('is asked for at every login, and its code opens the session', async () => {
    const { app, email } = await userWithApp()
    const login = await logIn(here.system, email)
    expectProblem(login, 403, 'second_factor_required')
    const { challenge_id, expires_in, methods } = login.body
    expect([expires_in, methods]).toEqual([300, ['totp', 'recovery_code']])
    const opened = await post('second-factor', { challenge_id, code: app.codeAt(clock.now()) })
    expect(opened.status).toBe(200)
    expect(claimsOf(opened.body.access_token).amr).toEqual(['pwd', 'otp', 'mfa'])
    expectProblem(await post('second-factor', { challenge_id, code: app.codeAt(clock.now()) }), 401, 'invalid_code')
  })

  test('has recovery codes, each of which works once', async () => {
    const { email, recoveryCodes } = await userWithApp()
    const { challenge_id } = (await logIn(here.system, email)).body
    const [code = ''] = recoveryCodes
    const opened = await post('second-factor', { challenge_id, code: code.toUpperCase().replaceAll('-', ' ') })
    expect(opened.status).toBe(200)
    const again = (await logIn(here.system, email)).body.challenge_id
    expectProblem(await post('second-factor', { challenge_id: again, code }), 401, 'invalid_code')
  })

  test('answers v0 in its own shape', async () => {
    const { app, email } = await userWithApp()
    const login = await here.auth('POST /../../auth/login', { body: { email, password: PASSWORD } })
    const { challenge_id } = login.body
    const opened = await post('second-factor', { challenge_id, code: app.codeAt(clock.now()) })
    expect(Object.keys(opened.body).sort()).toEqual(['accessToken', 'refreshToken'])
  })
})

describe('contract 13: passkeys', () => {
  const { here, post } = timed({ RATE_LIMIT: 'off' })

  test.each(['ES256', 'EdDSA', 'RS256'] as const)('of %s are enrolled, and sign in', async (algorithm) => {
    const user = await createUser(here.system, VERIFIED)
    const passkey = new Authenticator(ORIGIN, algorithm)
    await enrolPasskey(here.system, user.tokens.access_token, passkey)
    const options = await post('passkeys/login-options', {})
    expect(options.body.allowCredentials).toEqual([])
    const opened = await post('passkeys/login', { credential: passkey.get(options.body) })
    expect(opened.status).toBe(200)
    expect(claimsOf(opened.body.access_token).amr).toEqual(['hwk', 'user', 'mfa'])
    expectProblem(await post('passkeys/login', { credential: passkey.get(options.body) }), 401, 'invalid_credentials')
  })

  test('are a second factor', async () => {
    const user = await createUser(here.system, VERIFIED)
    const passkey = await enrolPasskey(here.system, user.tokens.access_token, new Authenticator(ORIGIN, 'ES256', true))
    const login = await logIn(here.system, user.email)
    const { challenge_id, methods } = login.body
    expect(methods).toEqual(['recovery_code', 'passkey'])
    const options = await post('passkeys/login-options', { challenge_id })
    expect(options.body.allowCredentials).toHaveLength(1)
    const opened = await post('second-factor', { challenge_id, credential: passkey.get(options.body) })
    expect(claimsOf(opened.body.access_token).amr).toEqual(['pwd', 'swk', 'user', 'mfa'])
  })
})

describe('contract 13: MFA=all', () => {
  const { clock, here, post } = timed({ RATE_LIMIT: 'off', MFA: 'all' })

  test('asks for an enrolment, which completes the login', async () => {
    const email = `all-${Bun.randomUUIDv7()}@example.org`
    const body = { email, password: PASSWORD, email_verified: true }
    expect((await here.users('POST /users', { headers: as.operator, body })).status).toBe(201)
    const login = await logIn(here.system, email)
    expectProblem(login, 403, 'second_factor_enrolment_required')
    const { challenge_id, expires_in } = login.body
    expect(expires_in).toBe(600)
    const begun = await post('factors/totp', { challenge_id })
    const { codeAt, id } = appWith(begun.body)
    const confirmed = await post('factors/totp/confirm', { challenge_id, id, code: codeAt(clock.now()) })
    expect(confirmed.status).toBe(200)
    expect(claimsOf(confirmed.body.tokens.access_token).amr).toEqual(['pwd', 'otp', 'mfa'])
    clock.pass(MINUTE)
    expectProblem(await logIn(here.system, email), 403, 'second_factor_required')
  })
})
