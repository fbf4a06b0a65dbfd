import type { FeedSource, RevocationPage } from '../services/kit/feed/revocation-subscriber.ts'
import { Problem } from '../services/kit/problem.ts'
import { type Instance, Unanswered } from './instance.ts'

/** What auth answers to POST /auth/validate-token. */
type Validity =
  | { valid: true; user_id: string; session_id: string; roles: string[]; expires_at: string }
  | { valid: false; reason: 'malformed' | 'expired' | 'revoked' | 'signature' }

/** The two questions that a follower asks of auth. */
export function feedSource(instance: Instance, url: string): FeedSource {
  return {
    async poll(follower, after, epoch) {
      const query = new URLSearchParams({ follower, after: String(after), epoch })
      return await instance.ask<RevocationPage>(`${url}/api/v1/auth/revocations?${query}`)
    },
    async validate(token) {
      const said = await instance.ask<Validity>(`${url}/api/v1/auth/validate-token`, { body: { token } })
      if (said.valid === false) return said
      if (!isVerdict(said)) throw new Problem('auth_unavailable', { cause: new Unanswered('It is no auth service') })
      const { expires_at, roles, session_id: sessionId, user_id: userId } = said
      return { valid: true, userId, sessionId, roles, expiresAt: Date.parse(expires_at) }
    },
  }
}

/** Whether all is there that is asked of it: of who lets someone in by less, no one would know whom. */
function isVerdict(said: Validity & { valid: true }): boolean {
  const { expires_at, roles, session_id, user_id, valid } = said
  return (
    valid === true &&
    [expires_at, session_id, user_id].every((text) => typeof text === 'string' && text !== '') &&
    Array.isArray(roles) &&
    roles.every((role) => typeof role === 'string')
  )
}
