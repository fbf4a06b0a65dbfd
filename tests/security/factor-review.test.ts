import { describe, expect, test } from 'bun:test'
import { randomBytes } from 'node:crypto'
import { encodeCBOR } from '@levischuck/tiny-cbor'
import { resetFactors } from '../../services/auth/factors/admin.ts'
import { authenticate } from '../../services/auth/login/login.ts'
import { DAY, SECOND } from '../../services/kit/clock.ts'
import { createUser, logIn, newEmail, PASSWORD } from '../support/actors.ts'
import { Authenticator } from '../support/browser/authenticator.ts'
import { nextMail, requested } from '../support/challenges.ts'
import { expectProblem } from '../support/expectations.ts'
import { enrolApp, enrolPasskey, ORIGIN } from '../support/factors.ts'
import { as } from '../support/http.ts'
import { movingClock } from '../support/moving-clock.ts'
import { running } from '../support/running.ts'
import { inProcess } from '../support/system.ts'

// What someone with a stolen password, a stolen session or no account at all could try against second factors.

const STEP = 30 * SECOND
const VERIFIED = { email_verified: true }
const NEW = 'a wholly new password'

describe('check 46: second factors, as an attacker sees them', () => {
  const clock = movingClock()
  const here = running(() => inProcess({ RATE_LIMIT: 'off' }, { clock }))
  const post = (path: string, body: object, headers = {}) => here.auth(`POST /auth/${path}`, { body, headers })
  const factorsOf = async (token: string) =>
    (await here.auth('GET /auth/factors', { headers: as.bearer(token) })).body as {
      items: { id: string }[]
      recovery_codes_left: number
    }

  test('a stolen session adds no factor while the owner adds theirs', async () => {
    for (let round = 0; round < 10; round++) {
      const owner = await createUser(here.system, VERIFIED)
      const tokens = [owner.tokens.access_token, (await logIn(here.system, owner.email)).body.access_token as string]
      const answers = await Promise.all(
        tokens.map(async (token) => {
          const headers = as.bearer(token)
          const options = await post('passkeys/options', {}, headers)
          return { headers, credential: new Authenticator(ORIGIN).create(options.body) }
        }),
      )
      const added = await Promise.all(
        answers.map(({ credential, headers }) => post('passkeys', { credential }, headers)),
      )
      expect(added.map(({ status }) => status).sort()).toEqual([201, 401])
      for (const answer of added) if (answer.status === 401) expectProblem(answer, 401, 'reauthentication_required')
      expect((await factorsOf(tokens[0] ?? '')).items).toHaveLength(1)
    }
  })

  test('an undo of an email change voids recovery codes that were made since', async () => {
    const owner = await createUser(here.system, VERIFIED)
    const { app } = await enrolApp(here.system, owner.tokens.access_token, clock.now())
    clock.pass(STEP)
    // The session that has enrolled the app is stolen.
    const headers = as.bearer(owner.tokens.access_token)
    const { token } = await requested(here.system, 'email-change-request', { new_email: newEmail() }, headers)
    expect((await post('email-change-confirm', { token }, headers)).status).toBe(200)
    const undo = (await nextMail(here.system, owner.email, 0, 'undo-email')).token
    const { recovery_codes } = (await post('recovery-codes', {}, headers)).body
    expect((await post('email-change-undo', { token: undo })).status).toBe(204)

    const reset = (await nextMail(here.system, owner.email, 0, 'reset-password')).token
    expect((await post('password-reset-confirm', { token: reset, new_password: NEW })).status).toBe(204)
    const login = await logIn(here.system, owner.email, NEW)
    expectProblem(login, 403, 'second_factor_required')
    const { challenge_id, methods } = login.body
    expect(methods).toEqual(['totp'])
    expectProblem(await post('second-factor', { challenge_id, code: recovery_codes[0] }), 401, 'invalid_code')
    // The app is the owner's own, and stays.
    const opened = await post('second-factor', { challenge_id, code: app.codeAt(clock.now()) })
    expect(opened.status).toBe(200)
    expect(await factorsOf(opened.body.access_token)).toMatchObject({ items: [{ id: app.id }], recovery_codes_left: 0 })
  })

  test('the only passkey of a user without a password stays, also while the cache lacks the user', async () => {
    const owner = await createUser(here.system, VERIFIED)
    const passkey = await enrolPasskey(here.system, owner.tokens.access_token)
    const changing = as.bearer(owner.tokens.access_token)
    const { token } = await requested(here.system, 'email-change-request', { new_email: newEmail() }, changing)
    expect((await post('email-change-confirm', { token }, changing)).status).toBe(200)
    // The undo takes the password away; a reset by mail is no way in.
    const undo = (await nextMail(here.system, owner.email, 0, 'undo-email')).token
    expect((await post('email-change-undo', { token: undo })).status).toBe(204)
    const options = await post('passkeys/login-options', {})
    const login = await post('passkeys/login', { credential: passkey.get(options.body) })
    expect(login.status).toBe(200)
    const headers = as.bearer(login.body.access_token)
    await here.auth(`DELETE /admin/password-cache/${owner.id}`, { headers: as.operator })
    const [factor] = (await factorsOf(login.body.access_token)).items
    expectProblem(await here.auth(`DELETE /auth/factors/${factor?.id}`, { headers }), 409, 'last_way_in')
  })

  test('a passkey whose key can verify nothing is refused when it is added', async () => {
    const user = await createUser(here.system, VERIFIED)
    const headers = as.bearer(user.tokens.access_token)
    const broken = { 'an exponent of 1': { e: [1] }, 'an even modulus': { even: true }, 'a long exponent': { e: 64 } }
    for (const [what, { e, even }] of Object.entries(broken) as [string, { e?: number[] | number; even?: boolean }][]) {
      const modulus = randomBytes(256)
      modulus[0] = 0xff
      modulus[255] = even ? 0xfe : 0xff
      const exponent = typeof e === 'number' ? randomBytes(e) : Buffer.from(e ?? [1, 0, 1])
      const key = new Map<number, number | Uint8Array>([
        [1, 3],
        [3, -257],
        [-1, new Uint8Array(modulus)],
        [-2, new Uint8Array(exponent)],
      ])
      const options = await post('passkeys/options', {}, headers)
      const credential = new KeyedAuthenticator(ORIGIN, key).create(options.body)
      const added = await post('passkeys', { credential }, headers)
      expect([what, added.status]).toEqual([what, 401])
      expectProblem(added, 401, 'invalid_credentials')
    }
  })
})

