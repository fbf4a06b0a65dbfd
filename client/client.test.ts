import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test'
import { createUser, newEmail, PASSWORD, registerUser } from '../tests/support/actors.ts'
import { nextMail } from '../tests/support/challenges.ts'
import { changesOf, newClient, storage } from '../tests/support/clients.ts'
import { eventually } from '../tests/support/eventually.ts'
import { enrolApp, enrolPasskey } from '../tests/support/factors.ts'
import { as } from '../tests/support/http.ts'
import { running } from '../tests/support/running.ts'
import { freePort } from '../tests/support/servers/ports.ts'
import { lineage, type RefreshProxy, refreshProxy } from '../tests/support/servers/refresh-proxy.ts'
import { inProcess } from '../tests/support/system.ts'
import { type Change, type Client, type ClientOptions, createClient, type SignInResult } from './index.ts'

const here = running(inProcess, { RATE_LIMIT: 'off', DEVICE_TRUST: 'all' })
let proxy: RefreshProxy
beforeAll(async () => {
  proxy = await refreshProxy(() => here.system.url.auth)
})
beforeEach(() => proxy.reset())
afterAll(() => proxy?.stop())

const signedIn = (options: Partial<ClientOptions> = {}) => newClient({ url: proxy.url, ...options })

const sessionsOf = async (client: Client) => {
  const response = await client.fetch('/api/v1/auth/sessions')
  return ((await response.json()) as { items: unknown[] }).items
}

const SIGNED_IN: Change = { signedIn: true, reason: 'signed_in' }
const SIGNED_OUT: Change = { signedIn: false, reason: 'signed_out' }
const ENDED: Change = { signedIn: false, reason: 'session_ended' }

describe('a user', () => {
  test('signs up, is known, signs out, and signs in', async () => {
    const client = createClient({ url: `${proxy.url}/` })
    const changes = changesOf(client)
    expect([await client.user(), await client.accessToken(), await client.signedIn()]).toEqual([null, null, false])
    const email = newEmail()
    const result = await client.signUp({ email, password: PASSWORD, name: 'Ana', metadata: { theme: 'dark' } })
    expect(result).toEqual({ status: 'complete', challengeId: expect.any(String) })
    expect(await client.user()).toMatchObject({
      email,
      name: 'Ana',
      metadata: { theme: 'dark' },
      email_verified: false,
    })

    const token = (await client.accessToken()) as string
    expect(await client.signOut()).toBe(true)
    expect([await client.user(), await client.accessToken(), await client.signedIn()]).toEqual([null, null, false])
    expect((await here.auth('GET /auth/me', { headers: as.bearer(token) })).body.code).toBe('token_revoked')
    expect(await client.signOut()).toBe(true)

    expect(await client.signIn({ email, password: PASSWORD })).toEqual({ status: 'complete', challengeId: null })
    expect(changes).toEqual([SIGNED_IN, SIGNED_OUT, SIGNED_IN])
  })

  test('gets errors with the code, the fields and the request id of the API', async () => {
    const client = createClient({ url: proxy.url })
    const refused = client.signUp({ email: 'nobody', password: 'short' })
    expect(refused).rejects.toMatchObject({
      name: 'Ch202Error',
      code: 'validation_failed',
      status: 400,
      requestId: expect.stringMatching(/^[\w-]{36}$/),
      message: expect.stringContaining('email must be an email, password must be longer'),
      errors: [{ field: 'email' }, { field: 'password', code: 'too_short', limit: 8 }],
    })
    const wrong = client.signIn({ login: newEmail(), password: PASSWORD })
    expect(wrong).rejects.toMatchObject({ code: 'invalid_credentials', errors: [], retryAfter: undefined })
    const nowhere = createClient({ url: `http://127.0.0.1:${freePort()}` })
    expect(nowhere.signIn({ login: 'ana', password: PASSWORD })).rejects.toMatchObject({
      code: 'network_error',
      status: 0,
    })
    expect(() => createClient({ url: 'no address' })).toThrow(TypeError)
  })

  test('verifies the email by the code of the mail', async () => {
    const client = createClient({ url: proxy.url })
    const email = newEmail()
    const result = await client.signUp({ email, password: PASSWORD })
    if (result.status !== 'complete' || result.challengeId === null) throw new Error(result.status)
    const { code } = await nextMail(here.system, email)
    await client.verifyEmail({ challengeId: result.challengeId, code })
    expect(await client.user()).toMatchObject({ email_verified: true })
    expect(client.verifyEmail({ token: 'x'.repeat(22) })).rejects.toMatchObject({ code: 'invalid_challenge' })
  })

  test('confirms a new device once, with a second try after a wrong code', async () => {
    const ownStorage = storage()
    const client = createClient({ url: proxy.url, storage: ownStorage })
    const email = newEmail()
    const signUp = await client.signUp({ email, password: PASSWORD })
    const verification = await nextMail(here.system, email)
    const { challengeId } = signUp as { challengeId: string }
    await client.verifyEmail({ challengeId, code: verification.code })
    await client.signOut()

    const step = await client.signIn({ email, password: PASSWORD })
    if (step.status !== 'confirm_device') throw new Error(step.status)
    expect(step).toMatchObject({ challengeId: expect.any(String), expiresIn: 600 })
    expect(await client.signedIn()).toBe(false)
    const { code } = await nextMail(here.system, email, 1)
    const wrong = code === '000000' ? '000001' : '000000'
    expect(step.confirm(wrong)).rejects.toMatchObject({ code: 'invalid_code' })
    expect(await step.confirm(code)).toMatchObject({ status: 'complete' })
    expect(await client.user()).toMatchObject({ email })

    await client.signOut()
    expect(await client.signIn({ email, password: PASSWORD })).toMatchObject({ status: 'complete' })
    const elsewhere = createClient({ url: proxy.url })
    expect(await elsewhere.signIn({ email, password: PASSWORD })).toMatchObject({ status: 'confirm_device' })
  })
})

