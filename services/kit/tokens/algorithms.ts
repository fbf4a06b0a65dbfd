import { createHash, createPublicKey, generateKeyPairSync, type KeyObject, sign, verify } from 'node:crypto'
import type { TokenAlg } from '../token-algs.ts'

export { TOKEN_ALGS, type TokenAlg } from '../token-algs.ts'

interface JwkOf<Alg extends TokenAlg> {
  kid: string
  alg: Alg
  use: 'sig'
}

/** A public key as the JWKS publishes it (RFC 7518, 6; RFC 8037, 2). */
export type PublicJwk =
  | (JwkOf<'EdDSA'> & { kty: 'OKP'; crv: 'Ed25519'; x: string })
  | (JwkOf<'ES256'> & { kty: 'EC'; crv: 'P-256'; x: string; y: string })
  | (JwkOf<'RS256'> & { kty: 'RSA'; n: string; e: string })

/** Bits of an RSA key: NIST SP 800-131A allows them beyond 2030 for verification, and every stack reads them. */
const RSA_BITS = 2048

interface Algorithm {
  generate(): { publicKey: KeyObject; privateKey: KeyObject }
  hash: string | null
  /** Bytes of a signature; undefined: as many as the key has. */
  signatureLength?: number
  /** The members of a JWK that its thumbprint covers, in their order (RFC 7638, 3.2). */
  members: readonly ('crv' | 'e' | 'kty' | 'n' | 'x' | 'y')[]
}

const ALGORITHMS: Record<TokenAlg, Algorithm> = {
  EdDSA: {
    generate: () => generateKeyPairSync('ed25519'),
    hash: null,
    signatureLength: 64,
    members: ['crv', 'kty', 'x'],
  },
  ES256: {
    generate: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
    hash: 'sha256',
    signatureLength: 64,
    members: ['crv', 'kty', 'x', 'y'],
  },
  RS256: {
    generate: () => generateKeyPairSync('rsa', { modulusLength: RSA_BITS }),
    hash: 'sha256',
    members: ['e', 'kty', 'n'],
  },
}

/** Creates a key pair. RSA takes some tenths of a second, in which the process does nothing else. */
export function generateKeyPair(alg: TokenAlg): { publicKey: KeyObject; privateKey: KeyObject } {
  return ALGORITHMS[alg].generate()
}

/** The algorithm that a key signs or verifies with; undefined: none of ours. */
export function algorithmOf({ asymmetricKeyDetails, asymmetricKeyType }: KeyObject): TokenAlg | undefined {
  if (asymmetricKeyType === 'ed25519') return 'EdDSA'
  if (asymmetricKeyType === 'ec' && asymmetricKeyDetails?.namedCurve === 'prime256v1') return 'ES256'
  return asymmetricKeyType === 'rsa' ? 'RS256' : undefined
}

/**
 * Signs bytes, in this thread: WebCrypto would wait behind the password hashes for tens of milliseconds.
 * @returns the signature as a JWS has it (RFC 7515): of ES256 the two numbers, not DER
 */
export function signBytes(alg: TokenAlg, bytes: Uint8Array, key: KeyObject): Buffer {
  return sign(ALGORITHMS[alg].hash, bytes, { key, dsaEncoding: 'ieee-p1363' })
}

/** Verifies a signature of a JWS. @param alg must be that of the key */
export function verifyBytes(alg: TokenAlg, bytes: Uint8Array, key: KeyObject, signature: Uint8Array): boolean {
  const { hash, signatureLength = signature.length } = ALGORITHMS[alg]
  return signature.length === signatureLength && verify(hash, bytes, { key, dsaEncoding: 'ieee-p1363' }, signature)
}

/** Returns a key as the JWKS publishes it. Its id is its thumbprint (RFC 7638). */
export function publicJwk(alg: TokenAlg, publicKey: KeyObject): PublicJwk {
  const jwk = publicKey.export({ format: 'jwk' })
  const members = Object.fromEntries(ALGORITHMS[alg].members.map((name) => [name, jwk[name]]))
  const kid = createHash('sha256').update(JSON.stringify(members)).digest('base64url')
  return { ...members, kid, alg, use: 'sig' } as PublicJwk
}

/** @throws Error when it is not a public key */
export function importPublicKey({ kid: _, alg: __, use: ___, ...key }: PublicJwk): KeyObject {
  return createPublicKey({ key, format: 'jwk' })
}
