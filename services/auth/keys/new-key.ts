import type { KeyObject } from 'node:crypto'
import { generateKeyPair, publicJwk, type TokenAlg } from '../../kit/tokens/algorithms.ts'
import type { Sealing } from '../../kit/tokens/sealing.ts'
import type { StoredKey } from '../store/index.ts'
import { signingKeyName } from './sealing.ts'

/** Creates a key, with its private part sealed. @param key what the caller decides about it */
export function newKey(
  sealing: Sealing,
  key: Pick<StoredKey, 'alg' | 'createdAt' | 'forAccessTokens' | 'status'>,
): StoredKey {
  const { publicKey, privateKey } = generateKeyPair(key.alg)
  const { kid } = publicJwk(key.alg, publicKey)
  const sealedPrivateKey = sealing.seal(privateKey.export({ format: 'der', type: 'pkcs8' }), signingKeyName(kid))
  return { ...key, kid, x: storedForm(key.alg, publicKey), sealedPrivateKey, goneAt: null }
}

/** The public key as the database has it: of Ed25519 the 32 bytes, of others their SubjectPublicKeyInfo (RFC 5280). */
function storedForm(alg: TokenAlg, publicKey: KeyObject): string {
  if (alg === 'EdDSA') return publicKey.export({ format: 'jwk' }).x ?? ''
  return publicKey.export({ format: 'der', type: 'spki' }).toString('base64url')
}
