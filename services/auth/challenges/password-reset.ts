import { actsForOperators } from '../../kit/access/clients.ts'
import { mayHelp, protectedRoles } from '../../kit/access/support.ts'
import type { Caller } from '../../kit/caller.ts'
import type { FieldError } from '../../kit/field-errors.ts'
import type { Locale } from '../../kit/locale.ts'
import { passwordErrors } from '../../kit/passwords/policy.ts'
import { Problem } from '../../kit/problem.ts'
import type { Config } from '../../kit/process/config.ts'
import { type CachedAccountContext, cachedAccount } from '../accounts/cached-account.ts'
import { type AuditRecordContext, auditEvent } from '../audit/record.ts'
import type { Notices } from '../mail/notices.ts'
import { type AddressProofContext, proveAddress } from './proof.ts'
import { type ChallengeRequestContext, requestChallenge } from './request.ts'
import { type ChallengeUseContext, useChallenge } from './use.ts'

export type ResetContext = AddressProofContext & ChallengeUseContext & { notices: Notices }

/** Queues a password reset mail. @throws Problem `rate_limited` */
export async function requestReset(context: ChallengeRequestContext, email: string, caller: Caller): Promise<void> {
  await requestChallenge(context, { purpose: 'password_reset', address: email, limited: 'by address' }, caller)
}

export type ResetForUserContext = AuditRecordContext & CachedAccountContext & ChallengeRequestContext

/**
 * Queues a password reset mail for a user whom an operator or a support person names. The audit names who did it.
 * @throws Problem `user_not_found`, also for a support person who may not help the user; `account_disabled`, because such a
 * user gets no mail; `rate_limited`, `users_unavailable`
 */
export async function sendReset(context: ResetForUserContext, userId: string, caller: Caller): Promise<void> {
  const account = await cachedAccount(context, userId.toLowerCase(), caller)
  if (!account || !(actsForOperators(caller) || mayHelp(caller, account.roles))) throw new Problem('user_not_found')
  if (account.status !== 'active') throw new Problem('account_disabled')
  // The user may have got a role meanwhile that only operators may act on.
  const withoutRoles = protectedRoles(caller)
  const { email: address, userId: id } = account
  const event = auditEvent(context, caller, 'password.reset_sent', id)
  const challenge = { purpose: 'password_reset', address, userId: id, withoutRoles, event } as const
  const locale = (account.profile.locale as Locale | null | undefined) ?? null
  // The mail is about the user: neither the address nor the language of the caller belongs into it.
  const asUser = { ip: null, requestId: caller.requestId, locale }
  await requestChallenge(context, { ...challenge, limited: 'by address' }, asUser)
}

/**
 * Sets a new password for whoever presents the token of a reset link. When it resolves, the old password no longer works
 * and every session of the user has ended. It also proves the address.
 * @throws Problem `invalid_reset_token`, `weak_password`, `validation_failed`, `users_unavailable`; the token stays valid
 * unless the password was set
 */
export async function confirmReset(
  context: ResetContext,
  token: string,
  newPassword: string,
  caller: Caller,
): Promise<void> {
  try {
    const account = await useChallenge(context, 'password_reset', { token }, async ({ address, userId }) => {
      if (userId === null) throw new Problem('invalid_challenge')
      const proof = { kind: 'reset', email: address, new_password: newPassword } as const
      const proved = await proveAddress(context, userId, proof, caller)
      return { result: proved.account, event: auditEvent(context, caller, 'password.reset_confirmed', userId) }
    })
    await context.limits.forget(account.userId)
    await context.notices.add(account, 'password_changed', caller)
  } catch (error) {
    if (error instanceof Problem && error.code === 'invalid_challenge') throw new Problem('invalid_reset_token')
    throw error
  }
}

/** Returns the errors of a new password that can be found without knowing whose it will be. */
export function resetErrors(
  { config }: { config: Pick<Config, 'passwordMinLength'> },
  { new_password }: { new_password?: unknown },
): FieldError[] {
  return passwordErrors('new_password', new_password, config.passwordMinLength, [])
}
