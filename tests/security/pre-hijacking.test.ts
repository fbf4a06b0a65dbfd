import { describe, expect, test } from 'bun:test'
import { logIn, newEmail, PASSWORD } from '../support/actors.ts'
import { challenged, nextMail, requested } from '../support/challenges.ts'
import { all, askEach } from '../support/each-service.ts'
import { expectProblem } from '../support/expectations.ts'
import { type Answer, as, call, clientOf } from '../support/http.ts'
import { mailedToken } from '../support/mails.ts'
import { running } from '../support/running.ts'
import { inProcessApart } from '../support/system.ts'
import { sliced, WHOLE } from '../support/whole.ts'

// Check 43: someone has made an account with an address that is not theirs. When its owner proves the address, nothing that
// the other person set up works any more.

const NEW = 'a wholly new password'
const ROUNDS = WHOLE ? 12 : 4
const here = running(inProcessApart, { RATE_LIMIT: 'off', EMAIL_LOGIN: 'on' })
const post = (path: string, body: object, headers = {}) => here.auth(`POST /auth/${path}`, { body, headers })
const read = async (id: string) => (await here.users(`GET /users/${id}`, { headers: as.operator })).body

/** Registers with the address of someone else, and prepares all that may help later. */
async function attack() {
  const email = newEmail()
  const { body: user } = await post('register', { email, password: PASSWORD })
  const headers = as.bearer(user.tokens.access_token)
  const second = (await logIn(here.system, email)).body
  const v0 = await call(here.system.url.auth, 'POST /auth/login', { body: { email, password: PASSWORD } })
  const change = await requested(here.system, 'email-change-request', { new_email: newEmail() }, headers)
  return { id: user.id as string, email, headers, sessions: [user.tokens, second], v0: v0.body, change }
}
type Attack = Awaited<ReturnType<typeof attack>>

/** A proof that the owner of an address is about to give. */
interface Prepared {
  prove(): Promise<Answer>
  /** Logs the owner in afterwards. @param answer that of the proof */
  enter(answer: Answer): Promise<Answer>
}

/** The ways in which the owner of an address proves it. Each waits for the mail. */
const PROOFS: Record<string, (email: string) => Promise<Prepared>> = {
  async 'a code by mail'(email) {
    const { challenge_id, code } = await requested(here.system, 'email-code-request', { email })
    return { prove: () => post('email-code-login', { challenge_id, code }), enter: async (answer) => answer }
  },
  async 'a link by mail'(email) {
    const { token } = await requested(here.system, 'email-code-request', { email })
    return { prove: () => post('email-code-login', { token }), enter: async (answer) => answer }
  },
  async 'a reset'(email) {
    const token = await mailedToken(here.auth, here.system, email)
    return {
      prove: () => post('password-reset-confirm', { token, new_password: NEW }),
      enter: () => logIn(here.system, email, NEW),
    }
  },
}

/** Tries everything that was set up. */
async function expectNothingWorks({ change, email, headers, id, sessions, v0 }: Attack) {
  for (const { access_token, refresh_token } of sessions) {
    expect(await askEach(here.system, access_token)).toEqual(all('token_revoked'))
    expectProblem(await post('refresh', { refresh_token }), 401, 'invalid_refresh_token')
    for (const token of [access_token, refresh_token])
      expect((await here.auth('POST /auth/introspect', { headers: as.operator, body: { token } })).body).toEqual({
        active: false,
      })
  }
  expect(await askEach(here.system, v0.accessToken)).toEqual(all('token_revoked'))
  expectProblem(await post('refresh', { refresh_token: v0.refreshToken.token }), 401, 'invalid_refresh_token')
  expectProblem(await logIn(here.system, email), 401, 'invalid_credentials')
  expectProblem(await post('reauthenticate', { password: PASSWORD }, headers), 401, 'token_revoked')
  const { challenge_id, code, token } = change
  for (const proof of [{ token }, { challenge_id, code }])
    expectProblem(await post('email-change-confirm', proof, headers), 401, 'token_revoked')
  const user = await here.users(`PATCH /users/${id}`, { headers, body: { name: 'Mallory' } })
  expectProblem(user, 401, 'token_revoked')
}

