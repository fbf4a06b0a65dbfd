import { describe, expect, test } from 'bun:test'
import { decodeJwt } from 'jose'
import { USER_AGENT_MAX } from '../../services/kit/caller.ts'
import { registerUser } from '../support/actors.ts'
import { as, call } from '../support/http.ts'
import { basic, requestToken } from '../support/oauth/clients.ts'
import { authorize, CALLBACK, codeFor, createApp, PKCE, redeem, sentTo, tokensFor } from '../support/oauth/code-flow.ts'
import { databaseRows } from '../support/postgres/database-rows.ts'
import { running } from '../support/running.ts'
import { inProcessApart } from '../support/system.ts'

describe('16: the code flow', () => {
  const here = running(inProcessApart)
  const userInfo = (token: string) => call(here.system.url.auth, 'GET /oauth/userinfo', { headers: as.bearer(token) })
  const refresh = (app: { id: string; client_secret: string }, refresh_token: string, fields = {}) =>
    requestToken(
      here.system,
      { grant_type: 'refresh_token', refresh_token, ...fields },
      basic(app.id, app.client_secret),
    )

  test('an app gets tokens of a user, and their claims by scope', async () => {
    const user = await registerUser(here.system)
    const app = await createApp(here.system)
    const answer = await authorize(here.system, user.tokens.access_token, app, { scope: 'openid email', nonce: 'n-1' })
    expect(answer.status).toBe(200)
    const sent = sentTo(answer)
    expect(answer.body.redirect_to).toStartWith(`${CALLBACK}?code=`)
    expect(sent.get('state')).toBe('the state')
    expect(sent.get('iss')).toBe(here.system.url.auth)
    const tokens = await redeem(here.system, app, sent.get('code') ?? '')
    expect(tokens.status).toBe(200)
    expect(tokens.body).toMatchObject({ token_type: 'Bearer', scope: 'openid email' })
    expect(tokens.body.refresh_token).toBeUndefined()
    expect(decodeJwt(tokens.body.id_token)).toMatchObject({ aud: app.id, sub: user.id, nonce: 'n-1', amr: ['pwd'] })
    const info = await userInfo(tokens.body.access_token)
    expect(info.body).toEqual({ sub: user.id, email: user.email, email_verified: false })
  })

  test('a claim that the user has not set is absent from userinfo, never null', async () => {
    const user = await registerUser(here.system)
    const app = await createApp(here.system)
    const claims = async () => {
      const tokens = await tokensFor(here.system, user.tokens.access_token, app, { scope: 'openid profile' })
      return (await userInfo(tokens.access_token)).body
    }
    expect(await claims()).toEqual({ sub: user.id, updated_at: expect.any(Number) })
    const body = { name: 'Ana', username: 'ana.of.claims' }
    const headers = as.bearer(user.tokens.access_token)
    expect((await call(here.system.url.users, `PATCH /users/${user.id}`, { headers, body })).status).toBe(200)
    expect(await claims()).toMatchObject({ name: 'Ana', preferred_username: 'ana.of.claims' })
  })

  test('a refresh token exists only with offline_access, rotates, and works only at the token endpoint', async () => {
    const user = await registerUser(here.system)
    const app = await createApp(here.system)
    const first = await tokensFor(here.system, user.tokens.access_token, app, { scope: 'openid offline_access' })
    const second = await refresh(app, first.refresh_token)
    expect(second.status).toBe(200)
    expect(second.body.refresh_token).not.toBe(first.refresh_token)
    const body = { refresh_token: second.body.refresh_token }
    expect((await call(here.system.url.auth, 'POST /auth/refresh', { body })).status).toBe(401)
    expect((await call(here.system.url.auth, 'POST /auth/logout', { body })).status).toBe(401)
    expect((await userInfo(second.body.access_token)).status).toBe(200)
  })

  test('no more of a user agent is stored than of one that signs in', async () => {
    const user = await registerUser(here.system)
    const app = await createApp(here.system)
    const code = await codeFor(here.system, user.tokens.access_token, app, { scope: 'openid offline_access' })
    const form = { grant_type: 'authorization_code', code, redirect_uri: CALLBACK, code_verifier: PKCE.verifier }
    const headers = { ...basic(app.id, app.client_secret), 'user-agent': 'x'.repeat(5000) }
    expect((await requestToken(here.system, form, headers)).status).toBe(200)
    const statement = `SELECT length(user_agent) AS length FROM sessions WHERE of_grant = 1 AND user_id = '${user.id}'`
    expect(await databaseRows(here.system, 'auth', statement)).toEqual([{ length: USER_AGENT_MAX }])
  })

  test('a second use of a code ends what the first gave', async () => {
    const user = await registerUser(here.system)
    const app = await createApp(here.system)
    const code = await codeFor(here.system, user.tokens.access_token, app, { scope: 'openid offline_access' })
    const first = await redeem(here.system, app, code)
    expect((await userInfo(first.body.access_token)).status).toBe(200)
    const second = await redeem(here.system, app, code)
    expect([second.status, second.body.error]).toEqual([400, 'invalid_grant'])
    expect((await userInfo(first.body.access_token)).status).toBe(401)
    expect((await refresh(app, first.body.refresh_token)).body.error).toBe('invalid_grant')
  })

  test('a user lists the access of apps, and ends it', async () => {
    const user = await registerUser(here.system)
    const app = await createApp(here.system)
    const tokens = await tokensFor(here.system, user.tokens.access_token, app, { scope: 'openid modules' })
    const list = await call(here.system.url.auth, 'GET /auth/grants', { headers: as.bearer(user.tokens.access_token) })
    expect(list.body.items).toMatchObject([{ client_id: app.id, scopes: ['openid', 'modules'], offline: false }])
    expect(
      (await call(here.system.url.modules, 'GET /modules/', { headers: as.bearer(tokens.access_token) })).status,
    ).toBe(200)
    const id = list.body.items[0].id
    const ended = await call(here.system.url.auth, `DELETE /auth/grants/${id}`, {
      headers: as.bearer(user.tokens.access_token),
    })
    expect(ended.status).toBe(204)
    expect((await userInfo(tokens.access_token)).status).toBe(401)
    expect(
      (await call(here.system.url.modules, 'GET /modules/', { headers: as.bearer(tokens.access_token) })).status,
    ).toBe(401)
  })
})
