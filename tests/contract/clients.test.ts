import { describe, expect, test } from 'bun:test'
import { createUser, logIn, registerUser } from '../support/actors.ts'
import { expectFields, expectProblem, TIME, UUID } from '../support/expectations.ts'
import { type Answer, as, byOperator } from '../support/http.ts'
import { movingClock } from '../support/moving-clock.ts'
import {
  askEachWithScope,
  basic,
  createClient,
  each,
  newClientName,
  type OAuthClient,
  requestToken,
  tokenOf,
} from '../support/oauth/clients.ts'
import { databaseRows } from '../support/postgres/database-rows.ts'
import { running } from '../support/running.ts'
import { inProcess, inProcessApart } from '../support/system.ts'

const CLIENT_FIELDS = [
  ...['id', 'name', 'kind', 'first_party', 'redirect_uris', 'post_logout_redirect_uris', 'backchannel_logout_uri'],
  ...[
    'grant_types',
    'scopes',
    'resources',
    'id_token_alg',
    'token_auth_method',
    'require_pkce',
    'status',
    'created_at',
  ],
]
const NOBODY = '00000000-0000-7000-8000-000000000000'
const CALLBACK = 'https://shop.example.org/callback'
const JWKS = 'https://shop.example.org/jwks.json'

describe('16: /admin/clients', () => {
  const here = running(inProcessApart, { OAUTH_PRIVATE_HOSTS: 'keys.internal, 10.0.0.7, ::1' })
  const create = (body: object) => here.auth('POST /admin/clients', byOperator({ name: newClientName(), ...body }))
  const change = (id: string, body: object) => here.auth(`PATCH /admin/clients/${id}`, byOperator(body))
  const read = async (id: string) => (await here.auth(`GET /admin/clients/${id}`, byOperator())).body
  const remove = (id: string) => here.auth(`DELETE /admin/clients/${id}`, byOperator())
  const rotate = (id: string, body?: object) => here.auth(`POST /admin/clients/${id}/secret`, byOperator(body))
  const works = async ({ id }: Pick<OAuthClient, 'id'>, secret: string) =>
    (await requestToken(here.system, {}, basic(id, secret))).status === 200

  /** The fields that an answer of 400 complains about, with their codes. */
  const complaints = ({ body }: Answer) =>
    (body.errors ?? []).map(({ code, field }: { code: string; field: string }) => `${field} ${code}`).sort()

  test('a client for itself has these settings, and its secret stands in this answer alone', async () => {
    const answer = await here.auth('POST /admin/clients', byOperator({ name: '  Reports  ' }))
    expect(answer.status).toBe(201)
    expect(answer.headers.get('cache-control')).toBe('no-store')
    const { client_secret, ...client } = answer.body
    expectFields(client, CLIENT_FIELDS)
    expect(client_secret).toMatch(/^[\w-]{43}$/)
    expect(client).toEqual({
      id: expect.stringMatching(UUID),
      name: 'Reports',
      kind: 'confidential',
      first_party: false,
      redirect_uris: [],
      post_logout_redirect_uris: [],
      backchannel_logout_uri: null,
      grant_types: ['client_credentials'],
      scopes: [],
      resources: [],
      id_token_alg: 'RS256',
      token_auth_method: 'client_secret_basic',
      require_pkce: true,
      status: 'active',
      created_at: expect.stringMatching(TIME),
    })
    expect(await read(client.id)).toEqual(client)
    expect(await read(client.id.toUpperCase())).toEqual(client)
    const { items } = (await here.auth('GET /admin/clients', byOperator())).body
    expect(items).toContainEqual(client)
    expect(JSON.stringify(items)).not.toContain('secret"')
  })

  test('a client for users, and a public one, have others', async () => {
    const site = await create({ redirect_uris: [CALLBACK] })
    expect(site.body).toMatchObject({
      grant_types: ['authorization_code', 'refresh_token'],
      scopes: ['openid', 'profile', 'email'],
      token_auth_method: 'client_secret_basic',
      client_secret: expect.any(String),
    })
    const app = await create({ kind: 'public', redirect_uris: ['com.example.app:/callback'] })
    expect(app.body).toMatchObject({ kind: 'public', token_auth_method: 'none', require_pkce: true })
    const service = await create({ jwks_uri: JWKS })
    expect(service.body).toMatchObject({ token_auth_method: 'private_key_jwt', jwks_uri: JWKS })
    for (const { body } of [app, service]) expect(body).not.toHaveProperty('client_secret')
  })

  test('each kind with each method and grant', async () => {
    const METHODS = ['none', 'client_secret_basic', 'client_secret_post', 'private_key_jwt']
    const GRANTS = [
      ['authorization_code'],
      ['authorization_code', 'refresh_token'],
      ['client_credentials'],
      ['authorization_code', 'client_credentials'],
      ['refresh_token'],
      ['refresh_token', 'client_credentials'],
      [],
    ]
    const unexpected: unknown[] = []
    for (const kind of ['public', 'confidential'])
      for (const token_auth_method of METHODS)
        for (const grant_types of GRANTS) {
          const isPublic = kind === 'public'
          const expected = [
            ...(isPublic !== (token_auth_method === 'none') ? ['token_auth_method not_allowed'] : []),
            ...(isPublic && grant_types.includes('client_credentials') ? ['grant_types not_allowed'] : []),
            ...(grant_types.length === 0 ? ['grant_types required'] : []),
            ...(grant_types[0] === 'refresh_token' ? ['grant_types not_allowed'] : []),
          ]
          const jwks = token_auth_method === 'private_key_jwt' ? { jwks_uri: JWKS } : {}
          const answer = await create({ kind, token_auth_method, grant_types, redirect_uris: [CALLBACK], ...jwks })
          const complaintsExpected = [...new Set(expected)].sort()
          const hasSecret = 'client_secret' in answer.body
          if (
            answer.status !== (complaintsExpected.length > 0 ? 400 : 201) ||
            String(complaints(answer)) !== String(complaintsExpected) ||
            hasSecret !== (answer.status === 201 && token_auth_method.startsWith('client_secret'))
          )
            unexpected.push([
              kind,
              token_auth_method,
              grant_types,
              answer.status,
              complaints(answer),
              complaintsExpected,
            ])
        }
    expect(unexpected).toEqual([])
  })

  /** Redirect URIs, and who may have them: `both`, `public` alone, or `none`. */
  const REDIRECTS: [uri: string, who: 'both' | 'public' | 'none'][] = [
    [CALLBACK, 'both'],
    ['https://shop.example.org', 'both'],
    ['https://shop.example.org:8443/cb?from=ch202', 'both'],
    ['https://xn--mnchen-3ya.example/cb', 'both'],
    ['http://localhost/cb', 'both'],
    ['http://localhost:3000/cb', 'both'],
    ['http://127.0.0.1:4000/cb', 'both'],
    ['http://[::1]:4000/cb', 'both'],
    ['com.example.app:/cb', 'public'],
    ['com.example.app://cb', 'public'],
    ['http://shop.example.org/cb', 'none'],
    ['http://localhost.example.org/cb', 'none'],
    ['http://127.0.0.1.example.org/cb', 'none'],
    ['http://10.0.0.7/cb', 'none'],
    ['http://keys.internal/cb', 'none'],
    ['https://*.example.org/cb', 'none'],
    ['https://shop.example.org/*', 'none'],
    ['https://shop.example.org/cb#fragment', 'none'],
    ['https://shop.example.org/cb#', 'none'],
    ['https://ana@shop.example.org/cb', 'none'],
    ['https://ana:secret@shop.example.org/cb', 'none'],
    ['https://shop.example.org@evil.example/cb', 'none'],
    ['https://münchen.example/cb', 'none'],
    ['https://shop.example.org/ä', 'none'],
    ['https://shop。example。org/cb', 'none'],
    ['https://SHOP.example.org/cb', 'none'],
    ['HTTPS://shop.example.org/cb', 'none'],
    ['https:\\\\shop.example.org\\cb', 'none'],
    ['https://shop.example.org\\@evil.example/', 'none'],
    ['https:shop.example.org/cb', 'none'],
    ['https:///shop.example.org/cb', 'none'],
    ['https://%73hop.example.org/cb', 'none'],
    ['https://0x7f.1/cb', 'none'],
    ['https://shop.example.org/c b', 'none'],
    [' https://shop.example.org/cb', 'none'],
    ['https://shop.example.org/cb ', 'none'],
    ['https://shop.example.org/\tcb', 'none'],
    ['https://shop.example.org/cb\n', 'none'],
    ['https://shop.example.org/\u200bcb', 'none'],
    ['//shop.example.org/cb', 'none'],
    ['/cb', 'none'],
    ['shop.example.org', 'none'],
    ['', 'none'],
    ['javascript:alert(1)', 'none'],
    ['JavaScript:alert(1)', 'none'],
    ['java\tscript:alert(1)', 'none'],
    ['data:text/html,x', 'none'],
    ['vbscript:x', 'none'],
    ['file:///etc/passwd', 'none'],
    ['blob:https://shop.example.org/x', 'none'],
    ['about:blank', 'none'],
    ['myapp:/cb', 'none'],
    ['myapp://cb', 'none'],
    ['urn:ietf:wg:oauth:2.0:oob', 'none'],
    ['ftp://shop.example.org/', 'none'],
    ['ws://localhost/', 'none'],
    [`https://shop.example.org/${'x'.repeat(1000)}`, 'none'],
  ]
  test('redirect URIs', async () => {
    const unexpected: unknown[] = []
    for (const [uri, who] of REDIRECTS)
      for (const kind of ['public', 'confidential'])
        for (const field of ['redirect_uris', 'post_logout_redirect_uris']) {
          const answer = await create({ kind, redirect_uris: [CALLBACK], [field]: ['https://first.example/', uri] })
          const isAllowed = who === 'both' || who === kind
          const isAsExpected = isAllowed
            ? answer.status === 201 && answer.body[field][1] === uri
            : answer.status === 400 && complaints(answer).every((text: string) => text.startsWith(`${field}.1 `))
          if (!isAsExpected) unexpected.push([uri, kind, field, answer.status, complaints(answer)])
          if (answer.status === 400 && uri.length > 1)
            expect(answer.text).not.toContain(JSON.stringify(uri).slice(1, -1))
        }
    expect(unexpected).toEqual([])
  })

  const CALLED: [uri: string, isAllowed: boolean][] = [
    [JWKS, true],
    ['https://10.0.0.1/jwks', true],
    ['http://keys.internal/jwks', true],
    ['http://keys.internal:8080/jwks?a=b', true],
    ['http://10.0.0.7/jwks', true],
    ['http://[::1]:8080/jwks', true],
    ['http://shop.example.org/jwks', false],
    ['http://localhost/jwks', false],
    ['http://keys.internal.example.org/jwks', false],
    ['http://a.keys.internal/jwks', false],
    ['https://ana:secret@shop.example.org/jwks', false],
    ['https://shop.example.org/jwks#a', false],
    ['ftp://shop.example.org/jwks', false],
    ['file:///etc/passwd', false],
    ['data:application/json,{}', false],
    ['jwks.json', false],
    ['', false],
  ]
  test.each(CALLED)('16: the address %p, which Ch202 itself calls: %p', async (uri, isAllowed) => {
    const answers = [
      await create({ token_auth_method: 'private_key_jwt', jwks_uri: uri }),
      await create({ redirect_uris: [CALLBACK], backchannel_logout_uri: uri }),
    ]
    expect(answers.map(({ status }) => status)).toEqual(isAllowed ? [201, 201] : [400, 400])
  })

  const FAULTS: [name: string, body: object, complaint: string][] = [
    ['no name', { name: undefined }, 'name required'],
    ['an empty name', { name: '' }, 'name too_short'],
    ['a blank name', { name: '   ' }, 'name too_short'],
    ['a long name', { name: 'x'.repeat(101) }, 'name too_long'],
    ['a name with a line break', { name: 'a\nb' }, 'name pattern'],
    ['an unknown kind', { kind: 'native' }, 'kind not_allowed'],
    ['an id', { id: NOBODY }, 'id unknown'],
    ['a secret', { client_secret: 'mine' }, 'client_secret unknown'],
    ['a version', { version: 9 }, 'version unknown'],
    ['created_at', { created_at: '2026-01-01T00:00:00.000Z' }, 'created_at unknown'],
    ['an unknown scope', { scopes: ['everything'] }, 'scopes.0 not_allowed'],
    ['a scope with a space', { scopes: ['users:read users:write'] }, 'scopes.0 not_allowed'],
    ['a scope in upper case', { scopes: ['Orders:read'] }, 'scopes.0 not_allowed'],
    ['a scope with a quotation mark', { scopes: ['orders:"'] }, 'scopes.0 not_allowed'],
    ['a scope that looks like ours', { scopes: ['orders:read', 'users:delete'] }, 'scopes.1 not_allowed'],
    ['a scope below one of ours', { scopes: ['introspect:all'] }, 'scopes.0 not_allowed'],
    ['a scope of a prototype', { scopes: ['constructor'] }, 'scopes.0 not_allowed'],
    ['__proto__ as a scope', { scopes: ['__proto__'] }, 'scopes.0 not_allowed'],
    ['a scope twice', { scopes: ['users:read', 'users:read'] }, 'scopes.1 not_allowed'],
    ['an empty scope', { scopes: [''] }, 'scopes.0 too_short'],
    ['51 scopes', { scopes: Array.from({ length: 51 }, (_, n) => `orders:${n}`) }, 'scopes too_many'],
    ['scopes in one text', { scopes: 'users:read' }, 'scopes type'],
    ['a redirect URI twice', { redirect_uris: [CALLBACK, CALLBACK] }, 'redirect_uris.1 not_allowed'],
    ['no redirect URI', { grant_types: ['authorization_code'] }, 'redirect_uris required'],
    ['an unknown grant', { grant_types: ['password'] }, 'grant_types.0 not_allowed'],
    ['a grant twice', { grant_types: ['client_credentials', 'client_credentials'] }, 'grant_types.1 not_allowed'],
    ['a resource with a fragment', { resources: ['https://orders.example.org#a'] }, 'resources.0 not_allowed'],
    ['a resource that is no address', { resources: ['orders'] }, 'resources.0 format'],
    ['HS256 for ID tokens', { id_token_alg: 'HS256' }, 'id_token_alg not_allowed'],
    ['none for ID tokens', { id_token_alg: 'none' }, 'id_token_alg not_allowed'],
    ['client_secret_jwt', { token_auth_method: 'client_secret_jwt' }, 'token_auth_method not_allowed'],
    ['tls_client_auth', { token_auth_method: 'tls_client_auth' }, 'token_auth_method not_allowed'],
    ['private_key_jwt without keys', { token_auth_method: 'private_key_jwt' }, 'jwks_uri required'],
    ['keys for a secret', { token_auth_method: 'client_secret_post', jwks_uri: JWKS }, 'jwks_uri not_allowed'],
    [
      'a public client without PKCE',
      { kind: 'public', redirect_uris: [CALLBACK], require_pkce: false },
      'require_pkce not_allowed',
    ],
    ['PKCE of text', { require_pkce: 'true' }, 'require_pkce type'],
    ['first_party of a number', { first_party: 1 }, 'first_party type'],
    ['an unknown status', { status: 'deleted' }, 'status not_allowed'],
    ...['name', 'kind', 'first_party', 'redirect_uris', 'grant_types', 'scopes', 'status', 'require_pkce'].map(
      (field): [string, object, string] => [`null as ${field}`, { [field]: null }, `${field} type`],
    ),
  ]
  test.each(FAULTS)('%s is refused, at the creation and in a change', async (name, fields, complaint) => {
    const created = await create(fields)
    expectProblem(created, 400, 'validation_failed')
    expect(complaints(created)).toContain(complaint)
    const before = await createClient(here.system)
    const changed = await change(before.id, fields)
    if (name === 'no name') expect(changed.status).toBe(200)
    else expectProblem(changed, 400, 'validation_failed')
    const { client_secret: _, ...settings } = before
    expect(await read(before.id)).toEqual(settings)
  })

  test('all faults stand in one answer', async () => {
    const answer = await create({ kind: 'public', scopes: ['x'], require_pkce: false, resources: ['y'] })
    expect(complaints(answer)).toEqual([
      'redirect_uris required',
      'require_pkce not_allowed',
      'resources.0 format',
      'scopes.0 not_allowed',
    ])
  })

  const CHANGES: object[] = [
    { name: 'Another name' },
    { first_party: true },
    { redirect_uris: [CALLBACK, 'https://shop.example.org/other'] },
    { post_logout_redirect_uris: ['https://shop.example.org/'] },
    { backchannel_logout_uri: 'https://shop.example.org/logout' },
    { backchannel_logout_uri: null },
    { grant_types: ['authorization_code', 'client_credentials'] },
    { scopes: ['openid', 'users:read'] },
    { resources: ['https://orders.example.org'] },
    { id_token_alg: 'ES256' },
    { token_auth_method: 'private_key_jwt', jwks_uri: JWKS },
    { token_auth_method: 'client_secret_post', jwks_uri: null },
    { require_pkce: false },
    { status: 'disabled' },
    { status: 'active' },
    {},
  ]
  test('a change changes its fields alone', async () => {
    const { client_secret: _, ...created } = await createClient(here.system, { redirect_uris: [CALLBACK] })
    let expected: Record<string, unknown> = created
    for (const body of CHANGES) {
      const { jwks_uri: __, ...rest } = { ...expected, ...body } as Record<string, unknown>
      expected = 'jwks_uri' in body && body.jwks_uri !== null ? { ...rest, jwks_uri: body.jwks_uri } : rest
      if (!('jwks_uri' in body) && __ !== undefined) expected = { ...rest, jwks_uri: __ }
      const answer = await change(created.id, body)
      expect([body, answer.status, answer.body]).toEqual([body, 200, expected])
      expect(await read(created.id)).toEqual(expected)
    }
  })

  test('a name belongs to one client', async () => {
    const [first, second] = [await createClient(here.system), await createClient(here.system)]
    const { name } = await read(first.id)
    expectProblem(await create({ name }), 409, 'client_exists')
    expectProblem(await create({ name: ` ${name} ` }), 409, 'client_exists')
    expectProblem(await change(second.id, { name }), 409, 'client_exists')
    expect((await change(first.id, { name })).status).toBe(200)
    expect((await remove(first.id)).status).toBe(204)
    expect((await change(second.id, { name })).status).toBe(200)
    const at = newClientName()
    const parallel = await Promise.all(Array.from({ length: 20 }, () => create({ name: at })))
    expect(parallel.map(({ status }) => status).sort()).toEqual([201, ...Array(19).fill(409)])
  })

  test.each([NOBODY, 'ch202', '%00', '..%2f..', 'x'.repeat(500), "'%20OR%201=1"])('%p is no client', async (id) => {
    for (const answer of [
      await here.auth(`GET /admin/clients/${id}`, byOperator()),
      await change(id, { name: newClientName() }),
      await remove(id),
      await rotate(id),
    ])
      expect([answer.status, answer.body.code]).toBeOneOf([
        [404, 'client_not_found'],
        [404, 'not_found'],
      ])
  })

  describe('secrets', () => {
    test('two work at a time: a third ends the oldest', async () => {
      const client = await createClient(here.system)
      const secrets = [client.client_secret]
      for (let n = 0; n < 4; n++) {
        const answer = await rotate(client.id, n % 2 ? undefined : {})
        expect(answer.status).toBe(201)
        expect(answer.headers.get('cache-control')).toBe('no-store')
        expectFields(answer.body, [...CLIENT_FIELDS, 'client_secret'])
        secrets.push(answer.body.client_secret)
        const working = await Promise.all(secrets.map((secret) => works(client, secret)))
        expect(working).toEqual(secrets.map((_, index) => index >= secrets.length - 2))
      }
      expect(new Set(secrets).size).toBe(5)
    })

    test('with `only` no other works', async () => {
      const client = await createClient(here.system)
      const second = (await rotate(client.id, { only: false })).body.client_secret
      const third = (await rotate(client.id, { only: true })).body.client_secret
      expect(await Promise.all([client.client_secret, second, third].map((secret) => works(client, secret)))).toEqual([
        false,
        false,
        true,
      ])
    })

    test('rotations at the same moment leave two', async () => {
      const client = await createClient(here.system)
      const answers = await Promise.all(Array.from({ length: 10 }, () => rotate(client.id)))
      const secrets = [client.client_secret, ...answers.map(({ body }) => body.client_secret)]
      const working = await Promise.all(secrets.map((secret) => works(client, secret)))
      expect(working.filter(Boolean)).toHaveLength(2)
      expect(working[0]).toBe(false)
    })

    test('a client that has none gets none, and one that no longer authenticates with them loses them', async () => {
      const [app, service, moving] = [
        await createClient(here.system, { kind: 'public', redirect_uris: [CALLBACK] }),
        await createClient(here.system, { jwks_uri: JWKS }),
        await createClient(here.system),
      ]
      for (const { id } of [app, service]) expectProblem(await rotate(id), 400, 'validation_failed')
      expect((await change(moving.id, { token_auth_method: 'private_key_jwt', jwks_uri: JWKS })).status).toBe(200)
      expect(await works(moving, moving.client_secret)).toBe(false)
      expect((await change(moving.id, { token_auth_method: 'client_secret_basic', jwks_uri: null })).status).toBe(200)
      expect(await works(moving, moving.client_secret)).toBe(false)
      const { client_secret } = (await rotate(moving.id)).body
      expect(await works(moving, client_secret)).toBe(true)
    })

    test.each([{ only: 'true' }, { only: null }, { only: true, secret: 'mine' }, { keep: 1 }])(
      'a rotation with %j is refused',
      async (body) => {
        const client = await createClient(here.system)
        expectProblem(await rotate(client.id, body), 400, 'validation_failed')
        expect(await works(client, client.client_secret)).toBe(true)
      },
    )

    test('the secrets of a deleted client are deleted', async () => {
      const { id } = await createClient(here.system)
      await remove(id)
      const rows = await databaseRows(here.system, 'auth', `SELECT 1 FROM client_secrets WHERE client_id = '${id}'`)
      expect(rows).toEqual([])
    })
  })

  describe('16: tokens', () => {
    const full = {
      scopes: ['introspect', 'orders:read'],
      resources: ['https://orders.example.org'],
      grant_types: ['client_credentials', 'authorization_code'],
      redirect_uris: [CALLBACK],
    }
    const ENDS: [name: string, body: object][] = [
      ['disabled', { status: 'disabled' }],
      ['without a scope', { scopes: ['introspect'] }],
      ['with other scopes', { scopes: ['orders:read', 'users:read'] }],
      ['without a resource', { resources: [] }],
      ['without the grant', { grant_types: ['authorization_code'] }],
    ]
    test.each(ENDS)('of a client that is %s are refused by every service with the answer', async (_, body) => {
      const client = await createClient(here.system, full)
      const token = await tokenOf(here.system, client)
      expect(await askEachWithScope(here.system, token)).toEqual(each('insufficient_scope'))
      expect((await change(client.id, body)).status).toBe(200)
      expect(await askEachWithScope(here.system, token)).toEqual(each('token_revoked'))
      const introspected = await here.auth('POST /auth/introspect', byOperator({ token }))
      expect(introspected.body).toEqual({ active: false })
      // They stay refused when the client gets back what it had, and new ones are accepted.
      expect((await change(client.id, { status: 'active', ...full })).status).toBe(200)
      expect(await askEachWithScope(here.system, token)).toEqual(each('token_revoked'))
      expect(await askEachWithScope(here.system, await tokenOf(here.system, client))).toEqual(
        each('insufficient_scope'),
      )
    })

    test('of a deleted client are refused by every service with the answer', async () => {
      const client = await createClient(here.system)
      const token = await tokenOf(here.system, client)
      expect(await askEachWithScope(here.system, token)).toEqual(each('insufficient_scope'))
      expect((await remove(client.id)).status).toBe(204)
      expect(await askEachWithScope(here.system, token)).toEqual(each('token_revoked'))
      expectProblem(await remove(client.id), 404, 'client_not_found')
    })

    test('of a client that loses nothing stay valid, and so do those of others', async () => {
      const [client, other] = [await createClient(here.system, full), await createClient(here.system, full)]
      const tokens = [await tokenOf(here.system, client), await tokenOf(here.system, other)]
      const more = { scopes: [...full.scopes, 'users:read'], resources: [...full.resources, 'https://a.example.org'] }
      const harmless = [
        { name: newClientName() },
        more,
        { redirect_uris: ['https://a.example.org/'] },
        { require_pkce: false },
      ]
      for (const body of harmless) expect((await change(client.id, body)).status).toBe(200)
      expect((await rotate(client.id, { only: true })).status).toBe(201)
      await remove((await createClient(here.system, full)).id)
      for (const token of tokens) expect(await askEachWithScope(here.system, token)).toEqual(each('insufficient_scope'))
    })

    test('carry no scope that is about a user', async () => {
      const client = await createClient(here.system, { ...full, scopes: ['openid', 'email', 'roles', 'orders:read'] })
      const { body } = await requestToken(here.system, {}, basic(client.id, client.client_secret))
      expect(body.scope).toBe('orders:read')
      const answer = await requestToken(here.system, { scope: 'openid' }, basic(client.id, client.client_secret))
      expect([answer.status, answer.body.error]).toEqual([400, 'invalid_scope'])
    })

    test('that are requested while a client is disabled do not outlive the answer', async () => {
      for (let round = 0; round < 10; round++) {
        const client = await createClient(here.system)
        const requests = Array.from({ length: 10 }, () =>
          requestToken(here.system, {}, basic(client.id, client.client_secret)),
        )
        const disabling = change(client.id, { status: 'disabled' })
        const answers = await Promise.all(requests)
        expect((await disabling).status).toBe(200)
        for (const { body, status } of answers)
          if (status === 200)
            expect(await askEachWithScope(here.system, body.access_token)).toEqual(each('token_revoked'))
          else expect(body.error).toBe('invalid_client')
      }
    })
  })

  test('check 40: each change is a row of the audit, with the client and without its secrets', async () => {
    const client = await createClient(here.system, { scopes: ['introspect'] })
    const { id } = client
    await change(id, { scopes: [], status: 'disabled' })
    const rotated = await rotate(id, { only: true })
    await remove(id)
    // Refused changes have none.
    await change(id, { name: 'x' })
    await remove(id)
    const { items } = (await here.auth('GET /admin/audit?size=200', byOperator())).body
    type Row = { type: string; actor: string; user_id: null; request_id: string; detail: Record<string, unknown> }
    const rows = (items as Row[]).filter(({ detail }) => detail.client_id === id).reverse()
    expect(rows.map(({ detail: { client_id: _, ...detail }, type }) => [type, detail])).toEqual([
      ['client.created', { name: expect.any(String), kind: 'confidential', scopes: ['introspect'] }],
      ['client.updated', { fields: ['scopes', 'status'] }],
      ['client.secret_rotated', { only: true }],
      ['client.deleted', {}],
    ])
    for (const row of rows) expect([row.actor, row.user_id]).toEqual(['operator', null])
    for (const secret of [client.client_secret, rotated.body.client_secret])
      expect(JSON.stringify(items)).not.toContain(secret)
  })
})

