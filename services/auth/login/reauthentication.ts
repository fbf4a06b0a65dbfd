import type { Caller } from '../../kit/caller.ts'
import { Problem } from '../../kit/problem.ts'
import { auditEvent } from '../audit/record.ts'
import { authenticationOf, issueAccessToken, type SessionsContext } from '../sessions/sessions.ts'
import type { CredentialsContext } from './credentials.ts'
import type { LoginLimits } from './limits.ts'
import { authenticate } from './login.ts'

/** A new access token of the same session. Times are seconds. */
export interface Reauthenticated {
  access_token: string
  token_type: 'Bearer'
  expires_in: number
  auth_time: number
}

/**
 * Checks the password of a logged-in user again, for calls that need recent authentication. Attempts count as logins do.
 * @throws Problem `invalid_credentials`, `account_disabled`, `token_revoked` when the session has ended, `rate_limited`,
 * `users_unavailable`, `overloaded`
 */
export async function reauthenticate(
  context: CredentialsContext & SessionsContext & { limits: Pick<LoginLimits, 'begin'> },
  password: string,
  caller: Caller,
): Promise<Reauthenticated> {
  const { clock, config, store } = context
  const { sessionId, userId } = caller
  const account = userId === null ? null : await store.accountById(userId)
  if (!account || sessionId === null) throw new Problem('token_revoked')
  const identifier = { by: 'email', name: account.email } as const
  const checked = await authenticate(context, { identifier, account, key: account.userId, password }, caller)
  if (checked.account.userId !== account.userId) throw new Problem('invalid_credentials')
  const now = clock.now()
  const event = auditEvent(context, caller, 'session.reauthenticated', account.userId, { session_id: sessionId })
  const renewal = { sessionId, now, method: 'pwd', accessUntil: now + config.jwtExpire } as const
  const renewed = await store.renewAuthentication(renewal, event)
  if (!renewed) throw new Problem('token_revoked')
  const { access_token, expires_in } = issueAccessToken(context, renewed.session, renewed.account)
  return { access_token, token_type: 'Bearer', expires_in, auth_time: authenticationOf(renewed.session).auth_time }
}
