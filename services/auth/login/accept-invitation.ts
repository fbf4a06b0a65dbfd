import type { Caller } from '../../kit/caller.ts'
import { Problem } from '../../kit/problem.ts'
import { auditEvent } from '../audit/record.ts'
import { type AddressProofContext, proveAddress } from '../challenges/proof.ts'
import { type ChallengeUseContext, useChallenge } from '../challenges/use.ts'
import type { AcceptanceBody } from '../schemas/challenges.ts'
import type { SessionWithTokens } from '../sessions/sessions.ts'
import { type EntryContext, enter } from './enter.ts'

/**
 * Sets the first password of an invited user, verifies their address and logs them in.
 * @throws Problem `invalid_challenge`, `weak_password`, `username_taken`, `users_unavailable`, as `enter`
 */
export async function acceptInvitation(
  context: AddressProofContext & ChallengeUseContext & EntryContext,
  { token, ...fields }: AcceptanceBody,
  caller: Caller,
): Promise<SessionWithTokens> {
  const account = await useChallenge(context, 'invitation', { token }, async ({ address, userId }) => {
    if (userId === null) throw new Problem('invalid_challenge')
    const proved = await proveAddress(context, userId, { kind: 'invitation', email: address, ...fields }, caller)
    return { result: proved.account, event: auditEvent(context, caller, 'invitation.accepted', userId) }
  })
  return enter(context, { account, methods: ['email'], isDeviceKnown: true }, caller, 'v1')
}
