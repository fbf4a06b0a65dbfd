import { createPrivateKey, type KeyObject, randomUUID } from 'node:crypto'
import { SECOND, systemClock } from '../services/kit/clock.ts'
import { algorithmOf, signBytes, type TokenAlg } from '../services/kit/tokens/algorithms.ts'
import type { PrivateKeyClient } from './types.ts'

export const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

/** Seconds for which an assertion is valid. */
const LIFE = 60

/** The key by which a client proves who it is. */
export interface ClientKey {
  id: string
  privateKey: KeyObject
  alg: TokenAlg
  kid: string | undefined
}

/**
 * Signs an assertion of a client, for one use (RFC 7523, 3).
 * @param audience the issuer of the instance
 */
export function signAssertion({ alg, id, kid, privateKey }: ClientKey, audience: string): string {
  const now = Math.floor(systemClock.now() / SECOND)
  const header = { alg, typ: 'JWT', ...(kid === undefined ? {} : { kid }) }
  const claims = { iss: id, sub: id, aud: audience, jti: randomUUID(), iat: now, exp: now + LIFE }
  const input = [header, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')
  return `${input}.${signBytes(alg, Buffer.from(input), privateKey).toString('base64url')}`
}

/**
 * Reads the key of an option.
 * @throws TypeError that never contains the key
 */
export function clientKeyOf({ alg, id, kid, privateKey }: PrivateKeyClient): ClientKey {
  const key = parsed(privateKey)
  const actual = key && algorithmOf(key)
  if (!actual) throw new TypeError('client.privateKey must be a private key of Ed25519, P-256 or RSA, as PEM or JWK')
  if (alg !== undefined && alg !== actual) throw new TypeError(`client.alg must be ${actual}, as the key is`)
  const keyId = kid ?? (typeof privateKey === 'object' ? privateKey.kid : undefined)
  if (keyId !== undefined && typeof keyId !== 'string') throw new TypeError('client.kid must be a text')
  return { id, privateKey: key, alg: actual, kid: keyId }
}

function parsed(privateKey: PrivateKeyClient['privateKey']): KeyObject | undefined {
  try {
    return typeof privateKey === 'string'
      ? createPrivateKey(privateKey)
      : createPrivateKey({ key: privateKey as never, format: 'jwk' })
  } catch {
    // The error may quote a part of the key.
    return undefined
  }
}