test('check 46: factors that a session adds while an operator removes them are removed with it', async () => {
  const account = { userId: 'ana', cached: true, roles: [] }
  let [factors, sessions] = [1, 1]
  const context = {
    clock: { now: () => 0 },
    config: {},
    random: { id: () => 'id' },
    feed: { announce: async () => undefined },
    notices: { add: async () => undefined },
    store: {
      accountById: async () => account,
      async removeFactors() {
        const removed = factors
        factors = 0
        return removed
      },
      async endSessionsOf() {
        // The last request of a session.
        if (sessions > 0) factors++
        sessions = 0
        return { sessions: 0, seq: 0, revocations: [] }
      },
    },
  }
  await resetFactors(context as never, 'ana', { operator: true, userId: null, supportRole: null } as never)
  expect([factors, sessions]).toEqual([0, 0])
})

describe('check 46: the limits of codes', () => {
  const clock = movingClock()
  const here = running(() => inProcess({}, { clock }))
  const secondFactor = (body: object) => here.auth('POST /auth/second-factor', { body })
  const auditOf = async (type: string) =>
    (await here.auth(`GET /admin/audit?type=${type}&size=200`, { headers: as.operator })).body.items.length as number

  test('passwords that the owner mistyped count no longer after a passkey', async () => {
    const owner = await createUser(here.system, VERIFIED)
    const passkey = await enrolPasskey(here.system, owner.tokens.access_token)
    for (let round = 0; round < 2; round++) {
      for (let n = 0; n < 9; n++)
        expectProblem(await logIn(here.system, owner.email, 'mistyped'), 401, 'invalid_credentials')
      const { challenge_id } = (await logIn(here.system, owner.email)).body
      const options = await here.auth('POST /auth/passkeys/login-options', { body: { challenge_id } })
      expect((await secondFactor({ challenge_id, credential: passkey.get(options.body) })).status).toBe(200)
    }
  })

  test('hold for an address too: nobody fills the audit with logins that do not exist', async () => {
    clock.pass(DAY)
    const owner = await createUser(here.system, VERIFIED)
    const { app } = await enrolApp(here.system, owner.tokens.access_token, clock.now())
    clock.pass(STEP)
    const { challenge_id } = (await logIn(here.system, owner.email)).body
    const unknown = () => ({ challenge_id: randomBytes(16).toString('base64url'), code: '000000' })
    let refused = 0
    for (let batch = 0; batch < 7; batch++) {
      const answers = await Promise.all(Array.from({ length: 50 }, () => secondFactor(unknown())))
      for (const answer of answers) {
        if (answer.status === 401) expectProblem(answer, 401, 'invalid_code')
        else {
          expectProblem(answer, 429, 'rate_limited')
          refused++
        }
      }
    }
    expect(refused).toBe(50)
    expectProblem(await secondFactor({ challenge_id, code: app.codeAt(clock.now()) }), 429, 'rate_limited')
    expect(await auditOf('login.paused')).toBe(1)
  })
})

