import { describe, expect, test } from 'bun:test'
import { createUser, logIn, newEmail, type TestUser } from '../support/actors.ts'
import { Authenticator } from '../support/browser/authenticator.ts'
import { invitation, nextMail, requested } from '../support/challenges.ts'
import { all, askEach } from '../support/each-service.ts'
import { eventually } from '../support/eventually.ts'
import { expectProblem } from '../support/expectations.ts'
import { enrolApp, enrolPasskey, ORIGIN } from '../support/factors.ts'
import { type Answer, as } from '../support/http.ts'
import { mailedToken } from '../support/mails.ts'
import { running } from '../support/running.ts'
import { inProcessApart } from '../support/system.ts'

// Checks 43 and 44 with second factors: someone has verified an address of their own, added factors, and then changed the
// email to an address that is not theirs.

const NEW = 'a wholly new password'
const here = running(inProcessApart, { RATE_LIMIT: 'off', EMAIL_LOGIN: 'on', EMAIL_VERIFICATION: 'off' })
const post = (path: string, body: object, headers = {}) => here.auth(`POST /auth/${path}`, { body, headers })

interface Attack extends Pick<TestUser, 'id' | 'tokens'> {
  /** The address of the victim. */
  email: string
  passkey: Authenticator
}

async function attack(): Promise<Attack> {
  const attacker = await createUser(here.system, { email_verified: true })
  const { access_token } = attacker.tokens
  await enrolApp(here.system, access_token, Date.now())
  const passkey = await enrolPasskey(here.system, access_token)
  const email = newEmail()
  const changed = await here.users(`PATCH /users/${attacker.id}`, { headers: as.bearer(access_token), body: { email } })
  expect(changed.status).toBe(200)
  return { id: attacker.id, tokens: attacker.tokens, email, passkey }
}

const factorsOf = async (id: string) =>
  (await here.auth(`GET /admin/users/${id}/factors`, { headers: as.operator })).body

/** Tries everything of the other person. */
async function expectNothingWorks({ email, id, passkey, tokens }: Attack): Promise<void> {
  expect(await factorsOf(id)).toEqual({ items: [], recovery_codes_left: 0 })
  expect(await askEach(here.system, tokens.access_token)).toEqual(all('token_revoked'))
  const { body: options } = await post('passkeys/login-options', {})
  expectProblem(await post('passkeys/login', { credential: passkey.get(options) }), 401, 'invalid_credentials')
  expectProblem(await logIn(here.system, email), 401, 'invalid_credentials')
}

/** The ways in which the owner of the address proves it. @returns how the owner is then logged in */
const PROOFS: Record<string, (email: string) => Promise<Answer>> = {
  async 'a code by mail'(email) {
    const { challenge_id, code } = await requested(here.system, 'email-code-request', { email })
    return post('email-code-login', { challenge_id, code })
  },
  async 'a link by mail'(email) {
    const { token } = await requested(here.system, 'email-code-request', { email })
    return post('email-code-login', { token })
  },
  async 'a reset'(email) {
    const token = await mailedToken(here.auth, here.system, email)
    expect((await post('password-reset-confirm', { token, new_password: NEW })).status).toBe(204)
    return logIn(here.system, email, NEW)
  },
}

