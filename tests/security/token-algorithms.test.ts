import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { constants, createHmac, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { calculateJwkThumbprint, createRemoteJWKSet, decodeProtectedHeader, errors, jwtVerify } from 'jose'
import { createGuard, type Guard } from '../../guard/index.ts'
import { TOKEN_ALGS, type TokenAlg } from '../../services/kit/tokens/algorithms.ts'
import { registerUser } from '../support/actors.ts'
import { all, askEach } from '../support/each-service.ts'
import { expectFields } from '../support/expectations.ts'
import { encode, type Json, signed, signingKey } from '../support/forged-tokens.ts'
import { as, call, form } from '../support/http.ts'
import { createClient, idTokensBy, tokenOf } from '../support/oauth/clients.ts'
import { overProcesses } from '../support/processes.ts'
import { running } from '../support/running.ts'
import { INTERNAL_KEY } from '../support/settings.ts'

// Access tokens of each algorithm, checked by the services as separate processes, by the guard, and by `jose`.

const SILENT = { info: () => undefined, warn: () => undefined }

/** The members of a public key in the JWKS, beside `kid`, `alg` and `use`. */
const MEMBERS: Record<TokenAlg, { has: string[]; is: Json }> = {
  EdDSA: { has: ['x'], is: { kty: 'OKP', crv: 'Ed25519' } },
  ES256: { has: ['x', 'y'], is: { kty: 'EC', crv: 'P-256' } },
  RS256: { has: ['n'], is: { kty: 'RSA', e: 'AQAB' } },
}
/** Characters of a member: 32 bytes, or 2048 bits. */
const LENGTHS: Record<string, number> = { x: 43, y: 43, n: 342 }

const foreign: Record<TokenAlg, KeyObject> = {
  EdDSA: generateKeyPairSync('ed25519').privateKey,
  ES256: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey,
  RS256: generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey,
}

describe.each([...TOKEN_ALGS])('16: access tokens of %s', (alg) => {
  const here = running(overProcesses('apart'), { TOKEN_ALG: alg })
  const { auth } = here
  const jwks = async (): Promise<Json[]> => (await call(here.system.url.auth, 'GET /.well-known/jwks.json')).body.keys
  const introspect = async (token: string) => (await auth('POST /auth/introspect', form({ token }, as.internal))).body
  let guard: Guard
  beforeAll(async () => {
    const { url } = here.system
    guard = createGuard({ url: url.auth, modulesUrl: url.modules, internalKey: INTERNAL_KEY, log: SILENT })
    expect(await guard.ready()).toBe(true)
  })
  afterAll(() => guard?.close())
  const guarded = async (token: string) => {
    const request = new Request('http://orders.example/', { headers: as.bearer(token) })
    const { response } = await guard.check(request, { auth: 'user' })
    return response ? (await response.json()).code : 'accepted'
  }

  test('before the first client the JWKS has the key of TOKEN_ALG alone, its public part, under its thumbprint', async () => {
    const keys = await jwks()
    expect(keys).toHaveLength(1)
    const [key = {}] = keys
    const { has, is } = MEMBERS[alg]
    expectFields(key, [...Object.keys(is), ...has, 'kid', 'alg', 'use'])
    expect(key).toMatchObject({ ...is, alg, use: 'sig' })
    for (const name of has) expect(String(key[name])).toHaveLength(Number(LENGTHS[name]))
    expect(key.kid).toBe(await calculateJwkThumbprint(key))
    expect((await auth('GET /admin/keys', { headers: as.operator })).body.items).toEqual([
      { kid: key.kid, alg, status: 'active', created_at: expect.any(String) },
    ])
  })

  test('are signed with that key and no other, and accepted by the services, the guard, introspection and jose', async () => {
    const [key = {}] = await jwks()
    const user = await registerUser(here.system)
    const { access_token } = user.tokens
    const remote = createRemoteJWKSet(new URL(`${here.system.url.auth}/.well-known/jwks.json`))
    const verify = (algorithms: string[]) => jwtVerify(access_token, remote, { typ: 'at+jwt', algorithms })
    expect(decodeProtectedHeader(access_token)).toEqual({ alg, typ: 'at+jwt', kid: String(key.kid) })
    expect((await verify([alg])).payload).toMatchObject({ sub: user.id, aud: 'ch202' })
    await expect(verify(TOKEN_ALGS.filter((other) => other !== alg))).rejects.toThrow(errors.JOSEError)
    expect(await askEach(here.system, access_token)).toEqual(all(200))
    expect(await guarded(access_token)).toBe('accepted')
    expect(await introspect(access_token)).toMatchObject({ active: true, sub: user.id })
    // After a refresh too.
    const body = { refresh_token: user.tokens.refresh_token }
    const refreshed = (await auth('POST /auth/refresh', { body })).body.access_token
    expect(decodeProtectedHeader(refreshed)).toEqual({ alg, typ: 'at+jwt', kid: String(key.kid) })
    expect(await askEach(here.system, refreshed)).toEqual(all(200))
  })

  test('are those of clients too', async () => {
    const client = await createClient(here.system, { scopes: ['users:read', 'modules:read'] })
    const token = await tokenOf(here.system, client)
    const [key = {}] = await jwks()
    expect(decodeProtectedHeader(token)).toEqual({ alg, typ: 'at+jwt', kid: String(key.kid) })
    // The services know the token: whether its scopes open the route is another question.
    for (const name of ['users', 'modules'] as const)
      expect((await here[name](`GET /${name}`, { headers: as.bearer(token) })).status).toBeOneOf([200, 403])
    expect(await introspect(token)).toMatchObject({ active: true, sub: client.id, client_id: client.id })
    expect(await jwks()).toHaveLength(1)
  })

  test('are refused if another algorithm, key or form of the signature is used', async () => {
    for (const other of TOKEN_ALGS.filter((one) => one !== alg)) await createClient(here.system, idTokensBy(other))
    expect((await jwks()).map((key) => String(key.alg)).toSorted()).toEqual([...TOKEN_ALGS].toSorted())
    const user = await registerUser(here.system)
    const token = user.tokens.access_token
    const rows = await forgeriesOf(token, alg, (one) => signingKey(here.system, one))
    for (const [what, forged] of rows) {
      expect([what, await askEach(here.system, forged)]).toEqual([what, all('invalid_token')])
      const { reason, valid } = (await auth('POST /auth/validate-token', { body: { token: forged } })).body
      expect([what, valid, reason]).toEqual([what, false, expect.stringMatching(/^(signature|malformed)$/)])
      expect([what, await introspect(forged)]).toEqual([what, { active: false }])
      expect([what, await guarded(forged)]).toEqual([what, 'invalid_token'])
    }
    // Each is refused for its own fault: signed again in the right way, the token is accepted.
    const { key, kid } = await signingKey(here.system, alg)
    const again = signed({ alg, typ: 'at+jwt', kid }, claimsOf(token), key)
    expect(await askEach(here.system, again)).toEqual(all(200))
    expect(await guarded(again)).toBe('accepted')
    expect(await askEach(here.system, token)).toEqual(all(200))
  })
})

const claimsOf = (token: string): Json => JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())