describe('with EMAIL_VERIFICATION=required, a user', () => {
  const strict = running(inProcess, { RATE_LIMIT: 'off', EMAIL_VERIFICATION: 'required' })

  test('verifies the email before the first session', async () => {
    const client = createClient({ url: strict.system.url.auth })
    const email = newEmail()
    const signUp = await client.signUp({ email, password: PASSWORD })
    if (signUp.status !== 'verify_email') throw new Error(signUp.status)
    expect(await client.signedIn()).toBe(false)
    const signIn = await client.signIn({ email, password: PASSWORD })
    if (signIn.status !== 'verify_email') throw new Error(signIn.status)
    expect(signIn.challengeId).not.toBe(signUp.challengeId)
    const { code } = await nextMail(strict.system, email)
    expect(await signUp.confirm(code)).toMatchObject({ status: 'complete' })
    expect(await client.user()).toMatchObject({ email, email_verified: true })
  })
})

describe('a user with a second factor', () => {
  const open = running(inProcess, { RATE_LIMIT: 'off' })

  test('signs in with a recovery code, and with a passkey', async () => {
    const user = await createUser(open.system, { email_verified: true })
    const passkey = await enrolPasskey(open.system, user.tokens.access_token)
    const { recoveryCodes } = await enrolApp(open.system, user.tokens.access_token, Date.now())
    expect(recoveryCodes).toEqual([])
    const headers = as.bearer(user.tokens.access_token)
    const { recovery_codes } = (await open.auth('POST /auth/recovery-codes', { headers, body: {} })).body
    const client = createClient({ url: open.system.url.auth })
    const step = async () => {
      const result = await client.signIn({ email: user.email, password: PASSWORD })
      if (result.status !== 'second_factor') throw new Error(result.status)
      return result
    }
    const first = await step()
    expect(first.methods).toEqual(['totp', 'recovery_code', 'passkey'])
    expect(first.confirm('000000')).rejects.toMatchObject({ code: 'invalid_code' })
    expect(await first.confirm(recovery_codes[0])).toMatchObject({ status: 'complete' })
    expect(await client.user()).toMatchObject({ email: user.email })
    await client.signOut()
    const second = await step()
    const options = await second.passkeyOptions()
    expect(options.allowCredentials).toHaveLength(1)
    expect(second.confirm({ id: 'p' })).rejects.toMatchObject({ code: 'validation_failed' })
    expect(await second.confirm(passkey.get(options))).toMatchObject({ status: 'complete' })
    expect(await client.signedIn()).toBe(true)
  })
})

