import { describe, expect, test } from 'bun:test'
import { decodeJwt } from 'jose'
import { registerUser, type TestUser } from '../support/actors.ts'
import { expectProblem } from '../support/expectations.ts'
import { as, call } from '../support/http.ts'
import type { OAuthClient } from '../support/oauth/clients.ts'
import {
  authorizationOf,
  authorize,
  CALLBACK,
  codeFor,
  createApp,
  newVerifier,
  PKCE,
  redeem,
  sentTo,
  tokensFor,
} from '../support/oauth/code-flow.ts'
import { running } from '../support/running.ts'
import { inProcessApart } from '../support/system.ts'

// Check 49 (RFC 9700; RFC 6819; RFC 7636; RFC 9207; OpenID Connect Core, 16): requests that ask for too much, or for less safety.

const { challenge } = PKCE
const NONE = { code_challenge: undefined, code_challenge_method: undefined }

/** The parameters that a request has in place of valid ones, and the error that the client gets. */
const REFUSED: [name: string, fields: Record<string, unknown>, error: string][] = [
  ['no response_type', { response_type: undefined }, 'invalid_request'],
  ...['token', 'id_token', 'id_token token', 'code token', 'code id_token', 'none', 'CODE', 'code ', ''].map(
    (response_type): [string, Record<string, unknown>, string] => [
      `response_type "${response_type}"`,
      { response_type },
      'unsupported_response_type',
    ],
  ),
  ...['fragment', 'form_post', 'query.jwt', 'web_message', ''].map(
    (response_mode): [string, Record<string, unknown>, string] => [
      `response_mode "${response_mode}"`,
      { response_mode },
      'invalid_request',
    ],
  ),
  ['a request object', { request: 'eyJhbGciOiJub25lIn0.e30.' }, 'request_not_supported'],
  ['the address of one', { request_uri: 'https://evil.example/' }, 'request_uri_not_supported'],
  ['one that was pushed', { request_uri: 'urn:ietf:params:oauth:request_uri:x' }, 'request_uri_not_supported'],
  ['a registration', { registration: '{}' }, 'registration_not_supported'],
  ['no PKCE', NONE, 'invalid_request'],
  ['no challenge', { code_challenge: undefined }, 'invalid_request'],
  ['no method, which is plain', { code_challenge_method: undefined }, 'invalid_request'],
  ...['plain', 's256', 'S256 ', 'S512', 'none', ''].map(
    (code_challenge_method): [string, Record<string, unknown>, string] => [
      `the method "${code_challenge_method}"`,
      { code_challenge_method },
      'invalid_request',
    ],
  ),
  ...[
    challenge.slice(1),
    `${challenge}A`,
    `${challenge}=`,
    '',
    '+'.repeat(43),
    'é'.repeat(43),
    ` ${challenge.slice(1)}`,
  ].map((code_challenge): [string, Record<string, unknown>, string] => [
    `the challenge "${code_challenge}"`,
    { code_challenge },
    'invalid_request',
  ]),
  ...['none login', 'login none', 'none consent', 'none none', 'create', 'LOGIN', 'login,consent', 'x'].map(
    (prompt): [string, Record<string, unknown>, string] => [`prompt "${prompt}"`, { prompt }, 'invalid_request'],
  ),
  ...['-1', '1.5', '1e3', '0x10', 'now', '', ' 1', '١', '99999999999', 'Infinity'].map(
    (max_age): [string, Record<string, unknown>, string] => [`max_age "${max_age}"`, { max_age }, 'invalid_request'],
  ),
  ...['users:read', 'openid users:write', 'openid audit:read', 'introspect', 'metrics'].map(
    (scope): [string, Record<string, unknown>, string] => [`the scope ${scope}`, { scope }, 'invalid_scope'],
  ),
  ['a scope that the client lacks', { scope: 'openid metadata' }, 'invalid_scope'],
  ['no known scope', { scope: 'x y z' }, 'invalid_scope'],
  ['scopes with a comma', { scope: 'openid,email' }, 'invalid_scope'],
  ['a scope in capitals', { scope: 'OPENID' }, 'invalid_scope'],
  ...['https://other.example.org', 'https://orders.example.org/', 'https://orders.example.org#x', 'x', ''].map(
    (resource): [string, Record<string, unknown>, string] => [
      `the resource "${resource}"`,
      { resource },
      'invalid_target',
    ],
  ),
]

