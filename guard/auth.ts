import type { FeedSource, RevocationPage } from '../services/kit/feed/revocation-subscriber.ts'
import { Problem } from '../services/kit/problem.ts'
import { authenticationIn, isTokenForService, scopesOf } from '../services/kit/tokens/access-token.ts'
import type { Instance } from './instance.ts'
import { NoAnswer } from './no-answer.ts'
import type { Settings } from './settings.ts'

/** The answer of POST /auth/validate-token. */
type Validity =
  | { valid: true; user_id: string; session_id: string; roles: string[]; expires_at: string }
  | { valid: true; client_id: string; scope: string; expires_at: string }
  | { valid: false; reason: 'malformed' | 'expired' | 'revoked' | 'signature' }

/** The two calls that a subscriber makes to auth. Auth verifies clients' tokens for every service: those for others are refused here. */
export function feedSource(instance: Instance, { resource, url }: Pick<Settings, 'resource' | 'url'>): FeedSource {
  return {
    async poll(subscriber, after, epoch) {
      const query = new URLSearchParams({ follower: subscriber, after: String(after), epoch })
      return await instance.call<RevocationPage>(`${url}/api/v1/auth/revocations?${query}`, { scope: 'introspect' })
    },
    async validate(token) {
      const validity = await instance.call<Validity>(`${url}/api/v1/auth/validate-token`, { body: { token } })
      if (validity.valid === false) return validity
      if (!isComplete(validity)) throw new Problem('auth_unavailable', { cause: new NoAnswer('It is no auth service') })
      if (!isTokenForService(token, resource)) return { valid: false, reason: 'signature' }
      const expiresAt = Date.parse(validity.expires_at)
      if ('client_id' in validity)
        return { valid: true, clientId: validity.client_id, scopes: scopesOf(validity), expiresAt }
      const { roles, session_id: sessionId, user_id: userId } = validity
      // Auth has verified the token, and its answer does not repeat the claims about the authentication.
      const authentication = authenticationIn(token)
      return { valid: true, userId, sessionId, roles, expiresAt, ...authentication }
    },
  }
}

/** Whether the answer has every field. A token is refused if one is missing, because its user or expiry is unknown. */
function isComplete(validity: Validity & { valid: true }): boolean {
  const isText = (text: unknown) => typeof text === 'string' && text !== ''
  const { expires_at, valid } = validity
  if (valid !== true || !isText(expires_at)) return false
  if ('client_id' in validity) return isText(validity.client_id) && typeof validity.scope === 'string'
  const { roles, session_id, user_id } = validity
  return [session_id, user_id].every(isText) && Array.isArray(roles) && roles.every((role) => typeof role === 'string')
}
