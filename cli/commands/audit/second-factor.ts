import type { FactorVerdict, Judged, PasskeyReason } from '../../../services/kit/login-verdict.ts'
import { EXIT } from '../../exit.ts'
import { asFailure } from '../../terminal/failures.ts'
import { toTheSecond } from '../../terminal/times.ts'
import type { Tool } from '../../tool/command.ts'
import { type Explanation, from, rowsOf, times } from './explanation.ts'

/** Says what was wrong with each refused passkey. */
const PASSKEYS: Record<PasskeyReason, string> = {
  unknown_passkey: 'a passkey that no account has: it was removed here, but not on the device',
  passkey_of_another: 'a passkey of another account',
  wrong_passkey: 'a passkey whose answer does not fit: another address, an old page, or no check of the user',
  replayed_or_copied_passkey: 'a passkey that answered twice, or whose counter shows that it was copied',
}

/** Whether a user has an app or a passkey; false also for a user whom auth cannot find now. */
export async function hasFactors(tool: Tool, userId: string): Promise<boolean> {
  const api = await tool.api()
  try {
    return (await api.auth((auth) => auth.admin.users({ user_id: userId }).factors.get())).items.length > 0
  } catch (error) {
    const { exit } = asFailure(error)
    if (exit === EXIT.notFound || exit === EXIT.tryAgain) return false
    throw error
  }
}

/**
 * Explains logins that failed at the second factor.
 * @param who the user, and how suggestions name them
 */
export function explainFactor(
  verdict: FactorVerdict & Pick<Judged, 'evidence'>,
  who: { email: string; ref: string },
): Explanation {
  const { last, tries } = verdict
  const attempts = `${times(tries)}, last at ${toTheSecond(last.at)}${from(last.ip)}.`
  const explanation =
    verdict.reason === 'wrong_passkey'
      ? `${who.email} used ${PASSKEYS[verdict.passkey]}, ${attempts} If they have no other one, remove their second factors:`
      : `${who.email} entered a wrong code of their second factor ${attempts} The step before it was right. A code works once, and for a minute and a half. If they have lost their app and the recovery codes:`
  return {
    reason: verdict.reason,
    explanation,
    suggestion: `ch202 users factors reset ${who.ref}`,
    evidence: rowsOf(verdict.evidence),
  }
}