describe('an answer that asks for more', () => {
  const answers: Record<string, (request: Request) => Response | Promise<Response>> = {}
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    fetch: (request) => answers[new URL(request.url).pathname]?.(request) ?? new Response('', { status: 404 }),
  })
  afterAll(() => server.stop(true))
  const client = () => createClient({ url: server.url.href })
  const problem = (code: string, more: object) => () =>
    Response.json(
      { statusCode: 403, error: 'Forbidden', message: code, code, requestId: 'r', ...more },
      { status: 403 },
    )
  const tokens = () =>
    Response.json({
      access_token: 'a',
      token_type: 'Bearer',
      expires_in: 60,
      refresh_token: 'r',
      refresh_expires_in: 600,
      session_id: 's',
    })

  test('for a second factor is a step, which may lead to another step', async () => {
    const challenge = { challenge_id: 'c', methods: ['totp', 'recovery_code'], expires_in: 300 }
    answers['/api/v1/auth/login'] = problem('second_factor_required', challenge)
    const step = await client().signIn({ username: 'ana', password: PASSWORD })
    expect(step).toMatchObject({
      status: 'second_factor',
      challengeId: 'c',
      methods: ['totp', 'recovery_code'],
      expiresIn: 300,
    })
    const { confirm } = step as Extract<SignInResult, { status: 'second_factor' }>
    answers['/api/v1/auth/second-factor'] = problem('device_confirmation_required', { challenge_id: 'd' })
    expect(await confirm('123456')).toMatchObject({ status: 'confirm_device', challengeId: 'd' })
    answers['/api/v1/auth/second-factor'] = tokens
    expect(await confirm('123456')).toMatchObject({ status: 'complete' })
  })

  test('for a second factor takes a passkey too, with the options for it', async () => {
    const bodies: unknown[] = []
    answers['/api/v1/auth/login'] = problem('second_factor_required', { challenge_id: 'c', methods: ['passkey'] })
    const step = await client().signIn({ username: 'ana', password: PASSWORD })
    const { confirm, passkeyOptions } = step as Extract<SignInResult, { status: 'second_factor' }>
    const options = {
      challenge: 'AA',
      timeout: 300_000,
      rpId: 'example.org',
      allowCredentials: [],
      userVerification: 'required' as const,
    }
    const recorded = (answer: () => Response) => async (request: Request) => {
      bodies.push(await request.json())
      return answer()
    }
    answers['/api/v1/auth/passkeys/login-options'] = recorded(() => Response.json(options))
    expect(await passkeyOptions()).toEqual(options)
    answers['/api/v1/auth/second-factor'] = recorded(tokens)
    // As browsers have it: with a function that makes its JSON.
    const credential = { toJSON: () => ({ id: 'p', type: 'public-key' }) }
    expect(await confirm(credential)).toMatchObject({ status: 'complete' })
    expect(bodies).toEqual([{ challenge_id: 'c' }, { challenge_id: 'c', credential: { id: 'p', type: 'public-key' } }])
    answers['/api/v1/auth/passkeys/login-options'] = problem('invalid_challenge', {})
    expect(passkeyOptions()).rejects.toMatchObject({ code: 'invalid_challenge' })
  })

  test('for the enrolment of a factor is a step', async () => {
    answers['/api/v1/auth/login'] = problem('second_factor_enrolment_required', { challenge_id: 'e', expires_in: 600 })
    const step = await client().signIn({ username: 'ana', password: PASSWORD })
    expect(step).toEqual({ status: 'enrol_factor', challengeId: 'e', expiresIn: 600 })
  })

  test('and the page of a proxy is an error', async () => {
    answers['/api/v1/auth/login'] = () =>
      new Response('<h1>Bad Gateway</h1>', { status: 502, headers: { 'retry-after': '7' } })
    const refused = client().signIn({ username: 'ana', password: PASSWORD })
    expect(refused).rejects.toMatchObject({ code: 'unexpected_answer', status: 502, retryAfter: 7 })
  })
})