test('check 46: a database that fails after a right password holds up no later login', async () => {
  const results: string[] = []
  const attempt = {
    failed: async () => void results.push('failed'),
    succeeded: async () => void results.push('succeeded'),
    abandoned: () => void results.push('abandoned'),
  }
  const account = { userId: 'ana', cached: true, passwordHash: 'a hash' }
  const context = {
    limits: { begin: async () => attempt },
    hasher: { verify: async () => ({ rehash: false }) },
    users: { verifyCredentials: async () => null },
    cacheStatistics: { hits: 0, misses: 0, pending: 0 },
    store: {
      secondFactorMethods: async () => {
        throw new Error('The database is gone')
      },
    },
  }
  const request = { identifier: { by: 'email', name: 'ana@example.org' }, account, key: 'ana', password: PASSWORD }
  const login = authenticate(context as never, request as never, { ip: null, requestId: 'id' } as never)
  await expect(login).rejects.toThrow('The database is gone')
  expect(results).toEqual(['abandoned'])
})

/** An authenticator that sends a key that it does not have. */
class KeyedAuthenticator {
  private readonly real: Authenticator

  constructor(
    origin: string,
    private readonly key: Map<number, number | Uint8Array>,
  ) {
    this.real = new Authenticator(origin)
  }

  create(options: Parameters<Authenticator['create']>[0]) {
    const credential = this.real.create(options)
    const head = Buffer.alloc(37 + 16)
    head.set(new Bun.CryptoHasher('sha256').update(options.rp.id).digest())
    head[32] = 0x45
    const authData = Buffer.concat([head, Buffer.from([0, this.real.id.length]), this.real.id, encodeCBOR(this.key)])
    const attestation = new Map<string, string | Uint8Array | Map<string, never>>([
      ['fmt', 'none'],
      ['attStmt', new Map<string, never>()],
      ['authData', new Uint8Array(authData)],
    ])
    const attestationObject = Buffer.from(encodeCBOR(attestation)).toString('base64url')
    return { ...credential, response: { ...credential.response, attestationObject } }
  }
}