describe('check 49: authorization requests', () => {
  const here = running(inProcessApart, { RATE_LIMIT: 'off' })
  let user: TestUser | undefined
  let app: OAuthClient | undefined
  const theUser = async () => (user ??= await registerUser(here.system))
  const theApp = async () =>
    (app ??= await createApp(here.system, {
      scopes: ['openid', 'email', 'users:read', 'orders:write'],
      grant_types: ['authorization_code', 'client_credentials'],
      resources: ['https://orders.example.org'],
    }))
  const bearer = async () => (await theUser()).tokens.access_token
  const ask = async (fields: Record<string, unknown>, client?: OAuthClient) =>
    authorize(here.system, await bearer(), client ?? (await theApp()), fields)
  const check = async (query: string) => call(here.system.url.auth, `GET /auth/authorizations?${query}`)
  const queryOf = (fields: Record<string, unknown>) =>
    new URLSearchParams(
      Object.entries(fields).flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)]])),
    )

  test.each(REFUSED)(
    '%s is refused, with the state and the issuer, before and after the sign-in',
    async (_, fields, error) => {
      const client = await theApp()
      const before = await check(queryOf(authorizationOf(client, fields)).toString())
      for (const answer of [before, await ask(fields), await ask({ ...fields, consent: 'given' })]) {
        expect([answer.status, answer.body.outcome, answer.body.scopes]).toEqual([200, 'redirect', []])
        expect(answer.body.redirect_to).toStartWith(`${CALLBACK}?error=`)
        expect([...sentTo(answer).keys()].sort()).toEqual(['error', 'error_description', 'iss', 'state'])
        expect(Object.fromEntries(sentTo(answer))).toMatchObject({
          error,
          state: 'the state',
          iss: here.system.url.auth,
        })
        expect(sentTo(answer).get('error_description')).toMatch(/^[\x20\x21\x23-\x5b\x5d-\x7e]+$/)
        expect(answer.headers.get('cache-control')).toBe('no-store')
      }
    },
  )

  test('the answer names its issuer, also that of a refusal without a state', async () => {
    for (const fields of [{}, { prompt: 'none', max_age: '0' }, { consent: 'denied' }, { response_type: 'token' }]) {
      const sent = sentTo(await ask({ ...fields, state: undefined }))
      expect([sent.get('iss'), sent.has('state')]).toEqual([here.system.url.auth, false])
    }
  })

  test.each([
    ['nothing at all', ''],
    ['spaces and signs', ' a+b &c=d#e?f%20%00/\\"\'<script>'],
    ['other scripts', 'Пётр 🐎 é'],
    ['JSON', '{"a":[1,null]}'],
    ['an address', 'https://evil.example/?code=stolen&iss=x'],
    ['the most that is taken', 'x'.repeat(2000)],
  ])('state and nonce come back to the letter: %s', async (_, text) => {
    const client = await theApp()
    const answer = await ask({ state: text, nonce: text })
    const sent = sentTo(answer)
    expect(sent.get('state')).toBe(text)
    expect([...sent.keys()].sort()).toEqual(['code', 'iss', 'state'])
    expect(new URL(answer.body.redirect_to).hash).toBe('')
    const { body } = await redeem(here.system, client, sent.get('code') ?? '')
    expect(decodeJwt(body.id_token).nonce).toBe(text)
  })

  test.each(['state', 'nonce', 'scope', 'prompt', 'code_challenge', 'client_id', 'redirect_uri', 'response_type'])(
    '%s with control characters, too long, twice or not a text sends the browser nowhere',
    async (name) => {
      const [client, code] = [await theApp(), 'validation_failed']
      for (const value of [
        'a\r\nset-cookie: x=1',
        'a\nb',
        '\0',
        'a\0',
        '\x7f',
        'x'.repeat(2001),
        ['a', 'b'],
        'x\ud800',
        { a: 1 },
        1,
      ])
        expectProblem(await ask({ [name]: value }, client), 400, code)
      const query = queryOf({ ...authorizationOf(client), nonce: 'n' })
      for (const value of ['another', 'third']) query.append(name, value)
      expectProblem(await check(query.toString()), 400, code)
      expectProblem(
        await check(`${queryOf({ ...authorizationOf(client), [name]: undefined })}&${name}=%0d%0a`),
        400,
        code,
      )
    },
  )

  test('unknown scopes and parameters are left out, and the same scope twice is one', async () => {
    const answer = await ask({ scope: ' openid  address openid phone ', display: 'popup', claims: '{}', x: 1 })
    expect(answer.body.scopes).toEqual(['openid'])
    expect(sentTo(answer).get('code')).toBeString()
  })

  test('without a scope, a client asks for all that it may ask users for: not for those of machines', async () => {
    for (const scope of [undefined, '', ' '])
      expect((await ask({ scope })).body.scopes).toEqual(['openid', 'email', 'orders:write'])
  })

  test('a client without refresh tokens gets no offline access', async () => {
    const client = await createApp(here.system, { grant_types: ['authorization_code'] })
    const answer = await ask({ scope: 'openid offline_access' }, client)
    expect(answer.body.scopes).toEqual(['openid'])
    expect((await redeem(here.system, client, sentTo(answer).get('code') ?? '')).body.refresh_token).toBeUndefined()
  })

  describe('a client that is exempt from PKCE', () => {
    const exempt = () => createApp(here.system, { require_pkce: false })
    const code = async (client: OAuthClient, fields = {}) => codeFor(here.system, await bearer(), client, fields)

    test('may use it, and then its verifier is required', async () => {
      const client = await exempt()
      for (const code_verifier of ['', newVerifier().verifier, challenge])
        expect((await redeem(here.system, client, await code(client), { code_verifier })).body.error).toBe(
          'invalid_grant',
        )
      expect((await redeem(here.system, client, await code(client))).status).toBe(200)
    })

    test('RFC 9700, 4.8.2: a verifier is refused when somebody has taken the challenge from the request', async () => {
      const client = await exempt()
      const stripped = await code(client, NONE)
      expect((await redeem(here.system, client, stripped)).body.error).toBe('invalid_grant')
    })

    test('cannot use plain, nor a method without a challenge', async () => {
      const client = await exempt()
      for (const fields of [
        { code_challenge_method: 'plain' },
        { code_challenge_method: undefined },
        { code_challenge: undefined },
      ])
        expect(sentTo(await ask(fields, client)).get('error')).toBe('invalid_request')
    })

    test('a public client is never one', async () => {
      const body = { name: 'x', kind: 'public', redirect_uris: [CALLBACK], require_pkce: false }
      const answer = await call(here.system.url.auth, 'POST /api/v1/admin/clients', { headers: as.operator, body })
      expectProblem(answer, 400, 'validation_failed')
    })
  })

  test('only the session of a user answers a request: no token of an app, of a client, or of an ID', async () => {
    const client = await createApp(here.system)
    const tokens = await tokensFor(here.system, await bearer(), client, { scope: 'openid roles offline_access' })
    const bearers = [tokens.access_token, tokens.id_token, tokens.refresh_token].map((token) => as.bearer(token))
    for (const headers of [...bearers, as.operator, as.internal, {}]) {
      const body = authorizationOf(client)
      const answer = await call(here.system.url.auth, 'POST /auth/authorizations', { headers, body })
      expect(answer.status).toBeOneOf([401, 403])
      expect(answer.body.redirect_to).toBeUndefined()
    }
  })
})
