import type { Caller } from '../../kit/caller.ts'
import type { Sealing } from '../../kit/tokens/sealing.ts'
import { type AuditRecordContext, auditEvent } from '../audit/record.ts'
import type { Notices } from '../mail/notices.ts'
import type { Account, FactorStore } from '../store/index.ts'
import { hashOfRecoveryCode } from './recovery-codes.ts'
import { matchedStep, NEW_TOTP, TOTP_SECRET_BYTES } from './totp.ts'

export interface CodeContext extends AuditRecordContext {
  store: FactorStore
  sealing: Sealing
  notices: Notices
}

/** The name under which the secret of an app is sealed: its user's id is associated data. */
export function totpSecretName(userId: string, id: string): string {
  return `totp ${userId} ${id}`
}

/**
 * Checks a code of an app or a recovery code, and uses it up: of parallel attempts with one code, exactly one succeeds.
 * @param account null: nobody; the work is the same
 * @returns whether the code was right, and had not been used
 */
export async function checkCode(
  context: CodeContext,
  account: Pick<Account, 'userId' | 'email'> | null,
  code: string,
  caller: Caller,
): Promise<boolean> {
  const { notices, store } = context
  const userId = account?.userId ?? ''
  const hash = hashOfRecoveryCode(userId, code)
  if (hash === null) return useAppCode(context, userId, code)
  const event = auditEvent(context, caller, 'recovery_code.used', userId)
  const isUsed = await store.useRecoveryCode(userId, hash, event)
  if (isUsed && account) await notices.add(account, 'recovery_code_used', caller)
  return isUsed
}

async function useAppCode({ clock, sealing, store }: CodeContext, userId: string, code: string): Promise<boolean> {
  const now = clock.now()
  const { totps } = await store.factorsOf(userId)
  if (totps.length === 0) decoy(sealing, code, now)
  for (const totp of totps) {
    const secret = sealing.open(totp.sealedSecret, totpSecretName(userId, totp.id))
    const step = secret ? matchedStep(secret, totp, code, now) : null
    if (step !== null && (await store.useTotp(totp.id, step, now))) return true
  }
  return false
}

const DECOY_SECRET = new Uint8Array(TOTP_SECRET_BYTES)

/** Does the work of a check for nobody: the time must not show whether a login waits for a code. */
function decoy(sealing: Sealing, code: string, now: number): void {
  sealing.seal(DECOY_SECRET, totpSecretName('', ''))
  matchedStep(DECOY_SECRET, NEW_TOTP, code, now)
}
