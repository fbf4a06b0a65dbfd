import type { KeyObject } from 'node:crypto'
import { algorithmOf, signBytes, type TokenAlg, verifyBytes } from './algorithms.ts'
import { CLIENT_ID, type Claims, isClaims, isOfClient, type UserClaims } from './claims.ts'
import { decodeCanonical, parseObject } from './jws.ts'

export {
  CLIENT_ID,
  type Claims,
  type ClientClaims,
  type GrantClaims,
  isOfClient,
  isOfGrant,
  scopesOf,
  type UserClaims,
} from './claims.ts'

/**
 * How a user authenticated (RFC 8176): by password, by a code by mail, by confirming a new device, by a code of an app or a
 * recovery code, by a passkey that stays on one device (`hwk`) or is synchronized (`swk`), with their presence (`user`).
 * `mfa`: by two factors, or by a passkey that verified them.
 */
export const AUTH_METHODS = ['pwd', 'email', 'rba', 'otp', 'hwk', 'swk', 'user', 'mfa'] as const

export type AuthMethod = (typeof AUTH_METHODS)[number]

export interface SigningKey {
  kid: string
  alg: TokenAlg
  privateKey: KeyObject
}

export type TokenFault = 'malformed' | 'expired' | 'revoked' | 'signature'

/** The result of verifying an access token. */
export type VerifiedToken = { valid: true; claims: Claims } | { valid: false; reason: TokenFault }

/** Signs a token. */
export function signAccessToken(claims: Claims, { alg, kid, privateKey }: SigningKey): string {
  const input = `${encode({ alg, typ: 'at+jwt', kid })}.${encode(claims)}`
  return `${input}.${signBytes(alg, Buffer.from(input), privateKey).toString('base64url')}`
}

/** The values that a valid token must have. */
export interface Expectations {
  issuer: string
  /** The audience of users' tokens. */
  audience: string
  /** Finds a public key by its `kid`; undefined if unknown. The `kid` is all that a token chooses of its verification. */
  key(kid: string): KeyObject | undefined
}

/**
 * Verifies the format, header, signature and issuer of an access token, and the audience of a user's; that of a client or a
 * grant may be for any service (see `isForService`). Verifies neither its times nor whether it was revoked. The header must be exactly the one that we write (RFC 8725, 3.1): the algorithm of the key and no other, no
 * `crit`, no embedded or linked key.
 */
export function verifyAccessToken(token: string, expected: Expectations): VerifiedToken {
  const parts = token.split('.')
  const [head, payload, signature] = parts.map(decodeCanonical)
  if (parts.length !== 3 || !head || !payload || !signature) return MALFORMED

  const header = parseObject(head)
  if (!header) return MALFORMED
  if (Object.keys(header).length !== 3 || header.typ !== 'at+jwt') return MALFORMED
  if (typeof header.kid !== 'string') return BAD_SIGNATURE

  const key = expected.key(header.kid)
  const alg = key && algorithmOf(key)
  if (!alg || header.alg !== alg) return BAD_SIGNATURE
  const input = Buffer.from(token.slice(0, token.lastIndexOf('.')))
  if (!verifyBytes(alg, input, key, signature)) return BAD_SIGNATURE

  const claims = parseObject(payload)
  if (!claims) return MALFORMED
  // Tokens of earlier versions name no client. They stay valid until they expire.
  if (!Object.hasOwn(claims, 'client_id')) claims.client_id = CLIENT_ID
  if (!isClaims(claims)) return MALFORMED
  return claims.iss === expected.issuer && isOfInstance(claims, expected) ? { valid: true, claims } : BAD_SIGNATURE
}

/** Only a token that the user got from the instance itself has the audience of the instance to show. */
function isOfInstance({ aud, client_id }: Claims, { audience }: Pick<Expectations, 'audience'>): boolean {
  return client_id === CLIENT_ID ? aud === audience : typeof aud === 'string'
}

/**
 * Whether a verified token is for a service. The token of a client or a grant that names no resource has the client itself as
 * its audience.
 * @param resource the name of the service (RFC 8707); undefined: it has none, and takes tokens that name none
 */
export function isForService(claims: Claims, resource?: string): boolean {
  return claims.client_id === CLIENT_ID || claims.aud === (resource ?? claims.client_id)
}

/**
 * The same of a token that auth has verified.
 * @param token is not verified here
 */
export function isTokenForService(token: string, resource?: string): boolean {
  const claims = claimsIn(token)
  return claims !== undefined && isForService(claims, resource)
}

const MALFORMED = { valid: false, reason: 'malformed' } as const
const BAD_SIGNATURE = { valid: false, reason: 'signature' } as const

/** When and how the user of a token authenticated. A token of an earlier version does not say so: its time is 0. */
export function authenticationOf({ amr = [], auth_time = 0 }: Pick<UserClaims, 'amr' | 'auth_time'>): {
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
  const claims = claimsIn(token)
  return authenticationOf(claims && !isOfClient(claims) ? claims : {})
}

function claimsIn(token: string): Claims | undefined {
  const claims = parseObject(Buffer.from(token.split('.')[1] ?? '', 'base64url'))
  return claims && isClaims(claims) ? claims : undefined
}

function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}