describe('fetch', () => {
  /** A server that records the requests that it gets, and refuses tokens as it is told. */
  function recorder(respond: (request: Request) => Response | Promise<Response> = () => new Response('ok')) {
    const requests: { path: string; authorization: string | null; body: string }[] = []
    const server = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      async fetch(request) {
        const copy = request.clone() as Request
        requests.push({
          path: new URL(request.url).pathname,
          authorization: request.headers.get('authorization'),
          body: await copy.text(),
        })
        return await respond(request)
      },
    })
    return { requests, origin: server.url.origin, stop: () => server.stop(true) }
  }

  test('sends the token to the origin of the address and to listed ones, and to no other', async () => {
    const [listed, other] = [recorder(), recorder()]
    const { client } = await signedIn({ origins: [`${listed.origin}/any/path`] })
    expect((await client.fetch('/api/v1/auth/me')).status).toBe(200)
    const port = new URL(listed.origin).port
    const to = [`${listed.origin}/a`, new URL(`${listed.origin}/b`), new Request(`${listed.origin}/c`)]
    for (const target of to) await client.fetch(target)
    const others = [
      `${other.origin}/a`,
      new Request(`${other.origin}/b`),
      `${listed.origin.replace('http://', 'http://user@')}.localhost:${port}/`,
      `http://localhost:${port}/d`,
      `${listed.origin}@localhost:${new URL(other.origin).port}/e`,
    ]
    for (const target of others) await client.fetch(target).catch(() => undefined)
    const token = `Bearer ${await client.accessToken()}`
    expect(listed.requests.map(({ authorization, path }) => [path, authorization])).toEqual([
      ['/a', token],
      ['/b', token],
      ['/c', token],
      // The same server under another name is another origin.
      ['/d', null],
    ])
    expect(other.requests.length).toBeGreaterThanOrEqual(2)
    for (const { authorization } of other.requests) expect(authorization ?? '').not.toContain('Bearer')
    listed.stop()
    other.stop()
  })

  test('sends the token nowhere else by a redirect', async () => {
    const other = recorder()
    const listed = recorder(() => Response.redirect(`${other.origin}/stolen`, 307))
    const { client } = await signedIn({ origins: [listed.origin] })
    await client.fetch(`${listed.origin}/a`)
    expect(other.requests).toEqual([{ path: '/stolen', authorization: null, body: '' }])
    other.stop()
    listed.stop()
  })

  test("leaves a caller's own Authorization as it is", async () => {
    const listed = recorder()
    const { client } = await signedIn({ origins: [listed.origin] })
    await client.fetch(`${listed.origin}/a`, { headers: { authorization: 'Basic eDp5' } })
    await client.fetch(new Request(`${listed.origin}/a`, { headers: { Authorization: 'Basic eDp5' } }))
    expect(listed.requests.map(({ authorization }) => authorization)).toEqual(['Basic eDp5', 'Basic eDp5'])
    listed.stop()
  })

  test('sends a refused request again, once, with its body', async () => {
    let refusals = 1
    const listed = recorder(() => new Response('no', { status: refusals-- > 0 ? 401 : 200 }))
    const { client } = await signedIn({ origins: [listed.origin] })
    const before = await client.accessToken()
    const sent: [string | Request, RequestInit?][] = [
      [`${listed.origin}/a`, { method: 'POST', body: 'text' }],
      [new Request(`${listed.origin}/b`, { method: 'POST', body: 'text' })],
    ]
    for (const [input, init] of sent) {
      refusals = 1
      listed.requests.length = 0
      expect((await client.fetch(input, init)).status).toBe(200)
      expect(listed.requests.map(({ body }) => body)).toEqual(['text', 'text'])
      expect(listed.requests[1]?.authorization).not.toBe(listed.requests[0]?.authorization as string)
    }
    expect(await client.accessToken()).not.toBe(before)

    refusals = 9
    listed.requests.length = 0
    expect((await client.fetch(`${listed.origin}/c`)).status).toBe(401)
    expect(listed.requests).toHaveLength(2)

    // A stream is gone once it is sent.
    refusals = 1
    listed.requests.length = 0
    const body = new Blob(['text']).stream()
    const streamed = await client.fetch(`${listed.origin}/d`, { method: 'POST', body, duplex: 'half' } as RequestInit)
    expect([streamed.status, listed.requests.length]).toEqual([401, 1])
    listed.stop()
  })

  test('sends a request again after a change of roles, and not after a wrong password', async () => {
    const { client } = await signedIn()
    const { id } = (await client.user()) as { id: string }
    await here.users(`PATCH /users/${id}`, { headers: as.operator, body: { roles: ['USER', 'EDITOR'] } })
    expect(await client.user()).toMatchObject({ roles: ['USER', 'EDITOR'] })
    proxy.paths.length = 0
    const body = JSON.stringify({ current_password: 'wrong password', new_password: 'another long phrase' })
    const headers = { 'content-type': 'application/json' }
    const path = `/api/v1/users/${id}/change-password`
    const response = await client.fetch(path, { method: 'POST', headers, body })
    expect([response.status, ((await response.json()) as { code: string }).code]).toEqual([401, 'invalid_credentials'])
    expect(proxy.paths).toEqual([path])
  })
})

