import { beforeAll, describe, expect, test } from 'bun:test'
import { randomBytes } from 'node:crypto'
import { decodeJwt } from 'jose'
import { toBase32 } from '../../services/auth/factors/totp.ts'
import type { Way as RequestWay } from '../../services/kit/caller.ts'
import { FOREIGN_VECTORS } from '../fixtures/foreign-vectors.ts'
import { operationsOf } from '../openapi/document.ts'
import { logIn, newEmail, PASSWORD } from '../support/actors.ts'
import { Authenticator } from '../support/browser/authenticator.ts'
import { callByPages, pagesHeader } from '../support/browser/pages.ts'
import { challenged, invitation, nextMail, requested } from '../support/challenges.ts'
import { type App, appWith, enrolPasskey, ORIGIN } from '../support/factors.ts'
import { type Answer, as, call } from '../support/http.ts'
import { mailsTo, RESET_PAGE } from '../support/mails.ts'
import { authorize, codeFor, createApp, redeem, tokensFor } from '../support/oauth/code-flow.ts'
import { running } from '../support/running.ts'
import { inProcess, inProcessApart, type System } from '../support/system.ts'
import { sliced, WHOLE } from '../support/whole.ts'

// Check 45: every way in × every state of an account × every second factor, by the API and on the pages. Each ends in one
// decision (`assurance/decision.ts`).

/** A user in some state, who can still get mails. */
interface Person {
  id: string
  email: string
  /** Their second factor; undefined: they have none. */
  app?: App
  passkey?: Authenticator
}

/** The states of an account, each with how a user gets there. `change` comes when the way in has been prepared. */
const STATES = {
  verified: { fields: { email_verified: true } },
  unverified: { fields: {} },
  disabled: { fields: { email_verified: true }, change: { status: 'disabled' } },
  'without a password': { fields: { email_verified: true, password: undefined } },
} satisfies Record<string, { fields: object; change?: object }>
type State = keyof typeof STATES

interface Way {
  /** The operations that the way needs, as the documents call them. */
  calls: string[]
  /** Prepares what the user needs, while their account is active; gives what enters. */
  prepare(system: System, person: Person, by: RequestWay): Promise<() => Promise<Answer>>
  /**
   * The end of a user without a second factor in each state, by what the installation asks for: the status and the code of
   * the problem.
   */
  ends: Record<Policy, Record<State, string>>
  /** The end of a user with a second factor, in every installation. */
  endsWith: Record<Factor, Record<FactorState, string>>
  /** The methods in the token. */
  amr: string[]
}

/** The second factors that a user may have. */
const FACTORS = ['an app', 'a passkey'] as const
type Factor = (typeof FACTORS)[number]
/** The states of users with a second factor: it needs a verified address. */
const FACTOR_STATES = ['verified', 'disabled', 'without a password'] as const
type FactorState = (typeof FACTOR_STATES)[number]
const AMR: Record<Factor, string[]> = { 'an app': ['otp', 'mfa'], 'a passkey': ['hwk', 'user', 'mfa'] }

/** The proof that an installation asks for beside a password. */
type Policy = 'nothing' | 'verified addresses' | 'known devices' | 'second factors'

interface Installation {
  /** The settings that the decision reads. */
  settings: Record<string, string>
  /** The roles of its users. */
  roles?: string[]
  /** Whether users with a second factor find what they find elsewhere: then they are not tried again. */
  isLikeUsual?: true
  asks: Record<RequestWay, Policy>
}

/** One of so many ways in is tried in each installation in the suite. */
const STEP = 8

