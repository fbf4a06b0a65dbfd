import { describe, expect, test } from 'bun:test'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fromBase32 } from '../../services/auth/factors/totp.ts'
import { MINUTE, SECOND } from '../../services/kit/clock.ts'
import { createUser, logIn } from '../support/actors.ts'
import { nextMail } from '../support/challenges.ts'
import { eventually } from '../support/eventually.ts'
import { expectProblem } from '../support/expectations.ts'
import { type App, enrolApp, enrolPasskey } from '../support/factors.ts'
import { as } from '../support/http.ts'
import { mailsTo } from '../support/mails.ts'
import { movingClock } from '../support/moving-clock.ts'
import { storedBytes } from '../support/postgres/database-rows.ts'
import { running } from '../support/running.ts'
import { inProcess } from '../support/system.ts'

const STEP = 30 * SECOND
const AT_ONCE = 50
const VERIFIED = { email_verified: true }

describe('check 46: a code of a second factor', () => {
  const clock = movingClock()
  const here = running(() => inProcess({ RATE_LIMIT: 'off' }, { clock }))
  const post = (path: string, body: object, headers = {}) => here.auth(`POST /auth/${path}`, { body, headers })

  async function owner() {
    const user = await createUser(here.system, VERIFIED)
    const factor = await enrolApp(here.system, user.tokens.access_token, clock.now())
    clock.pass(STEP)
    return { ...user, ...factor }
  }
  const waitingLogins = (email: string, count: number) =>
    Promise.all(
      Array.from({ length: count }, async () => (await logIn(here.system, email)).body.challenge_id as string),
    )

  /** Sends one code with each of many logins at once. @returns the statuses */
  async function sendAtOnce(email: string, code: string): Promise<number[]> {
    const challenges = await waitingLogins(email, AT_ONCE)
    const answers = await Promise.all(challenges.map((challenge_id) => post('second-factor', { challenge_id, code })))
    for (const answer of answers) if (answer.status !== 200) expectProblem(answer, 401, 'invalid_code')
    return answers.map(({ status }) => status)
  }
  const once = [200, ...Array(AT_ONCE - 1).fill(401)]

  test('works once, of fifty parallel logins: of an app', async () => {
    const { app, email } = await owner()
    expect((await sendAtOnce(email, app.codeAt(clock.now()))).sort()).toEqual(once)
  })

  test('works once, of fifty parallel logins: a recovery code', async () => {
    const { email, recoveryCodes } = await owner()
    expect((await sendAtOnce(email, recoveryCodes[0] ?? '')).sort()).toEqual(once)
  })

  test('is refused after a code of a later step', async () => {
    const { app, email } = await owner()
    const [first, second, third] = await waitingLogins(email, 3)
    const later = app.codeAt(clock.now() + STEP)
    expect((await post('second-factor', { challenge_id: first, code: later })).status).toBe(200)
    for (const at of [0, -STEP])
      expectProblem(
        await post('second-factor', { challenge_id: second, code: app.codeAt(clock.now() + at) }),
        401,
        'invalid_code',
      )
    clock.pass(2 * STEP)
    expect((await post('second-factor', { challenge_id: third, code: app.codeAt(clock.now()) })).status).toBe(200)
  })

  test('allows five tries for each login, which lasts for five minutes', async () => {
    const { app, email } = await owner()
    const [tried, late] = await waitingLogins(email, 2)
    const wrong = { challenge_id: tried, code: '0000000' }
    for (let n = 0; n < 5; n++) expectProblem(await post('second-factor', wrong), 401, 'invalid_code')
    const code = () => app.codeAt(clock.now())
    expectProblem(await post('second-factor', { challenge_id: tried, code: code() }), 401, 'invalid_code')
    clock.pass(5 * MINUTE)
    expectProblem(await post('second-factor', { challenge_id: late, code: code() }), 401, 'invalid_code')
    const [next] = await waitingLogins(email, 1)
    expect((await post('second-factor', { challenge_id: next, code: code() })).status).toBe(200)
  })

  test('is asked for after a reset of the password too', async () => {
    const { email } = await owner()
    await post('password-reset-request', { email })
    const { token } = await nextMail(here.system, email, 0, 'reset-password')
    const new_password = 'a wholly new password'
    expect((await post('password-reset-confirm', { token, new_password })).status).toBe(204)
    expectProblem(await logIn(here.system, email, new_password), 403, 'second_factor_required')
  })

  test('and its secret are in no file and no row', async () => {
    const { app, recoveryCodes } = await owner()
    const secret = fromBase32(app.secret) ?? Buffer.alloc(0)
    const forms = [
      secret,
      ...['hex', 'base64', 'base64url'].map((form) => secret.toString(form as BufferEncoding)),
      app.secret,
    ]
    const letters = recoveryCodes.flatMap((code) => [code, code.replaceAll('-', '')])
    const files = readdirSync(here.system.dataDir, { recursive: true, encoding: 'utf8' })
      .map((name) => join(here.system.dataDir, name))
      .filter((path) => statSync(path).isFile())
    const stored = [...(await storedBytes(here.system)), ...files.map((path) => readFileSync(path))]
    expect(stored.some((bytes) => bytes.includes(app.id))).toBe(true)
    for (const form of [...forms, ...letters]) expect(stored.some((bytes) => bytes.includes(form))).toBe(false)
  })
})