describe('a refresh', () => {
  test('happens once for all who wait', async () => {
    const { client } = await signedIn()
    const token = (await client.accessToken()) as string
    const got = await Promise.all(Array.from({ length: 20 }, () => client.accessToken(token)))
    expect(new Set(got).size).toBe(1)
    expect(got[0]).not.toBe(token)
    expect(proxy.refreshes).toHaveLength(1)
  })

  test('happens when the token is about to expire by the clock of this device, however late it is', async () => {
    proxy.expiresIn = 0
    const { client } = await signedIn()
    const first = await client.accessToken()
    proxy.expiresIn = 3600
    const second = await client.accessToken()
    expect(second).not.toBe(first)
    expect(await client.accessToken()).toBe(second)
    expect(proxy.refreshes).toHaveLength(2)
  })

  test('happens when the clock of this device was set back or forward', async () => {
    for (const shift of [-86_400_000, 86_400_000]) {
      const { client } = await signedIn()
      proxy.reset()
      const now = Date.now
      try {
        Date.now = () => now() + shift
        const token = await client.accessToken()
        expect(await client.accessToken()).toBe(token)
        expect(proxy.refreshes).toHaveLength(1)
      } finally {
        Date.now = now
      }
    }
  })

  test('whose answer is lost is repeated, and the session goes on in one line', async () => {
    const { client } = await signedIn()
    const token = (await client.accessToken()) as string
    let losses = 2
    proxy.fate = (path) => (path.endsWith('/refresh') && losses-- > 0 ? 'lost' : 'pass')
    expect(await client.accessToken(token)).not.toBe(token)
    expect(proxy.refreshes).toHaveLength(3)
    expect(lineage(proxy.refreshes)).toEqual({ tokens: 1, strays: [] })
    expect(await sessionsOf(client)).toHaveLength(1)
  })

  test('of a session that was ended elsewhere signs out', async () => {
    const { client } = await signedIn()
    const changes = changesOf(client)
    const token = (await client.accessToken()) as string
    await here.auth('POST /auth/logout-all', { headers: as.bearer(token) })
    expect(await client.user()).toBeNull()
    expect([await client.signedIn(), changes]).toEqual([false, [ENDED]])
  })

  test('is discarded when the user signs out meanwhile', async () => {
    const { client } = await signedIn()
    const token = (await client.accessToken()) as string
    const { promise, resolve } = Promise.withResolvers<'pass'>()
    proxy.fate = (path) => (path.endsWith('/refresh') ? promise : 'pass')
    const refresh = client.accessToken(token)
    await eventually(() => proxy.refreshes.length === 1)
    expect(await client.signOut()).toBe(true)
    resolve('pass')
    expect(await refresh).toBeNull()
    expect(await client.signedIn()).toBe(false)
    const [{ received = '' } = {}] = proxy.refreshes
    expect((await here.auth('POST /auth/refresh', { body: { refresh_token: received } })).status).toBe(401)
  })
})

