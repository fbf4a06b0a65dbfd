import { describe, expect, test } from 'bun:test'
import { DAY, HOUR, MINUTE, SECOND } from '../../services/kit/clock.ts'
import { logIn, newEmail, PASSWORD } from '../support/actors.ts'
import { challenged, invitation, type Mailed, nextMail, requested } from '../support/challenges.ts'
import { eventually } from '../support/eventually.ts'
import { expectProblem } from '../support/expectations.ts'
import { type Answer, as, call } from '../support/http.ts'
import { mailsTo } from '../support/mails.ts'
import { movingClock } from '../support/moving-clock.ts'
import { running } from '../support/running.ts'
import { inProcess } from '../support/system.ts'

const NEW = 'a wholly new password'

/** A system whose clock a test moves. */
function timed(env: Record<string, string>) {
  const clock = movingClock()
  const here = running(() => inProcess({ EMAIL_LOGIN: 'on', TRUSTED_PROXIES: '127.0.0.1', ...env }, { clock }))
  const post = (path: string, body: object, headers = {}) => here.auth(`POST /auth/${path}`, { body, headers })
  return {
    clock,
    here,
    post,
    /** Creates a user by the operator key. */
    async newUser(fields: object = {}) {
      const email = newEmail()
      const { body } = await here.users('POST /users', {
        headers: as.operator,
        body: { email, password: PASSWORD, email_verified: true, ...fields },
      })
      return { id: body.id as string, email }
    },
    async bearerOf(email: string) {
      return as.bearer((await logIn(here.system, email)).body.access_token)
    },
  }
}

describe('contract 12: how long codes and links can be used', () => {
  const { bearerOf, clock, here, newUser, post } = timed({ RATE_LIMIT: 'off' })

  interface Lived {
    /** Makes a mail, and gives what uses its code or its link. */
    prepare(): Promise<{ code?: () => Promise<Answer>; link: () => Promise<Answer> }>
    link: number
    refusal?: string
  }
  const both = (path: string, mailed: Mailed & { challenge_id: string }, headers = {}) => ({
    code: () => post(path, { challenge_id: mailed.challenge_id, code: mailed.code }, headers),
    link: () => post(path, { token: mailed.token }, headers),
  })
  const LIVES: Record<string, Lived> = {
    'of a verification': {
      async prepare() {
        const { email } = await newUser({ email_verified: false })
        return both('email-verification-confirm', await requested(here.system, 'email-verification-request', { email }))
      },
      link: 24 * HOUR,
    },
    'of a registration': {
      async prepare() {
        const email = newEmail()
        const register = () => post('register', { email, password: PASSWORD })
        return both('email-verification-confirm', await challenged(here.system, email, register))
      },
      link: 24 * HOUR,
    },
    'to log in': {
      async prepare() {
        const { email } = await newUser()
        return both('email-code-login', await requested(here.system, 'email-code-request', { email }))
      },
      link: 10 * MINUTE,
    },
    'of a change of the email': {
      async prepare() {
        const { email } = await newUser()
        const headers = await bearerOf(email)
        const mailed = await requested(here.system, 'email-change-request', { new_email: newEmail() }, headers)
        const uses = both('email-change-confirm', mailed)
        // The access token may have expired by then: the session has not.
        const fresh = async (body: object) => {
          const login = await bearerOf(email)
          return post('email-change-confirm', body, login)
        }
        return {
          ...uses,
          code: () => fresh({ challenge_id: mailed.challenge_id, code: mailed.code }),
          link: () => fresh({ token: mailed.token }),
        }
      },
      link: HOUR,
    },
    'of an invitation': {
      async prepare() {
        const token = await invitation(here.system, newEmail())
        return { link: () => post('invitation-accept', { token, new_password: NEW }) }
      },
      link: 7 * DAY,
    },
    'of a reset': {
      async prepare() {
        const { email } = await newUser()
        const before = mailsTo(here.system, email).length
        await post('password-reset-request', { email })
        const { token } = await nextMail(here.system, email, before)
        return { link: () => post('password-reset-confirm', { token, new_password: NEW }) }
      },
      link: 30 * MINUTE,
      refusal: 'invalid_reset_token',
    },
    'that undoes a change of the email': {
      async prepare() {
        const { email, id } = await newUser()
        await here.users(`PATCH /users/${id}`, { headers: as.operator, body: { email: newEmail() } })
        const { token } = await nextMail(here.system, email)
        return { link: () => post('email-change-undo', { token }) }
      },
      link: 7 * DAY,
    },
  }

  test.each(Object.entries(LIVES))('a link %s', async (_, { link: life, prepare, refusal = 'invalid_challenge' }) => {
    const [early, late] = [await prepare(), await prepare()]
    clock.pass(life - 30 * SECOND)
    expect([200, 204]).toContain((await early.link()).status)
    clock.pass(31 * SECOND)
    expectProblem(await late.link(), 400, refusal)
  })

  test.each(Object.entries(LIVES).filter(([name]) => !/invitation|reset|undoes/.test(name)))(
    'a code %s: ten minutes, also where the link lives longer',
    async (_, { link: life, prepare }) => {
      const [early, late] = [await prepare(), await prepare()]
      clock.pass(10 * MINUTE - 30 * SECOND)
      expect((await early.code?.())?.status).toBe(200)
      clock.pass(31 * SECOND)
      expectProblem((await late.code?.()) as Answer, 400, 'invalid_challenge')
      if (life > 10 * MINUTE) expect((await late.link()).status).toBe(200)
    },
  )
})

