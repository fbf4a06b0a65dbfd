import { decodeJwt } from 'jose'
import { USER_SCOPES } from '../../../services/kit/access/scopes.ts'
import { type Json, signed, signingKey } from '../forged-tokens.ts'
import type { System } from '../system.ts'
import type { Machine } from './machines.ts'

export const ALL_USER_SCOPES = Object.keys(USER_SCOPES).join(' ')

/**
 * Signs the access token that a client has for a user, with the key of auth: for Ch202 itself, unless a claim says otherwise.
 * @param accessToken the user's own token
 * @param client its version is that of its own token
 * @param claims changed claims; `undefined` removes one
 */
export async function grantToken(
  system: System,
  accessToken: string,
  client: Pick<Machine, 'id' | 'token'>,
  claims: Json = {},
): Promise<string> {
  const { kid, key } = await signingKey(system)
  const { amr, auth_time, exp, iat, iss, sid, sub, ver } = decodeJwt<Json>(accessToken)
  const { ver: client_ver } = decodeJwt<Json>(client.token)
  const ofGrant = { client_id: client.id, client_ver, aud: client.id, gid: Bun.randomUUIDv7(), jti: Bun.randomUUIDv7() }
  const scope = ALL_USER_SCOPES
  const all = { iss, sub, ver, iat, exp, sid, auth_time, amr, scope, ...ofGrant, ...claims }
  const alg = key.asymmetricKeyType === 'ed25519' ? 'EdDSA' : key.asymmetricKeyType === 'ec' ? 'ES256' : 'RS256'
  return signed({ alg, typ: 'at+jwt', kid }, all, key)
}
