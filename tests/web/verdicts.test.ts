import { beforeAll, describe, expect, test } from 'bun:test'
import { en } from '../../services/web/texts/en.ts'
import { ru } from '../../services/web/texts/ru.ts'
import { createUser, logIn, newEmail, PASSWORD, registerUser } from '../support/actors.ts'
import { nextMail } from '../support/challenges.ts'
import { eventually } from '../support/eventually.ts'
import { enrolApp } from '../support/factors.ts'
import { as, byOperator, call } from '../support/http.ts'
import { movingClock } from '../support/moving-clock.ts'
import { running } from '../support/running.ts'
import { inProcess } from '../support/system.ts'
import { giveRoles, newPerson, type Visitor } from './attacks/visitor.ts'

const WRONG = 'not the password of anyone'
const { advice, verdicts } = en.console

// The page of a user in the support console says why their sign-ins fail, in the words for support people.
describe('why a sign-in failed', () => {
  const clock = movingClock()
  const here = running((env) => inProcess(env, { clock }), {
    RATE_LIMIT: 'on',
    EMAIL_LOGIN: 'on',
    SUPPORT_ROLE: 'SUPPORT',
    TRUSTED_PROXIES: '127.0.0.1',
  })
  let supporter: Visitor
  let supporterId: string
  beforeAll(async () => {
    const person = await newPerson(here.system)
    await giveRoles(here.system, person, ['SUPPORT'])
    supporter = person.visitor
    supporterId = (await here.users(`GET /users/by-email/${person.email}`, byOperator())).body.id
  })
  /** Each situation has a client address of its own, so that their failures are not counted together. */
  let address = 0
  const fail = async (login: string, times: number, from = `198.51.100.${++address}`) => {
    for (let n = 0; n < times; n++)
      await here.auth('POST /auth/login', {
        headers: { 'x-forwarded-for': from },
        body: { login, password: WRONG },
      })
  }
  const status = (id: string, to: string) => here.users(`PATCH /users/${id}`, byOperator({ status: to }))
  const text = async (id: string) => (await supporter.get(`/console/users/${id}`)).text

  /** Each creates a situation. @returns the id of the user, and what the page must say */
  const CASES: [string, () => Promise<[id: string, ...texts: string[]]>][] = [
    [
      'nobody has tried',
      async () => {
        const { body } = await here.users('POST /users', byOperator({ email: newEmail(), password: 'horse battery 1' }))
        return [body.id, verdicts.no_login_tried]
      },
    ],
    [
      'the last one succeeded',
      async () => {
        const { email, id } = await createUser(here.system)
        await fail(email, 2)
        await logIn(here.system, email)
        return [id, verdicts.no_failure, advice.no_failure]
      },
    ],
    [
      'the password is wrong',
      async () => {
        const { email, id } = await createUser(here.system)
        await fail(email, 3, '198.51.100.77')
        return [id, verdicts.wrong_password(3), advice.wrong_password, '198.51.100.77', `audit explain ${email}`]
      },
    ],
    [
      'the password is wrong, was changed before that, and a reset was not used',
      async () => {
        const { email, id } = await createUser(here.system)
        await here.users(`POST /users/${id}/set-password`, byOperator({ new_password: 'quite another one' }))
        await fail(email, 1)
        await here.auth('POST /auth/password-reset-request', { body: { email } })
        await nextMail(here.system, email, 0, 'reset-password')
        const { maybe_old_password, unused_reset, wrong_password } = verdicts
        return [id, `${wrong_password(1)} ${maybe_old_password} ${unused_reset}`]
      },
    ],
    [
      'the password is wrong, and the mail of a reset was sent at its second attempt',
      async () => {
        const { email, id } = await createUser(here.system)
        await fail(email, 1)
        const request_id = `reset-${Bun.randomUUIDv7()}`
        const headers = { 'x-request-id': request_id }
        await here.auth('POST /auth/password-reset-request', { headers, body: { email } })
        await nextMail(here.system, email, 0, 'reset-password')
        // Each attempt adds a row.
        const again = { id: Bun.randomUUIDv7(), at: clock.now(), type: 'password.reset_requested', detail: {} }
        const body = { ...again, user_id: id, actor: 'anyone', ip: null, request_id }
        await call(here.system.url.auth, 'POST /auth/audit', { headers: as.internal, body })
        return [id, `${verdicts.wrong_password(1)} ${verdicts.unused_reset}`]
      },
    ],
    [
      'the password was changed since',
      async () => {
        const { email, id } = await createUser(here.system)
        await fail(email, 2)
        await here.users(`POST /users/${id}/set-password`, byOperator({ new_password: 'quite another one' }))
        return [id, verdicts.password_changed_since(2), advice.password_changed_since]
      },
    ],
    [
      'there is no password',
      async () => {
        const { body } = await here.users('POST /users', byOperator({ email: newEmail() }))
        await fail(body.email, 2)
        return [body.id, verdicts.no_password(2), advice.no_password]
      },
    ],
    [
      'the account is disabled',
      async () => {
        const { email, id } = await createUser(here.system)
        await status(id, 'disabled')
        await logIn(here.system, email)
        return [id, verdicts.account_disabled, advice.account_disabled]
      },
    ],
    [
      'the account was disabled',
      async () => {
        const { email, id } = await createUser(here.system)
        await status(id, 'disabled')
        await logIn(here.system, email)
        await status(id, 'active')
        return [id, verdicts.was_disabled, advice.try_again]
      },
    ],
    [
      'too many failed, and one more was refused',
      async () => {
        const { email, id } = await createUser(here.system)
        await fail(email, 11)
        return [id, verdicts.account_paused(10), advice.account_paused, en.console.reasons.refused]
      },
    ],
    [
      'too many came from an address',
      async () => {
        const from = '203.0.113.9'
        for (let n = 0; n < 30; n++) await Promise.all(Array.from({ length: 10 }, () => fail(newEmail(), 1, from)))
        const { email, id } = await createUser(here.system)
        await fail(email, 1, from)
        return [id, verdicts.address_paused, advice.address_paused, from]
      },
    ],
    [
      'the code of a mail is wrong',
      async () => {
        const { email, id } = await registerUser(here.system)
        const { challenge_id } = (await here.auth('POST /auth/email-code-request', { body: { email } })).body
        const { code } = await nextMail(here.system, email, 0, 'sign-in-link')
        const body = { challenge_id, code: code === '000000' ? '000001' : '000000' }
        for (let n = 0; n < 2; n++) await here.auth('POST /auth/email-code-login', { body })
        return [id, verdicts.wrong_code(2), advice.wrong_code]
      },
    ],
    [
      'the code of a mail is wrong, of someone with a second factor',
      async () => {
        const { email, id, tokens } = await createUser(here.system, { email_verified: true })
        await enrolApp(here.system, tokens.access_token, clock.now())
        const login = (await logIn(here.system, email)).body
        await here.auth('POST /auth/second-factor', { body: { challenge_id: login.challenge_id, code: 'aaaaaa' } })
        const { challenge_id } = (await here.auth('POST /auth/email-code-request', { body: { email } })).body
        await nextMail(here.system, email, 0, 'sign-in-link')
        for (let n = 0; n < 2; n++)
          await here.auth('POST /auth/email-code-login', { body: { challenge_id, code: 'aaaaaa' } })
        return [id, verdicts.wrong_code(2), advice.wrong_code]
      },
    ],
    [
      'a code was wrong, of someone who has removed their second factor',
      async () => {
        const { id, tokens } = await createUser(here.system, { email_verified: true })
        const headers = { authorization: `Bearer ${tokens.access_token}` }
        const { app } = await enrolApp(here.system, tokens.access_token, clock.now())
        const removal = await here.auth(`DELETE /auth/factors/${app.id}`, { headers })
        expect(removal.status).toBe(204)
        // A row of an earlier version does not say whose code it was.
        const row = { id: Bun.randomUUIDv7(), at: clock.now(), type: 'login.failed', detail: { reason: 'wrong_code' } }
        const body = { ...row, user_id: id, actor: 'anyone', ip: null, request_id: null }
        await call(here.system.url.auth, 'POST /auth/audit', { headers: as.internal, body })
        return [id, verdicts.wrong_code(1), advice.wrong_code]
      },
    ],
    [
      'a password was mistyped for a change, and then right',
      async () => {
        const { id, tokens } = await createUser(here.system)
        const headers = { authorization: `Bearer ${tokens.access_token}` }
        for (const password of [WRONG, PASSWORD])
          await here.auth('POST /auth/reauthenticate', { headers, body: { password } })
        return [id, verdicts.no_failure, advice.no_failure]
      },
    ],
    [
      'the code of the second factor is wrong',
      async () => {
        const { email, id, tokens } = await createUser(here.system, { email_verified: true })
        await enrolApp(here.system, tokens.access_token, clock.now())
        const { challenge_id } = (await logIn(here.system, email)).body
        for (let n = 0; n < 2; n++)
          await here.auth('POST /auth/second-factor', { body: { challenge_id, code: 'aaaaaa' } })
        return [id, verdicts.wrong_second_factor(2), advice.lost_factor, `users factors reset ${email}`]
      },
    ],
  ]

  test.each(CASES)('%s', async (_, situation) => {
    const [id, ...texts] = await situation()
    // Rows of users reach the audit a moment later.
    await eventually(async () => (await text(id)).includes(texts[0] ?? ''))
    const page = await text(id)
    for (const each of texts) expect(page).toContain(each)
    for (const secret of [WRONG, '$2b$']) expect(page).not.toContain(secret)
  })

  test('is said in Russian, with the numbers in their forms', async () => {
    const { email, id } = await createUser(here.system)
    await fail(email, 3)
    await here.users(`PATCH /users/${supporterId}`, byOperator({ locale: 'ru' }))
    const page = await text(id)
    for (const each of [ru.console.verdicts.wrong_password(3), '3 раза', ru.console.advice.wrong_password])
      expect(page).toContain(each)
  })
})
