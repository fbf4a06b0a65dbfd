import { describe, expect, test } from 'bun:test'
import { PASSWORD, registerUser, type TestUser } from '../support/actors.ts'
import { expectOAuthProblem } from '../support/expectations.ts'
import { type Answer, as } from '../support/http.ts'
import { movingClock } from '../support/moving-clock.ts'
import { REVOKED, refreshApp, usesOf, VALID } from '../support/oauth/app-tokens.ts'
import { type OAuthClient, requestToken } from '../support/oauth/clients.ts'
import { CALLBACK, codeFor, createApp, newVerifier, redeem, tokensFor } from '../support/oauth/code-flow.ts'
import { changeClient } from '../support/oauth/machines.ts'
import { changeRows } from '../support/postgres/database-rows.ts'
import { running } from '../support/running.ts'
import { inProcess } from '../support/system.ts'

// Check 49 (RFC 9700; RFC 6819): codes in wrong hands, used again, or used when they should have ended.

const OFFLINE = { scope: 'openid email modules offline_access' }
const ONLINE = { scope: 'openid email modules' }
const RESOURCE = 'https://orders.example.org'

describe('check 49: authorization codes', () => {
  const clock = movingClock()
  const start = (env?: Record<string, string>) => inProcess(env, { layout: 'apart', clock })
  const here = running(start, { RATE_LIMIT: 'off' })
  const { auth, users } = here

  const expectInvalidGrant = (answer: Answer) => expectOAuthProblem(answer, 400, 'validation_failed', 'invalid_grant')
  const newUser = () => registerUser(here.system)
  const bearerOf = ({ tokens }: TestUser) => as.bearer(tokens.access_token)
  const setUp = async (fields: Record<string, unknown> = {}) => {
    const [user, app] = [await newUser(), await createApp(here.system, fields)]
    const code = (request: Record<string, unknown> = OFFLINE) =>
      codeFor(here.system, user.tokens.access_token, app, request)
    const tokens = (request: Record<string, unknown> = OFFLINE) =>
      tokensFor(here.system, user.tokens.access_token, app, request)
    return { user, app, code, tokens }
  }

  test('a code of another client is refused, and stays valid for its own', async () => {
    const [{ app, code }, other] = [await setUp(), await createApp(here.system)]
    const stolen = await code()
    expectInvalidGrant(await redeem(here.system, other, stolen))
    const publicForm = (id: string) => ({ grant_type: 'authorization_code', code: stolen, client_id: id })
    const open = await createApp(here.system, { kind: 'public' })
    expectInvalidGrant(await requestToken(here.system, publicForm(open.id)))
    // Without its secret, nobody is the client.
    expect((await requestToken(here.system, publicForm(app.id))).status).toBe(401)
    expect((await redeem(here.system, app, stolen)).status).toBe(200)
  })

  test('a code of a public client needs the verifier, which another client does not help with', async () => {
    const { app, code } = await setUp({ kind: 'public' })
    const other = await createApp(here.system, { kind: 'public' })
    const stolen = await code()
    const form = (client_id: string, fields = {}) =>
      requestToken(here.system, {
        grant_type: 'authorization_code',
        code: stolen,
        redirect_uri: CALLBACK,
        client_id,
        ...fields,
      })
    expectInvalidGrant(await form(app.id))
    expectInvalidGrant(await form(app.id, { code_verifier: newVerifier().verifier }))
    expectInvalidGrant(await redeem(here.system, { ...other, client_secret: '' }, stolen).then(() => form(other.id)))
  })

  test.each([
    ['another redirect_uri', { redirect_uri: 'https://app.example.org/other' }],
    ['a longer redirect_uri', { redirect_uri: `${CALLBACK}/` }],
    ['another verifier', { code_verifier: newVerifier().verifier }],
    ['the challenge as verifier', { code_verifier: newVerifier().challenge }],
    ['an empty verifier', { code_verifier: '' }],
  ])('a code with %s is refused', async (_, fields) => {
    const { app, code } = await setUp()
    const issued = await code()
    expectInvalidGrant(await redeem(here.system, app, issued, fields))
    expect((await redeem(here.system, app, issued)).status).toBe(200)
  })

  test.each(['x', 'A'.repeat(43), '%00', "' OR 1=1 --", 'é'])(
    'a code that was never issued is refused: %s',
    async (code) => {
      expectInvalidGrant(await redeem(here.system, await createApp(here.system), code))
    },
  )

  test('a code cannot be redeemed for another resource than that of its request', async () => {
    const { app, code } = await setUp({ resources: [RESOURCE, 'https://other.example.org'] })
    for (const [request, resource] of [
      [ONLINE, RESOURCE],
      [{ ...ONLINE, resource: RESOURCE }, 'https://other.example.org'],
    ] as const) {
      const answer = await redeem(here.system, app, await code(request), { resource })
      expectOAuthProblem(answer, 400, 'validation_failed', 'invalid_target')
    }
  })

  test.each([OFFLINE, ONLINE])(
    'a code that is used again ends what the first use gave, also after it has expired: %p',
    async (request) => {
      for (const after of [0, 30_000, 61_000]) {
        const { app, code } = await setUp()
        const issued = await code(request)
        const first = await redeem(here.system, app, issued)
        expect(await usesOf(here.system, first.body.access_token)).toEqual(VALID)
        clock.pass(after)
        expectInvalidGrant(await redeem(here.system, app, issued))
        expect(await usesOf(here.system, first.body.access_token)).toEqual(REVOKED)
        if (first.body.refresh_token) expectInvalidGrant(await refreshApp(here.system, app, first.body.refresh_token))
      }
    },
  )

  test.each([OFFLINE, ONLINE])(
    'a code that is used 50 times at once gives tokens once at most, and they have ended: %p',
    async (request) => {
      const { app, code, user } = await setUp()
      const issued = await code(request)
      const answers = await Promise.all(Array.from({ length: 50 }, () => redeem(here.system, app, issued)))
      const granted = answers.filter(({ status }) => status === 200)
      expect(granted.length).toBeLessThanOrEqual(1)
      for (const { body } of granted) expect(await usesOf(here.system, body.access_token)).toEqual(REVOKED)
      expect((await auth('GET /auth/grants', { headers: bearerOf(user) })).body.items).toEqual([])
    },
  )

  test('a code lives for a minute', async () => {
    const { app, code } = await setUp()
    const [early, late] = [await code(), await code()]
    clock.pass(59_000)
    expect((await redeem(here.system, app, early)).status).toBe(200)
    clock.pass(1_001)
    expectInvalidGrant(await redeem(here.system, app, late))
  })

  test('a failure to sign the ID token uses up neither the code nor the refresh token', async () => {
    const { app, code } = await setUp()
    const issued = await code()
    const setAlg = (alg: string) =>
      changeRows(here.system, 'auth', `UPDATE clients SET id_token_alg = '${alg}' WHERE id = '${app.id}'`)
    // The key of this algorithm is missing.
    await setAlg('ES256')
    expect((await redeem(here.system, app, issued)).status).toBe(500)
    await setAlg('RS256')
    const first = await redeem(here.system, app, issued)
    expect(first.status).toBe(200)
    await setAlg('ES256')
    // A reuse is recognized also then, and tokens without an ID token need no key.
    const second = await code()
    const narrow = await refreshApp(here.system, app, first.body.refresh_token, { scope: 'email' })
    expect(narrow.status).toBe(200)
    for (let n = 0; n < 3; n++) expect((await refreshApp(here.system, app, narrow.body.refresh_token)).status).toBe(500)
    clock.pass(15_000)
    await setAlg('RS256')
    expect((await refreshApp(here.system, app, narrow.body.refresh_token)).status).toBe(200)
    const used = await redeem(here.system, app, second)
    await setAlg('ES256')
    expectInvalidGrant(await redeem(here.system, app, second))
    expect(await usesOf(here.system, used.body.access_token)).toEqual(REVOKED)
  })

  const setStatus = (id: string, status: string) =>
    users(`PATCH /users/${id}`, { headers: as.operator, body: { status } })
  const ENDS: [name: string, end: (user: TestUser, app: OAuthClient) => Promise<unknown>][] = [
    ['the session has ended', (user) => auth('POST /auth/logout', { headers: bearerOf(user) })],
    ['all sessions have ended', (user) => auth('POST /auth/logout-all', { headers: bearerOf(user) })],
    [
      'the password has changed, though that session stays',
      (user) =>
        users(`POST /users/${user.id}/change-password`, {
          headers: bearerOf(user),
          body: { current_password: PASSWORD, new_password: `${PASSWORD} 2` },
        }),
    ],
    ['the user was disabled', ({ id }) => setStatus(id, 'disabled')],
    [
      'the user was disabled and enabled',
      async ({ id }) => {
        for (const status of ['disabled', 'active']) await setStatus(id, status)
      },
    ],
    ['the user was deleted', ({ id }) => users(`DELETE /users/${id}`, { headers: as.operator })],
    [
      'the client was disabled and enabled',
      async (_, { id }) => {
        for (const status of ['disabled', 'active']) await changeClient(here.system, id, { status })
      },
    ],
    [
      'the client has lost a scope',
      (_, { id }) => changeClient(here.system, id, { scopes: ['openid', 'offline_access'] }),
    ],
    ['the client has lost the resource', (_, { id }) => changeClient(here.system, id, { resources: [] })],
    [
      'the user has ended the access of the app',
      async (user, app) => {
        await tokensFor(here.system, user.tokens.access_token, app, ONLINE)
        const { body } = await auth('GET /auth/grants', { headers: bearerOf(user) })
        for (const { id } of body.items) await auth(`DELETE /auth/grants/${id}`, { headers: bearerOf(user) })
      },
    ],
  ]
  test.each(ENDS)('a code gives nothing after %s', async (_, end) => {
    for (const request of [ONLINE, OFFLINE]) {
      const { app, code, user } = await setUp({ resources: [RESOURCE] })
      const issued = await code({ ...request, resource: RESOURCE })
      await end(user, app)
      expectInvalidGrant(await redeem(here.system, app, issued))
    }
  })

  test('a code gives nothing to a client that was disabled, or that has lost the grant type', async () => {
    const { app, code } = await setUp({ grant_types: ['authorization_code', 'client_credentials'] })
    const issued = await code(ONLINE)
    await changeClient(here.system, app.id, { grant_types: ['client_credentials'] })
    expect((await redeem(here.system, app, issued)).body.error).toBe('unauthorized_client')
    await changeClient(here.system, app.id, { status: 'disabled' })
    expect((await redeem(here.system, app, issued)).body.error).toBe('invalid_client')
  })
})