const everyWay = (policy: Policy) => ({ api: policy, pages: policy })
const INSTALLATIONS: Record<string, Installation> = {
  usual: { settings: {}, asks: everyWay('nothing') },
  'that requires verified addresses': {
    settings: { EMAIL_VERIFICATION: 'required' },
    asks: everyWay('verified addresses'),
  },
  'that confirms devices': { settings: { DEVICE_TRUST: 'all' }, asks: everyWay('known devices') },
  'that confirms devices on the pages': {
    settings: { DEVICE_TRUST: 'pages' },
    isLikeUsual: true,
    asks: { api: 'nothing', pages: 'known devices' },
  },
  'that confirms no devices': { settings: { DEVICE_TRUST: 'off' }, isLikeUsual: true, asks: everyWay('nothing') },
  'that requires second factors': { settings: { MFA: 'all' }, asks: everyWay('second factors') },
  'that requires second factors of administrators, for one': {
    settings: { MFA: 'admins' },
    roles: ['USER', 'ADMIN'],
    asks: everyWay('second factors'),
  },
  'that requires second factors of administrators, for anyone else': {
    settings: { MFA: 'admins' },
    isLikeUsual: true,
    asks: everyWay('nothing'),
  },
}

const DISABLED = '403 account_disabled'
const WRONG = '401 invalid_credentials'
const SECOND = '403 second_factor_required'
const ENROL = '403 second_factor_enrolment_required'
const whatever = (end: string) => ({ verified: end, disabled: end, 'without a password': end })
const withEither = (ends: Record<FactorState, string>) => ({ 'an app': ends, 'a passkey': ends })
const byPassword = (success: Record<Policy, [verified: string, unverified: string]>): Way['ends'] => {
  const ends = Object.entries(success).map(([policy, [verified, unverified]]) => [
    policy,
    { verified, unverified, disabled: DISABLED, 'without a password': WRONG },
  ])
  return Object.fromEntries(ends)
}
const PASSWORD_ENDS = byPassword({
  nothing: ['200', '200'],
  'verified addresses': ['200', '403 email_not_verified'],
  'known devices': ['403 device_confirmation_required', '200'],
  // A second factor needs a verified address.
  'second factors': [ENROL, '403 email_not_verified'],
})
const everywhere = (ends: Record<State, string>): Way['ends'] => ({
  nothing: ends,
  'verified addresses': ends,
  'known devices': ends,
  'second factors': ends,
})
/** Disabling an account voids what was mailed before. */
const VOID = '400 invalid_challenge'
const VOID_RESET = '400 invalid_reset_token'
const MAIL_ENDS = {
  ...everywhere({ verified: '200', unverified: '200', disabled: VOID, 'without a password': '200' }),
  'second factors': { ...none(ENROL), disabled: VOID },
}

const SEND: Record<RequestWay, typeof call> = { api: call, pages: callByPages }
const post = ({ url }: System, by: RequestWay, path: string, body: object) =>
  SEND[by](url.auth, `POST ${path}`, { body })
const password = (path: string, field = 'email') => ({
  async prepare(system: System, { email }: Person, by: RequestWay) {
    return () => post(system, by, path, { [field]: email, password: PASSWORD })
  },
  ends: PASSWORD_ENDS,
  endsWith: withEither({ verified: SECOND, disabled: DISABLED, 'without a password': WRONG }),
  amr: ['pwd'],
})
const emailCode = (proof: 'code' | 'token'): Way => ({
  calls: ['POST /auth/email-code-login'],
  async prepare(system, { email }, by) {
    const path = 'email-code-request'
    const headers = by === 'pages' ? pagesHeader(`POST /api/v1/auth/${path}`) : {}
    const { challenge_id, code, token } = await requested(system, path, { email }, headers)
    const body = proof === 'code' ? { challenge_id, code } : { token }
    return () => post(system, by, '/api/v1/auth/email-code-login', body)
  },
  ends: MAIL_ENDS,
  endsWith: withEither({ verified: SECOND, disabled: VOID, 'without a password': SECOND }),
  amr: ['email'],
})

