import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openAuthStore } from '../../db/auth/store.ts'
import { LoginLimits } from '../../services/auth/login/limits.ts'
import { systemClock } from '../../services/kit/clock.ts'
import { createUser, newEmail, PASSWORD, registerUser } from '../support/actors.ts'
import { all, askEach } from '../support/each-service.ts'
import { eventually, PROMPT } from '../support/eventually.ts'
import { expectProblem } from '../support/expectations.ts'
import { type Answer, as, type Client } from '../support/http.ts'
import { running } from '../support/running.ts'
import { inProcess } from '../support/system.ts'

const WRONG = 'not the right password'
const OTHER = 'quite another password'
/** Failures before an account is locked. */
const MOST = 10
const NOW = Date.now()

const from = (address: string) => ({ 'x-forwarded-for': address })
const retryAfter = ({ headers }: Answer) => Number(headers.get('retry-after'))

/** Logins, and the failures that the service has counted. */
function guessing(auth: Client) {
  const login = (name: string, password = PASSWORD, headers = {}) =>
    auth('POST /auth/login', { body: { login: name, password }, headers })
  const counted = async (query: string) =>
    (await auth(`GET /admin/login-limits?${query}`, { headers: as.operator })).body.failures as number
  return { login, counted }
}

describe('rate limits that nobody can use against others', () => {
  const here = running(inProcess, { TRUSTED_PROXIES: '127.0.0.1,::1' })
  const { auth, users } = here
  const { counted, login } = guessing(auth)

  test('check 29: the names of one account share a count, also when the cache has dropped it', async () => {
    const { email, id } = await createUser(here.system, { username: 'dropped' })
    for (let i = 0; i < MOST / 2; i++) expectProblem(await login(email, WRONG), 401, 'invalid_credentials')
    const dropped = await auth(`DELETE /admin/password-cache/${id}`, { headers: as.operator })
    expect(dropped.status).toBe(204)
    for (let i = 0; i < MOST / 2; i++) expectProblem(await login('DROPPED', WRONG), 401, 'invalid_credentials')
    for (const name of [email, 'dropped']) expectProblem(await login(name), 429, 'rate_limited')
    expect(await counted(`user_id=${id}`)).toBe(MOST)
  })

  test.each([
    [
      '203.0.113.9',
      ['203.0.113.9', '203.0.113.9:4711', '::ffff:203.0.113.9', '::FFFF:CB00:7109', '0:0:0:0:0:FFFF:203.0.113.9'],
      ['203.0.113.8', '::ffff:203.0.113.8', '::203.0.113.9'],
    ],
    [
      '2001:db8:0:7::1',
      [
        '2001:db8:0:7::1',
        '2001:DB8:0000:7:0:0:0:2',
        '[2001:db8:0:7::3]:4711',
        '2001:db8::7:4:5:6:7',
        '2001:db8:0:7::%0',
      ],
      ['2001:db8:0:8::1', '2001:db8:7::1'],
    ],
  ])('check 29: %s is one client in every spelling', async (address, spellings, others) => {
    for (const spelling of [...spellings, ...others]) await login(newEmail(), WRONG, from(`10.1.1.1, ${spelling}`))
    for (const spelling of spellings.filter((each) => !/[[%]|\d:4711$/.test(each)))
      expect([spelling, await counted(`address=${spelling}`)]).toEqual([spelling, spellings.length])
    expect(await counted(`address=${address}`)).toBe(spellings.length)
  })

  test('check 29: a client that disconnects before the answer is counted too', async () => {
    const { hostname, port } = new URL(here.system.url.auth)
    const guess = () => {
      const body = JSON.stringify({ login: newEmail(), password: WRONG })
      const head = ['POST /auth/login HTTP/1.1', 'Host: localhost', 'X-Forwarded-For: 203.0.113.77']
      const lines = [...head, 'Content-Type: application/json', `Content-Length: ${body.length}`, '', '']
      return new Promise((resolve) => {
        const socket = connect(Number(port), hostname, async () => {
          socket.write(lines.join('\r\n'))
          await Bun.sleep(20)
          socket.write(body, () => socket.resetAndDestroy())
        })
        socket.on('close', resolve)
        socket.on('error', () => undefined)
      })
    }
    await Promise.all(Array.from({ length: 20 }, guess))
    await eventually(async () => ((await counted('address=203.0.113.77')) === 20 ? true : undefined))
  })

  test('check 30: refused logins are not counted: they prolong no lockout and fill no audit', async () => {
    const { email, id } = await registerUser(here.system)
    for (let i = 0; i < MOST; i++) await login(email, WRONG)
    const first = await login(email)
    expectProblem(first, 429, 'rate_limited')
    const again = await Promise.all(Array.from({ length: 100 }, () => login(email, WRONG)))
    expect(new Set(again.map(({ status }) => status))).toEqual(new Set([429]))
    expect(await counted(`user_id=${id}`)).toBe(MOST)
    expect(retryAfter(await login(email))).toBeLessThanOrEqual(retryAfter(first))
    const { body } = await auth(`GET /admin/audit?user_id=${id}&type=login.failed&size=200`, { headers: as.operator })
    expect(body.items).toHaveLength(MOST)
  })

  test('check 30: while an account is locked its owner can use the session, refresh, request a link and change the password', async () => {
    const { email, id, tokens } = await registerUser(here.system)
    for (let i = 0; i < MOST; i++) await login(email, WRONG, from('198.51.100.66'))
    expectProblem(await login(email), 429, 'rate_limited')
    expect(await askEach(here.system, tokens.access_token)).toEqual(all(200))
    const refreshed = await auth('POST /auth/refresh', { body: { refresh_token: tokens.refresh_token } })
    expect(refreshed.status).toBe(200)
    const bearer = as.bearer(refreshed.body.access_token)
    expect((await auth('POST /auth/password-reset-request', { body: { email } })).status).toBe(202)
    const body = { current_password: PASSWORD, new_password: OTHER }
    expect((await users(`POST /users/${id}/change-password`, { headers: bearer, body })).status).toBe(204)
    // A new password resets the count of guesses at the old one.
    expect((await login(email, OTHER)).status).toBe(200)
  })

  test('guesses of the current password with a token are limited; the owner can still reset it', async () => {
    const { email, id, tokens } = await registerUser(here.system)
    const change = (current_password: string) =>
      users(`POST /users/${id}/change-password`, {
        headers: as.bearer(tokens.access_token),
        body: { current_password, new_password: OTHER },
      })
    for (let i = 0; i < MOST; i++) expectProblem(await change(WRONG), 401, 'invalid_credentials')
    expectProblem(await change(PASSWORD), 429, 'rate_limited')
    expect((await login(email)).status).toBe(200)
    expect((await auth('POST /auth/password-reset-request', { body: { email } })).status).toBe(202)
  })

  test('no one can use up the refreshes of a session without its token', async () => {
    const { tokens } = await registerUser(here.system)
    const refresh = (refresh_token: string) => auth('POST /auth/refresh', { body: { refresh_token } })
    const [, session = '', ...rest] = tokens.refresh_token.split('.')
    const forged = [tokens.session_id, `${tokens.refresh_token}x`, `x.${session}.${rest.join('.')}`, 'x'.repeat(60)]
    const answers = await Promise.all(Array.from({ length: 200 }, (_, i) => refresh(forged[i % 4] ?? '')))
    expect(new Set(answers.map(({ body }) => body.code))).toEqual(new Set(['invalid_refresh_token']))
    expect((await refresh(tokens.refresh_token)).status).toBe(200)
  })
})

describe('without a trusted proxy', () => {
  const here = running(inProcess)
  const { counted, login } = guessing(here.auth)

  test('check 29: the address of a client is that of the connection, whatever its headers say', async () => {
    const claims = ['203.0.113.1', '::1', '127.0.0.1, 203.0.113.2', 'unknown', '']
    for (const claim of claims) {
      const headers = { ...from(claim), 'x-real-ip': '203.0.113.3', forwarded: 'for=203.0.113.4' }
      await login(newEmail(), WRONG, { ...headers, 'cf-connecting-ip': '203.0.113.5', 'true-client-ip': '203.0.113.6' })
    }
    expect(await counted('address=127.0.0.1')).toBe(claims.length)
    for (let last = 1; last <= 6; last++) expect(await counted(`address=203.0.113.${last}`)).toBe(0)
  })
})

describe('counters survive kill -9', () => {
  /** Stands still: no lockout ends while thousands of requests are sent. */
  const clock = { ...systemClock, now: () => NOW }
  const here = running((env) => inProcess(env, { clock }), { TRUSTED_PROXIES: '127.0.0.1' })
  const { auth, users } = here
  const { login } = guessing(auth)
  const post = (path: string, body: object, headers = {}) => auth(`POST /auth/${path}`, { body, headers })

  test('check 29: every limit', async () => {
    const [guessed, mailed, busy, changing, innocent] = await Promise.all(
      Array.from({ length: 5 }, () => registerUser(here.system)),
    )
    if (!guessed || !mailed || !busy || !changing || !innocent) throw new Error('There must be five')
    const crowd = from('203.0.113.77')
    let refresh_token = busy.tokens.refresh_token
    const refused: [string, () => Promise<Answer>][] = [
      ['logins of an account', () => login(guessed.email)],
      ['logins from an address', () => login(innocent.email, PASSWORD, crowd)],
      ['mails to an address', () => post('password-reset-request', { email: mailed.email })],
      ['mails from an address', () => post('password-reset-request', { email: newEmail() }, crowd)],
      ['refreshes of a session', () => post('refresh', { refresh_token })],
      ['registrations', () => post('register', { email: innocent.email, password: PASSWORD }, crowd)],
      [
        'changes of a password',
        () =>
          users(`POST /users/${changing.id}/change-password`, {
            headers: as.bearer(changing.tokens.access_token),
            body: { current_password: PASSWORD, new_password: OTHER },
          }),
      ],
      [
        'registrations at users',
        () => users('POST /users', { body: { email: innocent.email, password: PASSWORD }, headers: crowd }),
      ],
    ]
    const many = (count: number, request: (i: number) => Promise<Answer>) =>
      Promise.all(Array.from({ length: count }, (_, i) => request(i)))

    for (let i = 0; i < MOST; i++) await login(guessed.email, WRONG)
    // Requests beyond the queue of the hasher are refused and not counted.
    for (let i = 0; i < 5; i++) await many(64, () => login(newEmail(), WRONG, crowd))
    await many(5, () => post('password-reset-request', { email: mailed.email }))
    await many(100, () => post('password-reset-request', { email: newEmail() }, crowd))
    for (let i = 0; i < 150; i++) refresh_token = (await post('refresh', { refresh_token })).body.refresh_token
    const registration = { email: innocent.email, password: PASSWORD }
    await many(1000, () => post('register', registration, crowd))
    await many(1000, () => users('POST /users', { body: registration, headers: crowd }))
    for (let i = 0; i < MOST; i++)
      await users(`POST /users/${changing.id}/change-password`, {
        headers: as.bearer(changing.tokens.access_token),
        body: { current_password: WRONG, new_password: OTHER },
      })
    const before = new Map<string, number>()
    for (const [what, request] of refused) {
      const answer = await request()
      expect([what, answer.status, answer.body.code]).toEqual([what, 429, 'rate_limited'])
      before.set(what, retryAfter(answer))
    }

    await here.system.kill('auth')
    await here.system.start('auth')
    for (const [what, request] of refused) {
      const answer = await request()
      expect([what, answer.status, answer.body.code]).toEqual([what, 429, 'rate_limited'])
      expect(retryAfter(answer)).toBeWithin(1, (before.get(what) ?? 0) + 1)
    }
    expect((await login(innocent.email)).status).toBe(200)
    expect((await post('password-reset-request', { email: innocent.email })).status).toBe(202)
    expect((await post('register', { email: newEmail(), password: PASSWORD })).status).toBe(201)
  })
})

describe('attempts under way', () => {
  const directory = mkdtempSync(join(tmpdir(), 'ch202-limits-'))
  let store: Awaited<ReturnType<typeof openAuthStore>>
  beforeAll(async () => {
    store = await openAuthStore({ dataDir: directory })
  })
  afterAll(async () => {
    await store.close()
    rmSync(directory, { recursive: true })
  })
  const soon = (work: Promise<unknown>) =>
    Promise.race([work.then(() => 'soon'), Bun.sleep(PROMPT).then(() => 'never')])

  beforeAll(async () => {
    // One more failure from this address locks out all its logins.
    for (let i = 0; i < 299; i++) await store.recordFailure(['address:203.0.113.1'], systemClock.now(), () => [])
  })

  test('check 30: a locked-out attacker uses up no attempt of the account under attack', async () => {
    const limits = new LoginLimits(store, systemClock, 128, true)
    const attempt = await limits.begin('attacker', '203.0.113.1')
    const waiting = Array.from({ length: 2 * MOST }, () => limits.begin('victim', '203.0.113.1').catch(() => undefined))
    await Bun.sleep(20)
    expect(await soon(limits.begin('victim', '203.0.113.2'))).toBe('soon')
    await attempt.failed(() => [])
    expect(await soon(Promise.all(waiting))).toBe('soon')
  })

  test('a failing disk blocks no attempt for ever', async () => {
    const failing = Object.assign(Object.create(store), { clearFailures: () => Promise.reject(new Error('disk')) })
    const limits = new LoginLimits(failing, systemClock, 128, true)
    for (let i = 0; i < MOST + 1; i++) {
      const attempt = limits.begin('owner', null)
      expect(await soon(attempt)).toBe('soon')
      await expect((await attempt).succeeded()).rejects.toThrow('disk')
    }
  })
})