describe.each(sliced(Object.entries(PROOFS), 2))('check 43: the owner proves the address by %s', (_, prepare) => {
  test('sessions, tokens, the password and the change of the email that waits are void', async () => {
    const other = await attack()
    const { enter, prove } = await prepare(other.email)
    const answer = await prove()
    expect(answer.status).toBeOneOf([200, 204])
    await expectNothingWorks(other)
    const { body: owner } = await enter(answer)
    const me = await here.auth('GET /auth/me', { headers: as.bearer(owner.access_token) })
    expect(me.body).toMatchObject({ id: other.id, email: other.email, email_verified: true })
    // The mail of the change that waits is no use to the owner's session either.
    const confirm = await post('email-change-confirm', { token: other.change.token }, as.bearer(owner.access_token))
    expectProblem(confirm, 400, 'invalid_challenge')
    const list = await here.auth('GET /auth/sessions', { headers: as.bearer(owner.access_token) })
    expect(list.body.items).toHaveLength(1)
  })

  test('what the other person does at the same moment does not survive either', async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const other = await attack()
      const [{ refresh_token }] = other.sessions as [{ refresh_token: string }]
      const attempts = [
        ...Array.from({ length: 8 }, () => () => logIn(here.system, other.email)),
        ...Array.from({ length: 4 }, () => () => post('refresh', { refresh_token })),
        () => post('reauthenticate', { password: PASSWORD }, other.headers),
        () =>
          here.users(`POST /users/${other.id}/change-password`, {
            headers: other.headers,
            body: { current_password: PASSWORD, new_password: 'the password of Mallory' },
          }),
      ]
      const { prove } = await prepare(other.email)
      const [answer, ...answers] = await Promise.all([
        prove(),
        ...attempts.map(async (send, index) => {
          await Bun.sleep(index * 3)
          return send()
        }),
      ])
      expect(answer.status).toBeOneOf([200, 204, 400])
      // A change of the password may come first: it voids what was mailed. The owner asks again.
      if (answer.status === 400) expect((await (await prepare(other.email)).prove()).status).toBeOneOf([200, 204])
      const tokens = answers.map(({ body }) => body?.access_token).filter(Boolean)
      for (const token of tokens) expect(await askEach(here.system, token)).toEqual(all('token_revoked'))
      for (const { body } of answers)
        if (body?.refresh_token)
          expectProblem(await post('refresh', { refresh_token: body.refresh_token }), 401, 'invalid_refresh_token')
      for (const password of [PASSWORD, 'the password of Mallory'])
        expectProblem(await logIn(here.system, other.email, password), 401, 'invalid_credentials')
    }
  })

  test('of that proof and of a change to another address, one happens', async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const other = await attack()
      const confirm = () => post('email-change-confirm', { token: other.change.token }, other.headers)
      const { prove } = await prepare(other.email)
      // One or the other has a start of a few milliseconds.
      const later = (send: () => Promise<Answer>, ms: number) => Bun.sleep(ms).then(send)
      const [answer, changed] = await Promise.all([
        later(prove, Math.max(0, ROUNDS / 2 - round) * 3),
        later(confirm, Math.max(0, round - ROUNDS / 2) * 3),
      ])
      const { email, email_verified } = await read(other.id)
      if (changed.status === 200 && answer.status >= 400) {
        // The account has the other address, and the owner of this one is not in it.
        expect(email).not.toBe(other.email)
        continue
      }
      expect(answer.status).toBeOneOf([200, 204])
      expect(changed.status).toBeOneOf([400, 401])
      expect([email, email_verified]).toEqual([other.email, true])
      await expectNothingWorks(other)
    }
  })
})

