import { describe, expect, test } from 'bun:test'
import { MINUTE } from '../../services/kit/clock.ts'
import { logIn, newEmail, PASSWORD } from '../support/actors.ts'
import { challenged, nextMail, requested } from '../support/challenges.ts'
import { all, askEach } from '../support/each-service.ts'
import { expectProblem } from '../support/expectations.ts'
import { type Answer, as, call } from '../support/http.ts'
import { mailedToken } from '../support/mails.ts'
import { movingClock } from '../support/moving-clock.ts'
import { running } from '../support/running.ts'
import { inProcess, inProcessApart } from '../support/system.ts'

// Check 44: whatever happens to the email of an account, it stays with its owner, who reads the mails of the address that
// was verified first.

const NEW = 'a wholly new password'
const ROUNDS = 8

describe('check 44: the owner of the earlier address', () => {
  const here = running(inProcessApart, { RATE_LIMIT: 'off', EMAIL_LOGIN: 'on' })
  const post = (path: string, body: object, headers = {}) => here.auth(`POST /auth/${path}`, { body, headers })
  const read = async (id: string) => (await here.users(`GET /users/${id}`, { headers: as.operator })).body
  const undo = (token: string) => post('email-change-undo', { token })
  const undoMail = async (email: string, before = 0) => (await nextMail(here.system, email, before, 'undo-email')).token

  /** A verified user with two sessions. */
  async function newUser() {
    const email = newEmail()
    const body = { email, password: PASSWORD, email_verified: true }
    const { body: user } = await here.users('POST /users', { headers: as.operator, body })
    const sessions = [(await logIn(here.system, email)).body, (await logIn(here.system, email)).body]
    return { id: user.id as string, email, sessions, headers: as.bearer(sessions[0].access_token) }
  }
  type User = Awaited<ReturnType<typeof newUser>>

  /** The ways in which an email changes. Each gives the token of the link to the address before. */
  const CHANGES = {
    async 'a change that is proved'({ email, headers }: User, next: string) {
      const { token } = await requested(here.system, 'email-change-request', { new_email: next }, headers)
      expect((await post('email-change-confirm', { token }, headers)).status).toBe(200)
      return undoMail(email)
    },
    async PATCH({ email, headers, id }: User, next: string) {
      expect((await here.users(`PATCH /users/${id}`, { headers, body: { email: next } })).status).toBe(200)
      return undoMail(email)
    },
    async PUT({ email, headers, id }: User, next: string) {
      expect((await here.users(`PUT /users/${id}`, { headers, body: { email: next } })).status).toBe(200)
      return undoMail(email)
    },
    async 'PATCH by an operator'({ email, id }: User, next: string) {
      await here.users(`PATCH /users/${id}`, { headers: as.operator, body: { email: next } })
      return undoMail(email)
    },
  }

  async function expectOwned({ email, id, sessions }: Pick<User, 'email' | 'id' | 'sessions'>, others: string[]) {
    expect(await read(id)).toMatchObject({ email, email_verified: true, has_password: false })
    for (const { access_token, refresh_token } of sessions) {
      expect(await askEach(here.system, access_token)).toEqual(all('token_revoked'))
      expectProblem(await post('refresh', { refresh_token }), 401, 'invalid_refresh_token')
    }
    for (const address of [email, ...others])
      expectProblem(await logIn(here.system, address), 401, 'invalid_credentials')
    // The reset mail comes by itself.
    const { token } = await nextMail(here.system, email, 0, 'reset-password')
    expect((await post('password-reset-confirm', { token, new_password: NEW })).status).toBe(204)
    const login = await logIn(here.system, email, NEW)
    expect((await here.auth('GET /auth/me', { headers: as.bearer(login.body.access_token) })).body.id).toBe(id)
    for (const address of others) expectProblem(await logIn(here.system, address, NEW), 401, 'invalid_credentials')
  }

  test.each(Object.entries(CHANGES))('undoes %s', async (_, change) => {
    const ana = await newUser()
    const next = newEmail()
    const token = await change(ana, next)
    expect((await read(ana.id)).email).toBe(next)
    // The sessions of the owner stay as they are until then.
    expect(await askEach(here.system, ana.sessions[1].access_token)).toEqual(all(200))
    expect((await undo(token)).status).toBe(204)
    await expectOwned(ana, [next])
    expectProblem(await undo(token), 400, 'invalid_challenge')
  })

  test('gets no link if nobody had proved the address', async () => {
    const email = newEmail()
    const { body: user } = await post('register', { email, password: PASSWORD })
    await nextMail(here.system, email)
    const headers = as.bearer(user.tokens.access_token)
    await here.users(`PATCH /users/${user.id}`, { headers, body: { email: newEmail() } })
    const mail = await nextMail(here.system, email, 1)
    expect([mail.page, mail.mail]).toEqual(['', expect.stringContaining('changed')])
  })

  test.each([
    ['first', 0],
    ['second', 1],
  ])('after two changes, by the link of the %s', async (_, which) => {
    const ana = await newUser()
    const [second, third] = [newEmail(), newEmail()]
    const first = await CHANGES['a change that is proved'](ana, second)
    const later = await CHANGES['a change that is proved']({ ...ana, email: second }, third)
    if (which === 0) {
      expect((await undo(first)).status).toBe(204)
      // Whoever made the changes has the later link: it is void.
      expectProblem(await undo(later), 400, 'invalid_challenge')
      return expectOwned(ana, [second, third])
    }
    expect((await undo(later)).status).toBe(204)
    expect(await read(ana.id)).toMatchObject({ email: second, email_verified: true, has_password: false })
    // The address before has the older right.
    expect((await undo(first)).status).toBe(204)
    await expectOwned(ana, [second, third])
  })

  test('of two links at once, the first address has the account in the end', async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const ana = await newUser()
      const [second, third] = [newEmail(), newEmail()]
      const first = await CHANGES['a change that is proved'](ana, second)
      const later = await CHANGES['a change that is proved']({ ...ana, email: second }, third)
      const [byFirst] = await Promise.all([undo(first), Bun.sleep(round).then(() => undo(later))])
      // The link is not used up by what came between.
      if (byFirst.status !== 204) expect((await undo(first)).status).toBe(204)
      expectProblem(await undo(later), 400, 'invalid_challenge')
      expect((await read(ana.id)).email).toBe(ana.email)
    }
  })

  test('even if someone took the new address over: a mistyped one, or that of a thief', async () => {
    const ana = await newUser()
    const mistyped = newEmail()
    const token = await CHANGES.PATCH(ana, mistyped)
    // The first proof of that address: the password and the sessions of the owner end.
    const code = await requested(here.system, 'email-code-request', { email: mistyped })
    const { body: session } = await post('email-code-login', { token: code.token })
    const reset = await mailedToken(here.auth, here.system, mistyped)
    await post('password-reset-confirm', { token: reset, new_password: 'the password of Mallory' })
    const { body: thief } = await logIn(here.system, mistyped, 'the password of Mallory')
    const pending = await requested(here.system, 'email-code-request', { email: mistyped })
    const spare = await mailedToken(here.auth, here.system, mistyped)
    const headers = as.bearer(thief.access_token)
    const change = await requested(here.system, 'email-change-request', { new_email: newEmail() }, headers)

    expect((await undo(token)).status).toBe(204)
    expectProblem(await logIn(here.system, ana.email, 'the password of Mallory'), 401, 'invalid_credentials')
    expectProblem(await post('email-code-login', { token: pending.token }), 400, 'invalid_challenge')
    const last = await post('password-reset-confirm', { token: spare, new_password: PASSWORD })
    expectProblem(last, 400, 'invalid_reset_token')
    expectProblem(await post('email-change-confirm', { token: change.token }, headers), 401, 'token_revoked')
    await expectOwned({ ...ana, sessions: [...ana.sessions, session, thief] }, [mistyped])
  })

  test('a mistyped address of a request changes nothing', async () => {
    const ana = await newUser()
    const mistyped = newEmail()
    const { code, token } = await requested(here.system, 'email-change-request', { new_email: mistyped }, ana.headers)
    // Whoever gets the mail has no session of hers.
    expectProblem(await post('email-change-confirm', { token }), 401, 'missing_token')
    expectProblem(await post('email-verification-confirm', { token }), 400, 'invalid_challenge')
    expectProblem(await post('email-code-login', { token }), 400, 'invalid_challenge')
    expect(code).toMatch(/^\d{6}$/)
    expect((await logIn(here.system, ana.email)).status).toBe(200)
    expectProblem(await logIn(here.system, mistyped), 401, 'invalid_credentials')
  })

  test('while others register that address', async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const ana = await newUser()
      const token = await CHANGES.PATCH(ana, newEmail())
      const register = () => post('register', { email: ana.email, password: NEW })
      const [undone, ...registered] = await Promise.all([undo(token), ...Array.from({ length: 10 }, register)])
      expect(undone.status).toBe(204)
      for (const answer of [...registered, await register()]) expectProblem(answer, 409, 'email_taken')
      expect((await read(ana.id)).email).toBe(ana.email)
    }
  })

  test('while whoever changed it confirms another change', async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const ana = await newUser()
      const second = newEmail()
      const token = await CHANGES.PATCH(ana, second)
      const next = await requested(here.system, 'email-change-request', { new_email: newEmail() }, ana.headers)
      const later = (send: () => Promise<Answer>, ms: number) => Bun.sleep(Math.max(0, ms)).then(send)
      const [undone, confirmed] = await Promise.all([
        later(() => undo(token), ROUNDS / 2 - round),
        later(() => post('email-change-confirm', { token: next.token }, ana.headers), round - ROUNDS / 2),
      ])
      expect(undone.status).toBe(204)
      expect(confirmed.status).toBeOneOf([200, 400, 401])
      expect(await read(ana.id)).toMatchObject({ email: ana.email, email_verified: true, has_password: false })
      expect(await askEach(here.system, ana.sessions[0].access_token)).toEqual(all('token_revoked'))
    }
  })

  test('a deleted user is not brought back, and a disabled one stays disabled', async () => {
    const [ana, ben] = [await newUser(), await newUser()]
    const tokens = [await CHANGES.PATCH(ana, newEmail()), await CHANGES.PATCH(ben, newEmail())]
    await here.users(`DELETE /users/${ana.id}`, { headers: as.operator })
    expectProblem(await undo(tokens[0] ?? ''), 400, 'invalid_challenge')
    await here.users(`PATCH /users/${ben.id}`, { headers: as.operator, body: { status: 'disabled' } })
    expect((await undo(tokens[1] ?? '')).status).toBe(204)
    expect(await read(ben.id)).toMatchObject({ email: ben.email, status: 'disabled', has_password: false })
  })
})