describe('contract 12: how many mails an address gets', () => {
  const { bearerOf, clock, here, newUser, post } = timed({ EMAIL_VERIFICATION: 'required' })
  let client = 0
  /** Each request is from an address of its own: those have limits too. */
  const from = () => ({ 'x-forwarded-for': `10.1.${client >> 8}.${client++ & 255}` })
  const ask = async (path: string, body: object, headers = {}) => {
    const answer = await post(path, body, { ...from(), ...headers })
    if (answer.status === 429) expectProblem(answer, 429, 'rate_limited')
    return answer.status
  }
  const PATHS = ['email-verification-request', 'email-code-request']

  describe.each(PATHS)('by %s', (path) => {
    test.each([
      ['an unverified address', () => newUser({ email_verified: false })],
      ['a verified address', () => newUser()],
      ['an address of a disabled user', () => newUser({ status: 'disabled' })],
      ['an unknown address', async () => ({ email: newEmail() })],
    ])('%s: three in a quarter of an hour, ten a day', async (_, user) => {
      const { email } = await user()
      let at = 0
      let outcomes = ''
      const minutes = [0, 0, 0, 0, 14, 15, 15, 15, 15, 29, 31, 31, 31, 31, 47, 47, 1400, 1439, 1441, 1441, 1441, 1441]
      for (const [index, minute] of minutes.entries()) {
        clock.pass((minute - at) * MINUTE)
        at = minute
        // All spellings of an address are one.
        const spelling = index % 2 === 0 ? email : ` ${email.toUpperCase()} `
        outcomes += (await ask(path, { email: spelling })) === 202 ? '+' : '-'
      }
      expect(outcomes).toBe('+++--+++--+++-+---+++-')
    })
  })

  test('Retry-After says when', async () => {
    const email = newEmail()
    for (let n = 0; n < 3; n++) await ask('email-code-request', { email })
    const { headers } = await post('email-code-request', { email }, from())
    expect(Number(headers.get('retry-after'))).toBeWithin(14 * 60, 15 * 60 + 1)
    clock.pass(Number(headers.get('retry-after')) * SECOND)
    expect(await ask('email-code-request', { email })).toBe(202)
  })

  test('the address of a change is that of the mail: taken and free ones alike', async () => {
    const ana = await newUser()
    const bearer = await bearerOf(ana.email)
    for (const new_email of [newEmail(), (await newUser()).email]) {
      const answers: number[] = []
      for (let n = 0; n < 4; n++) answers.push(await ask('email-change-request', { new_email }, bearer))
      expect(answers).toEqual([202, 202, 202, 429])
    }
    expect(await ask('email-change-request', { new_email: newEmail() }, bearer)).toBe(202)
  })

  test('one purpose does not use up the mails of another, nor those of a reset', async () => {
    const { email } = await newUser({ email_verified: false })
    const bearer = await bearerOf((await newUser()).email)
    const requests: [string, object, object?][] = [
      ['email-verification-request', { email }],
      ['email-code-request', { email }],
      ['email-change-request', { new_email: email }, bearer],
    ]
    for (const [path, body, headers] of requests) {
      for (let n = 0; n < 3; n++) expect([path, n, await ask(path, body, headers)]).toEqual([path, n, 202])
      expect([path, await ask(path, body, headers)]).toEqual([path, 429])
    }
    for (let n = 0; n < 5; n++) expect(await ask('password-reset-request', { email })).toBe(202)
    expect(await ask('password-reset-request', { email })).toBe(429)
  })

  test('the mail of a registration is not counted, nor are those after a right password', async () => {
    const email = newEmail()
    await post('register', { email, password: PASSWORD }, from())
    await nextMail(here.system, email)
    for (let n = 1; n <= 4; n++) {
      const login = await logIn(here.system, email)
      expect([n, login.status, login.body.code]).toEqual([n, 403, 'email_not_verified'])
    }
    // One of the registration, three of the logins.
    for (let n = 0; n < 3; n++) expect(await ask('email-verification-request', { email })).toBe(202)
    expect(await ask('email-verification-request', { email })).toBe(429)
    await eventually(() => mailsTo(here.system, email).length === 7)
    // Nor do the mails that anyone asks for use up those of the owner.
    const ben = newEmail()
    await post('register', { email: ben, password: PASSWORD }, from())
    await nextMail(here.system, ben)
    for (let n = 0; n < 4; n++) await ask('email-verification-request', { email: ben })
    await eventually(() => mailsTo(here.system, ben).length === 4)
    await logIn(here.system, ben)
    await nextMail(here.system, ben, 4)
  })

  test('an operator may invite again and again', async () => {
    const email = newEmail()
    for (let n = 0; n < 12; n++) await invitation(here.system, email)
    expect(mailsTo(here.system, email)).toHaveLength(12)
  })

  test('one client asks for many addresses: a hundred an hour, for each purpose', async () => {
    const headers = { 'x-forwarded-for': '192.0.2.77' }
    const asking = (path: string, n: number) =>
      post(path, { email: `many-${path}-${n}@example.org` }, headers).then(({ status }) => status)
    for (const path of PATHS) {
      const answers = await Promise.all(Array.from({ length: 110 }, (_, n) => asking(path, n)))
      expect(answers.filter((status) => status === 202)).toHaveLength(100)
    }
    clock.pass(HOUR)
    expect(await asking('email-code-request', 1000)).toBe(202)
  })

  test('RATE_LIMIT=off: no limit', async () => {
    const system = await inProcess({ RATE_LIMIT: 'off', EMAIL_LOGIN: 'on' })
    try {
      const email = newEmail()
      for (let n = 0; n < 12; n++) {
        const answer = await call(system.url.auth, 'POST /api/v1/auth/email-code-request', { body: { email } })
        expect(answer.status).toBe(202)
      }
    } finally {
      await system.stop()
    }
  })
})