describe('11: clients and a recent authentication', () => {
  const clock = movingClock()
  const here = running((env) => inProcess(env, { clock }))

  test('an administrator must have authenticated within REAUTH_MAX_AGE to change clients, not to read them', async () => {
    const admin = await createUser(here.system, { roles: ['ADMIN'] })
    const { id } = await createClient(here.system)
    const requests: [request: string, body?: object][] = [
      ['POST /admin/clients', { name: newClientName() }],
      [`PATCH /admin/clients/${id}`, { name: newClientName() }],
      [`POST /admin/clients/${id}/secret`, {}],
      [`DELETE /admin/clients/${id}`],
    ]
    const send = ([request, body]: [string, object?], token: string) =>
      here.auth(request, { headers: as.bearer(token), ...(body ? { body } : {}) })
    clock.pass(11 * 60_000)
    for (const request of requests) {
      const answer = await send(request, admin.tokens.access_token)
      expectProblem(answer, 401, 'reauthentication_required')
      expect(answer.headers.get('www-authenticate')).toContain('insufficient_user_authentication')
    }
    for (const path of ['GET /admin/clients', `GET /admin/clients/${id}`])
      expect((await send([path], admin.tokens.access_token)).status).toBe(200)
    const fresh = (await logIn(here.system, admin.email)).body.access_token
    for (const request of requests) expect((await send(request, fresh)).status).toBeOneOf([200, 201, 204])
    const user = await registerUser(here.system)
    for (const request of requests) expectProblem(await send(request, user.tokens.access_token), 403, 'forbidden')
  })
})