const FIRST_STEPS: Record<string, Way> = {
  'a password': { calls: ['POST /auth/login'], ...password('/api/v1/auth/login') },
  'a password, bare form': { calls: [], ...password('/login', 'login') },
  'a password, v0': { calls: ['POST /auth/login (v0)'], ...password('/auth/login') },
  'a code by mail': emailCode('code'),
  'a link by mail': emailCode('token'),
  'a reset, then the new password': {
    calls: [],
    async prepare(system, { email }, by) {
      const before = mailsTo(system, email, RESET_PAGE).length
      await post(system, by, '/api/v1/auth/password-reset-request', { email })
      const { token } = await nextMail(system, email, before, RESET_PAGE)
      return async () => {
        const new_password = 'a wholly new password'
        const reset = await post(system, by, '/api/v1/auth/password-reset-confirm', { token, new_password })
        const login = { login: email, password: new_password }
        return reset.status === 204 ? await post(system, by, '/api/v1/auth/login', login) : reset
      }
    },
    // A reset proves the address.
    ends: {
      ...everywhere({ ...none('200'), disabled: VOID_RESET }),
      'known devices': { ...none('403 device_confirmation_required'), disabled: VOID_RESET },
      'second factors': { ...none(ENROL), disabled: VOID_RESET },
    },
    // The address was verified before: a reset removes no factor.
    endsWith: withEither({ verified: SECOND, disabled: VOID_RESET, 'without a password': SECOND }),
    amr: ['pwd'],
  },
  'the code of a new device': {
    calls: ['POST /auth/device-confirm'],
    async prepare(system, { email }, by) {
      const before = mailsTo(system, email).length
      const login = await post(system, by, '/api/v1/auth/login', { login: email, password: PASSWORD })
      // Elsewhere the login is complete, or asks for something else: there is no challenge of a device.
      if (login.body.code !== 'device_confirmation_required')
        return () => post(system, by, '/api/v1/auth/device-confirm', { challenge_id: 'none', code: '000000' })
      const { challenge_id } = login.body
      const { code } = await nextMail(system, email, before)
      return () => post(system, by, '/api/v1/auth/device-confirm', { challenge_id, code })
    },
    ends: {
      ...everywhere(none(VOID)),
      'known devices': { ...none(VOID), verified: '200' },
    },
    // A second factor is asked for in place of it.
    endsWith: withEither(whatever(VOID)),
    amr: ['pwd', 'rba'],
  },
  'an invitation': {
    calls: ['POST /auth/invitation-accept'],
    async prepare(system, { email, id }, by) {
      const user = await call(system.url.users, `GET /api/v1/users/${id}`, { headers: as.operator })
      // A user with a password cannot be invited.
      const token = user.body.has_password ? 'none' : await invitation(system, email)
      const body = { token, new_password: 'a wholly new password' }
      return () => post(system, by, '/api/v1/auth/invitation-accept', body)
    },
    ends: {
      ...everywhere({ ...none(VOID), 'without a password': '200' }),
      'second factors': { ...none(VOID), 'without a password': ENROL },
    },
    endsWith: withEither({ ...whatever(VOID), 'without a password': SECOND }),
    amr: ['email'],
  },
  'a registration': {
    calls: ['POST /auth/register'],
    async prepare(system, _, by) {
      return () => post(system, by, '/api/v1/auth/register', { email: newEmail(), password: PASSWORD })
    },
    // It makes the account: there is no other state.
    ends: {
      nothing: none('201'),
      'verified addresses': none('201 without tokens'),
      'known devices': none('201'),
      'second factors': none('201 without tokens'),
    },
    endsWith: withEither(whatever('201')),
    amr: ['pwd'],
  },
}

/** The request that completes a login by the factor of a user. */
async function secondFactor(system: System, { app, passkey }: Person, challenge_id: string, by: RequestWay) {
  const options = await post(system, by, '/api/v1/auth/passkeys/login-options', { challenge_id })
  // Without a challenge there are no options: then any credential does.
  const signed = options.status === 200 ? options.body : { challenge: 'AAAA', rpId: 'app.example.org' }
  const proof = passkey ? { credential: passkey.get(signed) } : { code: app?.codeAt(Date.now()) ?? '000000' }
  return () => post(system, by, '/api/v1/auth/second-factor', { challenge_id, ...proof })
}

