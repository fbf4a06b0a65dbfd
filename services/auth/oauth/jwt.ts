import type { KeyObject } from 'node:crypto'
import type { SigningKey } from '../../kit/tokens/access-token.ts'
import { algorithmOf, signBytes, verifyBytes } from '../../kit/tokens/algorithms.ts'
import { parseJws } from '../../kit/tokens/jws.ts'

/** The types of tokens for clients: ID tokens (OpenID Connect Core, 2) and logout tokens (Back-Channel Logout, 2.4). */
type TokenType = 'JWT' | 'logout+jwt'

/** Signs claims for a client. */
export function signForClient(typ: TokenType, claims: object, { alg, kid, privateKey }: SigningKey): string {
  const input = `${encode({ alg, typ, kid })}.${encode(claims)}`
  return `${input}.${signBytes(alg, Buffer.from(input), privateKey).toString('base64url')}`
}

/** The claims of an ID token by which we know its user, session and client again. */
export interface IdTokenHint {
  userId: string
  sessionId: string
  clientId: string
}

/**
 * Reads an ID token that this instance signed, also one that has expired (OpenID Connect Core, 3.1.2.1).
 * @returns undefined for any other token
 */
export function readIdToken(
  token: string,
  { issuer, key }: { issuer: string; key(kid: string): KeyObject | undefined },
): IdTokenHint | undefined {
  const jws = parseJws(token)
  const { header, claims, signature, signed } = jws ?? {}
  if (!header || !claims || !signature || !signed || header.typ !== 'JWT' || typeof header.kid !== 'string')
    return undefined
  const publicKey = key(header.kid)
  const alg = publicKey && algorithmOf(publicKey)
  if (!alg || header.alg !== alg || !verifyBytes(alg, signed, publicKey, signature)) return undefined
  const { aud, iss, sid, sub } = claims
  if (iss !== issuer || typeof sub !== 'string' || typeof aud !== 'string' || typeof sid !== 'string') return undefined
  return { userId: sub, sessionId: sid, clientId: aud }
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}
