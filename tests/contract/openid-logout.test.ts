import { describe, expect, test } from 'bun:test'
import { decodeProtectedHeader } from 'jose'
import { registerUser, type TestUser } from '../support/actors.ts'
import { expectFields, expectProblem } from '../support/expectations.ts'
import { type Answer, as, call } from '../support/http.ts'
import { movingClock } from '../support/moving-clock.ts'
import type { OAuthClient } from '../support/oauth/clients.ts'
import { createApp, tokensFor } from '../support/oauth/code-flow.ts'
import { running } from '../support/running.ts'
import { inProcess } from '../support/system.ts'

// The modules of the conformance suite of the OpenID Foundation for logout that an app starts, as far as the API reaches. Each
// has the name that it has there.

const DONE = 'https://app.example.org/signed-out'

describe('16: OpenID Connect, logout that an app starts', () => {
  const clock = movingClock()
  const start = (env?: Record<string, string>) => inProcess(env, { layout: 'apart', clock })
  const here = running(start, { RATE_LIMIT: 'off' })
  let user: TestUser
  let app: OAuthClient
  let hint: string

  const ask = (body: object, headers: Record<string, string> = as.bearer(user.tokens.access_token)) =>
    call(here.system.url.auth, 'POST /auth/logout-requests', { headers, body })
  const request = () => ({ id_token_hint: hint, post_logout_redirect_uri: DONE, state: 'a state' })
  const expectRefused = (answer: Answer) => expectProblem(answer, 400, 'invalid_logout_request')
  const changed = (part: 0 | 1 | 2, text: string) => hint.split('.').with(part, text).join('.')
  const encoded = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')

  const MODULES: Record<string, () => Promise<void>> = {
    async 'oidcc-rp-initiated-logout-discovery-endpoint-verification'() {
      const { body } = await call(here.system.url.auth, 'GET /.well-known/openid-configuration')
      expect(body.end_session_endpoint).toMatch(/^https?:\/\/[^/]+\/oauth\/logout$/)
    },
    async 'oidcc-rp-initiated-logout'() {
      const { body } = await ask(request())
      expectFields(body, ['client', 'confirmed', 'redirect_to'])
      expect(body).toMatchObject({ client: { id: app.id }, confirmed: true, redirect_to: `${DONE}?state=a+state` })
      // It is only a question.
      const me = await call(here.system.url.auth, 'GET /api/v1/auth/me', {
        headers: as.bearer(user.tokens.access_token),
      })
      expect(me.status).toBe(200)
    },
    async 'oidcc-rp-initiated-logout-bad-post-logout-redirect-uri'() {
      for (const uri of [`${DONE}/`, 'https://evil.example', `${DONE}#x`, 'https://app.example.org/callback'])
        expectRefused(await ask({ ...request(), post_logout_redirect_uri: uri }))
    },
    async 'oidcc-rp-initiated-logout-query-added-to-post-logout-redirect-uri'() {
      expectRefused(await ask({ ...request(), post_logout_redirect_uri: `${DONE}?foo=bar` }))
    },
    async 'oidcc-rp-initiated-logout-modified-id-token-hint'() {
      const [, payload = '', signature = ''] = hint.split('.')
      const claims = JSON.parse(Buffer.from(payload, 'base64url').toString())
      const hints = [
        changed(1, encoded({ ...claims, sub: crypto.randomUUID() })),
        changed(2, `${signature.startsWith('A') ? 'B' : 'A'}${signature.slice(1)}`),
        changed(2, ''),
        changed(0, encoded({ alg: 'none', typ: 'JWT' })),
        `${encoded({ alg: 'none', typ: 'JWT' })}.${payload}.`,
      ]
      for (const id_token_hint of hints) expectRefused(await ask({ ...request(), id_token_hint }))
    },
    async 'oidcc-rp-initiated-logout-bad-id-token-hint'() {
      const { access_token } = await tokensFor(here.system, user.tokens.access_token, app)
      for (const id_token_hint of ['x', '', 'a.b.c', access_token, user.tokens.access_token, user.tokens.refresh_token])
        expectRefused(await ask({ ...request(), id_token_hint }))
    },
    async 'oidcc-rp-initiated-logout-no-id-token-hint'() {
      const { id_token_hint: _, ...rest } = request()
      expectRefused(await ask(rest))
      const { body } = await ask({ ...rest, client_id: app.id })
      expect(body).toMatchObject({ client: { id: app.id }, confirmed: false, redirect_to: `${DONE}?state=a+state` })
    },
    async 'oidcc-rp-initiated-logout-no-params'() {
      for (const headers of [as.bearer(user.tokens.access_token), {}])
        expect((await ask({}, headers)).body).toEqual({ client: null, confirmed: false, redirect_to: null })
    },
    async 'oidcc-rp-initiated-logout-no-post-logout-redirect-uri'() {
      const { body } = await ask({ id_token_hint: hint, state: 'x' })
      expect(body).toMatchObject({ client: { id: app.id }, confirmed: true, redirect_to: null })
    },
    async 'oidcc-rp-initiated-logout-no-state'() {
      expect((await ask({ ...request(), state: undefined })).body.redirect_to).toBe(DONE)
    },
    async 'oidcc-rp-initiated-logout-only-state'() {
      expect((await ask({ state: 'x' })).body).toEqual({ client: null, confirmed: false, redirect_to: null })
    },
    async 'the hint is of another session, of another user, or of nobody who is signed in'() {
      for (const headers of [as.bearer((await registerUser(here.system)).tokens.access_token), {}])
        expect((await ask(request(), headers)).body).toMatchObject({ client: { id: app.id }, confirmed: false })
    },
    async 'the hint has expired'() {
      clock.pass(2 * 3_600_000)
      const { refresh_token } = user.tokens
      const { body } = await call(here.system.url.auth, 'POST /api/v1/auth/refresh', { body: { refresh_token } })
      expect((await ask(request(), as.bearer(body.access_token))).body.confirmed).toBe(true)
    },
    async 'the key of the hint is gone: the user is asked, as without a hint'() {
      const { kid } = decodeProtectedHeader(hint)
      const removed = await call(here.system.url.auth, `DELETE /admin/keys/${kid}`, { headers: as.operator })
      expect(removed.status).toBe(204)
      const question = { client: { id: app.id }, confirmed: false, redirect_to: `${DONE}?state=a+state` }
      for (const more of [{}, { client_id: app.id }])
        expect((await ask({ ...request(), ...more })).body).toMatchObject(question)
      expect((await ask({ id_token_hint: hint })).body).toMatchObject({ confirmed: false, redirect_to: null })
      expectRefused(await ask({ ...request(), client_id: crypto.randomUUID() }))
      expectRefused(await ask({ ...request(), post_logout_redirect_uri: `${DONE}/` }))
      const [header = '', payload = ''] = hint.split('.').map((part) => Buffer.from(part, 'base64url').toString())
      const of = (part: string, change: object) => encoded({ ...JSON.parse(part), ...change })
      for (const id_token_hint of [
        changed(0, of(header, { alg: 'none' })),
        changed(0, of(header, { typ: 'at+jwt' })),
        changed(1, of(payload, { iss: 'https://other.example' })),
        changed(2, ''),
      ])
        expectRefused(await ask({ ...request(), id_token_hint }))
    },
    async 'the hint is of another client than the one that asks'() {
      const other = await createApp(here.system, { post_logout_redirect_uris: [DONE] })
      for (const client_id of [other.id, crypto.randomUUID(), '', 'x'])
        expectRefused(await ask({ ...request(), client_id }))
      expect((await ask({ ...request(), client_id: app.id })).status).toBe(200)
    },
    async 'the client is disabled or deleted: nobody is sent to it'() {
      for (const method of ['PATCH', 'DELETE']) {
        const body = method === 'PATCH' ? { body: { status: 'disabled' } } : {}
        await call(here.system.url.auth, `${method} /admin/clients/${app.id}`, { headers: as.operator, ...body })
        expectRefused(await ask(request()))
        expect((await ask({ id_token_hint: hint })).status).toBe(200)
      }
    },
  }

  test.each(Object.entries(MODULES))('%s', async (_, run) => {
    user = await registerUser(here.system)
    app = await createApp(here.system, { post_logout_redirect_uris: [DONE] })
    hint = (await tokensFor(here.system, user.tokens.access_token, app)).id_token
    await run()
  })
})
