import { createPublicKey, type KeyObject, sign, verify } from 'node:crypto'

/** The client id of sessions that no OAuth client opened. A token must name its client (RFC 9068, 2.2). */
export const CLIENT_ID = 'ch202'

/**
 * How a user authenticated (RFC 8176): by password, by a code by mail, by confirming a new device, by a code of an app or a
 * recovery code, by a passkey that stays on one device (`hwk`) or is synchronized (`swk`), with their presence (`user`).
 * `mfa`: by two factors, or by a passkey that verified them.
 */
export const AUTH_METHODS = ['pwd', 'email', 'rba', 'otp', 'hwk', 'swk', 'user', 'mfa'] as const

export type AuthMethod = (typeof AUTH_METHODS)[number]

/** The claims of an access token (RFC 9068). Times are seconds since the epoch. */
export interface Claims {
  iss: string
  sub: string
  aud: string
  exp: number
  iat: number
  /** The start of the validity. Ours do not have this claim, but a signed one must be respected (RFC 7519, 4.1.5). */
  nbf?: number
  jti: string
  sid: string
  email: string
  roles: string[]
  client_id: string
  /** When the user last authenticated. Tokens of earlier versions do not have this claim. */
  auth_time?: number
  /** The methods by which the user authenticated (RFC 8176). Tokens of earlier versions do not have this claim. */
  amr?: string[]
  /** The version of the user's record behind the token. When the roles change, tokens of older versions end. */
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

/** The result of verifying an access token. */
export type VerifiedToken = { valid: true; claims: Claims } | { valid: false; reason: TokenFault }

/** Signs a token, in this thread (27 µs): WebCrypto would wait behind the password hashes for tens of milliseconds. */
export function signAccessToken(claims: Claims, key: SigningKey): string {
  const input = `${encode({ alg: 'EdDSA', typ: 'at+jwt', kid: key.kid })}.${encode(claims)}`
  return `${input}.${sign(null, Buffer.from(input), key.privateKey).toString('base64url')}`
}

export function importPublicKey(jwk: PublicJwk): KeyObject {
  return createPublicKey({ key: { kty: jwk.kty, crv: jwk.crv, x: jwk.x }, format: 'jwk' })
}

/** The values that a valid token must have. */
export interface Expectations {
  issuer: string
  audience: string
  /** Finds a public key by its `kid`; undefined if unknown. The `kid` is all that a token chooses of its verification. */
  key(kid: string): KeyObject | undefined
}

/**
 * Verifies the format, header, signature, issuer, audience and client of an access token, but neither its times nor
 * whether it was revoked. The header must be exactly the one that we write (RFC 8725, 3.1): no other algorithm, no
 * `crit`, no embedded or linked key.
 */
export function verifyAccessToken(token: string, expected: Expectations): VerifiedToken {
  const parts = token.split('.')
  const [head, payload, signature] = parts.map(decodeCanonical)
  if (parts.length !== 3 || !head || !payload || !signature) return MALFORMED

  const header = parseObject(head)
  if (!header) return MALFORMED
  if (Object.keys(header).length !== 3 || header.typ !== 'at+jwt') return MALFORMED
  if (header.alg !== 'EdDSA' || typeof header.kid !== 'string') return BAD_SIGNATURE

  const key = expected.key(header.kid)
  const input = Buffer.from(token.slice(0, token.lastIndexOf('.')))
  if (!key || signature.length !== 64 || !verify(null, input, key, signature)) return BAD_SIGNATURE

  const claims = parseObject(payload)
  if (!claims) return MALFORMED
  // Tokens of earlier versions name no client. They stay valid until they expire.
  if (!Object.hasOwn(claims, 'client_id')) claims.client_id = CLIENT_ID
  if (!isClaims(claims)) return MALFORMED
  if (claims.iss !== expected.issuer || claims.aud !== expected.audience) return BAD_SIGNATURE
  // Tokens of other clients are not accepted here.
  return claims.client_id === CLIENT_ID ? { valid: true, claims } : BAD_SIGNATURE
}

const MALFORMED = { valid: false, reason: 'malformed' } as const
const BAD_SIGNATURE = { valid: false, reason: 'signature' } as const

/** Decodes base64url. Only the canonical spelling of the bytes counts: no stray bits in the last character. */
function decodeCanonical(part: string): Buffer | undefined {
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

/** Checks the type of every claim, because later code does not; `iss` and `aud` are compared to the expected values. */
function isClaims(value: Record<string, unknown> | Claims): value is Claims {
  const { amr = [], auth_time = 0, client_id, email, exp, iat, jti, nbf = 0, roles, sid, sub, ver } = value
  return (
    [exp, iat, ver, nbf, auth_time].every(Number.isSafeInteger) &&
    [sub, jti, sid, email, client_id].every((claim) => typeof claim === 'string') &&
    [roles, amr].every(isStrings)
  )
}

function isStrings(value: unknown): boolean {
  return Array.isArray(value) && value.every((item) => typeof item === 'string')
}

/** When and how the user of a token authenticated. A token of an earlier version does not say so: its time is 0. */
export function authenticationOf({ amr = [], auth_time = 0 }: Pick<Claims, 'amr' | 'auth_time'>): {
  authTime: number
  amr: readonly string[]
} {
  return { authTime: auth_time, amr }
}

/**
 * The same of a token that auth has verified.
 * @param token is not verified here
 */
export function authenticationIn(token: string): ReturnType<typeof authenticationOf> {
  const claims = parseObject(Buffer.from(token.split('.')[1] ?? '', 'base64url'))
  return authenticationOf(claims && isClaims(claims) ? claims : {})
}

function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}
