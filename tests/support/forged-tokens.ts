import { createPrivateKey, type KeyObject, sign } from 'node:crypto'
import { decodeJwt, decodeProtectedHeader } from 'jose'
import { signingKeyName } from '../../services/auth/keys/sealing.ts'
import { systemRandom } from '../../services/kit/random.ts'
import { Sealing } from '../../services/kit/tokens/sealing.ts'
import { databaseRows } from './database-rows.ts'
import { SECRET } from './settings.ts'
import type { System } from './system.ts'

export type Json = Record<string, unknown>

/** One part of a token: JSON or bytes, in base64url. */
export const encode = (value: Json | Buffer) =>
  (Buffer.isBuffer(value) ? value : Buffer.from(JSON.stringify(value))).toString('base64url')

/** Signs a token with a key of Ed25519. */
export const signed = (header: Json, claims: Json, key: KeyObject) => {
  const input = `${encode(header)}.${encode(claims)}`
  return `${input}.${encode(sign(null, Buffer.from(input), key))}`
}

/** The key that auth signs with, read from its database and unsealed. */
export async function signingKey(system: System): Promise<{ kid: string; x: string; key: KeyObject }> {
  const [row] = await databaseRows<{ kid: string; x: string; sealed: Uint8Array }>(
    system,
    'auth',
    "SELECT kid, x, sealed_private_key AS sealed FROM signing_keys WHERE status = 'active'",
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
