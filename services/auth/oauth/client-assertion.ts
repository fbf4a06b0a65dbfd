import { createHash } from 'node:crypto'
import type { Clock } from '../../kit/clock.ts'
import { algorithmOf, verifyBytes } from '../../kit/tokens/algorithms.ts'
import { parseJws } from '../../kit/tokens/jws.ts'
import type { Client, ClientStore } from '../store/index.ts'
import { namesAlgorithm } from './assertion-algorithms.ts'
import type { ClientKeys } from './client-keys.ts'

export interface AssertionContext {
  store: Pick<ClientStore, 'useAssertion'>
  clock: Clock
  clientKeys: Pick<ClientKeys, 'key'>
  issuer: string
  /** The address of the token endpoint, which an assertion may name as its audience. */
  tokenEndpoint: string
}

/** Seconds by which the clock of a client may differ. */
const LEEWAY = 60
/** Seconds for which an assertion may be valid: until it has expired it is remembered. */
const LIFETIME_MAX = 3600

/**
 * Whether an assertion proves that the client signed it (RFC 7523, 3; OpenID Connect Core, 9), and was not used before.
 * The key decides the algorithm, not the header: `none` and HMAC have none of our algorithms.
 */
export async function isValidAssertion(context: AssertionContext, client: Client, assertion: string): Promise<boolean> {
  const { clientKeys, clock, issuer, store, tokenEndpoint } = context
  const jws = parseJws(assertion)
  if (!jws) return false
  const { claims, header, signature, signed } = jws
  const key = await clientKeys.key(client, header)
  const alg = key && algorithmOf(key)
  if (!key || !alg || !namesAlgorithm(header.alg, alg) || header.crit !== undefined) return false
  if (!verifyBytes(alg, signed, key, signature)) return false

  const now = clock.now() / 1000
  const { aud, exp, iat, iss, jti, nbf, sub } = claims
  const audiences = Array.isArray(aud) ? aud : [aud]
  // One audience alone: with several, another of them could use the assertion here (RFC 7523bis, 3).
  const isForUs = audiences.length === 1 && (audiences[0] === issuer || audiences[0] === tokenEndpoint)
  if (iss !== client.id || sub !== client.id || !isForUs) return false
  if (typeof exp !== 'number' || exp <= now - LEEWAY || exp > now + LIFETIME_MAX + LEEWAY) return false
  if (nbf !== undefined && !(typeof nbf === 'number' && nbf <= now + LEEWAY)) return false
  if (iat !== undefined && !(typeof iat === 'number' && iat <= now + LEEWAY)) return false
  if (typeof jti !== 'string' || jti === '' || jti.length > 255) return false
  const hash = createHash('sha256')
    .update(JSON.stringify(['client assertion', client.id, jti]))
    .digest()
  // `exp` may have a fraction (RFC 7519, 2).
  return await store.useAssertion(hash, Math.ceil((exp + LEEWAY) * 1000))
}
