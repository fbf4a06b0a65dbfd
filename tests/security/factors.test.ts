import { describe, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { HOUR, MINUTE, SECOND } from '../../services/kit/clock.ts'
import { createUser, logIn, type TestUser } from '../support/actors.ts'
import { challenged } from '../support/challenges.ts'
import { expectProblem } from '../support/expectations.ts'
import { type App, enrolApp, enrolPasskey, startedApp } from '../support/factors.ts'
import { type Answer, as } from '../support/http.ts'
import { movingClock } from '../support/moving-clock.ts'
import { changeRows } from '../support/postgres/database-rows.ts'
import { running } from '../support/running.ts'
import { inProcess } from '../support/system.ts'
import { WHOLE } from '../support/whole.ts'
import { Canaries, filesUnder } from './canaries.ts'
import { areEven, requestsOfEach, timesApart } from './timing.ts'

// Check 46: codes of apps and recovery codes.

const STEP = 30 * SECOND
const VERIFIED = { email_verified: true }
const wrong = (code: string) => code.replace(/\d$/, (digit) => String((Number(digit) + 1) % 10))

interface Person extends TestUser {
  app: App
  recoveryCodes: string[]
}

/** A system whose clock a test moves. */
function timed(env: Record<string, string> = {}) {
  const clock = movingClock()
  const here = running(() => inProcess(env, { clock }))
  const post = (path: string, body: object, headers = {}) => here.auth(`POST /auth/${path}`, { body, headers })
  return {
    clock,
    here,
    post,
    /** A user with an app, of which the next code was not used. */
    async newPerson(fields: object = {}): Promise<Person> {
      const user = await createUser(here.system, { ...VERIFIED, ...fields })
      const added = await enrolApp(here.system, user.tokens.access_token, clock.now())
      clock.pass(2 * STEP)
      return { ...user, ...added }
    },
    /** The challenge of a new login. */
    challengeOf: async ({ email }: Pick<TestUser, 'email'>): Promise<string> =>
      (await logIn(here.system, email)).body.challenge_id,
  }
}

/** The whole answer, without what names the request. */
function bytesOf({ body, headers, status }: Answer): string {
  for (const name of ['date', 'x-request-id']) headers.delete(name)
  return JSON.stringify([status, { ...body, requestId: '' }, [...headers]])
}

describe('check 46: the code of an app', () => {
  const { challengeOf, clock, here, newPerson, post } = timed({ RATE_LIMIT: 'off' })
  const send = (challenge_id: string, code: string) => post('second-factor', { challenge_id, code })

  test('is right one step early or late, and two steps away wrong', async () => {
    const person = await newPerson()
    for (const [distance, status] of [
      [-2, 401],
      [2, 401],
      [-3, 401],
      [-1, 200],
      [0, 200],
      [1, 200],
    ] as const) {
      const code = person.app.codeAt(clock.now() + distance * STEP)
      expect([distance, (await send(await challengeOf(person), code)).status]).toEqual([distance, status])
    }
    // An earlier code than the last one is void, although it was never used.
    const other = await newPerson()
    expect((await send(await challengeOf(other), other.app.codeAt(clock.now()))).status).toBe(200)
    expect((await send(await challengeOf(other), other.app.codeAt(clock.now() - STEP))).status).toBe(401)
  })

  test('opens one session, of 50 parallel tries with one login, with many, and to authenticate again', async () => {
    const person = await newPerson()
    const headers = as.bearer(person.tokens.access_token)
    const ways: Record<string, (logins: string[]) => (code: string, n: number) => Promise<Answer>> = {
      'one login':
        ([login = '']) =>
        (code) =>
          send(login, code),
      'many logins': (logins) => (code, n) => send(logins[n] ?? '', code),
      'logins and authentications': (logins) => (code, n) =>
        n % 2 ? post('reauthenticate', { code }, headers) : send(logins[n] ?? '', code),
    }
    for (let round = 0; round < 4; round++)
      for (const [way, tryWith] of Object.entries(ways)) {
        const logins = await Promise.all(Array.from({ length: 50 }, () => challengeOf(person)))
        clock.pass(STEP)
        const code = person.app.codeAt(clock.now())
        const answers = await Promise.all(logins.map((_, n) => tryWith(logins)(code, n)))
        const statuses = answers.map(({ status }) => status)
        expect([way, statuses.filter((status) => status === 200).length]).toEqual([way, 1])
        expect([way, new Set(statuses)]).toEqual([way, new Set([200, 401])])
      }
  }, 300_000)

  test('is not right again when the clock goes forwards and back', async () => {
    const person = await newPerson()
    const code = person.app.codeAt(clock.now())
    expect((await send(await challengeOf(person), code)).status).toBe(200)
    const began = clock.now()
    for (const step of [HOUR, -2 * HOUR, HOUR]) {
      clock.pass(step)
      expectProblem(await send(await challengeOf(person), code), 401, 'invalid_code')
    }
    clock.pass(-HOUR)
    // Behind the last code that was used none is right; recovery codes are.
    expectProblem(await send(await challengeOf(person), person.app.codeAt(clock.now())), 401, 'invalid_code')
    expect((await send(await challengeOf(person), person.recoveryCodes[0] ?? '')).status).toBe(200)
    clock.pass(began - clock.now() + 2 * STEP)
    expect((await send(await challengeOf(person), person.app.codeAt(clock.now()))).status).toBe(200)
  })

  test('that confirmed the app opens no login', async () => {
    const user = await createUser(here.system, VERIFIED)
    const { app } = await enrolApp(here.system, user.tokens.access_token, clock.now())
    const code = app.codeAt(clock.now())
    expectProblem(await send(await challengeOf(user), code), 401, 'invalid_code')
  })

  test('of an app that was never confirmed, or was removed, opens nothing', async () => {
    const person = await newPerson()
    const { body: login } = await send(await challengeOf(person), person.app.codeAt(clock.now()))
    const headers = as.bearer(login.access_token)
    const pending = await startedApp(here.system, login.access_token)
    clock.pass(STEP)
    expectProblem(await send(await challengeOf(person), pending.codeAt(clock.now())), 401, 'invalid_code')
    await enrolPasskey(here.system, login.access_token)
    expect((await here.auth(`DELETE /auth/factors/${person.app.id}`, { headers })).status).toBe(204)
    expectProblem(await send(await challengeOf(person), person.app.codeAt(clock.now())), 401, 'invalid_code')
  })

  test('of someone else opens nothing', async () => {
    const [ana, ben] = [await newPerson(), await newPerson()]
    const code = ben.app.codeAt(clock.now())
    expectProblem(await send(await challengeOf(ana), code), 401, 'invalid_code')
    expectProblem(await send(await challengeOf(ana), ben.recoveryCodes[0] ?? ''), 401, 'invalid_code')
    expect((await send(await challengeOf(ben), code)).status).toBe(200)
  })

  test('has five tries, with the right one too late; every refusal has the same bytes', async () => {
    const person = await newPerson()
    const code = () => person.app.codeAt(clock.now())
    const [exhausted, expired, used] = [await challengeOf(person), await challengeOf(person), await challengeOf(person)]
    const answers = new Set<string>()
    const refused = async (challenge_id: string, typed: string) => answers.add(bytesOf(await send(challenge_id, typed)))
    for (let n = 0; n < 5; n++) await refused(exhausted, wrong(code()))
    await refused(exhausted, code())
    expect((await send(used, code())).status).toBe(200)
    clock.pass(STEP)
    await refused(used, code())
    await refused(used, person.recoveryCodes[0] ?? '')
    await refused('unknown', code())
    await refused('unknown', person.recoveryCodes[0] ?? '')
    for (const typed of ['x', '000000', 'aaaa-aaaa-aaaa-aaaa-aaaa-aaaa'])
      await refused(await challengeOf(person), typed)
    clock.pass(5 * MINUTE)
    await refused(expired, code())
    const voided = await challengeOf(person)
    const headers = as.operator
    const set = { headers, body: { new_password: 'a wholly new password' } }
    expect((await here.users(`POST /users/${person.id}/set-password`, set)).status).toBe(204)
    await refused(voided, code())
    expect([...answers]).toHaveLength(1)
    expect([...answers][0]).toContain('invalid_code')
  })

  test('is not found out by time: a wrong code, and logins that do not exist, have expired or are used', async () => {
    const person = await newPerson()
    const used = await challengeOf(person)
    expect((await send(used, person.app.codeAt(clock.now()))).status).toBe(200)
    const expired = await challengeOf(person)
    clock.pass(6 * MINUTE)
    const logins: string[] = []
    const [size, triesOfEach] = [{ blocks: 40, ofEach: 8 }, 4]
    // More at once than the queue of hashes takes would be refused.
    while (logins.length < requestsOfEach(size) / triesOfEach)
      logins.push(...(await Promise.all(Array.from({ length: 50 }, () => challengeOf(person)))))
    const code = wrong(person.app.codeAt(clock.now()))
    const answers = new Set<string>()
    const apart = await timesApart({
      kinds: ['wrong', 'unknown', 'expired', 'used'],
      ...size,
      ask: async (kind, n) => {
        const challenge = { wrong: logins[Math.floor(n / triesOfEach)] ?? '', unknown: `unknown-${n}`, expired, used }[
          kind
        ]
        answers.add(bytesOf(await send(challenge, code)))
      },
    })
    expect([...answers]).toEqual([expect.stringContaining('invalid_code')])
    expect(areEven(apart) || apart).toBe(true)
  }, 600_000)
})

describe('check 46: a recovery code', () => {
  const { challengeOf, clock, here, newPerson, post } = timed({ RATE_LIMIT: 'off' })
  const send = (challenge_id: string, code: string) => post('second-factor', { challenge_id, code })

  test('opens one session, of 50 parallel tries', async () => {
    const person = await newPerson()
    const codes = person.recoveryCodes.slice(0, WHOLE ? 5 : 2)
    for (const code of codes) {
      const logins = await Promise.all(Array.from({ length: 50 }, () => challengeOf(person)))
      const answers = await Promise.all(logins.map((login) => send(login, code)))
      expect(answers.filter(({ status }) => status === 200)).toHaveLength(1)
    }
    const { body } = await here.auth('GET /auth/factors', { headers: as.bearer(person.tokens.access_token) })
    expect(body.recovery_codes_left).toBe(10 - codes.length)
  })

  test('of a set that was replaced opens nothing', async () => {
    const person = await newPerson()
    const headers = as.bearer(person.tokens.access_token)
    const { body } = await post('recovery-codes', {}, headers)
    expect(body.recovery_codes).toHaveLength(10)
    for (const code of person.recoveryCodes.slice(0, 3))
      expectProblem(await send(await challengeOf(person), code), 401, 'invalid_code')
    expect((await send(await challengeOf(person), body.recovery_codes[9])).status).toBe(200)
  })

  test('and the secret of an app are in no file, log, audit or answer, and a secret opens in its own row alone', async () => {
    const [ana, ben] = [await newPerson(), await newPerson()]
    const canaries = new Canaries()
    for (const { app, recoveryCodes } of [ana, ben]) {
      canaries.add('secret', app.secret)
      for (const code of recoveryCodes) {
        canaries.add('recovery code', code)
        canaries.add('letters of a recovery code', code.replaceAll('-', ''))
      }
    }
    const [used = ''] = ana.recoveryCodes
    const answer = await send(await challengeOf(ana), used)
    await send(await challengeOf(ana), `${used.slice(0, -1)}${used.endsWith('a') ? 'b' : 'a'}`)
    const { access_token } = answer.body
    const list = await here.auth('GET /auth/factors', { headers: as.bearer(access_token) })
    const ofOthers = await here.auth(`GET /admin/users/${ana.id}/factors`, { headers: as.operator })
    const audit = await here.auth(`GET /admin/audit?user_id=${ana.id}&size=200`, { headers: as.operator })
    expect(audit.text).toContain('recovery_code.used')
    for (const text of [here.system.output(), list.text, ofOthers.text, audit.text])
      expect(canaries.in(text)).toEqual([])
    // The rows of PostgreSQL are read by `second-factor-codes.test.ts`.
    const files = filesUnder(here.system.dataDir)
    expect(files.some((path) => path.endsWith('auth.sqlite-wal'))).toBe(here.system.database === undefined)
    expect(files.flatMap((path) => canaries.in(readFileSync(path)))).toEqual([])

    // The sealed secret of Ana in the row of Ben: neither code is right for him.
    await changeRows(
      here.system,
      'auth',
      `UPDATE totps SET sealed_secret = (SELECT sealed_secret FROM totps WHERE id = '${ana.app.id}') WHERE id = '${ben.app.id}'`,
    )
    for (const { app } of [ana, ben])
      expectProblem(await send(await challengeOf(ben), app.codeAt(clock.now())), 401, 'invalid_code')
    expect((await send(await challengeOf(ana), ana.app.codeAt(clock.now()))).status).toBe(200)
  })
})

describe('check 46: guesses at a code', () => {
  const { challengeOf, clock, here, post } = timed({ DEVICE_TRUST: 'all' })
  const send = (challenge_id: string, code: string) => post('second-factor', { challenge_id, code })

  /** A user who has confirmed a device, and then added an app. */
  async function personWithDevice(): Promise<Person & { device: string }> {
    const email = `device-${Bun.randomUUIDv7()}@example.org`
    const body = { email, password: 'correct horse battery', ...VERIFIED }
    const { body: user } = await here.users('POST /users', { headers: as.operator, body })
    const { challenge_id, code } = await challenged(here.system, email, () => logIn(here.system, email))
    const { body: tokens } = await post('device-confirm', { challenge_id, code })
    const added = await enrolApp(here.system, tokens.access_token, clock.now())
    clock.pass(2 * STEP)
    return { id: user.id, email, tokens, ...added, device: tokens.device_token }
  }

  /** Guesses until the account is locked. @returns how many guesses were compared */
  async function guessAt(person: Pick<Person, 'app' | 'email'>): Promise<number> {
    for (let guesses = 0; ; ) {
      const login = await logIn(here.system, person.email)
      if (login.status === 429) return guesses
      for (let n = 0; n < 5; n++) {
        const { status } = await send(login.body.challenge_id, wrong(person.app.codeAt(clock.now())))
        if (status === 429) return guesses
        guesses++
      }
      if (guesses > 100) return guesses
    }
  }

  test('count in the limits of the account; a right password clears none, and a right code all', async () => {
    const person = await personWithDevice()
    expect(await guessAt(person)).toBe(10)
    const open = { email: person.email, password: 'correct horse battery' }
    expectProblem(await post('login', open), 429, 'rate_limited')
    clock.pass(HOUR)
    const login = await post('login', open)
    expectProblem(login, 403, 'second_factor_required')
    expect((await send(login.body.challenge_id, person.app.codeAt(clock.now()))).status).toBe(200)
    expect(await guessAt(person)).toBe(10)
  })

  test('lock out neither the owner with a known device, nor one with a passkey', async () => {
    const person = await personWithDevice()
    const passkey = await enrolPasskey(here.system, person.tokens.access_token)
    await guessAt(person)
    const { device: device_token, email } = person
    expectProblem(await logIn(here.system, email), 429, 'rate_limited')
    const login = await post('login', { email, password: 'correct horse battery', device_token })
    expectProblem(login, 403, 'second_factor_required')
    expect((await send(login.body.challenge_id, person.app.codeAt(clock.now()))).status).toBe(200)
    const options = (await post('passkeys/login-options', {})).body
    expect((await post('passkeys/login', { credential: passkey.get(options) })).status).toBe(200)
    // By a passkey as the second factor, too: the password comes from the known device.
    const again = await post('login', { email, password: 'correct horse battery', device_token })
    const { challenge_id } = again.body
    const credential = passkey.get((await post('passkeys/login-options', { challenge_id })).body)
    expect((await post('second-factor', { challenge_id, credential })).status).toBe(200)
  })

  test('of parallel logins are all counted', async () => {
    const person = await personWithDevice()
    const logins = await Promise.all(Array.from({ length: 8 }, () => challengeOf(person)))
    const code = wrong(person.app.codeAt(clock.now()))
    const answers = await Promise.all(logins.flatMap((login) => Array.from({ length: 5 }, () => send(login, code))))
    const statuses = answers.map(({ status }) => status)
    expect(statuses.filter((status) => status === 401).length).toBeLessThanOrEqual(10)
    expect(statuses.filter((status) => status === 429).length).toBeGreaterThanOrEqual(30)
  })

  test('at POST /auth/reauthenticate count in the same limits', async () => {
    const person = await personWithDevice()
    const headers = as.bearer(person.tokens.access_token)
    const statuses: number[] = []
    for (let n = 0; n < 12; n++)
      statuses.push((await post('reauthenticate', { code: wrong(person.app.codeAt(clock.now())) }, headers)).status)
    expect(statuses).toEqual([...Array(10).fill(401), 429, 429])
    expectProblem(await logIn(here.system, person.email), 429, 'rate_limited')
    // The session lives on.
    expect((await here.auth('GET /auth/factors', { headers })).status).toBe(200)
  })
})
