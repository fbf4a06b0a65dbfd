import { describe, expect, test } from 'bun:test'
import { createHmac, createPublicKey, generateKeyPairSync, randomUUID } from 'node:crypto'
import { jwt } from '@elysiajs/jwt'
import { Elysia } from 'elysia'
import {
  calculateJwkThumbprint,
  createLocalJWKSet,
  createRemoteJWKSet,
  decodeJwt,
  decodeProtectedHeader,
  errors,
  jwtVerify,
} from 'jose'
import * as oauth from 'oauth4webapi'
import { SECOND } from '../../services/kit/clock.ts'
import { TOKEN_ALGS } from '../../services/kit/tokens/algorithms.ts'
import { createUser, PASSWORD, registerUser } from '../support/actors.ts'
import { all, askEach } from '../support/each-service.ts'
import { expectFields, expectOAuthProblem, expectProblem, FIELDS } from '../support/expectations.ts'
import { encode, type Json, resigned, signed, signingKey } from '../support/forged-tokens.ts'
import { as, call, form, type Options } from '../support/http.ts'
import { movingClock } from '../support/moving-clock.ts'
import { running } from '../support/running.ts'
import { inProcess, type System } from '../support/system.ts'

const CLAIMS = [
  'iss',
  'sub',
  'aud',
  'exp',
  'iat',
  'jti',
  'sid',
  'email',
  'roles',
  'client_id',
  'auth_time',
  'amr',
  'ver',
]
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