describe('check 46: a change of second factors', () => {
  const clock = movingClock()
  const here = running(() => inProcess({ RATE_LIMIT: 'off' }, { clock }))
  /** Every call by which users change their own second factors. */
  const CHANGES: Record<string, (app: App) => { call: string; body?: object }> = {
    'a new app': () => ({ call: 'POST /auth/factors/totp', body: {} }),
    'the first code of a new app': ({ id }) => ({
      call: 'POST /auth/factors/totp/confirm',
      body: { id, code: '000000' },
    }),
    'the options of a new passkey': () => ({ call: 'POST /auth/passkeys/options', body: {} }),
    'a new passkey': () => ({ call: 'POST /auth/passkeys', body: { credential: CREDENTIAL } }),
    'new recovery codes': () => ({ call: 'POST /auth/recovery-codes' }),
    'another name': ({ id }) => ({ call: `PATCH /auth/factors/${id}`, body: { name: 'Phone' } }),
    'a removal': ({ id }) => ({ call: `DELETE /auth/factors/${id}` }),
  }
  const CREDENTIAL = {
    id: 'AAAA',
    rawId: 'AAAA',
    type: 'public-key',
    response: { clientDataJSON: 'AAAA', attestationObject: 'AAAA' },
  }

  test.each(Object.entries(CHANGES))('needs a recent login, and one with the second factor: %s', async (_, change) => {
    const user = await createUser(here.system, VERIFIED)
    const older = (await logIn(here.system, user.email)).body.access_token as string
    const { app } = await enrolApp(here.system, user.tokens.access_token, clock.now())
    const { body, call } = change(app)
    const send = (token: string) => here.auth(call, { headers: as.bearer(token), ...(body && { body }) })
    // The session of before the factor was added, with a password alone.
    expectProblem(await send(older), 401, 'reauthentication_required')
    clock.pass(11 * MINUTE)
    expectProblem(await send(user.tokens.access_token), 401, 'reauthentication_required')
    const list = await here.auth('GET /auth/factors', { headers: as.bearer(user.tokens.access_token) })
    expect(list.body).toMatchObject({ items: [{ id: app.id, name: 'Authenticator app' }], recovery_codes_left: 10 })
  })

  test('is told to the user by mail', async () => {
    const user = await createUser(here.system, VERIFIED)
    await enrolApp(here.system, user.tokens.access_token, clock.now())
    await enrolPasskey(here.system, user.tokens.access_token)
    const subjects = await eventually(() => {
      const all = mailsTo(here.system, user.email).map((mail) => /^Subject: (.*)$/m.exec(mail)?.[1] ?? '')
      return all.length >= 2 ? all : undefined
    })
    expect(subjects.some((subject) => subject.includes('second factor'))).toBe(true)
    expect(subjects.some((subject) => subject.includes('passkey'))).toBe(true)
  })
})
