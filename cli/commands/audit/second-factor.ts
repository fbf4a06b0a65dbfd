import { EXIT } from '../../exit.ts'
import { asFailure } from '../../terminal/failures.ts'
import { toTheSecond } from '../../terminal/times.ts'
import type { Tool } from '../../tool/command.ts'
import { type AuditRow, type Explanation, evidenceOf, from, times } from './explanation.ts'

/** Says what was wrong with each refused passkey. */
const PASSKEYS: Record<string, string> = {
  unknown_passkey: 'a passkey that no account has: it was removed here, but not on the device',
  passkey_of_another: 'a passkey of another account',
  wrong_passkey: 'a passkey whose answer does not fit: another address, an old page, or no check of the user',
  replayed_or_copied_passkey: 'a passkey that answered twice, or whose counter shows that it was copied',
}

/** Reasons of failed logins by which no wrong password was entered. */
export const NO_WRONG_PASSWORD = ['account_disabled', 'wrong_code', 'account_deleted', ...Object.keys(PASSKEYS)]

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

/** Whether a failed login failed at its second factor. A wrong code of someone without one was that of a mail. */
export function failedAtFactor({ detail }: AuditRow, hasFactor: boolean): boolean {
  return (detail.reason === 'wrong_code' && hasFactor) || String(detail.reason) in PASSKEYS
}

/**
 * Explains logins that failed at the second factor.
 * @param failed the failed attempts, the newest first: that one is explained
 * @param who the user, and how suggestions name them
 */
export function explainFactor(failed: readonly AuditRow[], who: { email: string; ref: string }): Explanation {
  const [last] = failed
  const reason = String(last?.detail.reason)
  const same = failed.filter(({ detail }) => detail.reason === reason)
  const attempts = `${times(same.length)}, last at ${toTheSecond(last?.at ?? '')}${from(last?.ip ?? null)}.`
  const passkey = PASSKEYS[reason]
  if (passkey !== undefined)
    return {
      reason: 'wrong_passkey',
      explanation: `${who.email} used ${passkey}, ${attempts} If they have no other one, remove their second factors:`,
      suggestion: `ch202 users factors reset ${who.ref}`,
      evidence: evidenceOf(same),
    }
  return {
    reason: 'wrong_second_factor',
    explanation: `${who.email} entered a wrong code of their second factor ${attempts} The step before it was right. A code works once, and for a minute and a half. If they have lost their app and the recovery codes:`,
    suggestion: `ch202 users factors reset ${who.ref}`,
    evidence: evidenceOf(same),
  }
}