describe('tokens', () => {
  describe('with the default settings', () => {
    const clock = movingClock()
    const here = running(() => inProcess({}, { clock }))
    const { auth, users } = here
    const metadata = async () => (await call(here.system.url.auth, 'GET /.well-known/oauth-authorization-server')).body
    const jwks = async () => (await call(here.system.url.auth, 'GET /.well-known/jwks.json')).body
    const validate = (token: string) => auth('POST /auth/validate-token', { body: { token } })
    const introspect = (token: string) => auth('POST /auth/introspect', form({ token }, as.internal))

    describe('check 11: a client that only knows the standards', () => {
      test('finds the keys and checks a token (jose)', async () => {
        const user = await createUser(here.system, { roles: ['USER', 'EDITOR'] })
        const { issuer, jwks_uri } = await metadata()
        const token = user.tokens.access_token
        const { payload, protectedHeader } = await jwtVerify(token, createRemoteJWKSet(new URL(jwks_uri)), {
          issuer,
          audience: 'ch202',
          typ: 'at+jwt',
          algorithms: ['EdDSA'],
          requiredClaims: ['iss', 'sub', 'aud', 'exp', 'iat', 'jti'],
        })
        expectFields(payload, CLAIMS)
        expectFields(protectedHeader, ['alg', 'typ', 'kid'])
        expect(payload).toMatchObject({
          sub: user.id,
          sid: user.tokens.session_id,
          email: user.email,
          roles: ['USER', 'EDITOR'],
        })
        expect((payload.exp ?? 0) - (payload.iat ?? 0)).toBe(3600)
        const altered = createLocalJWKSet({ keys: [{ ...(await jwks()).keys[0], x: 'A'.repeat(43) }] })
        await expect(jwtVerify(token, altered)).rejects.toThrow(errors.JOSEError)
      })

      test.each(['/auth/login', '/api/v1/auth/login', '/login'])(
        'R7: accepts an access token of %s (oauth4webapi, RFC 9068)',
        async (path) => {
          const user = await registerUser(here.system)
          const body = { email: user.email, password: PASSWORD }
          const answer = (await call(here.system.url.auth, `POST ${path}`, { body })).body
          const token = answer.access_token ?? answer.accessToken
          const options = { [oauth.allowInsecureRequests]: true }
          const issuer = new URL((await metadata()).issuer)
          const discovered = await oauth.discoveryRequest(issuer, { ...options, algorithm: 'oauth2' })
          const server = await oauth.processDiscoveryResponse(issuer, discovered)
          const check = (audience: string, presented = token) => {
            const request = new Request('https://shop.example.org/', { headers: as.bearer(presented) })
            return oauth.validateJwtAccessToken(server, request, audience, options)
          }
          const { auth_time, exp, iat, ...claims } = await check('ch202')
          expect(auth_time).toBeWithin(iat - 5, iat + 1)
          expect(claims).toEqual({
            ...{ iss: issuer.href.replace(/\/$/, ''), aud: 'ch202', sub: user.id, client_id: 'ch202', ver: 1 },
            ...{
              amr: ['pwd'],
              email: user.email,
              roles: ['USER'],
              jti: expect.any(String),
              sid: expect.any(String),
            },
          })
          expect(exp - iat).toBe(3600)
          await expect(check('other')).rejects.toThrow()
          await expect(check('ch202', answer.refresh_token ?? answer.refreshToken.token)).rejects.toThrow()
          await expect(
            check('ch202', await resigned(here.system, token, { claims: { client_id: undefined } })),
          ).rejects.toThrow(/client_id/)
        },
      )

      test('checks a token in an Elysia app of its own (@elysiajs/jwt)', async () => {
        const { tokens, id } = await registerUser(here.system)
        const { issuer } = await metadata()
        const [key] = (await jwks()).keys
        const app = new Elysia().use(jwt({ name: 'ch202', secret: key })).get('/who', async ({ ch202, headers }) => {
          const token = headers.authorization?.slice('Bearer '.length)
          const expected = { issuer, audience: 'ch202', algorithms: ['EdDSA'], typ: 'at+jwt' }
          const claims = await ch202.verify(token, expected)
          return claims ? { sub: claims.sub } : { sub: null }
        })
        const who = async (token: string) => {
          const request = new Request('http://localhost/who', { headers: as.bearer(token) })
          return (await app.handle(request)).json()
        }
        expect(await who(tokens.access_token)).toEqual({ sub: id })
        const [head, , signature] = tokens.access_token.split('.')
        const other = (await registerUser(here.system)).tokens.access_token.split('.')[1]
        expect(await who(`${head}.${other}.${signature}`)).toEqual({ sub: null })
      })

      test('reads what it needs from the metadata (RFC 8414)', async () => {
        const answer = await call(here.system.url.auth, 'GET /.well-known/oauth-authorization-server')
        const base = here.system.url.auth
        expect(answer.body).toMatchObject({
          issuer: base,
          token_endpoint: `${base}/oauth/token`,
          jwks_uri: `${base}/.well-known/jwks.json`,
          introspection_endpoint: `${base}/auth/introspect`,
          revocation_endpoint: `${base}/auth/revoke`,
          token_endpoint_auth_methods_supported: expect.any(Array),
          token_endpoint_auth_signing_alg_values_supported: [...TOKEN_ALGS, 'Ed25519'],
          introspection_endpoint_auth_methods_supported: expect.any(Array),
          introspection_endpoint_auth_signing_alg_values_supported: [...TOKEN_ALGS, 'Ed25519'],
          revocation_endpoint_auth_methods_supported: ['none'],
          response_types_supported: ['code'],
          grant_types_supported: ['authorization_code', 'refresh_token', 'client_credentials'],
          scopes_supported: expect.any(Array),
          ch202: here.system.url,
        })
        const { tokens } = await registerUser(here.system)
        expect(decodeJwt(tokens.access_token).iss).toBe(answer.body.issuer)
        for (const path of ['oauth-authorization-server', 'openid-configuration'])
          expect((await auth(`GET /.well-known/${path}`)).body).toEqual(answer.body)
      })

      test('finds only public keys in the JWKS, each under its thumbprint (RFC 7517, RFC 7638)', async () => {
        const { keys } = await jwks()
        expect(keys).toHaveLength(1)
        for (const key of keys) {
          expectFields(key, ['kty', 'crv', 'x', 'kid', 'alg', 'use'])
          expect(key).toMatchObject({ kty: 'OKP', crv: 'Ed25519', alg: 'EdDSA', use: 'sig' })
          expect(key.kid).toBe(await calculateJwkThumbprint(key))
        }
        const { tokens } = await registerUser(here.system)
        expect(keys.map(({ kid }: Json) => kid)).toContain(decodeProtectedHeader(tokens.access_token).kid)
        expect((await auth('GET /.well-known/jwks.json')).body).toEqual({ keys })
      })
    })

    describe('checks 7 and 8: a token that was tampered with', () => {
      const foreign = generateKeyPairSync('ed25519')
      type Forge = (token: string, system: System) => string | Promise<string>
      const partsOf = (token: string) => {
        const [head = '', payload = '', signature = ''] = token.split('.')
        return {
          head,
          payload,
          signature,
          claims: decodeJwt(token) as Json,
          header: decodeProtectedHeader(token) as Json,
        }
      }
      const unsigned = (alg: unknown): Forge => {
        return (token) => {
          const { header, payload } = partsOf(token)
          return `${encode({ ...header, alg })}.${payload}.`
        }
      }
      const overOldSignature = (alg: unknown): Forge => {
        return (token) => {
          const { header, payload, signature } = partsOf(token)
          return `${encode({ ...header, alg })}.${payload}.${signature}`
        }
      }
      /** `none` in all 16 combinations of upper and lower case. */
      const nones = Array.from({ length: 16 }, (_, bits) =>
        [...'none'].map((letter, at) => (bits & (1 << at) ? letter.toUpperCase() : letter)).join(''),
      )
      /** Changes a bit of the last character that is beyond the last byte: the part decodes to the same bytes. */
      const strayBit = (part: string) => part.slice(0, -1) + ALPHABET.charAt(ALPHABET.indexOf(part.at(-1) ?? '') ^ 1)
      const withSecretOf =
        (secretOf: (x: string) => string | Buffer): Forge =>
        async (token, system) => {
          const { payload, header } = partsOf(token)
          const input = `${encode({ ...header, alg: 'HS256' })}.${payload}`
          const secret = secretOf((await signingKey(system)).x)
          return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`
        }
      const publicKey = (x: string, format: 'pem' | 'der') => {
        const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' })
        return key.export({ type: 'spki', format } as { type: 'spki'; format: 'pem' })
      }
      const withHeader =
        (change: Json): Forge =>
        (token) => {
          const { header, claims } = partsOf(token)
          return signed({ ...header, ...change }, claims, foreign.privateKey)
        }
      /** Signs with the key of the service: only the header or a claim is wrong. */
      const ownKey =
        (header: Json, claims: Json): Forge =>
        (token, system) =>
          resigned(system, token, { header, claims })
      const jwk = foreign.publicKey.export({ format: 'jwk' }) as Json
      const soon = Math.floor(Date.now() / 1000) + 600

      const forgeries: [string, string, Forge][] = [
        ...nones.flatMap((alg): [string, string, Forge][] => [
          [`unsigned, alg ${alg}`, 'malformed', unsigned(alg)],
          [`alg ${alg} over the old signature`, 'signature', overOldSignature(alg)],
        ]),
        ...['', ' none', 'none ', null, ['none'], undefined].map((alg): [string, string, Forge] => [
          `unsigned, alg ${JSON.stringify(alg)}`,
          'malformed',
          unsigned(alg),
        ]),
        ['HS256 by the public key', 'signature', withSecretOf((x) => Buffer.from(x, 'base64url'))],
        ['HS256 by the public key as text', 'signature', withSecretOf((x) => x)],
        ['HS256 by the public key in PEM', 'signature', withSecretOf((x) => publicKey(x, 'pem'))],
        ['HS256 by the public key in DER', 'signature', withSecretOf((x) => publicKey(x, 'der'))],
        ['HS256 by an empty secret', 'signature', withSecretOf(() => '')],
        ['without its signature', 'malformed', (token) => token.slice(0, token.lastIndexOf('.') + 1)],
        ['of two parts', 'malformed', (token) => token.slice(0, token.lastIndexOf('.'))],
        ['of four parts', 'malformed', (token) => `${token}.x`],
        [
          'stray bits in the signature',
          'malformed',
          (token) => {
            const { head, payload, signature } = partsOf(token)
            return `${head}.${payload}.${strayBit(signature)}`
          },
        ],
        ['padded', 'malformed', (token) => `${token}==`],
        [
          'in base64 instead of base64url',
          'malformed',
          (token) => token.replaceAll('-', '+').replaceAll('_', '/').replace('.', './'),
        ],
        ['longer', 'malformed', (token) => `${token}AAAA`.slice(0, -1)],
        [
          'with the payload of another token',
          'signature',
          (token) => {
            const { head, signature, claims } = partsOf(token)
            return `${head}.${encode({ ...claims, roles: ['ADMIN'] })}.${signature}`
          },
        ],
        ['by a foreign key under our kid', 'signature', withHeader({})],
        ['by a foreign key under its own kid', 'signature', withHeader({ kid: 'foreign' })],
        ['with its own key in it', 'malformed', withHeader({ jwk })],
        ['with a link to its key', 'malformed', withHeader({ jku: 'https://example.org/keys' })],
        ['with a certificate', 'malformed', withHeader({ x5u: 'https://example.org/cert' })],
        ['with a kid that is a path', 'signature', withHeader({ kid: '../../../dev/null' })],
        ['with a kid that is SQL', 'signature', withHeader({ kid: "' OR 1=1 --" })],
        ['with a kid that is no string', 'signature', withHeader({ kid: { toString: 1 } })],
        ['with the kid __proto__', 'signature', withHeader({ kid: '__proto__' })],
        ['by our key, of type JWT', 'malformed', ownKey({ typ: 'JWT' }, {})],
        ['by our key, without a type', 'malformed', ownKey({ typ: undefined }, {})],
        ['by our key, with crit', 'malformed', ownKey({ crit: ['exp'] }, {})],
        ['by our key, with an unknown crit', 'malformed', ownKey({ crit: ['x'], x: 1 }, {})],
        ['by our key, with an empty crit', 'malformed', ownKey({ crit: [] }, {})],
        ['by our key, with a key in it', 'malformed', ownKey({ jwk }, {})],
        ['by our key, with a link to one', 'malformed', ownKey({ jku: 'https://example.org/keys' }, {})],
        ['by our key, of type application/at+jwt', 'malformed', ownKey({ typ: 'application/at+jwt' }, {})],
        ['by our key, with zip', 'malformed', ownKey({ zip: 'DEF' }, {})],
        ['by our key, of another issuer', 'signature', ownKey({}, { iss: 'https://example.org' })],
        ['by our key, for another audience', 'signature', ownKey({}, { aud: 'other' })],
        ['by our key, for several audiences', 'signature', ownKey({}, { aud: ['ch202', 'other'] })],
        ['by our key, without exp', 'malformed', ownKey({}, { exp: undefined })],
        ['by our key, with exp as text', 'malformed', ownKey({}, { exp: String(soon) })],
        ['by our key, with a fraction as exp', 'malformed', ownKey({}, { exp: soon + 0.5 })],
        ['by our key, with null as exp', 'malformed', ownKey({}, { exp: null })],
        ['by our key, with an exp that is too large', 'malformed', ownKey({}, { exp: 1e300 })],
        [
          'by our key, valid in 31 seconds',
          'malformed',
          // Computed when the token is signed: the table may take longer to reach this row.
          (token, system) => ownKey({}, { nbf: Math.floor(Date.now() / 1000) + 31 })(token, system),
        ],
        ['by our key, valid in a year', 'malformed', ownKey({}, { nbf: soon + 365 * 24 * 3600 })],
        ['by our key, with nbf as text', 'malformed', ownKey({}, { nbf: '0' })],
        ['by our key, with null as nbf', 'malformed', ownKey({}, { nbf: null })],
        [
          'by our key, of an issuer with a trailing slash',
          'signature',
          (token, system) => ownKey({}, { iss: `${partsOf(token).claims.iss}/` })(token, system),
        ],
        ['by our key, without an issuer', 'signature', ownKey({}, { iss: undefined })],
        ['by our key, without an audience', 'signature', ownKey({}, { aud: undefined })],
        ['by our key, with a list as audience', 'signature', ownKey({}, { aud: ['ch202'] })],
        ['by our key, without an id', 'malformed', ownKey({}, { jti: undefined })],
        ['by our key, without iat', 'malformed', ownKey({}, { iat: undefined })],
        ['by our key, without an email', 'malformed', ownKey({}, { email: undefined })],
        ['by our key, with a number as role', 'malformed', ownKey({}, { roles: ['USER', 7] })],
        ['by our key, without a session', 'malformed', ownKey({}, { sid: undefined })],
        ['by our key, with roles as text', 'malformed', ownKey({}, { roles: 'ADMIN' })],
        // Only a token that a client has for itself may name another client. It has scopes, and the client as its subject.
        ['by our key, for another client', 'malformed', ownKey({}, { client_id: 'shop' })],
        ['by our key, for our client in capitals', 'malformed', ownKey({}, { client_id: 'CH202' })],
        ['by our key, for no client', 'malformed', ownKey({}, { client_id: '' })],
        [
          'by our key, for another client, with scopes',
          'malformed',
          ownKey({}, { client_id: 'shop', scope: 'openid' }),
        ],
        [
          'by our key, for another client, its audience and scopes',
          'malformed',
          ownKey({}, { client_id: 'shop', aud: 'shop', scope: 'openid' }),
        ],
        ['by our key, with null as client', 'malformed', ownKey({}, { client_id: null })],
        ['by our key, with a list as client', 'malformed', ownKey({}, { client_id: ['ch202'] })],
      ]

      test.each(forgeries)('is refused: %s', async (_, reason, forge) => {
        const { tokens } = await registerUser(here.system)
        const forged = await forge(tokens.access_token, here.system)
        expect(forged).not.toBe(tokens.access_token)
        expect(await askEach(here.system, forged)).toEqual(all('invalid_token'))
        expect((await validate(forged)).body).toEqual({ valid: false, reason })
        expect((await introspect(forged)).body).toEqual({ active: false })
        expect(await askEach(here.system, tokens.access_token)).toEqual(all(200))
      })

      test('is accepted if only its signature is new, so each forgery above is refused for its own fault', async () => {
        const { tokens } = await registerUser(here.system)
        // Counted from now: the tests before may have taken long.
        const now = Math.floor(Date.now() / 1000)
        for (const nbf of [undefined, 0, now - 1]) {
          const ownToken = await ownKey({}, { exp: now + 600, jti: randomUUID(), nbf })(
            tokens.access_token,
            here.system,
          )
          expect(ownToken).not.toBe(tokens.access_token)
          expect(await askEach(here.system, ownToken)).toEqual(all(200))
        }
      })

      test('R7: a token of an earlier version, without a client, is valid until it expires', async () => {
        const { tokens } = await registerUser(here.system)
        const earlier = await ownKey({}, { client_id: undefined })(tokens.access_token, here.system)
        expect(decodeJwt(earlier).client_id).toBeUndefined()
        expect(await askEach(here.system, earlier)).toEqual(all(200))
        expect((await validate(earlier)).body.valid).toBe(true)
        expect((await introspect(earlier)).body).toMatchObject({ active: true, client_id: 'ch202' })
        await auth('POST /auth/logout', { headers: as.bearer(earlier) })
        for (const token of [earlier, tokens.access_token])
          expect(await askEach(here.system, token)).toEqual(all('token_revoked'))
      })

      test('is expired to the second, and one with a future nbf is valid from then on', async () => {
        const { tokens } = await registerUser(here.system)
        const now = Math.floor(Date.now() / 1000)
        for (const exp of [now, now - 1, 0, -1]) {
          const old = await ownKey({}, { exp })(tokens.access_token, here.system)
          expect(await askEach(here.system, old)).toEqual(all('token_expired'))
          expect((await validate(old)).body).toEqual({ valid: false, reason: 'expired' })
          expect((await introspect(old)).body).toEqual({ active: false })
        }
        const early = await ownKey({}, { nbf: now + 600 })(tokens.access_token, here.system)
        expect(await askEach(here.system, early)).toEqual(all('invalid_token'))
        clock.pass(601 * SECOND)
        expect(await askEach(here.system, early)).toEqual(all(200))
        clock.pass(-601 * SECOND)
      })

      test('check 7: is refused with any bit of the signature flipped', async () => {
        const { tokens } = await registerUser(here.system)
        const { head, payload, signature } = partsOf(tokens.access_token)
        const flipped = Array.from({ length: 64 * 8 }, (_, bit) => {
          const bytes = Buffer.from(signature, 'base64url')
          bytes.writeUInt8(bytes.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
          return `${head}.${payload}.${encode(bytes)}`
        })
        const answers = await Promise.all(flipped.map(validate))
        for (const { body } of answers) expect(body).toEqual({ valid: false, reason: 'signature' })
        // One bit of each byte, at each service.
        for (let byte = 0; byte < 64; byte++)
          expect(await askEach(here.system, flipped[byte * 8 + (byte % 8)] ?? '')).toEqual(all('invalid_token'))
      })

      test('check 10: is refused with any character changed, added or removed, and when it is cut anywhere', async () => {
        const { tokens } = await registerUser(here.system)
        const token = tokens.access_token
        const changed = (at: number, to: string) => token.slice(0, at) + to + token.slice(at + 1)
        const variants = [...token].flatMap((character, at) => {
          const other = character === character.toLowerCase() ? character.toUpperCase() : character.toLowerCase()
          const put = token.slice(0, at) + other + token.slice(at)
          return [changed(at, other === character ? 'A' : other), changed(at, ''), token.slice(0, at), put]
        })
        for (const more of ['A', '.', '=', ' ', '\n', '.x', token]) variants.push(token + more, more + token)
        const forged = new Set(variants.filter((variant) => variant !== token && variant !== ''))
        const answers = await Promise.all([...forged].map(validate))
        for (const { body } of answers) expect(body.valid).toBe(false)
        expect(answers.length).toBeGreaterThan(1000)
      })

      test('check 8: is refused when it is of another kind', async () => {
        const { tokens } = await registerUser(here.system)
        expect(await askEach(here.system, tokens.refresh_token)).toEqual(all('invalid_token'))
        expect((await validate(tokens.refresh_token)).body).toEqual({ valid: false, reason: 'malformed' })
        const refreshed = await auth('POST /auth/refresh', { body: { refresh_token: tokens.access_token } })
        expectProblem(refreshed, 401, 'invalid_refresh_token')
        for (const key of [as.operator['x-api-key'], as.internal['x-api-key']])
          expect(await askEach(here.system, key)).toEqual(all('invalid_token'))
        const asKey = await auth('GET /auth/sessions?all=true', { headers: { 'x-api-key': tokens.access_token } })
        expectProblem(asKey, 401, 'invalid_api_key')
      })

      test.each([
        ['Bearer', 'invalid_token'],
        ['Bearer ', 'invalid_token'],
        ['Basic dXNlcjpwYXNz', 'invalid_token'],
        ['$token', 'invalid_token'],
        ['Bearer $token $token', 'invalid_token'],
        ['Bearer $token, Bearer $token', 'invalid_token'],
        ['Token $token', 'invalid_token'],
      ])('the header "Authorization: %s" is refused as %s', async (pattern, code) => {
        const { tokens } = await registerUser(here.system)
        const headers = { authorization: pattern.replaceAll('$token', tokens.access_token) }
        const refused = await auth('GET /auth/sessions', { headers })
        expectProblem(refused, 401, code)
        expect(refused.headers.get('www-authenticate')).toStartWith('Bearer')
        expect(refused.text).not.toContain(tokens.access_token)
        const lower = { authorization: `bearer ${tokens.access_token}` }
        expect((await auth('GET /auth/sessions', { headers: lower })).status).toBe(200)
      })
    })

    describe('validate-token', () => {
      test('returns the claims of a valid token, from the body and from the header', async () => {
        const { tokens, id } = await registerUser(here.system)
        const byBody = await validate(tokens.access_token)
        expect(byBody.status).toBe(200)
        expectFields(byBody.body, FIELDS.validity)
        expect(byBody.body).toMatchObject({ valid: true, user_id: id, session_id: tokens.session_id, roles: ['USER'] })
        expect(Date.parse(byBody.body.expires_at) / 1000).toBe(decodeJwt(tokens.access_token).exp ?? 0)
        expect(byBody.headers.get('cache-control')).toBe('no-store')
        const byHeader = await auth('POST /auth/validate-token', { headers: as.bearer(tokens.access_token) })
        expect(byHeader.body).toEqual(byBody.body)
      })

      test('reports a revoked token', async () => {
        const { tokens } = await registerUser(here.system)
        await auth('POST /auth/logout', { headers: as.bearer(tokens.access_token) })
        expect((await validate(tokens.access_token)).body).toEqual({ valid: false, reason: 'revoked' })
        const byHeader = await auth('POST /auth/validate-token', { headers: as.bearer(tokens.access_token) })
        expect([byHeader.status, byHeader.body]).toEqual([200, { valid: false, reason: 'revoked' }])
      })

      test('needs a token', async () => {
        expectProblem(await auth('POST /auth/validate-token'), 400, 'validation_failed')
        for (const body of [{}, { token: '' }, { token: 1 }, { token: 'x', more: 1 }])
          expectProblem(await auth('POST /auth/validate-token', { body }), 400, 'validation_failed')
      })
    })

    describe('introspect (RFC 7662)', () => {
      const ask = (token: string, options = form({ token }, as.internal)) => auth('POST /auth/introspect', options)

      test('reports an access token, by form and by JSON', async () => {
        const user = await createUser(here.system, { username: 'introspected' })
        const { tokens } = user
        const byForm = await ask(tokens.access_token)
        expect(byForm.status).toBe(200)
        expectFields(byForm.body, FIELDS.introspection)
        const { ver, ...claims } = decodeJwt(tokens.access_token)
        expect(ver).toBeNumber()
        expect(byForm.body).toEqual({ active: true, username: 'introspected', token_type: 'Bearer', ...claims })
        const body = { token: tokens.access_token, token_type_hint: 'access_token' }
        expect((await auth('POST /auth/introspect', { headers: as.internal, body })).body).toEqual(byForm.body)
      })

      test('reports a refresh token', async () => {
        const { tokens, id, email } = await registerUser(here.system)
        const { body } = await ask(tokens.refresh_token)
        expectFields(body, FIELDS.introspection)
        const { iss } = decodeJwt(tokens.access_token)
        expect(body).toMatchObject({
          ...{ active: true, sub: id, email, username: null, roles: ['USER'], token_type: 'refresh_token' },
          ...{ iss, aud: 'ch202', sid: tokens.session_id },
        })
        expect(body.exp - body.iat).toBe(7 * 24 * 3600)
      })

      test.each([
        ['invalid', async () => ['x', 'a.b.c', randomUUID(), `ch202_rt_${'A'.repeat(72)}`]],
        [
          'spent',
          async () => {
            const { tokens } = await registerUser(here.system)
            await auth('POST /auth/refresh', { body: { refresh_token: tokens.refresh_token } })
            return [tokens.refresh_token]
          },
        ],
        [
          'of a session that has ended',
          async () => {
            const { tokens } = await registerUser(here.system)
            await auth('POST /auth/logout', { headers: as.bearer(tokens.access_token) })
            return [tokens.access_token, tokens.refresh_token]
          },
        ],
        [
          'of a disabled user',
          async () => {
            const { id, tokens } = await registerUser(here.system)
            await users(`PATCH /users/${id}`, { headers: as.operator, body: { status: 'disabled' } })
            return [tokens.access_token, tokens.refresh_token]
          },
        ],
        [
          'of a deleted user',
          async () => {
            const { id, tokens } = await registerUser(here.system)
            await users(`DELETE /users/${id}`, { headers: as.operator })
            return [tokens.access_token, tokens.refresh_token]
          },
        ],
        [
          'of previous roles',
          async () => {
            const { id, tokens } = await registerUser(here.system)
            await users(`PATCH /users/${id}`, { headers: as.operator, body: { roles: [] } })
            return [tokens.access_token]
          },
        ],
      ] as [string, () => Promise<string[]>][])('check 9: reports a token as inactive: %s', async (_, make) => {
        for (const token of await make()) {
          const answer = await ask(token)
          expect([answer.status, answer.text]).toEqual([200, '{"active":false}'])
        }
      })

      test('needs credentials and a valid request', async () => {
        const { tokens } = await registerUser(here.system)
        const admin = await createUser(here.system, { roles: ['ADMIN'] })
        const token = tokens.access_token
        for (const headers of [as.operator, as.bearer(admin.tokens.access_token)])
          expect((await ask(token, form({ token }, headers))).body.active).toBe(true)
        const cut = { 'x-api-key': as.internal['x-api-key'].slice(0, -1) }
        const refused: [Record<string, string>, number, string, string][] = [
          [{}, 401, 'missing_token', 'invalid_client'],
          [{ 'x-api-key': 'x' }, 401, 'invalid_api_key', 'invalid_client'],
          [cut, 401, 'invalid_api_key', 'invalid_client'],
          // RFC 7662, 2.3 refers to RFC 6750, 3.1.
          [as.bearer('x'), 401, 'invalid_token', 'invalid_token'],
          [as.bearer(token), 403, 'forbidden', 'insufficient_scope'],
        ]
        for (const [headers, status, code, error] of refused)
          for (const options of [form({ token }, headers), { body: { token }, headers }, form({}, headers)])
            expectOAuthProblem(await ask(token, options), status, code, error)
      })
    })

    describe.each([
      ['introspect', { active: false }],
      ['revoke', {}],
    ])('R14: %s', (name, nothing) => {
      const paths = [`/auth/${name}`, `/api/v1/auth/${name}`, `/auth/${name}/`]
      const post = (path: string, options: Options) => call(here.system.url.auth, `POST ${path}`, options)

      test.each([
        'client_id=spa',
        'client_id=spa&client_secret=a%20secret',
        'resource=https%3A%2F%2Fa.example&resource=https%3A%2F%2Fb.example',
        'token_type_hint=id_token',
        `token_type_hint=${'x'.repeat(1000)}`,
        'token_type_hint=%00',
        'token_type_hint=',
        'resource%5B%5D=x',
        'a.b-c%20%C3%A9=%FF%00',
        '=x',
        'x',
        'token=',
        'nickname=1&roles=ADMIN',
      ])('ignores %s in a form', async (more) => {
        for (const path of paths)
          for (const body of [`token=x&${more}`, `${more}&token=x`]) {
            const headers = { 'content-type': 'application/x-www-form-urlencoded', ...as.internal }
            const answer = await post(path, { body, headers })
            expect([body, answer.status, answer.body]).toEqual([body, 200, nothing])
          }
      })

      test.each([
        { client_id: 'spa', client_secret: 'x' },
        { token_type_hint: 'id_token' },
        { token_type_hint: null },
        { token_type_hint: ['access_token'] },
        { token_type_hint: 7 },
        { nickname: { deep: [1, null] }, 'odd name': '\u0000\ud800' },
      ])('ignores %j in JSON', async (more) => {
        for (const path of paths) {
          const answer = await post(path, { body: { token: 'x', ...more }, headers: as.internal })
          expect([answer.status, answer.body]).toEqual([200, nothing])
        }
      })

      const SECRET_TOKEN = 'canary-5f2d8c1e'
      const FORM = 'application/x-www-form-urlencoded'
      test.each<[body: string, type: string, status: number, code: string, description: RegExp]>([
        ['', FORM, 400, 'validation_failed', /^token is required$/],
        ['token=', FORM, 400, 'validation_failed', /^token is required$/],
        ['client_id=spa', FORM, 400, 'validation_failed', /^token is required$/],
        [SECRET_TOKEN, FORM, 400, 'validation_failed', /^token is required$/],
        ['token=a&token=b', FORM, 400, 'validation_failed', /^token must not be repeated$/],
        ['token=a&token=a', FORM, 400, 'validation_failed', /^token must not be repeated$/],
        ['token=a&client_id=b&client_id=c', FORM, 400, 'validation_failed', /^client_id must not be repeated$/],
        [`${SECRET_TOKEN}=1&${SECRET_TOKEN}=1`, FORM, 400, 'validation_failed', /^token is required$/],
        ['{}', 'application/json', 400, 'validation_failed', /^token is required$/],
        ['{"token":7}', 'application/json', 400, 'validation_failed', /^token must be a string$/],
        ['{"token":""}', 'application/json', 400, 'validation_failed', /^token must be longer/],
        [`{"token":"${SECRET_TOKEN}`, 'application/json', 400, 'malformed_json', /JSON/],
        [`["${SECRET_TOKEN}"]`, 'application/json', 400, 'validation_failed', /^body must be an object$/],
        [`token=${SECRET_TOKEN}`, 'text/plain', 415, 'unsupported_media_type', /content type/],
        [`token=${'x'.repeat(70_000)}`, FORM, 413, 'body_too_large', /64 KiB/],
      ])('refuses %p as %s in the words of RFC 6749', async (body, type, status, code, description) => {
        for (const path of paths) {
          const answer = await post(path, { body, headers: { 'content-type': type, ...as.internal } })
          expectOAuthProblem(answer, status, code, 'invalid_request')
          expect(answer.body.error_description).toMatch(description)
          expect([answer.body.message].flat().join('; ')).toBe(answer.body.error_description)
          expect(answer.text).not.toContain('canary')
        }
      })

      test('accepts no other method', async () => {
        for (const path of paths)
          expectOAuthProblem(
            await call(here.system.url.auth, `GET ${path}`),
            405,
            'method_not_allowed',
            'invalid_request',
          )
      })
    })

    describe('revoke (RFC 7009)', () => {
      // `sessions.test.ts` has the end of the session at every service.
      test('answers 200 for an unknown token and for a revoked one too', async () => {
        const { tokens } = await registerUser(here.system)
        const revoke = (token: string) => auth('POST /auth/revoke', form({ token }))
        for (const token of [
          'x',
          'a.b.c',
          randomUUID(),
          tokens.refresh_token,
          tokens.refresh_token,
          tokens.access_token,
        ]) {
          const answer = await revoke(token)
          expect([answer.status, answer.body]).toEqual([200, {}])
        }
        expect(await askEach(here.system, tokens.access_token)).toEqual(all('token_revoked'))
      })

      test('ends no session for a forged token', async () => {
        const { tokens } = await registerUser(here.system)
        const other = generateKeyPairSync('ed25519').privateKey
        const forged = signed(decodeProtectedHeader(tokens.access_token) as Json, decodeJwt(tokens.access_token), other)
        expect((await auth('POST /auth/revoke', form({ token: forged }))).status).toBe(200)
        expect((await auth('POST /auth/revoke', { body: { token: tokens.session_id } })).status).toBe(200)
        expect(await askEach(here.system, tokens.access_token)).toEqual(all(200))
      })
    })
  })
})
