import type { KeyObject } from 'node:crypto'
import { algorithmOf, signBytes, type TokenAlg, verifyBytes } from './algorithms.ts'
import { decodeCanonical, parseObject } from './jws.ts'

/** The client id of sessions that no OAuth client opened. A token must name its client (RFC 9068, 2.2). */
export const CLIENT_ID = 'ch202'

/**
 * How a user authenticated (RFC 8176): by password, by a code by mail, by confirming a new device, by a code of an app or a
 * recovery code, by a passkey that stays on one device (`hwk`) or is synchronized (`swk`), with their presence (`user`).
 * `mfa`: by two factors, or by a passkey that verified them.
 */
export const AUTH_METHODS = ['pwd', 'email', 'rba', 'otp', 'hwk', 'swk', 'user', 'mfa'] as const

export type AuthMethod = (typeof AUTH_METHODS)[number]

/** The claims of every access token (RFC 9068). Times are seconds since the epoch. */
interface TokenClaims {
  iss: string
  sub: string
  aud: string
  exp: number
  iat: number
  /** The start of the validity. Ours do not have this claim, but a signed one must be respected (RFC 7519, 4.1.5). */
  nbf?: number
  jti: string
  client_id: string
  /** The version of the rights of `sub`. When they change, tokens of older versions end. */
  ver: number
}

/** The claims of an access token of a user. */
export interface UserClaims extends TokenClaims {
  sid: string
  email: string
  roles: string[]
  /** When the user last authenticated. Tokens of earlier versions do not have this claim. */
  auth_time?: number
  /** The methods by which the user authenticated (RFC 8176). Tokens of earlier versions do not have this claim. */
  amr?: string[]
}

/** The claims of an access token that a client has for itself (RFC 6749, 4.4): `sub` is the client. */
export interface ClientClaims extends TokenClaims {
  /** Scopes, separated by spaces (RFC 9068, 2.2.3). */
  scope: string
}

export type Claims = UserClaims | ClientClaims

/** Whether a token is one that a client has for itself. */
export function isOfClient(claims: Claims): claims is ClientClaims {
  return claims.client_id !== CLIENT_ID
}

/** The scopes of a client's token. */
export function scopesOf({ scope }: Pick<ClientClaims, 'scope'>): string[] {
  return scope.split(' ').filter(Boolean)
}

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
 * Verifies the format, header, signature and issuer of an access token, and the audience of a user's; a client's may be for
 * any service (see `isForService`). Verifies neither its times nor whether it was revoked. The header must be exactly the one that we write (RFC 8725, 3.1): the algorithm of the key and no other, no
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

/** A user's token that another client got has no type of claims yet, and is refused. */
function isOfInstance(claims: Claims, { audience }: Pick<Expectations, 'audience'>): boolean {
  const { aud, client_id, sub } = claims
  return isOfClient(claims) ? sub === client_id && typeof aud === 'string' : aud === audience
}

/**
 * Whether a verified token is for a service. A client's token that names no resource has the client itself as its audience.
 * @param resource the name of the service (RFC 8707); undefined: it has none, and takes tokens that name none
 */
export function isForService(claims: Claims, resource?: string): boolean {
  return !isOfClient(claims) || claims.aud === (resource ?? claims.client_id)
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

/** Checks the type of every claim, because later code does not; `iss` and `aud` are compared to the expected values. */
function isClaims(value: Record<string, unknown> | Claims): value is Claims {
  const { client_id, exp, iat, jti, nbf = 0, sub, ver } = value
  return (
    [exp, iat, ver, nbf].every(Number.isSafeInteger) &&
    [sub, jti, client_id].every((claim) => typeof claim === 'string') &&
    (client_id === CLIENT_ID ? hasUserClaims(value) : 'scope' in value && typeof value.scope === 'string')
  )
}

function hasUserClaims(value: Record<string, unknown> | Claims): boolean {
  const { amr = [], auth_time = 0, email, roles, sid } = value as Record<string, unknown>
  return (
    Number.isSafeInteger(auth_time) &&
    [sid, email].every((claim) => typeof claim === 'string') &&
    [roles, amr].every(isStrings)
  )
}

function isStrings(value: unknown): boolean {
  return Array.isArray(value) && value.every((item) => typeof item === 'string')
}

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
