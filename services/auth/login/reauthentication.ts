import type { Caller } from '../../kit/caller.ts'
import { exactlyOne, type FieldError } from '../../kit/field-errors.ts'
import { invalid, Problem } from '../../kit/problem.ts'
import type { AuthMethod } from '../../kit/tokens/access-token.ts'
import { auditEvent } from '../audit/record.ts'
import { provePasskey } from '../factors/passkeys.ts'
import type { AuthenticationResponse } from '../factors/webauthn.ts'
import { authenticationOf, issueAccessToken, type SessionsContext } from '../sessions/sessions.ts'
import type { Account } from '../store/index.ts'
import type { CredentialsContext } from './credentials.ts'
import { authenticate } from './login.ts'
import { checkLimitedCode, recordRefusal, type SecondFactorContext } from './second-factor.ts'

/** A new access token of the same session. Times are seconds. */
export interface Reauthenticated {
  access_token: string
  token_type: 'Bearer'
  expires_in: number
  auth_time: number
}

/** The proof by which a user shows again who they are: exactly one of these. */
export interface Reproof {
  password?: string
  code?: string
  credential?: AuthenticationResponse
}

/** The errors of a body that does not have exactly one of the three. */
export function reproofErrors(body: object): FieldError[] {
  return exactlyOne(body, ['password', 'code', 'credential'])
}

type ReauthenticationContext = CredentialsContext & SessionsContext & SecondFactorContext

/**
 * Authenticates a logged-in user again, for calls that need recent authentication. Attempts count as logins do.
 * @throws Problem `validation_failed` as `reproofErrors`; `invalid_credentials`, also for the password of a user with a second
 * factor; `invalid_code`, `account_disabled`, `token_revoked` when the session has ended, `rate_limited`, `users_unavailable`, `overloaded`
 */
export async function reauthenticate(
  context: ReauthenticationContext,
  reproof: Reproof,
  caller: Caller,
): Promise<Reauthenticated> {
  const errors = reproofErrors(reproof)
  if (errors.length > 0) throw invalid(errors)
  const { clock, config, store } = context
  const { sessionId, userId } = caller
  const account = userId === null ? null : await store.accountById(userId)
  if (!account || sessionId === null) throw new Problem('token_revoked')
  const methods = await proveAgain(context, account, reproof, caller)
  const now = clock.now()
  const event = auditEvent(context, caller, 'session.reauthenticated', account.userId, { session_id: sessionId })
  const renewal = { sessionId, now, methods, accessUntil: now + config.jwtExpire }
  const renewed = await store.renewAuthentication(renewal, event)
  if (!renewed) throw new Problem('token_revoked')
  const { access_token, expires_in } = issueAccessToken(context, renewed.session, renewed.account)
  return { access_token, token_type: 'Bearer', expires_in, auth_time: authenticationOf(renewed.session).auth_time }
}

/** @returns the methods that the session gains @throws Problem as `reauthenticate` */
function proveAgain(
  context: ReauthenticationContext,
  account: Account,
  { code, credential, password = '' }: Reproof,
  caller: Caller,
): Promise<readonly AuthMethod[]> {
  if (credential) return byPasskey(context, account, credential, caller)
  return code === undefined ? byPassword(context, account, password, caller) : byCode(context, account, code, caller)
}

async function byPassword(context: ReauthenticationContext, account: Account, password: string, caller: Caller) {
  // Before the password is checked: whoever has stolen a token learns nothing about it.
  if ((await context.store.secondFactorMethods(account.userId)).length > 0) throw new Problem('invalid_credentials')
  const identifier = { by: 'email', name: account.email } as const
  const checked = await authenticate(context, { identifier, account, key: account.userId, password }, caller)
  if (checked.account.userId !== account.userId) throw new Problem('invalid_credentials')
  return ['pwd'] as const
}

async function byCode(context: ReauthenticationContext, account: Account, code: string, caller: Caller) {
  const { userId } = account
  if (!(await checkLimitedCode(context, { account, key: userId }, code, caller))) throw new Problem('invalid_code')
  return ['otp', 'mfa'] as const
}

async function byPasskey(
  context: ReauthenticationContext,
  { userId }: Account,
  credential: AuthenticationResponse,
  caller: Caller,
) {
  const proved = await provePasskey(context, credential, { for: 'reauthentication', userId }, userId, caller)
  if (proved.account) return proved.methods
  await recordRefusal(context, { userId, reason: proved.reason }, caller)
  throw new Problem('invalid_credentials')
}