const REFUSED: Record<Factor, string> = { 'an app': '401 invalid_code', 'a passkey': WRONG }

/** A way in whose second step a user prepares while they are active. */
function thenSecondFactor(first: string): Way {
  const { amr, endsWith, prepare } = FIRST_STEPS[first] as Way
  const ends = (factor: Factor) => {
    const completed = Object.entries(endsWith[factor]).map(([state, end]) => [
      state,
      end === SECOND ? '200' : REFUSED[factor],
    ])
    return { ...Object.fromEntries(completed), disabled: REFUSED[factor] }
  }
  return {
    calls: ['POST /auth/second-factor'],
    async prepare(system, person, by) {
      const answer = await (await prepare(system, person, by))()
      return secondFactor(system, person, answer.body.challenge_id ?? 'none', by)
    },
    ends: everywhere(none('401 invalid_code')),
    endsWith: { 'an app': ends('an app'), 'a passkey': ends('a passkey') },
    amr,
  }
}

/** An enrolment, for a user whose login by a password waits for it. */
const enrolment = (
  path: string,
  step: (system: System, challenge_id: string, by: RequestWay) => Promise<object>,
): Way => ({
  calls: [`POST ${path}`],
  async prepare(system, { email }, by) {
    const login = await post(system, by, '/api/v1/auth/login', { login: email, password: PASSWORD })
    const challenge_id = login.body.code === 'second_factor_enrolment_required' ? login.body.challenge_id : 'none'
    const body = await step(system, challenge_id, by)
    return () => post(system, by, `/api/v1${path}`, { challenge_id, ...body })
  },
  ends: {
    ...everywhere(none(VOID)),
    'second factors': { ...none(VOID), verified: path.endsWith('confirm') ? '200' : '201' },
  },
  endsWith: withEither(whatever(VOID)),
  amr: ['pwd', ...AMR[path.endsWith('confirm') ? 'an app' : 'a passkey']],
})

const WAYS: Record<string, Way> = {
  ...FIRST_STEPS,
  'a passkey': {
    calls: ['POST /auth/passkeys/login'],
    async prepare(system, { passkey = new Authenticator(ORIGIN) }, by) {
      const { body } = await post(system, by, '/api/v1/auth/passkeys/login-options', {})
      const credential = passkey.get(body)
      return () => post(system, by, '/api/v1/auth/passkeys/login', { credential })
    },
    ends: everywhere(none(WRONG)),
    endsWith: {
      'an app': whatever(WRONG),
      'a passkey': { verified: '200', disabled: DISABLED, 'without a password': '200' },
    },
    amr: [],
  },
  'a password, then a second factor': thenSecondFactor('a password'),
  'a password by v0, then a second factor': thenSecondFactor('a password, v0'),
  'a code by mail, then a second factor': thenSecondFactor('a code by mail'),
  'a reset, the new password and a second factor': thenSecondFactor('a reset, then the new password'),
  'an invitation, then a second factor': thenSecondFactor('an invitation'),
  'the enrolment of an app': enrolment('/auth/factors/totp/confirm', async (system, challenge_id, by) => {
    const { body } = await post(system, by, '/api/v1/auth/factors/totp', { challenge_id })
    const { codeAt, id } = appWith({ id: body.id ?? Bun.randomUUIDv7(), secret: body.secret ?? '' })
    return { id, code: codeAt(Date.now()) }
  }),
  'the enrolment of a passkey': enrolment('/auth/passkeys', async (system, challenge_id, by) => {
    const { body, status } = await post(system, by, '/api/v1/auth/passkeys/options', { challenge_id })
    const none = { challenge: 'AAAA', rp: { id: 'app.example.org' }, user: { id: 'AAAA' } }
    return { credential: new Authenticator(ORIGIN).create(status === 200 ? body : none) }
  }),
}

