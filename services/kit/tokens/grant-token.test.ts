import { expect, test } from 'bun:test'
import { generateKeyPairSync } from 'node:crypto'
import { systemClock } from '../clock.ts'
import { type Claims, type GrantClaims, isOfClient, isOfGrant, signAccessToken } from './access-token.ts'
import { LocalTokenCheck } from './check.ts'
import { type Revocation, Revocations } from './revocations.ts'

// The tokens that clients have for users.

const { privateKey, publicKey } = generateKeyPairSync('ed25519')
const ORDERS = 'https://orders.example.org'
const CLAIMS: GrantClaims = {
  iss: 'https://auth.example',
  sub: 'ana',
  aud: 'shop',
  exp: 4_000_000_000,
  iat: 1_800_000_000,
  jti: 'a-token',
  client_id: 'shop',
  scope: 'openid modules',
  ver: 3,
  client_ver: 5,
  gid: 'a-grant',
  sid: 'a-session',
  auth_time: 1_799_999_000,
  amr: ['pwd'],
}

function verdictOn(claims: object, { resource, revoked = [] }: { resource?: string; revoked?: Revocation[] } = {}) {
  const expected = { issuer: CLAIMS.iss, audience: 'ch202', key: () => publicKey, resource }
  const revocations = new Revocations()
  for (const one of revoked) revocations.add(one)
  const token = signAccessToken({ ...CLAIMS, ...claims } as Claims, { kid: 'k', alg: 'EdDSA', privateKey })
  return new LocalTokenCheck(expected, revocations, systemClock).check(token)
}

const VERDICT = {
  valid: true,
  userId: 'ana',
  clientId: 'shop',
  grantId: 'a-grant',
  sessionId: 'a-session',
  scopes: ['openid', 'modules'],
  roles: [],
  expiresAt: 4_000_000_000_000,
  authTime: 1_799_999_000,
  amr: ['pwd'],
} as const

test('a token says who its user, its client and its grant are, and the roles only if it has them', () => {
  expect(verdictOn({})).toEqual(VERDICT)
  expect(verdictOn({ roles: ['USER'], email: 'ana@example.org' })).toEqual({ ...VERDICT, roles: ['USER'] })
  expect(verdictOn({ sid: undefined })).toEqual({ ...VERDICT, sessionId: undefined } as never)
})

test.each<[aud: string, resource: string | undefined, isValid: boolean]>([
  ['shop', undefined, true],
  ['ch202', undefined, false],
  ['ana', undefined, false],
  [ORDERS, undefined, false],
  [ORDERS, ORDERS, true],
  ['shop', ORDERS, false],
  ['ch202', ORDERS, false],
  [`${ORDERS}/`, ORDERS, false],
])('for %s, at a service with the name %s: %p', (aud, resource, isValid) => {
  const verdict = verdictOn({ aud }, { resource })
  expect(isValid ? verdict.valid : verdict).toEqual(isValid || { valid: false, reason: 'signature' })
})

test.each([
  { scope: undefined },
  { scope: ['openid'] },
  { gid: undefined },
  { gid: 7 },
  { client_ver: undefined },
  { client_ver: '5' },
  { client_ver: 5.5 },
  { ver: undefined },
  { sid: null },
  { sid: 7 },
  { auth_time: undefined },
  { auth_time: '1' },
  { amr: undefined },
  { amr: 'pwd' },
  { email: null },
  { email: ['ana@example.org'] },
  { roles: 'ADMIN' },
  { roles: [7] },
  { roles: null },
  { client_id: null },
  { client_id: ['shop'] },
  // The instance is no client, so these would be the claims of a user.
  { client_id: 'ch202' },
])('a token is refused with these claims: %j', (claims) => {
  expect(verdictOn(claims)).toEqual({ valid: false, reason: 'malformed' })
})

test('a token of a client for itself is another, whatever claims of a grant it has', () => {
  expect(verdictOn({ sub: 'shop' })).toEqual({
    ...{ valid: true, clientId: 'shop', scopes: ['openid', 'modules'], expiresAt: VERDICT.expiresAt },
  } as never)
  const kinds = ['shop', 'ana'].map((sub) => [isOfClient({ ...CLAIMS, sub }), isOfGrant({ ...CLAIMS, sub })])
  expect(kinds).toEqual([
    [true, false],
    [false, true],
  ])
  const ofUser = { ...CLAIMS, client_id: 'ch202', sub: 'ch202', email: '', sid: '', roles: [] }
  expect([isOfClient(ofUser), isOfGrant(ofUser)]).toEqual([false, false])
})

const until = 5_000_000_000_000
test.each<[what: string, kind: 'session' | 'user', subject: string, version: number, isRevoked: boolean]>([
  ['its session', 'session', 'a-session', 0, true],
  ['its grant', 'session', 'a-grant', 0, true],
  ['itself', 'session', 'a-token', 0, true],
  ['another grant', 'session', 'another-grant', 0, false],
  ['older versions of its user', 'user', 'ana', 4, true],
  ['its version of the user', 'user', 'ana', 3, false],
  ['older versions of its client', 'user', 'shop', 6, true],
  ['its version of the client', 'user', 'shop', 5, false],
  ['another user', 'user', 'ben', 9, false],
])('revoking %s', (_, kind, subject, version, isRevoked) => {
  const verdict = verdictOn({}, { revoked: [{ kind, subject, version, until }] })
  expect(verdict.valid ? false : verdict.reason).toBe(isRevoked && 'revoked')
  const sibling = verdictOn({ jti: 'b', gid: 'b', sid: undefined }, { revoked: [{ kind, subject, version, until }] })
  expect(sibling.valid).toBe(!isRevoked || kind === 'session')
})
