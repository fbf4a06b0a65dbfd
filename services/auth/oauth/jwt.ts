import type { KeyObject } from 'node:crypto'
import type { SigningKey } from '../../kit/tokens/access-token.ts'
import { algorithmOf, signBytes, TOKEN_ALGS, verifyBytes } from '../../kit/tokens/algorithms.ts'
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

interface IdTokenKeys {
  issuer: string
  key(kid: string): KeyObject | undefined
}

/**
 * Reads an ID token that this instance signed, also one that has expired (OpenID Connect Core, 3.1.2.1).
 * @returns undefined for any other token, and when its key is gone
 */
export function readIdToken(token: string, keys: IdTokenKeys): IdTokenHint | undefined {
  const parsed = parseIdToken(token, keys)
  if (!parsed?.publicKey) return undefined
  const { alg, hint, publicKey, signature, signed } = parsed
  return alg === algorithmOf(publicKey) && verifyBytes(alg, signed, publicKey, signature) ? hint : undefined
}

/**
 * Returns the client that an ID token names whose key is gone. Nothing verifies it: it is worth as much as the `client_id` of a
 * request.
 * @returns undefined for any other token
 */
export function clientOfUnverifiable(token: string, keys: IdTokenKeys): string | undefined {
  const parsed = parseIdToken(token, keys)
  return parsed && !parsed.publicKey ? parsed.hint.clientId : undefined
}

function parseIdToken(token: string, { issuer, key }: IdTokenKeys) {
  const jws = parseJws(token)
  if (!jws) return undefined
  const { claims, header, signature, signed } = jws
  const alg = TOKEN_ALGS.find((one) => one === header.alg)
  if (!alg || header.typ !== 'JWT' || typeof header.kid !== 'string') return undefined
  const { aud, iss, sid, sub } = claims
  if (iss !== issuer || typeof sub !== 'string' || typeof aud !== 'string' || typeof sid !== 'string') return undefined
  const hint: IdTokenHint = { userId: sub, sessionId: sid, clientId: aud }
  return { alg, hint, publicKey: key(header.kid), signature, signed }
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}
