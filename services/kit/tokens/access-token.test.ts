import { expect, test } from 'bun:test'
import { generateKeyPairSync } from 'node:crypto'
import {
  authenticationIn,
  authenticationOf,
  signAccessToken,
  type UserClaims,
  verifyAccessToken,
} from './access-token.ts'

const { privateKey, publicKey } = generateKeyPairSync('ed25519')
const EXPECTED = { issuer: 'https://auth.example', audience: 'ch202', key: () => publicKey }
const CLAIMS: UserClaims = {
  iss: EXPECTED.issuer,
  sub: 'ana',
  aud: EXPECTED.audience,
  exp: 2_000_000_000,
  iat: 1_800_000_000,
  jti: 'a-token',
  sid: 'a-session',
  email: 'ana@example.org',
  roles: ['USER'],
  client_id: 'ch202',
  ver: 1,
}
const tokenWith = (claims: object) =>
  signAccessToken({ ...CLAIMS, ...claims }, { kid: 'a-key', alg: 'EdDSA', privateKey })

test.each([
  ['says when and how its user authenticated', { auth_time: 1_799_999_000, amr: ['pwd', 'rba'] }, 1_799_999_000],
  ['of an earlier version does not', {}, 0],
])('a token %s', (_, claims, authTime) => {
  const token = tokenWith(claims)
  const verified = verifyAccessToken(token, EXPECTED)
  if (!verified.valid) throw new Error(verified.reason)
  const authentication = { authTime, amr: 'amr' in claims ? ['pwd', 'rba'] : [] }
  expect(authenticationOf(verified.claims as UserClaims)).toEqual(authentication)
  expect(authenticationIn(token)).toEqual(authentication)
})

test.each([{ auth_time: '1' }, { auth_time: 1.5 }, { auth_time: null }, { amr: 'pwd' }, { amr: [1] }, { amr: null }])(
  'a token is refused if these claims have other types: %p',
  (claims) => {
    expect(verifyAccessToken(tokenWith(claims), EXPECTED)).toEqual({ valid: false, reason: 'malformed' })
    expect(authenticationIn(tokenWith(claims))).toEqual({ authTime: 0, amr: [] })
  },
)

test('text that is not a token says nothing', () => {
  for (const text of ['', 'x', 'a.b.c', 'a.bnVsbA.c']) expect(authenticationIn(text)).toEqual({ authTime: 0, amr: [] })
})