function none(end: string): Record<State, string> {
  return { verified: end, unverified: end, disabled: end, 'without a password': end }
}

/**
 * Calls that answer with tokens and open no session: they continue one, or give a client a token for itself. An app gets a code
 * only of a user who has come in by one of the ways above.
 */
const NO_WAYS = [
  'POST /auth/refresh',
  'POST /auth/token/refresh',
  'POST /auth/refresh (v0)',
  'POST /auth/reauthenticate',
  'POST /oauth/token',
]

describe.each(Object.entries(INSTALLATIONS))(
  'an installation %s',
  (installation, { asks, isLikeUsual, roles, settings }) => {
    const here = running(inProcess, { EMAIL_LOGIN: 'on', RATE_LIMIT: 'off', ...settings })
    // The last administrator cannot be disabled.
    beforeAll(() => newPerson('verified', { roles: ['ADMIN'] }))

    const newPerson = async (state: State, fields: object = roles ? { roles } : {}): Promise<Person> => {
      const email = newEmail()
      const body = { email, password: PASSWORD, ...STATES[state].fields, ...fields }
      const { body: user } = await here.users('POST /users', { headers: as.operator, body })
      return { id: user.id, email }
    }

    const enrolled = async (person: Person, factor: Factor): Promise<Person> => {
      if (factor === 'an app') return { ...person, app: await importedApp(here.system, person.id) }
      const { challenge_id, code } = await requested(here.system, 'email-code-request', { email: person.email })
      const login = await here.auth('POST /auth/email-code-login', { body: { challenge_id, code } })
      const passkey = new Authenticator(ORIGIN)
      if (login.status === 200) await enrolPasskey(here.system, login.body.access_token, passkey)
      else await enrolWaiting(here.system, login.body.challenge_id, passkey)
      return { ...person, passkey }
    }

    const change = async (state: State, { id }: Person) => {
      const { change: body } = STATES[state] as { change?: object }
      if (!body) return
      const changed = await here.users(`PATCH /users/${id}`, { headers: as.operator, body })
      expect(changed.status).toBe(200)
    }

    /** Checks the end of a way in, and the methods in the token if it has one. */
    const expectEnd = async (answer: Answer, end: string, amr: string[]) => {
      expect(endOf(answer)).toBe(end)
      if (!/^20[01]$/.test(end)) {
        expect(answer.text).not.toMatch(/access_?token/i)
        return
      }
      const token = accessTokenOf(answer)
      const { body: claims } = await here.auth('POST /auth/introspect', { headers: as.operator, body: { token } })
      expect({ active: claims.active, amr: claims.amr }).toEqual({ active: true, amr })
      expect(Math.abs(claims.auth_time - Date.now() / 1000)).toBeLessThan(60)
    }

    // An installation that asks the same of both is tried on the pages only if it is the usual one.
    const isAlike = asks.api === asks.pages && Object.keys(settings).length > 0
    const requests: RequestWay[] = isAlike ? ['api'] : ['api', 'pages']
    const rows = Object.entries(WAYS).flatMap(([name, way]) =>
      requests.map((by) => [name, by === 'api' ? 'by the API' : 'on the pages', way, by] as const),
    )
    // In the suite other ways in each installation, and all of them in some.
    const first = Object.keys(INSTALLATIONS).indexOf(installation)
    const fromFirst = WHOLE ? rows : rows.slice(first % STEP)
    describe.each(sliced(fromFirst, STEP))('check 45: by %s, %s', (name, _by, way, by) => {
      test.each(Object.entries(way.ends[asks[by]]) as [State, string][])(
        'an account that is %s: %s',
        async (state, end) => {
          const isRegistration = way.calls.includes('POST /auth/register')
          // Whoever registers is no administrator.
          const expected = isRegistration && settings.MFA === 'admins' ? '201' : end
          const person = await newPerson(state)
          const enter = await way.prepare(here.system, person, by)
          await change(state, person)
          await expectEnd(await enter(), expected, way.amr)
        },
      )

      const isPagesAgain = by === 'pages' && Object.keys(settings).length > 0
      if (name === 'a registration' || isLikeUsual || isPagesAgain) return
      const states = FACTORS.flatMap((factor) => FACTOR_STATES.map((state) => [factor, state] as const))
      test.each(states)('an account with %s that is %s', async (factor, state) => {
        const person = await enrolled(await newPerson(state), factor)
        const enter = await way.prepare(here.system, person, by)
        await change(state, person)
        const amr = name.includes('second factor') || name === 'a passkey' ? [...way.amr, ...AMR[factor]] : way.amr
        await expectEnd(await enter(), way.endsWith[factor][state], amr)
      })
    })
  },
)

