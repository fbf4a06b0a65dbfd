import { createPrivateKey, type KeyObject, sign } from 'node:crypto'
import { decodeJwt, decodeProtectedHeader } from 'jose'
import { signingKeyName } from '../../services/auth/keys/sealing.ts'
import { systemRandom } from '../../services/kit/random.ts'
import { Sealing } from '../../services/kit/tokens/sealing.ts'
import { databaseRows } from './postgres/database-rows.ts'
import { SECRET } from './settings.ts'
import type { System } from './system.ts'

export type Json = Record<string, unknown>

/** One part of a token: JSON or bytes, in base64url. */
export const encode = (value: Json | Buffer) =>
  (Buffer.isBuffer(value) ? value : Buffer.from(JSON.stringify(value))).toString('base64url')

/** Signs a token by the algorithm of the key: EdDSA, ES256 or RS256. */
export const signed = (header: Json, claims: Json, key: KeyObject) => {
  const input = `${encode(header)}.${encode(claims)}`
  const hash = key.asymmetricKeyType === 'ed25519' ? null : 'sha256'
  return `${input}.${encode(sign(hash, Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' }))}`
}

/**
 * The active key, read from the database of auth and unsealed.
 * @param alg its algorithm, if clients use others than that of access tokens
 */
export async function signingKey(system: System, alg?: string): Promise<{ kid: string; x: string; key: KeyObject }> {
  const [row] = await databaseRows<{ kid: string; x: string; sealed: Uint8Array }>(
    system,
    'auth',
    `SELECT kid, x, sealed_private_key AS sealed FROM signing_keys
     WHERE status = 'active' ${alg === undefined ? 'AND for_access_tokens = 1' : `AND alg = '${alg}'`}`,
  )
  const der = row && new Sealing([SECRET], systemRandom).open(row.sealed, signingKeyName(row.kid))
  if (!der) throw new Error('The signing key does not open')
  return { kid: row.kid, x: row.x, key: createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }) }
}

/**
 * Signs a token again, with a changed header and changed claims. `undefined` removes one.
 * @param key the key of auth unless a test sets another
 */
export async function resigned(
  system: System,
  token: string,
  { header = {}, claims = {}, key }: { header?: Json; claims?: Json; key?: KeyObject },
): Promise<string> {
  return signed(
    { ...decodeProtectedHeader(token), ...header },
    { ...decodeJwt(token), ...claims },
    key ?? (await signingKey(system)).key,
  )
}
