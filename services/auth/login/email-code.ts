import type { Caller } from '../../kit/caller.ts'
import { Problem } from '../../kit/problem.ts'
import type { Config } from '../../kit/process/config.ts'
import { emailKey } from '../../kit/schema/email.ts'
import { type AddressProofContext, proveAddress } from '../challenges/proof.ts'
import { type ChallengeRequestContext, requestChallenge } from '../challenges/request.ts'
import { type ChallengeUseContext, type MailProof, useChallenge } from '../challenges/use.ts'
import type { SessionWithTokens } from '../sessions/sessions.ts'
import { type EntryContext, enter } from './enter.ts'
import { wrongCode } from './wrong-code.ts'

type Switch = { config: Pick<Config, 'emailLogin'> }

/** Queues a mail with a code that logs in. @returns the id of the challenge @throws Problem `email_login_disabled`, `rate_limited` */
export async function requestEmailCode(
  context: ChallengeRequestContext & Switch,
  email: string,
  caller: Caller,
): Promise<string> {
  if (!context.config.emailLogin) throw new Problem('email_login_disabled')
  return requestChallenge(context, { purpose: 'email_code', address: email, limited: 'by address' }, caller)
}

/**
 * Logs in by the code or the link of a mail. The first proof of an address removes the password and ends the sessions of
 * whoever registered it.
 * @throws Problem `email_login_disabled`, `invalid_challenge`, `invalid_code`, `users_unavailable`, as `enter`
 */
export async function loginByEmailCode(
  context: AddressProofContext & ChallengeUseContext & EntryContext & Switch,
  proof: MailProof,
  caller: Caller,
): Promise<SessionWithTokens> {
  if (!context.config.emailLogin) throw new Problem('email_login_disabled')
  const account = await useChallenge(
    context,
    'email_code',
    proof,
    async ({ address, userId }) => {
      const cached = userId === null ? null : await context.store.accountById(userId)
      if (userId === null || !cached) throw new Problem('invalid_challenge')
      const isCurrent = emailKey(cached.email) === emailKey(address)
      if (cached.emailVerified && cached.cached && isCurrent) return { result: cached, event: null }
      const proved = await proveAddress(context, userId, { kind: 'email_code', email: address }, caller)
      return { result: proved.account, event: null }
    },
    wrongCode(context, caller),
  )
  return enter(context, { account, methods: ['email'], isDeviceKnown: true }, caller, 'v1')
}
