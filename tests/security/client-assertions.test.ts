import { describe, expect, test } from 'bun:test'
import { createHmac, generateKeyPairSync, sign } from 'node:crypto'
import { decodeJwt, exportSPKI, importJWK, type JWK, SignJWT } from 'jose'
import { registerUser } from '../support/actors.ts'
import { expectOAuthProblem } from '../support/expectations.ts'
import { encode } from '../support/forged-tokens.ts'
import { type Answer, as, form } from '../support/http.ts'
import {
  assertionClaims,
  assertionFields,
  type ClientKey,
  createClient,
  newClientKey,
  requestToken,
  signAssertion,
  tokenOf,
} from '../support/oauth/clients.ts'
import { running } from '../support/running.ts'
import { type KeyServer, keyServers } from '../support/servers/key-servers.ts'
import { inProcess } from '../support/system.ts'

const NOW = () => Math.floor(Date.now() / 1000)

describe('check 50: private_key_jwt', () => {
  const here = running(inProcess, { OAUTH_PRIVATE_HOSTS: '127.0.0.1' })
  const servers = keyServers()
  const issuer = () => here.system.url.auth
  const endpoint = () => `${issuer()}/oauth/token`
  const send = (assertion: string, more: Record<string, string> = {}) =>
    requestToken(here.system, { ...assertionFields(assertion), ...more })
  const expectRefused = (answer: Answer) => expectOAuthProblem(answer, 401, 'invalid_credentials', 'invalid_client')

  /** A client with a key, and the server of its JWKS. */
  async function prepared(alg = 'ES256'): Promise<Prepared> {
    const key = await newClientKey(alg)
    const server = servers(key)
    const { id } = await createClient(here.system, { jwks_uri: server.url })
    return { id, key, server, claims: assertionClaims(id, endpoint()) }
  }
  interface Prepared {
    id: string
    key: ClientKey
    server: KeyServer
    claims: Record<string, unknown>
  }

  test.each(['ES256', 'EdDSA', 'RS256'])(
    'an assertion that %s signed is right once, without and with the client',
    async (alg) => {
      const { claims, id, key } = await prepared(alg)
      for (const more of withAndWithout(id)) {
        const assertion = await signAssertion(key, { ...claims, jti: crypto.randomUUID() })
        expect((await send(assertion, more)).status).toBe(200)
        expectRefused(await send(assertion, more))
      }
    },
  )

  /** Claims beyond those of a valid assertion; `undefined` removes one. */
  const VALID: [name: string, claims: () => object][] = [
    ['the issuer as its audience', () => ({ aud: issuer() })],
    ['its audience in a list', () => ({ aud: [endpoint()] })],
    ['no iat', () => ({ iat: undefined })],
    ['a fraction in its times', () => ({ exp: NOW() + 30.123456, iat: NOW() - 0.5, nbf: NOW() - 0.25 })],
    ['an nbf of now', () => ({ nbf: NOW() })],
    ['an hour to live', () => ({ exp: NOW() + 3600 })],
    ['a clock that is behind', () => ({ iat: NOW() - 100, exp: NOW() - 30 })],
    ['a clock that is ahead', () => ({ iat: NOW() + 30, nbf: NOW() + 30, exp: NOW() + 90 })],
    ['other claims', () => ({ scope: 'admin', roles: ['ADMIN'], __proto__: null })],
    ['a long jti', () => ({ jti: crypto.randomUUID().padEnd(255, 'x') })],
    ['odd characters in its jti', () => ({ jti: `\u0000\u{1f600}'"--${crypto.randomUUID()}` })],
  ]
  test.each(VALID)('with %s it is right', async (_, more) => {
    const { claims, key } = await prepared()
    expect((await send(await signAssertion(key, { ...claims, ...more() }))).status).toBe(200)
  })

  const REFUSED: [name: string, claims: (id: string) => object][] = [
    ['no exp', () => ({ exp: undefined })],
    ['an old exp', () => ({ exp: NOW() - 120 })],
    ['an exp far away', () => ({ exp: NOW() + 86_400 })],
    ['an exp for ever', () => ({ exp: 1e300 })],
    ['an exp of text', () => ({ exp: String(NOW() + 60) })],
    ['an exp of null', () => ({ exp: null })],
    ['an exp in a list', () => ({ exp: [NOW() + 60] })],
    ['an nbf ahead', () => ({ nbf: NOW() + 600 })],
    ['an nbf of text', () => ({ nbf: 'now' })],
    ['an iat ahead', () => ({ iat: NOW() + 600 })],
    ['an iat of text', () => ({ iat: '0' })],
    ['no jti', () => ({ jti: undefined })],
    ['an empty jti', () => ({ jti: '' })],
    ['a jti that is a number', () => ({ jti: 7 })],
    ['a jti that is too long', () => ({ jti: 'x'.repeat(256) })],
    ['no aud', () => ({ aud: undefined })],
    ['the aud of another server', () => ({ aud: 'https://other.example.org/oauth/token' })],
    ['another path of ours as aud', () => ({ aud: `${issuer()}/auth/introspect` })],
    ['an aud that ends otherwise', () => ({ aud: `${endpoint()}/` })],
    ['an aud in upper case', () => ({ aud: endpoint().toUpperCase() })],
    ['the client as aud', (id) => ({ aud: id })],
    ['no audience in the list', () => ({ aud: [] })],
    ['several audiences', () => ({ aud: [endpoint(), 'https://other.example.org'] })],
    ['our two names as audiences', () => ({ aud: [endpoint(), issuer()] })],
    ['an aud that is an object', () => ({ aud: { 0: endpoint(), length: 1 } })],
    ['no iss', () => ({ iss: undefined })],
    ['another iss', () => ({ iss: 'https://other.example.org' })],
    ['an iss in a list', (id) => ({ iss: [id] })],
    ['no sub', () => ({ sub: undefined })],
    ['another sub', () => ({ sub: '00000000-0000-7000-8000-000000000000' })],
    ['a sub in a list', (id) => ({ sub: [id] })],
    ['a sub in upper case', (id) => ({ sub: id.toUpperCase(), iss: id.toUpperCase() })],
  ]
  test.each(REFUSED)('with %s it is refused, and the next one is not', async (_, more) => {
    const { claims, id, key } = await prepared()
    for (const fields of withAndWithout(id))
      expectRefused(await send(await signAssertion(key, { ...claims, ...more(id) }), fields))
    expect((await send(await signAssertion(key, claims))).status).toBe(200)
  })

  /** Assertions that are not signed as the client registered. */
  const FORGED: [name: string, forge: (of: Prepared) => Promise<string> | string][] = [
    ...['none', 'None', 'NONE', ''].map((alg): [string, (of: Prepared) => string] => [
      `alg ${JSON.stringify(alg)}`,
      ({ claims, key }) => `${encode({ alg, kid: key.kid })}.${encode(claims as never)}.`,
    ]),
    [
      'alg none and a signature',
      async ({ claims, key }) => {
        const signed = await signAssertion(key, claims)
        return [encode({ alg: 'none', kid: key.kid }), ...signed.split('.').slice(1)].join('.')
      },
    ],
    ['HS256 with the public key as PEM', async ({ claims, key }) => hmac(claims, key, await pem(key))],
    [
      'HS256 with the public key as PEM without its last line break',
      async ({ claims, key }) => hmac(claims, key, (await pem(key)).trim()),
    ],
    ['HS256 with the public key as JWK', ({ claims, key }) => hmac(claims, key, JSON.stringify(key.jwk))],
    ['HS256 with the kid', ({ claims, key }) => hmac(claims, key, key.kid)],
    ['HS256 with nothing', ({ claims, key }) => hmac(claims, key, '')],
    ['another key', async ({ claims, key }) => signAssertion(await newClientKey('ES256', key.kid), claims)],
    [
      'a key of another algorithm and the same kid',
      async ({ claims, key }) => signAssertion(await newClientKey('EdDSA', key.kid), claims),
    ],
    [
      'the algorithm of another key',
      async ({ claims, key }) => {
        const [, ...rest] = (await signAssertion(key, claims)).split('.')
        return [encode({ alg: 'RS256', kid: key.kid }), ...rest].join('.')
      },
    ],
    [
      'a key of its own in jwk',
      async ({ claims, key }) => {
        const forger = await newClientKey('ES256', key.kid)
        return signAssertion(forger, claims, { jwk: forger.jwk })
      },
    ],
    [
      'a key of its own at jku',
      async ({ claims, key }) => {
        const forger = await newClientKey('ES256', key.kid)
        forger.kid = 'at-jku'
        const server = servers(forger)
        server.answers = () => {
          throw new Error('jku was called')
        }
        return signAssertion(forger, claims, { jku: server.url })
      },
    ],
    ['an unknown kid', async ({ claims, key }) => signAssertion({ ...key, kid: 'unknown' }, claims)],
    ['a kid that is a path', async ({ claims, key }) => signAssertion({ ...key, kid: '../../etc/passwd' }, claims)],
    ['a kid of another type', async ({ claims, key }) => signAssertion(key, claims, { kid: 7 })],
    ['crit', async ({ claims, key }) => signCritical(claims, key)],
    [
      'a changed claim',
      async ({ claims, key }) => {
        const [head, , signature] = (await signAssertion(key, claims)).split('.')
        return [head, encode({ ...claims, exp: NOW() + 61 } as never), signature].join('.')
      },
    ],
    ['a cut signature', async ({ claims, key }) => (await signAssertion(key, claims)).slice(0, -4)],
    ['stray bits in its last character', async ({ claims, key }) => strayBits(await signAssertion(key, claims))],
    [
      'no signature',
      async ({ claims, key }) => `${(await signAssertion(key, claims)).split('.').slice(0, 2).join('.')}.`,
    ],
    ['two parts', async ({ claims, key }) => (await signAssertion(key, claims)).split('.').slice(0, 2).join('.')],
    ['four parts', async ({ claims, key }) => `${await signAssertion(key, claims)}.e30`],
    ['no JSON', () => 'a.b.c'],
    [
      'claims that are a list',
      ({ key }) => `${encode({ alg: 'ES256', kid: key.kid })}.${encode([] as never)}.${encode(Buffer.alloc(64))}`,
    ],
  ]
  test.each(FORGED)('with %s it is refused', async (_, forge) => {
    const prepare = await prepared()
    for (const fields of withAndWithout(prepare.id)) expectRefused(await send(await forge(prepare), fields))
    expect((await send(await signAssertion(prepare.key, prepare.claims))).status).toBe(200)
  })

  test('an assertion of another client, and a token of ours, are refused', async () => {
    const [one, other] = [await prepared(), await prepared()]
    const ofOther = await signAssertion(other.key, other.claims)
    expectRefused(await send(ofOther, { client_id: one.id }))
    expect((await send(ofOther)).status).toBe(200)
    // Signed by the other client, in the name of this one.
    expectRefused(await send(await signAssertion(other.key, one.claims)))
    expectRefused(await send(await signAssertion({ ...other.key, kid: one.key.kid }, one.claims)))
    const { tokens } = await registerUser(here.system)
    const machine = await tokenOf(here.system, await createClient(here.system))
    for (const token of [tokens.access_token, machine, tokens.refresh_token])
      for (const fields of withAndWithout(one.id)) expectRefused(await send(token, fields))
  })

  test('of 50 parallel uses of one assertion, one succeeds', async () => {
    const { claims, key, server } = await prepared()
    const assertion = await signAssertion(key, claims)
    const answers = await Promise.all(Array.from({ length: 50 }, () => send(assertion)))
    const statuses = answers.map(({ status }) => status).sort()
    expect(statuses).toEqual([200, ...Array(49).fill(401)])
    // They share one request for the keys.
    expect(server.requests).toBe(1)
    // The same jti of another client is another one.
    const other = await prepared()
    expect((await send(await signAssertion(other.key, { ...other.claims, jti: claims.jti }))).status).toBe(200)
  })

  test('a disabled client is refused, and its key is not asked for', async () => {
    const { claims, id, key, server } = await prepared()
    const change = (status: string) =>
      here.auth(`PATCH /admin/clients/${id}`, { headers: as.operator, body: { status } })
    expect((await change('disabled')).status).toBe(200)
    const assertion = await signAssertion(key, claims)
    expectRefused(await send(assertion))
    expect(server.requests).toBe(0)
    expect((await change('active')).status).toBe(200)
    // The refused use did not use it up.
    expect((await send(assertion)).status).toBe(200)
  })

  describe('the keys of a client', () => {
    test('a JWKS of several keys, and of keys that are not ours, is read', async () => {
      const [first, second, ed] = [await newClientKey(), await newClientKey(), await newClientKey('EdDSA')]
      const server = servers()
      const odd: JWK[] = [
        { kty: 'oct', k: 'c2VjcmV0', kid: first.kid },
        { kty: 'EC', crv: 'P-521', x: 'AA', y: 'AA', kid: 'p521' },
        { kty: 'EC', crv: 'P-256', x: 'AA', y: 'AA', kid: 'no point' },
        { kty: 'new' },
        { ...first.jwk, use: 'enc', kid: 'encrypts' },
        null as never,
        'text' as never,
      ]
      server.keys = [...odd, first.jwk, second.jwk, ed.jwk]
      const { id } = await createClient(here.system, { jwks_uri: server.url })
      const claims = () => assertionClaims(id, endpoint())
      for (const key of [first, second, ed]) expect((await send(await signAssertion(key, claims()))).status).toBe(200)
      // Without a kid only a key that is the only one of its algorithm is found.
      expect((await send(await signAssertion(ed, claims(), { kid: undefined }))).status).toBe(200)
      expectRefused(await send(await signAssertion(first, claims(), { kid: undefined })))
      expectRefused(await send(await signAssertion({ ...first, kid: 'encrypts' }, claims())))
    })

    test('an RSA key that is too short is refused', async () => {
      const { privateKey, publicKey } = generateKeyPairSync('rsa', {
        modulusLength: 1024,
      })
      const server = servers()
      server.keys = [{ ...publicKey.export({ format: 'jwk' }), kid: 'short' } as JWK]
      const { id } = await createClient(here.system, { jwks_uri: server.url })
      const input = `${encode({ alg: 'RS256', kid: 'short' })}.${encode(assertionClaims(id, endpoint()) as never)}`
      expectRefused(await send(`${input}.${encode(sign('sha256', Buffer.from(input), privateKey))}`))
    })

    const BROKEN: [name: string, answers: () => Response | Promise<Response>][] = [
      ['is down', () => new Response(null, { status: 503 })],
      ['is HTML', () => new Response('<!doctype html>', { headers: { 'content-type': 'text/html' } })],
      ['is empty', () => new Response('')],
      ['is null', () => Response.json(null)],
      ['is a list', () => Response.json([])],
      ['has no list', () => Response.json({ keys: {} })],
      ['redirects', () => Response.redirect('/jwks.json', 302)],
      ['has 10 MB', () => new Response('x'.repeat(10_000_000))],
      ['is compressed', () => new Response(Bun.gzipSync('{"keys":[]}'), { headers: { 'content-encoding': 'gzip' } })],
      ['is deep', () => new Response('['.repeat(60_000))],
    ]
    test.each(BROKEN)('a JWKS that %s refuses the client, and does no harm', async (_, answers) => {
      const { claims, key, server } = await prepared()
      server.answers = answers
      const assertion = await signAssertion(key, claims)
      for (let times = 0; times < 3; times++) expectRefused(await send(assertion))
      expect(server.requests).toBe(1)
      expect((await here.auth('GET /health')).status).toBe(200)
    })

    test('a host that nothing answers at refuses the client', async () => {
      const key = await newClientKey()
      for (const jwks_uri of ['http://127.0.0.1:9/jwks', 'https://127.0.0.1:9/jwks', 'https://nowhere.invalid/jwks']) {
        const { id } = await createClient(here.system, { jwks_uri })
        expectRefused(await send(await signAssertion(key, assertionClaims(id, endpoint()))))
      }
    })

    test('other requests do not wait for a JWKS that is slow, and its client is answered within seconds', async () => {
      const { claims, key, server } = await prepared()
      const slow = Promise.withResolvers<Response>()
      server.answers = () => slow.promise
      const waiting = send(await signAssertion(key, claims))
      const other = await prepared()
      expect((await send(await signAssertion(other.key, other.claims))).status).toBe(200)
      expectRefused(await waiting)
      slow.resolve(new Response(null))
    })

    test('a jwks_uri that is changed counts at once', async () => {
      const { claims, id, key } = await prepared()
      expect((await send(await signAssertion(key, claims))).status).toBe(200)
      const next = await newClientKey()
      const body = { jwks_uri: servers(next).url }
      expect((await here.auth(`PATCH /admin/clients/${id}`, { headers: as.operator, body })).status).toBe(200)
      const fresh = () => ({ ...claims, jti: crypto.randomUUID() })
      expect((await send(await signAssertion(next, fresh()))).status).toBe(200)
      expectRefused(await send(await signAssertion(key, fresh())))
    })

    test('unknown keys do not make the keys of a client be asked for again and again', async () => {
      const { claims, key, server } = await prepared()
      expect((await send(await signAssertion(key, claims))).status).toBe(200)
      const unknown = await Promise.all(
        Array.from({ length: 20 }, async (_, n) => send(await signAssertion({ ...key, kid: `unknown-${n}` }, claims))),
      )
      for (const answer of unknown) expectRefused(answer)
      expect(server.requests).toBe(1)
    })
  })

  test('16: assertions introspect too, each once over all routes', async () => {
    const key = await newClientKey()
    const { id } = await createClient(here.system, { jwks_uri: servers(key).url, scopes: ['introspect'] })
    const assertion = await signAssertion(key, assertionClaims(id, issuer()))
    const { access_token } = (await send(assertion)).body
    expect(decodeJwt(access_token).sub).toBe(id)
    const used = await here.auth('POST /auth/introspect', form({ token: access_token, ...assertionFields(assertion) }))
    expectRefused(used)
  })
})

/** The parameters beside an assertion: nothing, or the client. */
function withAndWithout(client_id: string): Record<string, string>[] {
  return [{}, { client_id }]
}

async function pem({ jwk }: ClientKey): Promise<string> {
  return await exportSPKI((await importJWK(jwk, jwk.alg, { extractable: true })) as CryptoKey)
}

function hmac(claims: object, { kid }: ClientKey, secret: string): string {
  const input = `${encode({ alg: 'HS256', kid })}.${encode(claims as never)}`
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`
}

function signCritical(claims: object, { alg, kid, privateKey }: ClientKey): Promise<string> {
  return new SignJWT({ ...claims }).setProtectedHeader({ alg, kid, crit: ['b64'], b64: true }).sign(privateKey)
}

/** The same signature in another spelling: 64 bytes leave four bits of the last character unused. */
function strayBits(assertion: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const last = alphabet.indexOf(assertion.at(-1) ?? '')
  return assertion.slice(0, -1) + alphabet[last + 1]
}
