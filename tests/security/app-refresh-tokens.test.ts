import { describe, expect, test } from 'bun:test'
import { decodeJwt } from 'jose'
import { registerUser } from '../support/actors.ts'
import { expectOAuthProblem, expectProblem } from '../support/expectations.ts'
import { type Answer, as, call } from '../support/http.ts'
import { movingClock } from '../support/moving-clock.ts'
import { REVOKED, refreshApp, usesOf, VALID } from '../support/oauth/app-tokens.ts'
import { requestToken } from '../support/oauth/clients.ts'
import { createApp, tokensFor } from '../support/oauth/code-flow.ts'
import { changeClient } from '../support/oauth/machines.ts'
import { running } from '../support/running.ts'
import { inProcess } from '../support/system.ts'

// Check 49 (RFC 9700, 4.14): refresh tokens of apps in wrong hands, used again, or for more than the user gave.

const SCOPE = 'openid email modules offline_access'
const RESOURCE = 'https://orders.example.org'

describe('check 49: refresh tokens of apps', () => {
  const clock = movingClock()
  const start = (env?: Record<string, string>) => inProcess(env, { layout: 'apart', clock })
  const here = running(start, { RATE_LIMIT: 'off', REFRESH_REUSE_GRACE: '10s' })
  const { auth } = here
  const expectInvalidGrant = (answer: Answer) => expectOAuthProblem(answer, 400, 'validation_failed', 'invalid_grant')
  const setUp = async (fields: Record<string, unknown> = {}, request: Record<string, unknown> = {}) => {
    const [user, app] = [await registerUser(here.system), await createApp(here.system, fields)]
    const tokens = await tokensFor(here.system, user.tokens.access_token, app, { scope: SCOPE, ...request })
    const refresh = (token: string, more: Record<string, string> = {}) => refreshApp(here.system, app, token, more)
    const grants = async () =>
      (await auth('GET /auth/grants', { headers: as.bearer(user.tokens.access_token) })).body.items
    return { user, app, tokens, refresh, grants }
  }

  test('another client cannot use one, and that ends nothing', async () => {
    const [{ app, refresh, tokens }, other] = [await setUp(), await createApp(here.system)]
    const open = await createApp(here.system, { kind: 'public' })
    expectInvalidGrant(await refreshApp(here.system, other, tokens.refresh_token))
    const form = { grant_type: 'refresh_token', refresh_token: tokens.refresh_token }
    expectInvalidGrant(await requestToken(here.system, { ...form, client_id: open.id }))
    const withoutSecret: Record<string, string>[] = [
      {},
      { client_id: app.id },
      { client_id: app.id, client_secret: 'x' },
    ]
    for (const fields of withoutSecret)
      expect((await requestToken(here.system, { ...form, ...fields })).status).toBeOneOf([400, 401])
    expect(await usesOf(here.system, tokens.access_token)).toEqual(VALID)
    expect((await refresh(tokens.refresh_token)).status).toBe(200)
  })

  test('one works at no other call, and those of sessions do not work at the token endpoint', async () => {
    const { app, tokens, user } = await setUp()
    const body = { refresh_token: tokens.refresh_token }
    for (const path of ['auth/refresh', 'auth/token/refresh', 'auth/logout'])
      expectProblem(await auth(`POST /${path}`, { body }), 401, 'invalid_refresh_token')
    const asSession = tokens.refresh_token.replace('ch202_ort_', 'ch202_rt_')
    expectProblem(
      await auth('POST /auth/refresh', { body: { refresh_token: asSession } }),
      401,
      'invalid_refresh_token',
    )
    for (const request of ['GET /auth/me', 'GET /auth/sessions', 'GET /auth/grants'])
      expectProblem(await auth(request, { headers: as.bearer(tokens.refresh_token) }), 401, 'invalid_token')
    expect(await usesOf(here.system, tokens.refresh_token)).toEqual(['invalid_token', 'invalid_token'])
    const ofSession = user.tokens.refresh_token
    for (const token of [
      ofSession,
      ofSession.replace('ch202_rt_', 'ch202_ort_'),
      tokens.access_token,
      tokens.id_token,
      'x',
      '',
    ])
      expect((await refreshApp(here.system, app, token)).status).toBe(400)
    expect((await auth('POST /auth/refresh', { body: { refresh_token: ofSession } })).status).toBe(200)
    expect(await usesOf(here.system, tokens.access_token)).toEqual(VALID)
  })

  test('a text that differs in any place is refused', async () => {
    const { refresh, tokens, grants } = await setUp()
    const { refresh_token: token } = tokens
    const changed = [10, 30, 40, token.length - 1].map(
      (at) => token.slice(0, at) + (token[at] === 'A' ? 'B' : 'A') + token.slice(at + 1),
    )
    for (const other of [...changed, `${token}A`, token.slice(0, -1), `${token}=`, ` ${token}`, token.toUpperCase()])
      expectInvalidGrant(await refresh(other))
    expect(await grants()).toHaveLength(1)
  })

  test('an old one ends the grant with all tokens', async () => {
    const { refresh, tokens, grants } = await setUp()
    const second = await refresh(tokens.refresh_token)
    const third = await refresh(second.body.refresh_token)
    expect(await usesOf(here.system, third.body.access_token)).toEqual(VALID)
    expectInvalidGrant(await refresh(tokens.refresh_token))
    for (const { access_token } of [tokens, second.body, third.body])
      expect(await usesOf(here.system, access_token)).toEqual(REVOKED)
    for (const { refresh_token } of [tokens, second.body, third.body]) expectInvalidGrant(await refresh(refresh_token))
    expect(await grants()).toEqual([])
  })

  test('a retry gets the same next one within the grace period, and ends the grant after it', async () => {
    const { refresh, tokens } = await setUp()
    const second = await refresh(tokens.refresh_token)
    clock.pass(9_000)
    const again = await refresh(tokens.refresh_token)
    expect(again.body.refresh_token).toBe(second.body.refresh_token)
    clock.pass(1_001)
    expectInvalidGrant(await refresh(tokens.refresh_token))
    expectInvalidGrant(await refresh(second.body.refresh_token))
  })

  test('of 50 uses at once all get the same next one', async () => {
    const { refresh, tokens } = await setUp()
    const answers = await Promise.all(Array.from({ length: 50 }, () => refresh(tokens.refresh_token)))
    expect(answers.map(({ status }) => status)).toEqual(Array(50).fill(200))
    expect(new Set(answers.map(({ body }) => body.refresh_token)).size).toBe(1)
    expect((await refresh(answers[0]?.body.refresh_token)).status).toBe(200)
  })

  test('scopes become fewer for one access token, and never more than the user gave', async () => {
    const { refresh, tokens } = await setUp({}, { scope: 'openid email offline_access' })
    const wider = [
      'openid roles',
      'modules',
      'openid email offline_access profile',
      'users:read',
      'x',
      'OPENID',
      'openid,email',
    ]
    for (const scope of wider)
      expectOAuthProblem(await refresh(tokens.refresh_token, { scope }), 400, 'validation_failed', 'invalid_scope')
    const narrow = await refresh(tokens.refresh_token, { scope: 'openid openid' })
    expect([narrow.body.scope, decodeJwt(narrow.body.access_token).email]).toEqual(['openid', undefined])
    const all = await refresh(narrow.body.refresh_token)
    expect(all.body.scope).toBe('openid email offline_access')
    expect(decodeJwt(all.body.id_token).nonce).toBeUndefined()
  })

  test('the resource stays that of the grant', async () => {
    const fields = { resources: [RESOURCE, 'https://other.example.org'] }
    const [bound, free] = [await setUp(fields, { resource: RESOURCE }), await setUp(fields)]
    for (const [{ refresh, tokens }, resource] of [
      [bound, 'https://other.example.org'],
      [free, RESOURCE],
    ] as const)
      expectOAuthProblem(await refresh(tokens.refresh_token, { resource }), 400, 'validation_failed', 'invalid_target')
    const { body } = await bound.refresh(bound.tokens.refresh_token)
    expect(decodeJwt(body.access_token).aud).toBe(RESOURCE)
    expect(await usesOf(here.system, body.access_token)).not.toContain('valid')
    await changeClient(here.system, bound.app.id, { resources: ['https://other.example.org'] })
    const refused = await bound.refresh(body.refresh_token)
    expect(refused.body.error).toBe('invalid_target')
  })

  test('a client that loses a scope: its tokens end, and the next ones lack it', async () => {
    const { app, refresh, tokens } = await setUp()
    await changeClient(here.system, app.id, { scopes: ['openid', 'modules', 'offline_access', 'profile'] })
    expect(await usesOf(here.system, tokens.access_token)).toEqual(REVOKED)
    const next = await refresh(tokens.refresh_token)
    expect([next.body.scope, decodeJwt(next.body.access_token).email]).toEqual([
      'openid modules offline_access',
      undefined,
    ])
    await changeClient(here.system, app.id, { scopes: ['openid', 'modules'] })
    expectInvalidGrant(await refresh(next.body.refresh_token))
  })

  /** The rights that a client loses, and the scopes that introspection then reports; null: the token is not active. */
  const LOSSES: [name: string, change: Record<string, unknown>, scope: string | null][] = [
    ['a scope', { scopes: ['openid', 'modules', 'offline_access'] }, 'openid modules offline_access'],
    ['offline_access', { scopes: ['openid', 'email', 'modules'] }, null],
    ['the grant type', { grant_types: ['authorization_code'] }, null],
    ['the resource', { resources: ['https://other.example.org'] }, null],
  ]
  test.each(LOSSES)(
    'introspection reports what a refresh would give once the client has lost %s',
    async (_, change, scope) => {
      const { app, refresh, tokens } = await setUp({ resources: [RESOURCE] }, { resource: RESOURCE })
      const introspected = async () =>
        (await auth('POST /auth/introspect', { headers: as.internal, body: { token: tokens.refresh_token } })).body
      expect(await introspected()).toMatchObject({ active: true, scope: SCOPE })
      await changeClient(here.system, app.id, change)
      if (scope === null) expect(await introspected()).toEqual({ active: false })
      else expect(await introspected()).toMatchObject({ active: true, scope })
      expect((await refresh(tokens.refresh_token)).body.scope).toBe(scope ?? undefined)
    },
  )

  test('a client that is disabled: its tokens are refused everywhere, and stay so when it is enabled again', async () => {
    const { app, refresh, tokens, grants } = await setUp()
    const online = await tokensFor(here.system, (await registerUser(here.system)).tokens.access_token, app, {
      scope: 'openid modules',
    })
    await changeClient(here.system, app.id, { status: 'disabled' })
    const expectEnded = async () => {
      for (const { access_token } of [tokens, online]) expect(await usesOf(here.system, access_token)).toEqual(REVOKED)
      expect(await grants()).toEqual([])
    }
    await expectEnded()
    expect((await refresh(tokens.refresh_token)).body.error).toBe('invalid_client')
    await changeClient(here.system, app.id, { status: 'active' })
    await expectEnded()
    expectInvalidGrant(await refresh(tokens.refresh_token))
  })

  test('a client that is deleted: its tokens are refused everywhere', async () => {
    const { app, refresh, tokens, grants } = await setUp()
    await changeClient(here.system, app.id)
    expect(await usesOf(here.system, tokens.access_token)).toEqual(REVOKED)
    expect((await refresh(tokens.refresh_token)).body.error).toBe('invalid_client')
    expect(await grants()).toEqual([])
  })

  test('a client with another secret keeps its grants', async () => {
    const { app, tokens } = await setUp()
    const rotate = (body: object) =>
      call(here.system.url.auth, `POST /admin/clients/${app.id}/secret`, { headers: as.operator, body })
    const second = { id: app.id, client_secret: (await rotate({})).body.client_secret }
    const next = await refreshApp(here.system, second, tokens.refresh_token)
    const third = await refreshApp(here.system, app, next.body.refresh_token)
    expect([next.status, third.status]).toEqual([200, 200])
    await rotate({ only: true })
    for (const client of [app, second])
      expect((await refreshApp(here.system, client, third.body.refresh_token)).body.error).toBe('invalid_client')
    expect(await usesOf(here.system, tokens.access_token)).toEqual(VALID)
  })

  test('any token of a grant revokes it, and the app need not ask again', async () => {
    for (const kind of ['access_token', 'refresh_token'] as const) {
      const { refresh, tokens, grants } = await setUp()
      expect((await auth('POST /auth/revoke', { body: { token: tokens[kind] } })).status).toBe(200)
      expect(await usesOf(here.system, tokens.access_token)).toEqual(REVOKED)
      expectInvalidGrant(await refresh(tokens.refresh_token))
      expect(await grants()).toEqual([])
    }
  })
})
