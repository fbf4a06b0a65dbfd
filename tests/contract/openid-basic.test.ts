import { describe, expect, test } from 'bun:test'
import { createHash } from 'node:crypto'
import { createRemoteJWKSet, decodeProtectedHeader, jwtVerify } from 'jose'
import { createUser, logIn, PASSWORD, type TestUser } from '../support/actors.ts'
import { expectProblem } from '../support/expectations.ts'
import { as, call, form } from '../support/http.ts'
import { movingClock } from '../support/moving-clock.ts'
import { REVOKED, refreshApp, usesOf } from '../support/oauth/app-tokens.ts'
import { type OAuthClient, requestToken } from '../support/oauth/clients.ts'
import {
  authorizationOf,
  authorize,
  CALLBACK,
  codeFor,
  createApp,
  PKCE,
  redeem,
  sentTo,
  tokensFor,
} from '../support/oauth/code-flow.ts'
import { running } from '../support/running.ts'
import { inProcess } from '../support/system.ts'

// The modules of the conformance suite of the OpenID Foundation for a basic provider (code flow), as far as the API reaches:
// what they ask of pages is in tests/web. Each has the name that it has there.

const SECOND = 1000
const ALL = 'openid profile email roles metadata modules'

describe('16: OpenID Connect, basic provider', () => {
  const clock = movingClock()
  const start = (env?: Record<string, string>) => inProcess(env, { layout: 'apart', clock })
  const here = running(start, { RATE_LIMIT: 'off' })
  let user: TestUser
  let app: OAuthClient

  /** Signs the user in. */
  const signIn = async ({ email, id }: Pick<TestUser, 'email' | 'id'> = user): Promise<TestUser> => ({
    id,
    email,
    tokens: (await logIn(here.system, email, PASSWORD)).body,
  })
  const ask = (fields: Record<string, unknown> = {}, by = user) =>
    authorize(here.system, by.tokens.access_token, app, fields)
  const anonymous = (fields: Record<string, string> = {}) =>
    call(
      here.system.url.auth,
      `GET /auth/authorizations?${new URLSearchParams({ ...authorizationOf(app), ...fields })}`,
    )
  const tokens = (fields: Record<string, unknown> = {}, by = user) =>
    tokensFor(here.system, by.tokens.access_token, app, fields)
  const userInfo = (token: string, method = 'GET') =>
    call(here.system.url.auth, `${method} /oauth/userinfo`, { headers: as.bearer(token) })
  const claimsOf = async (idToken: string, client = app) => {
    const keys = createRemoteJWKSet(new URL(`${here.system.url.auth}/.well-known/jwks.json`))
    const options = { issuer: here.system.url.auth, audience: client.id, currentDate: new Date(clock.now()) }
    const { payload, protectedHeader } = await jwtVerify(idToken, keys, options)
    expect(protectedHeader.alg).toBe('RS256')
    return payload
  }
  const infoFor = async (scope: string) => {
    const { access_token } = await tokens({ scope })
    return (await userInfo(access_token)).body
  }
  const expectNoEffect = async (fields: Record<string, unknown>) => {
    const sent = sentTo(await ask(fields))
    expect([...sent.keys()].sort()).toEqual(['code', 'iss', 'state'])
    expect((await redeem(here.system, app, sent.get('code') ?? '')).status).toBe(200)
  }

  const MODULES: Record<string, () => Promise<void>> = {
    async 'oidcc-server'() {
      const now = Math.floor(clock.now() / SECOND)
      const { access_token, id_token } = await tokens({ nonce: 'n' })
      const claims = await claimsOf(id_token)
      expect(claims).toMatchObject({ sub: user.id, nonce: 'n', acr: 'aal1', sid: user.tokens.session_id })
      const half = createHash('sha256').update(access_token).digest().subarray(0, 16)
      expect(claims.at_hash).toBe(half.toString('base64url'))
      for (const time of [claims.iat, claims.auth_time]) expect(Math.abs(Number(time) - now)).toBeLessThan(60)
    },
    async 'oidcc-server-client-secret-post'() {
      const client = await createApp(here.system, { token_auth_method: 'client_secret_post' })
      const code = await codeFor(here.system, user.tokens.access_token, client)
      expect((await redeem(here.system, client, code)).body.error).toBe('invalid_client')
      const fields = { code, code_verifier: PKCE.verifier, redirect_uri: CALLBACK, client_id: client.id }
      const credentials = { client_secret: client.client_secret, grant_type: 'authorization_code' }
      const { body } = await requestToken(here.system, { ...fields, ...credentials })
      expect((await claimsOf(body.id_token, client)).aud).toBe(client.id)
    },
    async 'oidcc-response-type-missing'() {
      expect(sentTo(await ask({ response_type: undefined })).get('error')).toBe('invalid_request')
    },
    async 'oidcc-idtoken-signature'() {
      const { id_token } = await tokens()
      const [header, payload, signature = ''] = id_token.split('.')
      const other = `${signature.startsWith('A') ? 'B' : 'A'}${signature.slice(1)}`
      expect(claimsOf(`${header}.${payload}.${other}`)).rejects.toThrow()
      await claimsOf(id_token)
    },
    async 'oidcc-userinfo-get'() {
      const answer = await userInfo((await tokens()).access_token)
      expect([answer.status, answer.body]).toEqual([200, { sub: user.id }])
    },
    async 'oidcc-userinfo-post-header'() {
      const answer = await userInfo((await tokens()).access_token, 'POST')
      expect([answer.status, answer.body]).toEqual([200, { sub: user.id }])
    },
    // RFC 6750, 2.2 is optional: a token counts only in the header.
    async 'oidcc-userinfo-post-body'() {
      const { access_token } = await tokens()
      const answer = await call(here.system.url.auth, 'POST /oauth/userinfo', form({ access_token }))
      expectProblem(answer, 401, 'missing_token')
    },
    async 'oidcc-ensure-request-without-nonce-succeeds-for-code-flow'() {
      expect((await claimsOf((await tokens()).id_token)).nonce).toBeUndefined()
    },
    async 'oidcc-ensure-request-with-valid-pkce-succeeds'() {
      expect((await redeem(here.system, app, await codeFor(here.system, user.tokens.access_token, app))).status).toBe(
        200,
      )
    },
    async 'oidcc-scope-profile'() {
      const info = await infoFor('openid profile')
      expect(info).toMatchObject({ sub: user.id, name: 'Ana', preferred_username: expect.any(String), locale: 'en' })
      expect(Object.keys(info).sort()).toEqual(['locale', 'name', 'preferred_username', 'sub', 'updated_at'])
      expect(Math.abs(info.updated_at - Date.now() / SECOND)).toBeLessThan(3600)
    },
    async 'oidcc-scope-email'() {
      expect(await infoFor('openid email')).toEqual({ sub: user.id, email: user.email, email_verified: true })
    },
    async 'oidcc-scope-address'() {
      expect(await infoFor('openid address')).toEqual({ sub: user.id })
    },
    async 'oidcc-scope-phone'() {
      expect(await infoFor('openid phone')).toEqual({ sub: user.id })
    },
    async 'oidcc-scope-all'() {
      const fields = [
        'email',
        'email_verified',
        'locale',
        'metadata',
        'name',
        'preferred_username',
        'roles',
        'sub',
        'updated_at',
      ]
      expect(Object.keys(await infoFor(`${ALL} address phone`)).sort()).toEqual(fields)
    },
    async 'oidcc-ensure-other-scope-order-succeeds'() {
      expect((await tokens({ scope: 'email openid' })).id_token).toBeString()
    },
    'oidcc-display-page': () => expectNoEffect({ display: 'page' }),
    'oidcc-display-popup': () => expectNoEffect({ display: 'popup' }),
    'oidcc-login-hint': () => expectNoEffect({ login_hint: user.email }),
    'oidcc-ui-locales': () => expectNoEffect({ ui_locales: 'se ru-RU' }),
    'oidcc-claims-locales': () => expectNoEffect({ claims_locales: 'se' }),
    'oidcc-claims-essential': () => expectNoEffect({ claims: '{"userinfo":{"name":{"essential":true}}}' }),
    'oidcc-ensure-request-with-unknown-parameter-succeeds': () => expectNoEffect({ extra: 'foobar' }),
    async 'oidcc-ensure-request-with-acr-values-succeeds'() {
      for (const acr_values of ['1 2', 'aal1', 'aal2', 'aal2 aal1'])
        expect((await claimsOf((await tokens({ acr_values })).id_token)).acr).toBe('aal1')
    },
    async 'oidcc-prompt-login'() {
      const started_at = Math.floor(clock.now() / SECOND)
      clock.pass(2 * SECOND)
      const before = await claimsOf((await tokens()).id_token)
      expect((await ask({ prompt: 'login' })).body).toMatchObject({ outcome: 'sign_in', redirect_to: null })
      const request = { prompt: 'login', started_at: started_at + 2 }
      expect((await ask(request)).body.outcome).toBe('sign_in')
      const again = await signIn()
      // Without the time of the request, no authentication is known to be new.
      expect((await ask({ prompt: 'login' }, again)).body.outcome).toBe('sign_in')
      const after = await claimsOf((await tokens(request, again)).id_token)
      expect(Number(after.auth_time)).toBeGreaterThan(Number(before.auth_time))
      // The time of a request that is long past, or yet to come, is not one.
      for (const time of [0, started_at - 3600, started_at + 3600])
        expect((await ask({ prompt: 'login', started_at: time }, again)).body.outcome).toBe('sign_in')
    },
    async 'oidcc-prompt-select-account'() {
      expect((await ask({ prompt: 'select_account' })).body.outcome).toBe('sign_in')
    },
    async 'oidcc-prompt-none-not-logged-in'() {
      const answer = await anonymous({ prompt: 'none' })
      expect([answer.body.outcome, sentTo(answer).get('error')]).toEqual(['redirect', 'login_required'])
      expect((await anonymous()).body).toMatchObject({ outcome: 'sign_in', redirect_to: null })
    },
    async 'oidcc-prompt-none-logged-in'() {
      const first = await claimsOf((await tokens()).id_token)
      const second = await claimsOf((await tokens({ prompt: 'none' })).id_token)
      for (const claim of ['sub', 'auth_time', 'sid']) expect(second[claim]).toBe(first[claim])
    },
    async 'oidcc-max-age-1'() {
      clock.pass(2 * SECOND)
      expect((await ask({ max_age: '1' })).body.outcome).toBe('sign_in')
      expect(sentTo(await ask({ max_age: '1', prompt: 'none' })).get('error')).toBe('login_required')
      const again = await signIn()
      const claims = await claimsOf((await tokens({ max_age: '1' }, again)).id_token)
      expect(Math.abs(Number(claims.auth_time) - clock.now() / SECOND)).toBeLessThan(60)
    },
    async 'oidcc-max-age-10000'() {
      const first = await claimsOf((await tokens({ max_age: '10000' })).id_token)
      const second = await claimsOf((await tokens({ max_age: '10000', prompt: 'none' })).id_token)
      expect(second.auth_time).toBe(first.auth_time)
      clock.pass(10_001 * SECOND)
      user = await refreshed()
      expect((await ask({ max_age: '10000' })).body.outcome).toBe('sign_in')
    },
    async 'oidcc-id-token-hint'() {
      const { id_token } = await tokens()
      const other = await createUser(here.system)
      clock.pass(2 * 3600 * SECOND)
      user = await signIn()
      // It has expired, and its session may be another.
      expect(sentTo(await ask({ id_token_hint: id_token, prompt: 'none' })).get('code')).toBeString()
      const hints = { id_token_hint: id_token }
      const otherAgain = await signIn(other)
      expect((await ask(hints, otherAgain)).body.outcome).toBe('sign_in')
      expect(sentTo(await ask({ ...hints, prompt: 'none' }, otherAgain)).get('error')).toBe('login_required')
      const { access_token } = await tokens()
      const none = `${Buffer.from('{"alg":"none","typ":"JWT"}').toString('base64url')}.${id_token.split('.')[1]}.`
      for (const hint of ['x', access_token, none, `${id_token}x`, user.tokens.access_token])
        expect((await ask({ id_token_hint: hint })).body.outcome).toBe('sign_in')
    },
    async 'the hint does not match after a new sign-in either: the client gets login_required'() {
      const { id_token } = await tokens()
      const other = await createUser(here.system)
      const request = { id_token_hint: id_token, started_at: Math.floor(clock.now() / SECOND) + 1 }
      let otherAgain = await signIn(other)
      expect((await ask(request, otherAgain)).body.outcome).toBe('sign_in')
      clock.pass(SECOND)
      otherAgain = await signIn(other)
      expect(sentTo(await ask(request, otherAgain)).get('error')).toBe('login_required')
      user = await signIn()
      expect(sentTo(await ask(request)).get('code')).toBeString()
      // Of the right user, but its key is gone.
      const { kid } = decodeProtectedHeader(id_token)
      const removed = await call(here.system.url.auth, `DELETE /admin/keys/${kid}`, { headers: as.operator })
      expect(removed.status).toBe(204)
      expect(sentTo(await ask(request)).get('error')).toBe('login_required')
      expect((await ask({ ...request, started_at: undefined })).body.outcome).toBe('sign_in')
    },
    'oidcc-codereuse': () => expectReuse(0),
    'oidcc-codereuse-30seconds': () => expectReuse(30 * SECOND),
    async 'oidcc-ensure-registered-redirect-uri'() {
      expectProblem(await ask({ redirect_uri: `${CALLBACK}/other` }), 400, 'invalid_authorization')
    },
    async 'oidcc-ensure-redirect-uri-in-authorization-request'() {
      expectProblem(await ask({ redirect_uri: undefined }), 400, 'invalid_authorization')
    },
    async 'oidcc-redirect-uri-query-OK'() {
      const client = await createApp(here.system, { redirect_uris: [`${CALLBACK}?foo=bar`] })
      const fields = { redirect_uri: `${CALLBACK}?foo=bar` }
      const answer = await authorize(here.system, user.tokens.access_token, client, fields)
      expect([sentTo(answer).get('foo'), sentTo(answer).has('code')]).toEqual(['bar', true])
    },
    async 'oidcc-unsigned-request-object-supported-correctly-or-rejected-as-unsupported'() {
      const request = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from('{}').toString('base64url')}.`
      expect(sentTo(await ask({ request })).get('error')).toBe('request_not_supported')
    },
    async 'oidcc-ensure-request-object-with-redirect-uri'() {
      const claims = Buffer.from(JSON.stringify({ redirect_uri: 'https://evil.example' })).toString('base64url')
      const answer = await ask({ request: `${Buffer.from('{"alg":"none"}').toString('base64url')}.${claims}.` })
      expect(answer.body.redirect_to).toStartWith(`${CALLBACK}?error=request_not_supported&`)
    },
    async 'oidcc-request-uri-unsigned'() {
      const request_uri = 'https://app.example.org/request.jwt'
      expect(sentTo(await ask({ request_uri })).get('error')).toBe('request_uri_not_supported')
    },
    async 'oidcc-refresh-token'() {
      const first = await tokens({ scope: 'openid offline_access', nonce: 'n' })
      clock.pass(5 * SECOND)
      const { body } = await refreshApp(here.system, app, first.refresh_token)
      const [before, after] = [await claimsOf(first.id_token), await claimsOf(body.id_token)]
      for (const claim of ['iss', 'sub', 'aud', 'auth_time', 'sid']) expect(after[claim]).toEqual(before[claim])
      expect(Number(after.iat)).toBeGreaterThan(Number(before.iat))
      expect((await userInfo(body.access_token)).body.sub).toBe(user.id)
      const other = await createApp(here.system)
      expect((await refreshApp(here.system, other, body.refresh_token)).body.error).toBe('invalid_grant')
    },
  }
  const refreshed = async (): Promise<TestUser> => {
    const { refresh_token } = user.tokens
    const { body } = await call(here.system.url.auth, 'POST /api/v1/auth/refresh', { body: { refresh_token } })
    return { ...user, tokens: body }
  }
  const expectReuse = async (after: number) => {
    const code = await codeFor(here.system, user.tokens.access_token, app, { scope: 'openid modules' })
    const first = await redeem(here.system, app, code)
    clock.pass(after)
    expect((await redeem(here.system, app, code)).body.error).toBe('invalid_grant')
    expect(await usesOf(here.system, first.body.access_token)).toEqual(REVOKED)
  }

  test.each(Object.entries(MODULES))('%s', async (_, run) => {
    user = await createUser(here.system, {
      email_verified: true,
      name: 'Ana',
      username: `ana${Math.random().toString(36).slice(2, 10)}`,
      locale: 'en',
    })
    app ??= await createApp(here.system)
    await run()
  })
})
