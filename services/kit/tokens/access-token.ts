import { createPublicKey, type KeyObject, sign, verify } from 'node:crypto'

/** The client of every session that was opened here, and not by an OAuth client (RFC 9068, 2.2: a token names one). */
export const CLIENT_ID = 'ch202'

/** What an access token says (RFC 9068). Times are seconds since the epoch. */
export interface Claims {
  iss: string
  sub: string
  aud: string
  exp: number
  iat: number
  /** Before then it is not good yet. Ours bear none; what is signed must be heeded all the same (RFC 7519, 4.1.5). */
  nbf?: number
  jti: string
  sid: string
  email: string
  roles: string[]
  client_id: string
  /** The version of the user's record that the token was made from: older tokens end when the roles change. */
  ver: number
}

export interface SigningKey {
  kid: string
  privateKey: KeyObject
}

/** A public key as the JWKS publishes it (RFC 8037). */
export interface PublicJwk {
  kty: 'OKP'
  crv: 'Ed25519'
  x: string
  kid: string
  alg: 'EdDSA'
  use: 'sig'
}

export type TokenFault = 'malformed' | 'expired' | 'revoked' | 'signature'

/** Signs in this thread: WebCrypto would queue behind the password hashes (27 µs here, tens of milliseconds there). */
export function signAccessToken(claims: Claims, key: SigningKey): string {
  const input = `${encode({ alg: 'EdDSA', typ: 'at+jwt', kid: key.kid })}.${encode(claims)}`
  return `${input}.${sign(null, Buffer.from(input), key.privateKey).toString('base64url')}`
}

export function importPublicKey(jwk: PublicJwk): KeyObject {
  return createPublicKey({ key: { kty: jwk.kty, crv: jwk.crv, x: jwk.x }, format: 'jwk' })
}

export interface Expected {
  issuer: string
  audience: string
  /** The public key of a `kid`, if it is one of ours. The token never chooses anything else about its check. */
  key(kid: string): KeyObject | undefined
}

/**
 * Checks the form, the header, the signature, the issuer, the audience and the client of an access token; not its time,
 * nor whether it was revoked. The header must be exactly what we write (RFC 8725, 3.1): no other algorithm, no `crit`,
 * no embedded or linked key.
 */
export function verifyAccessToken(token: string, expected: Expected): Claims | TokenFault {
  const parts = token.split('.')
  const [head, payload, signature] = parts.map(canonical)
  if (parts.length !== 3 || !head || !payload || !signature) return 'malformed'

  const header = parseObject(head)
  if (!header) return 'malformed'
  if (Object.keys(header).length !== 3 || header.typ !== 'at+jwt') return 'malformed'
  if (header.alg !== 'EdDSA' || typeof header.kid !== 'string') return 'signature'

  const key = expected.key(header.kid)
  const input = Buffer.from(token.slice(0, token.lastIndexOf('.')))
  if (!key || signature.length !== 64 || !verify(null, input, key, signature)) return 'signature'

  const claims = parseObject(payload)
  if (!claims) return 'malformed'
  // A token of an earlier version names no client: it is good until it expires.
  if (!Object.hasOwn(claims, 'client_id')) claims.client_id = CLIENT_ID
  if (!isClaims(claims)) return 'malformed'
  if (claims.iss !== expected.issuer || claims.aud !== expected.audience) return 'signature'
  // No token for another client opens anything here.
  return claims.client_id === CLIENT_ID ? claims : 'signature'
}

/** Of several spellings of the same bytes only the canonical one is a token: stray bits in the last character are not. */
function canonical(part: string): Buffer | undefined {
  const bytes = Buffer.from(part, 'base64url')
  return bytes.length > 0 && bytes.toString('base64url') === part ? bytes : undefined
}

function parseObject(bytes: Buffer): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(bytes.toString('utf8'))
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

/** All of them, each of its type, for nothing after this looks again. `iss` and `aud` are compared. */
function isClaims(value: Record<string, unknown> | Claims): value is Claims {
  const { client_id, email, exp, iat, jti, nbf, roles, sid, sub, ver } = value
  return (
    [exp, iat, ver, nbf === undefined ? 0 : nbf].every(Number.isSafeInteger) &&
    [sub, jti, sid, email, client_id].every((claim) => typeof claim === 'string') &&
    Array.isArray(roles) &&
    roles.every((role) => typeof role === 'string')
  )
}

function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}
