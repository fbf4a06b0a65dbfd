import type { Caller } from '../../kit/caller.ts'
import { Problem } from '../../kit/problem.ts'
import { authenticationOptions, type PasskeysContext, provePasskey } from '../factors/passkeys.ts'
import type { AuthenticationResponse } from '../factors/webauthn.ts'
import type { PasskeyOptions } from '../schemas/passkeys.ts'
import type { SessionWithTokens } from '../sessions/sessions.ts'
import type { ChallengeStore } from '../store/index.ts'
import { type EntryContext, enter } from './enter.ts'
import { recordRefusal } from './second-factor.ts'

export type PasskeyLoginContext = PasskeysContext & EntryContext & { store: ChallengeStore }

/**
 * Gives the options of a login with a passkey. With the challenge of a login that waits, it is a second factor; for a user
 * who is logged in, it authenticates them again; otherwise it is a sign-in by anyone.
 * @throws Problem `invalid_challenge`
 */
export async function passkeyLoginOptions(
  context: PasskeyLoginContext,
  challengeId: string | undefined,
  { userId }: Caller,
): Promise<PasskeyOptions> {
  const { clock, store } = context
  const now = clock.now()
  if (challengeId !== undefined) {
    const challenge = await store.openedChallenge(challengeId, 'second_factor', now)
    if (!challenge?.userId) throw new Problem('invalid_challenge')
    const { passkeys } = await store.factorsOf(challenge.userId)
    return authenticationOptions(context, { for: 'second_factor', challengeId }, passkeys)
  }
  if (userId === null) return authenticationOptions(context, { for: 'sign_in' }, [])
  const { passkeys } = await store.factorsOf(userId)
  return authenticationOptions(context, { for: 'reauthentication', userId }, passkeys)
}

/**
 * Logs in by a passkey. No limit keeps it out: nobody can guess its answer, and an attacker must not lock the owner out.
 * @throws Problem `invalid_credentials` whatever does not fit, what `enter` throws
 */
export async function loginByPasskey(
  context: PasskeyLoginContext,
  credential: AuthenticationResponse,
  caller: Caller,
): Promise<SessionWithTokens> {
  const proved = await provePasskey(context, credential, { for: 'sign_in' }, null, caller)
  if (proved.account) return enter(context, { ...proved, isDeviceKnown: true }, caller, 'v1')
  const { reason, userId } = proved
  // An unknown passkey leaves no row: anyone could fill the audit with them.
  if (userId !== null) await recordRefusal(context, { userId, reason }, caller)
  throw new Problem('invalid_credentials')
}
