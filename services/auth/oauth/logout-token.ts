import { MINUTE } from '../../kit/clock.ts'
import type { SigningKey } from '../../kit/tokens/access-token.ts'
import type { DueLogout } from '../store/index.ts'
import { signForClient } from './jwt.ts'

const LIFETIME = 2 * MINUTE
const EVENT = 'http://schemas.openid.net/event/backchannel-logout'

/**
 * Makes the logout token of a notice (OpenID Connect Back-Channel Logout, 2.4).
 * @param id its id, another one for each attempt: a client that has seen an id before may refuse it, also when its answer was lost
 */
export function logoutToken(
  { clientId, sessionId, userId }: Pick<DueLogout, 'clientId' | 'sessionId' | 'userId'>,
  { id, issuer, key, now }: { id: string; issuer: string; key: SigningKey; now: number },
): string {
  const claims = {
    iss: issuer,
    sub: userId,
    aud: clientId,
    iat: Math.floor(now / 1000),
    exp: Math.floor((now + LIFETIME) / 1000),
    jti: id,
    sid: sessionId,
    events: { [EVENT]: {} },
  }
  return signForClient('logout+jwt', claims, key)
}