describe('a sign-out', () => {
  test('without a connection signs out here, and says that the session remains', async () => {
    const { client } = await signedIn()
    proxy.fate = () => 'cut'
    expect(await client.signOut()).toBe(false)
    expect(await client.signedIn()).toBe(false)
  })

  test('of an ended session is a success', async () => {
    const { client } = await signedIn()
    const token = (await client.accessToken()) as string
    await here.auth('POST /auth/logout-all', { headers: as.bearer(token) })
    expect(await client.signOut()).toBe(true)
  })
})

describe('two clients with one storage', () => {
  async function both() {
    const shared = storage()
    const { client: first, email } = await signedIn({ storage: shared })
    const second = createClient({ url: proxy.url, storage: shared })
    return { first, second, email, shared }
  }

  test('have one session, and refresh it once', async () => {
    const { first, second } = await both()
    const token = (await first.accessToken()) as string
    expect(await second.accessToken()).toBe(token)
    const got = await Promise.all([first, second, first, second].map((client) => client.accessToken(token)))
    expect(new Set(got).size).toBe(1)
    expect(proxy.refreshes).toHaveLength(1)
    expect(await sessionsOf(second)).toHaveLength(1)
  })

  test('sign in and out together', async () => {
    const { email, first, second } = await both()
    const changes = changesOf(second)
    await first.signOut()
    await eventually(() => changes.length === 1)
    expect(await second.signedIn()).toBe(false)
    await first.signIn({ email, password: PASSWORD })
    await eventually(() => changes.length === 2)
    expect(await second.user()).toMatchObject({ email })
    await here.auth('POST /auth/logout-all', { headers: as.bearer((await first.accessToken()) as string) })
    expect(await first.user()).toBeNull()
    await eventually(() => changes.length === 3)
    expect(changes).toEqual([SIGNED_OUT, SIGNED_IN, ENDED])
    second.close()
    await first.signIn({ email, password: PASSWORD })
    expect(changes).toHaveLength(3)
  })

  test('end the session that a sign-in replaces', async () => {
    const { first, second } = await both()
    const before = (await first.accessToken()) as string
    const { email } = await registerUser(here.system)
    await second.signIn({ email, password: PASSWORD })
    expect(await first.user()).toMatchObject({ email })
    await eventually(async () => (await here.auth('GET /auth/me', { headers: as.bearer(before) })).status === 401)
  })

  test('of different addresses are apart', async () => {
    const { first, shared } = await both()
    const other = createClient({ url: here.system.url.auth, storage: shared })
    expect([await first.signedIn(), await other.signedIn()]).toEqual([true, false])
  })
})

test('a damaged record in the storage is no session', async () => {
  const ownStorage = storage()
  const { client, email } = await signedIn({ storage: ownStorage })
  for (const text of ['', '{', 'null', '7', '{"refresh_token":1}']) {
    ownStorage.items.set(`ch202:${proxy.url}`, text)
    expect(await client.user()).toBeNull()
  }
  expect(await client.signIn({ email, password: PASSWORD })).toMatchObject({ status: 'complete' })
})