describe('check 43: the first proof of an address voids the second factors of whoever had it before', () => {
  test.each(Object.entries(PROOFS))('by %s', async (_, prove) => {
    const other = await attack()
    const opened = await prove(other.email)
    expect(opened.status).toBe(200)
    await expectNothingWorks(other)
    // The owner adds factors of their own, and nothing that comes late takes them away.
    const passkey = await enrolPasskey(here.system, opened.body.access_token)
    const sync = { headers: as.operator, body: { user_id: other.id } }
    expect((await here.auth('POST /admin/password-cache/sync', sync)).status).toBe(200)
    expect((await factorsOf(other.id)).items).toHaveLength(1)
    const { body: options } = await post('passkeys/login-options', {})
    expect((await post('passkeys/login', { credential: passkey.get(options) })).status).toBe(200)
    const { challenge_id, token } = await requested(here.system, 'email-code-request', { email: other.email })
    expect(challenge_id).toBeString()
    expectProblem(await post('email-code-login', { token }), 403, 'second_factor_required')
  })

  test('by an invitation', async () => {
    // Without a password: the other person has got in by mail.
    const email = newEmail()
    const { body: user } = await here.users('POST /users', {
      headers: as.operator,
      body: { email, email_verified: true },
    })
    const { token: link } = await requested(here.system, 'email-code-request', { email })
    const { body: tokens } = await post('email-code-login', { token: link })
    const passkey = await enrolPasskey(here.system, tokens.access_token, new Authenticator(ORIGIN))
    const victim = newEmail()
    const headers = as.bearer(tokens.access_token)
    expect((await here.users(`PATCH /users/${user.id}`, { headers, body: { email: victim } })).status).toBe(200)
    const token = await invitation(here.system, victim)
    const accepted = await post('invitation-accept', { token, new_password: NEW })
    expect(accepted.status).toBe(200)
    await expectNothingWorks({ id: user.id, tokens, email: victim, passkey })
    expect((await logIn(here.system, victim, NEW)).status).toBe(200)
  })

  test.each(Object.entries(PROOFS))(
    'also if the other person logs in and adds factors meanwhile: %s',
    async (_, prove) => {
      for (let round = 0; round < 6; round++) {
        const other = await attack()
        const headers = as.bearer(other.tokens.access_token)
        const add = async () => {
          const options = await post('passkeys/options', {}, headers)
          if (options.status !== 200) return options
          return post('passkeys', { credential: new Authenticator(ORIGIN).create(options.body) }, headers)
        }
        const signIn = async () => {
          const { body: options } = await post('passkeys/login-options', {})
          return post('passkeys/login', { credential: other.passkey.get(options, { counter: 1000 + round }) })
        }
        const [opened, ...answers] = await Promise.all([
          prove(other.email),
          ...Array.from({ length: 6 }, (__, n) => Bun.sleep(n * 4).then(n % 2 ? add : signIn)),
        ])
        expect(opened?.status).toBe(200)
        expect(await factorsOf(other.id)).toEqual({ items: [], recovery_codes_left: 0 })
        for (const { body } of answers)
          if (body.access_token) expect(await askEach(here.system, body.access_token)).toEqual(all('token_revoked'))
      }
    },
  )

  test.each(['email_code', 'reset'])('also when auth is killed between the proof (%s) and its answer', async (kind) => {
    const other = await attack()
    await here.system.kill('auth')
    // Users has stored the proof that auth sent; the answer is lost.
    const proof = {
      kind,
      email: other.email,
      by: { actor: `user:${other.id}`, ip: null },
      ...(kind === 'reset' && { new_password: NEW }),
    }
    const stored = await here.users(`POST /users/${other.id}/proof`, { headers: as.internal, body: proof })
    expect([stored.status, stored.body.outcome]).toEqual([200, 'proved'])
    await here.system.start('auth')
    await eventually(async () => (await factorsOf(other.id)).items?.length === 0)
    await expectNothingWorks(other)
    expect((await (PROOFS[kind === 'reset' ? 'a reset' : 'a link by mail'] as typeof prove)(other.email)).status).toBe(
      200,
    )
  })
  const prove = PROOFS['a reset'] as (email: string) => Promise<Answer>

  test('a reset of an address that was verified before keeps them', async () => {
    const user = await createUser(here.system, { email_verified: true })
    await enrolApp(here.system, user.tokens.access_token, Date.now())
    const token = await mailedToken(here.auth, here.system, user.email)
    expect((await post('password-reset-confirm', { token, new_password: NEW })).status).toBe(204)
    expectProblem(await logIn(here.system, user.email, NEW), 403, 'second_factor_required')
    expect(await factorsOf(user.id)).toMatchObject({ items: [{ kind: 'totp' }], recovery_codes_left: 10 })
  })
})

describe('check 44: the owner of the earlier address undoes the change', () => {
  test('their own factors stay, and those that were added since are gone', async () => {
    const owner = await createUser(here.system, { email_verified: true })
    const { access_token } = owner.tokens
    const { app } = await enrolApp(here.system, access_token, Date.now())
    const passkey = await enrolPasskey(here.system, access_token)
    // The session, with its second factor, is stolen.
    const headers = as.bearer(access_token)
    const { token } = await requested(here.system, 'email-change-request', { new_email: newEmail() }, headers)
    expect((await post('email-change-confirm', { token }, headers)).status).toBe(200)
    const stolen = await enrolPasskey(here.system, access_token)
    const undo = (await nextMail(here.system, owner.email, 0, 'undo-email')).token
    expect((await post('email-change-undo', { token: undo })).status).toBe(204)
    const { items } = await factorsOf(owner.id)
    expect(items.map(({ kind }: { kind: string }) => kind).sort()).toEqual(['passkey', 'totp'])
    expect(items.map(({ id }: { id: string }) => id)).toContain(app.id)
    const signIn = async (passkey: Authenticator) =>
      post('passkeys/login', { credential: passkey.get((await post('passkeys/login-options', {})).body) })
    expectProblem(await signIn(stolen), 401, 'invalid_credentials')
    expect((await signIn(passkey)).status).toBe(200)
  })
})
