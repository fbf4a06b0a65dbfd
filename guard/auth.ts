import type { FeedSource, RevocationPage } from '../services/kit/feed/revocation-subscriber.ts'
import { Problem } from '../services/kit/problem.ts'
import { authenticationIn } from '../services/kit/tokens/access-token.ts'
import { type Instance, NoAnswer } from './instance.ts'

/** The answer of POST /auth/validate-token. */
type Validity =
  | { valid: true; user_id: string; session_id: string; roles: string[]; expires_at: string }
  | { valid: false; reason: 'malformed' | 'expired' | 'revoked' | 'signature' }

/** The two calls that a subscriber makes to auth. */
export function feedSource(instance: Instance, url: string): FeedSource {
  return {
    async poll(subscriber, after, epoch) {
      const query = new URLSearchParams({ follower: subscriber, after: String(after), epoch })
      return await instance.call<RevocationPage>(`${url}/api/v1/auth/revocations?${query}`)
    },
    async validate(token) {
      const validity = await instance.call<Validity>(`${url}/api/v1/auth/validate-token`, { body: { token } })
      if (validity.valid === false) return validity
      if (!isComplete(validity)) throw new Problem('auth_unavailable', { cause: new NoAnswer('It is no auth service') })
      const { expires_at, roles, session_id: sessionId, user_id: userId } = validity
      // Auth has verified the token, and its answer does not repeat the claims about the authentication.
      const authentication = authenticationIn(token)
      return { valid: true, userId, sessionId, roles, expiresAt: Date.parse(expires_at), ...authentication }
    },
  }
}

/** Whether the answer has every field. A token is refused if one is missing, because its user or expiry is unknown. */
function isComplete(validity: Validity & { valid: true }): boolean {
  const { expires_at, roles, session_id, user_id, valid } = validity
  return (
    valid === true &&
    [expires_at, session_id, user_id].every((text) => typeof text === 'string' && text !== '') &&
    Array.isArray(roles) &&
    roles.every((role) => typeof role === 'string')
  )
}