test('check 44: an undone change removes the known devices', async () => {
  const system = await inProcess({ RATE_LIMIT: 'off', DEVICE_TRUST: 'all' })
  const auth = (path: string, body: object) => send(system.url.auth, `/auth/${path}`, body)
  try {
    const email = newEmail()
    const body = { email, password: PASSWORD, email_verified: true }
    const { body: user } = await send(system.url.users, '/users', body, as.operator)
    const { challenge_id, code } = await challenged(system, email, () => logIn(system, email))
    const { body: device } = await auth('device-confirm', { challenge_id, code })
    const headers = as.bearer(device.access_token)
    await send(system.url.users, `/users/${user.id}`, { email: newEmail() }, headers, 'PATCH')
    const { token } = await nextMail(system, email, 0, 'undo-email')
    expect((await auth('email-change-undo', { token })).status).toBe(204)
    const reset = await nextMail(system, email, 0, 'reset-password')
    await auth('password-reset-confirm', { token: reset.token, new_password: NEW })
    const { device_token } = device
    const login = await auth('login', { login: email, password: NEW, device_token })
    expect([login.status, login.body.code]).toEqual([403, 'device_confirmation_required'])
  } finally {
    await system.stop()
  }
})

describe('check 44: a stolen token', () => {
  const clock = movingClock()
  const here = running(() => inProcess({ JWT_EXPIRE: '1h' }, { clock }))

  test('does not change the email when its user authenticated some time ago', async () => {
    const email = newEmail()
    const body = { email, password: PASSWORD, email_verified: true }
    const { body: user } = await here.users('POST /users', { headers: as.operator, body })
    let { body: tokens } = await logIn(here.system, email)
    clock.pass(11 * MINUTE)
    // A refresh keeps the time.
    tokens = (await here.auth('POST /auth/refresh', { body: { refresh_token: tokens.refresh_token } })).body
    const headers = as.bearer(tokens.access_token)
    for (const answer of [
      await here.auth('POST /auth/email-change-request', { headers, body: { new_email: newEmail() } }),
      await here.users(`PATCH /users/${user.id}`, { headers, body: { email: newEmail() } }),
      await here.users(`PUT /users/${user.id}`, { headers, body: { email: newEmail() } }),
      await here.users(`DELETE /users/${user.id}`, { headers }),
    ])
      expectProblem(answer, 401, 'reauthentication_required')
    expectProblem(
      await here.auth('POST /auth/reauthenticate', { headers, body: { password: 'a guess' } }),
      401,
      'invalid_credentials',
    )
    expect((await here.users(`GET /users/${user.id}`, { headers: as.operator })).body.email).toBe(email)
  })
})

function send(base: string, path: string, body: object, headers = {}, method = 'POST') {
  return call(base, `${method} /api/v1${path}`, { body, headers })
}
