import type { Caller } from '../../kit/caller.ts'
import { errorOf, type FieldError, REQUIRED } from '../../kit/field-errors.ts'
import { invalid, Problem } from '../../kit/problem.ts'
import { emailKey } from '../../kit/schema/email.ts'
import type { AccountStore } from '../store/index.ts'
import { type AddressProofContext, proveAddress } from './proof.ts'
import { type ChallengeRequestContext, requestChallenge } from './request.ts'
import { type ChallengeUseContext, type MailProof, useChallenge } from './use.ts'

/**
 * Queues a mail to verify an address: that of the caller, or any.
 * @returns the id of the challenge
 * @throws Problem `already_verified` to the user whose address it is, `validation_failed`, `rate_limited`
 */
export async function requestVerification(
  context: ChallengeRequestContext & { store: AccountStore },
  email: string | undefined,
  caller: Caller,
): Promise<string> {
  const account = caller.userId === null ? null : await context.store.accountById(caller.userId)
  const isOwn = account !== null && (email === undefined || emailKey(email) === emailKey(account.email))
  if (isOwn && account.emailVerified) throw new Problem('already_verified')
  const address = isOwn ? account.email : email
  if (address === undefined) throw invalid([errorOf('email', REQUIRED)])
  const owner = isOwn ? { userId: account.userId } : {}
  return requestChallenge(context, { purpose: 'email_verification', address, ...owner, limited: 'by address' }, caller)
}

/** Returns the error of a request by nobody for no address. */
export function verificationErrors(
  sent: { email?: unknown },
  { caller }: { caller: Pick<Caller, 'userId'> },
): FieldError[] {
  return sent.email === undefined && caller.userId === null ? [errorOf('email', REQUIRED)] : []
}

/**
 * Verifies an address. It ends no session and changes no password: the user who registered it may be logged in.
 * @returns the address
 * @throws Problem `invalid_challenge`, `invalid_code`, `users_unavailable`
 */
export async function confirmVerification(
  context: AddressProofContext & ChallengeUseContext,
  proof: MailProof,
  caller: Caller,
): Promise<string> {
  return useChallenge(context, 'email_verification', proof, async ({ address, userId }) => {
    if (userId === null) throw new Problem('invalid_challenge')
    const { account } = await proveAddress(context, userId, { kind: 'verification', email: address }, caller)
    return { result: account.email, event: null }
  })
}