describe('check 43: other proofs', () => {
  test('a verification by the mail of the registration keeps password and sessions', async () => {
    const email = newEmail()
    let user = { id: '', tokens: { access_token: '' } }
    const { challenge_id, code } = await challenged(here.system, email, async () => {
      const answer = await post('register', { email, password: PASSWORD })
      user = answer.body
      return answer
    })
    expect((await post('email-verification-confirm', { challenge_id, code })).status).toBe(200)
    expect(await askEach(here.system, user.tokens.access_token)).toEqual(all(200))
    expect((await logIn(here.system, email)).status).toBe(200)
    // The address is verified now: a code by mail is no first proof.
    const login = await requested(here.system, 'email-code-request', { email })
    expect((await post('email-code-login', { token: login.token })).status).toBe(200)
    expect(await askEach(here.system, user.tokens.access_token)).toEqual(all(200))
    expect((await logIn(here.system, email)).status).toBe(200)
  })

  test('an address that someone else registered cannot be invited; its owner resets the password instead', async () => {
    const other = await attack()
    const answer = await here.auth('POST /admin/invitations', { headers: as.operator, body: { email: other.email } })
    expectProblem(answer, 409, 'email_taken')
  })

  test('an invitation is the first proof: it ends a session from before', async () => {
    const email = newEmail()
    const { body: user } = await here.users('POST /users', { headers: as.operator, body: { email } })
    const login = await requested(here.system, 'email-code-request', { email })
    const { body: session } = await post('email-code-login', { token: login.token })
    // An operator declares the address unverified again, and invites its owner.
    await here.users(`PATCH /users/${user.id}`, { headers: as.operator, body: { email_verified: false } })
    await here.auth('POST /admin/invitations', { headers: as.operator, body: { user_id: user.id } })
    const { token } = await nextMail(here.system, email, 0, 'invitation')
    expect((await post('invitation-accept', { token, new_password: NEW })).status).toBe(200)
    expect(await askEach(here.system, session.access_token)).toEqual(all('token_revoked'))
    expectProblem(await post('refresh', { refresh_token: session.refresh_token }), 401, 'invalid_refresh_token')
  })

  test('a change of the own email to an address of someone else: its owner ends password, sessions and devices', async () => {
    const system = await inProcessApart({ RATE_LIMIT: 'off', EMAIL_LOGIN: 'on', DEVICE_TRUST: 'all' })
    try {
      const auth = (path: string, body: object, headers = {}) =>
        call(system.url.auth, `POST /api/v1/auth/${path}`, { body, headers })
      const email = newEmail()
      const body = { email, password: PASSWORD, email_verified: true }
      const { body: user } = await call(system.url.users, 'POST /api/v1/users', { headers: as.operator, body })
      const device = await challenged(system, email, () => logIn(system, email))
      const { challenge_id, code } = device
      const { body: confirmed } = await auth('device-confirm', { challenge_id, code })
      const { access_token, device_token } = confirmed
      expect(device_token).toBeString()
      const target = newEmail()
      const headers = as.bearer(access_token)
      const patch = await call(system.url.users, `PATCH /api/v1/users/${user.id}`, { headers, body: { email: target } })
      expect(patch.status).toBe(200)
      const { token } = await requested(system, 'email-code-request', { email: target })
      expect((await auth('email-code-login', { token })).status).toBe(200)
      expect(await askEach(system, access_token)).toEqual(all('token_revoked'))
      const reset = await mailedToken(
        clientOf(() => system.url.auth),
        system,
        target,
      )
      await auth('password-reset-confirm', { token: reset, new_password: NEW })
      const login = await auth('login', { login: target, password: NEW, device_token })
      expect([login.status, login.body.code]).toEqual([403, 'device_confirmation_required'])
    } finally {
      await system.stop()
    }
  })
})
