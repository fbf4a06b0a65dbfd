import { describe, expect, test } from 'bun:test'
import { decodeJwt } from 'jose'
import * as oauth from 'oauth4webapi'
import { registerUser } from '../support/actors.ts'
import { expectFields, expectOAuthProblem } from '../support/expectations.ts'
import { as, call, form } from '../support/http.ts'
import {
  askEachWithScope,
  assertionClaims,
  assertionFields,
  basic,
  createClient,
  each,
  newClientKey,
  requestToken,
  signAssertion,
  tokenOf,
} from '../support/oauth/clients.ts'
import { CALLBACK } from '../support/oauth/code-flow.ts'
import { databaseRows, storedBytes } from '../support/postgres/database-rows.ts'
import { running } from '../support/running.ts'
import { keyServers } from '../support/servers/key-servers.ts'
import { inProcessApart } from '../support/system.ts'

const BASIC_CHALLENGE = 'Basic realm="ch202", charset="UTF-8"'
const NOBODY = '00000000-0000-7000-8000-000000000000'

describe('16: the token endpoint', () => {
  const here = running(inProcessApart, { OAUTH_PRIVATE_HOSTS: '127.0.0.1' })
  const servers = keyServers()
  const post = (fields: Record<string, string>, headers = {}) => requestToken(here.system, fields, headers)
  const endpoint = () => `${here.system.url.auth}/oauth/token`

  test('a client gets a token of its own, which no cache keeps', async () => {
    const scopes = ['introspect', 'orders:read']
    const client = await createClient(here.system, { scopes })
    const answer = await post({}, basic(client.id, client.client_secret))
    expect(answer.status).toBe(200)
    expectFields(answer.body, ['access_token', 'token_type', 'expires_in', 'scope'])
    expect(answer.body).toMatchObject({ token_type: 'Bearer', expires_in: 3600, scope: scopes.join(' ') })
    expect(answer.headers.get('cache-control')).toBe('no-store')
    const claims = decodeJwt(answer.body.access_token)
    expectFields(claims, ['iss', 'sub', 'aud', 'exp', 'iat', 'jti', 'client_id', 'scope', 'ver'])
    expect(claims).toMatchObject({ sub: client.id, aud: client.id, client_id: client.id, scope: scopes.join(' ') })
    expect(await askEachWithScope(here.system, answer.body.access_token)).toEqual(each('insufficient_scope'))
  })

  test.each(['client_secret_basic', 'client_secret_post', 'private_key_jwt'])(
    'a client with %s gets tokens by it, and by no other method',
    async (token_auth_method) => {
      const key = await newClientKey()
      const isJwt = token_auth_method === 'private_key_jwt'
      const { client_secret, id } = await createClient(here.system, {
        token_auth_method,
        ...(isJwt ? { jwks_uri: servers(key).url } : {}),
      })
      const secret = client_secret ?? 'none'
      if (isJwt) expect(client_secret).toBeUndefined()
      else expect(Buffer.from(secret, 'base64url')).toHaveLength(32)
      const assertion = await signAssertion(key, assertionClaims(id, endpoint()))
      const ways = {
        client_secret_basic: () => post({}, basic(id, secret)),
        client_secret_post: () => post({ client_id: id, client_secret: secret }),
        private_key_jwt: () => post(assertionFields(assertion)),
        none: () => post({ client_id: id }),
      }
      for (const [method, send] of Object.entries(ways)) {
        const answer = await send()
        if (method === token_auth_method) expect(answer.status).toBe(200)
        else expectOAuthProblem(answer, 401, 'invalid_credentials', 'invalid_client')
      }
    },
  )

  test('an unknown client, a disabled one, a deleted one and a wrong secret have the same bytes', async () => {
    for (const isBasic of [true, false]) {
      const token_auth_method = isBasic ? 'client_secret_basic' : 'client_secret_post'
      const create = () => createClient(here.system, { token_auth_method })
      const [right, disabled, deleted] = [await create(), await create(), await create()]
      const change = { headers: as.operator, body: { status: 'disabled' } }
      expect((await here.auth(`PATCH /admin/clients/${disabled.id}`, change)).status).toBe(200)
      expect((await here.auth(`DELETE /admin/clients/${deleted.id}`, { headers: as.operator })).status).toBe(204)
      const rows: [id: string, secret: string][] = [
        [NOBODY, right.client_secret],
        [disabled.id, disabled.client_secret],
        [deleted.id, deleted.client_secret],
        [right.id, disabled.client_secret],
        [right.id, `${right.client_secret}x`],
        [right.id, right.client_secret.slice(1)],
        [right.id.toUpperCase(), right.client_secret],
        ['ch202', right.client_secret],
        ["' OR 1=1 --", right.client_secret],
      ]
      const texts = new Set<string>()
      for (const [id, secret] of rows) {
        const answer = isBasic
          ? await post({}, basic(id, secret))
          : await post({ client_id: id, client_secret: secret })
        expectOAuthProblem(answer, 401, 'invalid_credentials', 'invalid_client')
        expect(answer.headers.get('www-authenticate')).toBe(isBasic ? BASIC_CHALLENGE : 'Bearer')
        texts.add(answer.text.replace(answer.body.requestId, ''))
      }
      expect(texts.size).toBe(1)
    }
  })

  const nul = Buffer.from([0]).toString()
  test.each([
    ['Basic'],
    ['Basic '],
    ['Basic !!!!'],
    [`Basic ${Buffer.from('nocolon').toString('base64')}`],
    [`Basic ${Buffer.from(':secret').toString('base64')}`],
    [`Basic ${Buffer.from('%zz:secret').toString('base64')}`],
    [`Basic ${Buffer.from('%00:secret').toString('base64')}`],
    [`Basic ${Buffer.from(`${NOBODY}%00:x`).toString('base64')}`],
    [`Basic ${Buffer.from(`${nul}:${nul}`).toString('base64')}`],
    [`Basic ${Buffer.from([0xff, 0x3a, 0xff]).toString('base64')}`],
    ['Bearer abc'],
    ['Digest username="a"'],
    ['Negotiate abc'],
  ])('the header %p is refused in the scheme of RFC 6749, 5.2', async (authorization) => {
    const answer = await post({}, { authorization })
    expectOAuthProblem(answer, 401, 'invalid_credentials', 'invalid_client')
    expect(answer.headers.get('www-authenticate')).toBe(BASIC_CHALLENGE)
  })

  test('a secret is form-encoded in the header (RFC 6749, 2.3.1)', async () => {
    const { client_secret, id } = await createClient(here.system)
    const encoded = client_secret.replace(/./g, (character) => `%${character.charCodeAt(0).toString(16)}`)
    expect((await post({}, basic(id.replaceAll('-', '%2D'), encoded))).status).toBe(200)
  })

  test('credentials in several places are refused, whether they are right or wrong', async () => {
    const { client_secret, id } = await createClient(here.system)
    const header = basic(id, client_secret)
    const rows: [fields: Record<string, string>, headers: object][] = [
      [{ client_secret }, header],
      [{ client_id: id, client_secret }, header],
      [{ client_secret: 'wrong' }, header],
      [assertionFields('a.b.c'), header],
      [{ ...assertionFields('a.b.c'), client_secret, client_id: id }, {}],
    ]
    for (const [fields, headers] of rows)
      expectOAuthProblem(await post(fields, headers), 400, 'validation_failed', 'invalid_request')
    expect((await post({ client_id: id }, header)).status).toBe(200)
    expectOAuthProblem(await post({ client_id: NOBODY }, header), 401, 'invalid_credentials', 'invalid_client')
  })

  test('no credentials, or half of them, are refused', async () => {
    const rows: [Record<string, string>, number][] = [
      [{}, 401],
      [{ client_secret: 'x' }, 401],
      [{ client_id: NOBODY }, 401],
      [{ client_assertion_type: 'x' }, 401],
      [{ client_assertion: 'x' }, 400],
      [
        { client_assertion: 'x', client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:saml2-bearer' },
        400,
      ],
    ]
    for (const [fields, status] of rows) {
      const answer = await post(fields)
      expect([fields, answer.status]).toEqual([fields, status])
      expect(answer.headers.get('www-authenticate')).not.toBe(BASIC_CHALLENGE)
      if (status === 401) expectOAuthProblem(answer, 401, 'invalid_credentials', 'invalid_client')
      else expectOAuthProblem(answer, 400, 'validation_failed', 'invalid_request')
    }
  })

  test('a public client, and one without the grant, get nothing by client_credentials', async () => {
    const redirect_uris = ['https://app.example.org/cb']
    const spa = await createClient(here.system, { kind: 'public', redirect_uris })
    const site = await createClient(here.system, { redirect_uris, token_auth_method: 'client_secret_post' })
    const bySecret: Record<string, string> = { client_id: site.id, client_secret: site.client_secret }
    for (const fields of [{ client_id: spa.id }, bySecret])
      expectOAuthProblem(await post(fields), 400, 'validation_failed', 'unauthorized_client')
    const asserted = { client_id: spa.id, client_secret: '' }
    expectOAuthProblem(await post(asserted), 400, 'validation_failed', 'unauthorized_client')
    expectOAuthProblem(
      await post({ client_id: spa.id, client_secret: 'x' }),
      401,
      'invalid_credentials',
      'invalid_client',
    )
  })

  /** Parameters, and the OAuth error; undefined: a token. */
  const PARAMETERS: [fields: string, error: string | undefined][] = [
    ['grant_type=client_credentials', undefined],
    ['grant_type=client_credentials&unknown=1&unknown=2', undefined],
    ['grant_type=client_credentials&scope=', undefined],
    ['grant_type=client_credentials&scope=orders:read', undefined],
    ['grant_type=client_credentials&scope=orders:read+orders:read', undefined],
    ['', 'invalid_request'],
    ['grant_type=', 'invalid_request'],
    ['grant_type=password', 'unsupported_grant_type'],
    ['grant_type=implicit', 'unsupported_grant_type'],
    ['grant_type=Client_Credentials', 'unsupported_grant_type'],
    ['grant_type=urn:ietf:params:oauth:grant-type:token-exchange', 'unsupported_grant_type'],
    ['grant_type=client_credentials&grant_type=client_credentials', 'invalid_request'],
    ['grant_type=password&grant_type=client_credentials', 'invalid_request'],
    ['grant_type=client_credentials&scope=orders:read&scope=introspect', 'invalid_request'],
    ['grant_type=client_credentials&scope=orders:write', 'invalid_scope'],
    ['grant_type=client_credentials&scope=introspect+users:read', 'invalid_scope'],
    ['grant_type=client_credentials&scope=ORDERS:READ', 'invalid_scope'],
    ['grant_type=client_credentials&scope=orders:read%00', 'invalid_request'],
    ['grant_type=client_credentials&scope=orders:read%0aintrospect', 'invalid_request'],
    ['grant_type=client_credentials&scope=openid', 'invalid_scope'],
    ['grant_type=client_credentials&resource=https://orders.example.org', undefined],
    ['grant_type=client_credentials&resource=', undefined],
    ['grant_type=client_credentials&resource=https://orders.example.org/', 'invalid_target'],
    ['grant_type=client_credentials&resource=https://other.example.org', 'invalid_target'],
    ['grant_type=client_credentials&resource=ch202', 'invalid_target'],
    ['grant_type=client_credentials&resource=https://orders.example.org&resource=https://a.example', 'invalid_request'],
  ]
  test.each(PARAMETERS)('%p: %p', async (fields, error) => {
    const client = await createClient(here.system, {
      scopes: ['introspect', 'orders:read'],
      resources: ['https://orders.example.org', 'https://a.example'],
    })
    const { body, headers } = form({}, basic(client.id, client.client_secret))
    const answer = await call(here.system.url.auth, 'POST /oauth/token', {
      body: `${body}${fields}`,
      headers: headers ?? {},
    })
    if (error) return expectOAuthProblem(answer, 400, 'validation_failed', error)
    expect(answer.status).toBe(200)
    const parameters = new URLSearchParams(fields)
    expect(answer.body.scope).toBe(parameters.get('scope') ? 'orders:read' : 'introspect orders:read')
    expect(decodeJwt(answer.body.access_token).aud).toBe(parameters.get('resource') || client.id)
  })

  test('JSON is taken too, other types, methods and large bodies are not', async () => {
    const { client_secret, id } = await createClient(here.system, { token_auth_method: 'client_secret_post' })
    const send = (body: unknown, headers = {}) => call(here.system.url.auth, 'POST /oauth/token', { body, headers })
    const fields = { grant_type: 'client_credentials', client_id: id, client_secret }
    expect((await send(fields)).status).toBe(200)
    for (const wrong of [{ client_secret: [client_secret] }, { client_id: 7 }, { scope: null }, { grant_type: {} }])
      expectOAuthProblem(await send({ ...fields, ...wrong }), 400, 'validation_failed', 'invalid_request')
    const text = new URLSearchParams(fields).toString()
    for (const type of ['text/plain', 'multipart/form-data', 'application/xml'])
      expectOAuthProblem(await send(text, { 'content-type': type }), 415, 'unsupported_media_type', 'invalid_request')
    const large = { ...form(fields), body: `${text}&x=${'x'.repeat(70_000)}` }
    expectOAuthProblem(
      await call(here.system.url.auth, 'POST /oauth/token', large),
      413,
      'body_too_large',
      'invalid_request',
    )
    const got = await call(here.system.url.auth, `GET /oauth/token?${text}`)
    expectOAuthProblem(got, 405, 'method_not_allowed', 'invalid_request')
    // The parameters of the query do not count (RFC 6749, 2.3.1).
    const query = await call(
      here.system.url.auth,
      `POST /oauth/token?${text}`,
      form({ grant_type: 'client_credentials' }),
    )
    expectOAuthProblem(query, 401, 'invalid_credentials', 'invalid_client')
  })

  describe('check 49: a token of a client', () => {
    test('for a resource is no token of ours', async () => {
      const resource = 'https://orders.example.org'
      const client = await createClient(here.system, { scopes: ['introspect'], resources: [resource] })
      const token = await tokenOf(here.system, client, { resource })
      expect(await askEachWithScope(here.system, token)).toEqual(each('invalid_token'))
      const introspected = await here.auth('POST /auth/introspect', form({ token }, as.bearer(token)))
      expect(introspected.status).toBe(401)
    })

    test('is no user, and opens nothing without a scope', async () => {
      const token = await tokenOf(here.system, await createClient(here.system))
      const user = await registerUser(here.system)
      for (const [service, request] of [
        ['auth', 'GET /auth/me'],
        ['auth', 'GET /auth/sessions'],
        ['auth', 'POST /auth/logout-all'],
        ['auth', 'GET /admin/clients'],
        ['auth', 'GET /admin/audit'],
        ['users', 'GET /users'],
        ['users', `GET /users/${user.id}`],
        ['users', `DELETE /users/${user.id}`],
        ['modules', 'GET /modules'],
      ] as const) {
        const answer = await here[service](request, { headers: as.bearer(token) })
        expect([request, answer.status, answer.body.code]).toEqual([request, 403, 'insufficient_scope'])
        expect(answer.headers.get('www-authenticate')).toMatch(/^Bearer error="insufficient_scope"/)
      }
    })

    test('is no refresh token, and a user’s token is no client’s', async () => {
      const client = await createClient(here.system)
      const token = await tokenOf(here.system, client)
      expect((await here.auth('POST /auth/refresh', { body: { refresh_token: token } })).body.code).toBe(
        'invalid_refresh_token',
      )
      const { tokens } = await registerUser(here.system)
      for (const authorization of [`Bearer ${tokens.access_token}`, `Bearer ${token}`])
        expectOAuthProblem(await post({}, { authorization }), 401, 'invalid_credentials', 'invalid_client')
    })
  })

  describe('introspection and revocation', () => {
    const introspect = (fields: Record<string, string>, headers = {}) =>
      here.auth('POST /auth/introspect', form(fields, headers))

    test('16: a client with the scope introspects by each method, and one without it does not', async () => {
      const { tokens, id: userId } = await registerUser(here.system)
      const token = tokens.access_token
      for (const scopes of [['introspect'], ['orders:read']]) {
        const key = await newClientKey('EdDSA')
        const byBasic = await createClient(here.system, { scopes })
        const byPost = await createClient(here.system, { scopes, token_auth_method: 'client_secret_post' })
        const byJwt = await createClient(here.system, { scopes, jwks_uri: servers(key).url })
        const assertion = await signAssertion(key, assertionClaims(byJwt.id, endpoint()))
        const bearer = await tokenOf(here.system, byBasic)
        const answers = [
          await introspect({ token }, basic(byBasic.id, byBasic.client_secret)),
          await introspect({ token, client_id: byPost.id, client_secret: byPost.client_secret }),
          await introspect({ token, ...assertionFields(assertion) }),
          await introspect({ token }, as.bearer(bearer)),
        ]
        for (const answer of answers) {
          if (scopes[0] === 'introspect') expect([answer.status, answer.body.sub]).toEqual([200, userId])
          else {
            expectOAuthProblem(answer, 403, 'insufficient_scope', 'insufficient_scope')
            expect(answer.headers.get('www-authenticate')).toBe('Bearer error="insufficient_scope", scope="introspect"')
          }
        }
        // Used once is used up, here too.
        if (scopes[0] === 'introspect')
          expectOAuthProblem(
            await introspect({ token, ...assertionFields(assertion) }),
            401,
            'invalid_credentials',
            'invalid_client',
          )
      }
    })

    test('wrong credentials of a client do not introspect', async () => {
      const client = await createClient(here.system, { scopes: ['introspect'] })
      const { tokens } = await registerUser(here.system)
      const token = tokens.access_token
      const refused: [Record<string, string>, object, string][] = [
        [{ token }, basic(client.id, 'wrong'), 'invalid_client'],
        [{ token, client_id: client.id, client_secret: client.client_secret }, {}, 'invalid_client'],
        [{ token, client_id: client.id }, {}, 'invalid_client'],
        [{ token }, {}, 'invalid_client'],
        [{ token, client_secret: client.client_secret }, basic(client.id, client.client_secret), 'invalid_client'],
        [{ token, client_assertion: 'a.b.c' }, {}, 'invalid_client'],
      ]
      for (const [fields, headers, error] of refused) {
        const answer = await introspect(fields, headers)
        expect([answer.status, answer.body.error]).toEqual([401, error])
      }
      const odd = { client_id: '\u0000', client_secret: '\u0000\ud800' }
      const inJson = await here.auth('POST /auth/introspect', { body: { token, ...odd } })
      expectOAuthProblem(inJson, 401, 'invalid_credentials', 'invalid_client')
    })

    test('16: introspection and validation say what a client’s token is', async () => {
      const client = await createClient(here.system, { scopes: ['introspect'] })
      const token = await tokenOf(here.system, client)
      const { body } = await introspect({ token }, as.operator)
      const { aud, client_id, exp, iat, iss, jti, scope, sub } = decodeJwt(token)
      expect(body).toEqual({ active: true, aud, client_id, exp, iat, iss, jti, scope, sub, token_type: 'Bearer' })
      const validity = await here.auth('POST /auth/validate-token', { body: { token } })
      const expires_at = new Date(Number(exp) * 1000).toISOString()
      expect(validity.body).toEqual({ valid: true, client_id: client.id, scope: 'introspect', expires_at })
    })

    test('16: a revoked token of a client is refused everywhere at once, and its others are not', async () => {
      const client = await createClient(here.system)
      const [token, other] = [await tokenOf(here.system, client), await tokenOf(here.system, client)]
      expect(await askEachWithScope(here.system, token)).toEqual(each('insufficient_scope'))
      for (let times = 0; times < 2; times++) {
        expect((await here.auth('POST /auth/revoke', form({ token }))).status).toBe(200)
        expect(await askEachWithScope(here.system, token)).toEqual(each('token_revoked'))
      }
      expect(await askEachWithScope(here.system, other)).toEqual(each('insufficient_scope'))
      expect((await introspect({ token }, as.operator)).body).toEqual({ active: false })
      const validity = await here.auth('POST /auth/validate-token', { body: { token } })
      expect(validity.body).toEqual({ valid: false, reason: 'revoked' })
      const { items } = (await here.auth('GET /admin/audit?type=client.token_revoked', { headers: as.operator })).body
      expect(items.map(({ detail }: { detail: object }) => detail)).toEqual([
        { client_id: client.id, jti: decodeJwt(token).jti },
      ])
    })
  })

  describe('a foreign client', () => {
    const server = async () => {
      const issuer = new URL(here.system.url.auth)
      const discovery = await oauth.discoveryRequest(issuer, {
        algorithm: 'oauth2',
        [oauth.allowInsecureRequests]: true,
      })
      return await oauth.processDiscoveryResponse(issuer, discovery)
    }

    test.each(['ES256', 'EdDSA', 'RS256'])(
      'oauth4webapi gets tokens by each method, and signs with %s',
      async (alg) => {
        const metadata = await server()
        const key = await newClientKey(alg)
        const insecure = { [oauth.allowInsecureRequests]: true }
        const create = (fields: object) => createClient(here.system, { scopes: ['orders:read'], ...fields })
        const [byBasic, byPost, byJwt] = [
          await create({}),
          await create({ token_auth_method: 'client_secret_post' }),
          await create({ jwks_uri: servers(key).url }),
        ]
        const ways: [string, oauth.ClientAuth][] = [
          [byBasic.id, oauth.ClientSecretBasic(byBasic.client_secret)],
          [byPost.id, oauth.ClientSecretPost(byPost.client_secret)],
          [byJwt.id, oauth.PrivateKeyJwt({ key: key.privateKey, kid: key.kid })],
          [byJwt.id, oauth.PrivateKeyJwt(key.privateKey)],
        ]
        for (const [client_id, authentication] of ways) {
          const client = { client_id }
          const response = await oauth.clientCredentialsGrantRequest(
            metadata,
            client,
            authentication,
            { scope: 'orders:read' },
            insecure,
          )
          const tokens = await oauth.processClientCredentialsResponse(metadata, client, response)
          expect(tokens).toMatchObject({ token_type: 'bearer', scope: 'orders:read', expires_in: 3600 })
          const revocation = await oauth.revocationRequest(
            metadata,
            client,
            oauth.None(),
            tokens.access_token,
            insecure,
          )
          await oauth.processRevocationResponse(revocation)
          expect(await askEachWithScope(here.system, tokens.access_token)).toEqual(each('token_revoked'))
        }
      },
    )

    test('the metadata announces only what exists', async () => {
      const metadata = await server()
      expect(metadata.issuer).toBe(here.system.url.auth)
      expect(metadata.grant_types_supported).toEqual(['authorization_code', 'refresh_token', 'client_credentials'])
      expect(metadata.response_types_supported).toEqual(['code'])
      expect(metadata).not.toHaveProperty('registration_endpoint')
      const { authorization_endpoint, end_session_endpoint, userinfo_endpoint } = metadata
      const pages = [authorization_endpoint, end_session_endpoint]
      expect(pages.map((url) => new URL(String(url)).pathname)).toEqual(['/oauth/authorize', '/oauth/logout'])
      for (const [name, url] of Object.entries(metadata))
        if (name.endsWith('_endpoint') && !pages.includes(String(url))) {
          const answer = await call(String(url), 'GET ')
          expect([name, answer.status]).toEqual([name, url === userinfo_endpoint ? 401 : 405])
        }
      for (const method of metadata.token_endpoint_auth_methods_supported ?? []) {
        const jwks_uri = method === 'private_key_jwt' ? { jwks_uri: 'https://a.example/jwks' } : {}
        const kind =
          method === 'none' ? { kind: 'public', grant_types: ['authorization_code'], redirect_uris: [CALLBACK] } : {}
        await createClient(here.system, { token_auth_method: method, ...kind, ...jwks_uri })
      }
      for (const scope of metadata.scopes_supported ?? []) await createClient(here.system, { scopes: [scope] })
    })
  })

  test('check 38: a secret is in no database, log or audit', async () => {
    const clients = [
      await createClient(here.system),
      await createClient(here.system, { token_auth_method: 'client_secret_post' }),
    ]
    const secrets: string[] = []
    for (const { client_secret, id } of clients) {
      const rotated = await here.auth(`POST /admin/clients/${id}/secret`, { headers: as.operator })
      secrets.push(client_secret, rotated.body.client_secret)
      for (const secret of [client_secret, rotated.body.client_secret]) {
        await post({}, basic(id, secret))
        await post({ client_id: id, client_secret: secret })
        await post({ client_id: id, client_secret: secret, scope: secret })
      }
      const read = await here.auth(`GET /admin/clients/${id}`, { headers: as.operator })
      expect(read.body).not.toHaveProperty('client_secret')
    }
    const audit = await here.auth('GET /admin/audit?size=200', { headers: as.operator })
    const stored = [...(await storedBytes(here.system)), Buffer.from(here.system.output()), Buffer.from(audit.text)]
    for (const secret of secrets)
      for (const spelling of [secret, Buffer.from(secret, 'base64url').toString('hex')])
        expect(stored.some((bytes) => bytes.includes(spelling))).toBe(false)
    for (const secret of secrets)
      expect(stored.some((bytes) => bytes.includes(Buffer.from(secret, 'base64url')))).toBe(false)
    const rows = await databaseRows<{ n: number }>(here.system, 'auth', 'SELECT count(*) AS n FROM client_secrets')
    expect(Number(rows[0]?.n)).toBeGreaterThan(3)
  })
})