type KeyOf = (alg: TokenAlg) => Promise<{ kid: string; key: KeyObject }>

/** The token in forms that must be refused. @param keyOf the active key of auth of an algorithm */
async function forgeriesOf(token: string, alg: TokenAlg, keyOf: KeyOf): Promise<[what: string, forged: string][]> {
  const active = await keyOf(alg)
  const header = { alg, typ: 'at+jwt', kid: active.kid }
  const claims = claimsOf(token)
  const signature = Buffer.from(token.split('.')[2] ?? '', 'base64url')
  const under = (changed: Json, bytes: Buffer = signature, padding = '') =>
    `${encode({ ...header, ...changed })}.${encode(claims)}.${bytes.toString('base64url')}${padding}`
  const inputOf = (changed: Json) => Buffer.from(`${encode({ ...header, ...changed })}.${encode(claims)}`)
  const rows: [string, string][] = []

  for (const other of TOKEN_ALGS.filter((one) => one !== alg)) {
    const { key, kid } = await keyOf(other)
    rows.push(
      [`${other} in the header, all else of ${alg}`, under({ alg: other })],
      [
        `${other} in the header, signed again by the key of ${alg}`,
        signed({ ...header, alg: other }, claims, active.key),
      ],
      [`the kid of the key of ${other}`, signed({ ...header, kid }, claims, active.key)],
      [`the algorithm and the kid of the key of ${other}`, signed({ ...header, alg: other, kid }, claims, active.key)],
      [`signed by the key of ${other}`, signed(header, claims, key)],
      [`signed by the key of ${other}, which it names`, signed({ ...header, kid }, claims, key)],
      // A key for ID tokens signs no access tokens.
      [`signed by the key of ${other}, as ${other}`, signed({ ...header, alg: other, kid }, claims, key)],
      [`signed by a foreign key of ${other}, as ${other}`, signed({ ...header, alg: other }, claims, foreign[other])],
    )
  }
  rows.push(['signed by a foreign key of the same algorithm', signed(header, claims, foreign[alg])])

  const publicKey = createPublicKey(active.key)
  const jwk = publicKey.export({ format: 'jwk' })
  const secrets: Record<string, string | Buffer> = {
    PEM: publicKey.export({ format: 'pem', type: 'spki' }),
    DER: publicKey.export({ format: 'der', type: 'spki' }),
    JWK: JSON.stringify(jwk),
    bytes: Buffer.from(String(jwk.x ?? jwk.n), 'base64url'),
    kid: active.kid,
    nothing: '',
  }
  for (const [form, secret] of Object.entries(secrets))
    for (const [name, hash] of [
      ['HS256', 'sha256'],
      ['HS512', 'sha512'],
    ] as const) {
      const mac = (changed: Json) => createHmac(hash, secret).update(inputOf(changed)).digest()
      rows.push([`${name} with the public key as secret (${form})`, under({ alg: name }, mac({ alg: name }))])
      rows.push([`the MAC of ${name} as ${alg} (${form})`, under({}, mac({}))])
    }
  for (const none of ['none', 'None', 'NONE', ''])
    rows.push([`${none || 'no'} algorithm, no signature`, under({ alg: none }, Buffer.alloc(0))])
  for (const name of ['none', 'ES384', 'ES256K', 'RS384', 'RS512', 'PS256', 'Ed25519', alg.toLowerCase()])
    rows.push([`${name} in the header`, under({ alg: name })])

  rows.push(
    ['no signature', under({}, Buffer.alloc(0))],
    ['a signature of zeros', under({}, Buffer.alloc(signature.length))],
    ['a byte less', under({}, signature.subarray(0, -1))],
    ['a byte less at the start', under({}, signature.subarray(1))],
    ['a zero more', under({}, Buffer.concat([signature, Buffer.alloc(1)]))],
    ['a zero more at the start', under({}, Buffer.concat([Buffer.alloc(1), signature]))],
    ['the signature twice', under({}, Buffer.concat([signature, signature]))],
    ['a padded signature', under({}, signature, '==')],
    ...strayBits(token),
  )
  if (alg === 'ES256') {
    const input = inputOf({})
    const halves = [signature.subarray(0, 32), signature.subarray(32)] as const
    rows.push(
      ['a DER signature', under({}, sign('sha256', input, { key: active.key, dsaEncoding: 'der' }))],
      ['its two numbers exchanged', under({}, Buffer.concat([halves[1], halves[0]]))],
      ['numbers of 33 bytes', under({}, Buffer.concat([Buffer.alloc(1), halves[0], Buffer.alloc(1), halves[1]]))],
    )
  }
  if (alg === 'RS256') {
    const input = inputOf({})
    const padding = constants.RSA_PKCS1_PSS_PADDING
    rows.push(
      ['a signature of PS256', under({}, sign('sha256', input, { key: active.key, padding, saltLength: 32 }))],
      ['a signature with SHA-1', under({}, sign('sha1', input, active.key))],
      ['a signature with SHA-512', under({}, sign('sha512', input, active.key))],
    )
  }
  return rows
}

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

/** The token with other spellings of the last character of its signature, which lenient decoders read as the same bytes. */
function strayBits(token: string): [string, string][] {
  const at = ALPHABET.indexOf(token.at(-1) ?? '')
  const bytes = Buffer.from(token.split('.')[2] ?? '', 'base64url')
  const alike = [...ALPHABET].map((character) => token.slice(0, -1) + character)
  const same = alike.filter((one) => Buffer.from(one.split('.')[2] ?? '', 'base64url').equals(bytes) && one !== token)
  expect(same).toHaveLength(15)
  return same.map((one) => [`stray bits: ${one.at(-1)} for ${ALPHABET[at]}`, one])
}