/** Gives a user an app, as an operator who imports them does. */
async function importedApp(system: System, userId: string): Promise<App> {
  const secret = toBase32(randomBytes(20))
  const line = `POST /api/v1/admin/users/${userId}/factors`
  const { body, status } = await call(system.url.auth, line, { headers: as.operator, body: { secret } })
  expect(status).toBe(201)
  return appWith({ id: body.id, secret })
}

/** Enrols a passkey for a login that waits for it. */
async function enrolWaiting(system: System, challenge_id: string, passkey: Authenticator): Promise<void> {
  const options = await post(system, 'api', '/api/v1/auth/passkeys/options', { challenge_id })
  const credential = passkey.create(options.body)
  expect((await post(system, 'api', '/api/v1/auth/passkeys', { challenge_id, credential })).status).toBe(201)
}

describe('check 45: with a second factor', () => {
  const here = running(inProcessApart, { EMAIL_LOGIN: 'on', RATE_LIMIT: 'off' })
  const newUser = async (fields: object = {}) => {
    const email = newEmail()
    const body = { email, password: PASSWORD, email_verified: true, ...fields }
    const { body: user } = await here.users('POST /users', { headers: as.operator, body })
    return { id: user.id, email }
  }
  const claimsOf = async (token: string) =>
    (await here.auth('POST /auth/introspect', { headers: as.operator, body: { token } })).body

  test('a refresh asks nothing and keeps how the user authenticated; a repeated authentication adds to it', async () => {
    const { email, id } = await newUser()
    const { body: before } = await logIn(here.system, email)
    const app = await importedApp(here.system, id)
    for (const path of ['/api/v1/auth/refresh', '/api/v1/auth/token/refresh', '/refresh', '/auth/refresh']) {
      const refreshed = await post(here.system, 'api', path, { refresh_token: before.refresh_token })
      expect(refreshed.status).toBe(200)
      const claims = await claimsOf(accessTokenOf(refreshed))
      expect([path, claims.amr]).toEqual([path, ['pwd']])
    }
    const headers = as.bearer(before.access_token)
    const again = (body: object) => here.auth('POST /auth/reauthenticate', { headers, body })
    expect(endOf(await again({ password: PASSWORD }))).toBe(WRONG)
    const { body, status } = await again({ code: app.codeAt(Date.now()) })
    expect([status, (await claimsOf(body.access_token)).amr]).toEqual([200, ['pwd', 'otp', 'mfa']])
  })

  test('an app gets a code only in a session, says how its user authenticated, and gets nothing when the session has ended', async () => {
    const { email, id } = await newUser()
    const client = await createApp(here.system)
    const { body: session } = await logIn(here.system, email)
    const app = await importedApp(here.system, id)
    // A login that waits for a second factor has no token.
    expect((await logIn(here.system, email)).body.access_token).toBeUndefined()
    const before = await tokensFor(here.system, session.access_token, client)
    expect(decodeJwt(before.id_token)).toMatchObject({ amr: ['pwd'], acr: 'aal1' })
    const login = await logIn(here.system, email)
    const enter = await secondFactor(here.system, { id, email, app }, login.body.challenge_id, 'api')
    const token = accessTokenOf(await enter())
    const { id_token } = await tokensFor(here.system, token, client, { scope: 'openid offline_access' })
    expect(decodeJwt(id_token)).toMatchObject({ amr: ['pwd', 'otp', 'mfa'], acr: 'aal2' })
    const ended = async (end: () => Promise<Answer>, of: string) => {
      const code = await codeFor(here.system, of, client, { scope: 'openid offline_access' })
      expect((await end()).status).toBeLessThan(300)
      const { body, status } = await redeem(here.system, client, code)
      expect([status, body.error]).toEqual([400, 'invalid_grant'])
      expect((await authorize(here.system, of, client)).status).toBe(401)
    }
    const headers = as.bearer(session.access_token)
    await ended(() => here.auth('POST /auth/logout', { headers }), session.access_token)
    const disabled = { headers: as.operator, body: { status: 'disabled' } }
    await ended(() => here.users(`PATCH /users/${id}`, disabled), token)
  })

  test.each(sliced(FOREIGN_VECTORS.slice(0, 6), 3))(
    'an imported hash of another product opens no session: %s',
    async (_, password, password_hash) => {
      const { email, id } = await newUser({ password: undefined, password_hash })
      await importedApp(here.system, id)
      expect(endOf(await logIn(here.system, email, password))).toBe(SECOND)
      // The first login has stored a new hash.
      expect(endOf(await logIn(here.system, email, password))).toBe(SECOND)
    },
  )

  test('a code of a new device, mailed before the first factor, opens no session', async () => {
    const system = await inProcess({ DEVICE_TRUST: 'all', RATE_LIMIT: 'off' })
    try {
      const email = newEmail()
      const body = { email, password: PASSWORD, email_verified: true }
      const { body: user } = await call(system.url.users, 'POST /users', { headers: as.operator, body })
      const { challenge_id, code } = await challenged(system, email, () => logIn(system, email))
      await importedApp(system, user.id)
      const confirmed = await post(system, 'api', '/api/v1/auth/device-confirm', { challenge_id, code })
      expect(endOf(confirmed)).toBe(SECOND)
    } finally {
      await system.stop()
    }
  })

  test('a login is asked for it while users is down, and completed', async () => {
    const { email, id } = await newUser()
    const app = await importedApp(here.system, id)
    await here.system.kill('users')
    try {
      const login = await logIn(here.system, email)
      expect(endOf(login)).toBe(SECOND)
      const enter = await secondFactor(here.system, { id, email, app }, login.body.challenge_id, 'api')
      expect(endOf(await enter())).toBe('200')
    } finally {
      await here.system.start('users')
    }
  })
})

test('check 45: every call that answers with an access token is a way in of the table', async () => {
  const system = await inProcess()
  try {
    const { body } = await call(system.url.auth, 'GET /swagger/json')
    const calls = operationsOf(body)
      .filter(({ operation }) => /"(access_token|accessToken)"/.test(JSON.stringify(operation.responses)))
      .map(({ call: name, operation }) => {
        const path = name.replace('/api/v1', '')
        return operation.tags?.includes('v0') ? `${path} (v0)` : path
      })
      .filter((name) => !NO_WAYS.includes(name))
    const inTable = Object.values(WAYS).flatMap((way) => way.calls)
    expect([...new Set(calls)].toSorted()).toEqual([...new Set(inTable)].toSorted())
  } finally {
    await system.stop()
  }
})

function endOf({ body, status }: Answer): string {
  if (status === 201 && body.tokens === null) return '201 without tokens'
  return body.code === undefined ? String(status) : `${status} ${body.code}`
}

function accessTokenOf({ body }: Answer): string {
  return body.access_token ?? body.accessToken ?? body.tokens?.access_token
}
