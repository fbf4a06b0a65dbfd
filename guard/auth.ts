import type { FeedSource, RevocationPage } from '../services/kit/feed/revocation-subscriber.ts'
import { Problem } from '../services/kit/problem.ts'
import { isTokenForService, type TokenFault } from '../services/kit/tokens/access-token.ts'
import { type Validity as ValidityOfValid, verdictBy } from '../services/kit/tokens/check.ts'
import type { Instance } from './instance.ts'
import { NoAnswer } from './no-answer.ts'
import type { Settings } from './settings.ts'

/** The answer of POST /auth/validate-token. */
type Validity = ({ valid: true } & ValidityOfValid) | { valid: false; reason: TokenFault }

/**
 * The two calls that a subscriber makes to auth. Auth verifies the tokens of clients and grants for every service: those for
 * others are refused here.
 */
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
      return isTokenForService(token, resource) ? verdictBy(validity, token) : { valid: false, reason: 'signature' }
    },
  }
}

/** Whether the answer has every field. A token is refused if one is missing, because its user or expiry is unknown. */
function isComplete(validity: Validity & { valid: true }): boolean {
  if (validity.valid !== true || !isText(validity.expires_at)) return false
  // The answer about an app's token has both ids. Without its grant, the app would be taken for its user.
  const isOfClient = 'client_id' in validity
  if (isOfClient && !(isText(validity.client_id) && typeof validity.scope === 'string')) return false
  if (!('user_id' in validity)) return isOfClient
  if (isOfClient && !('grant_id' in validity && isText(validity.grant_id))) return false
  const { roles = isOfClient ? [] : undefined, session_id, user_id } = validity
  const hasSession = isText(session_id) || (isOfClient && session_id === undefined)
  return isText(user_id) && hasSession && Array.isArray(roles) && roles.every((role) => typeof role === 'string')
}

function isText(value: unknown): boolean {
  return typeof value === 'string' && value !== ''
}
