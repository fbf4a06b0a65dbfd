import type { Clock } from '../../kit/clock.ts'
import type { FactStore } from '../store/index.ts'
import { OPERATOR_REASONS } from './outcome.ts'

/** The fact that holds why the mail server currently fails every mail; empty when it does not. `ch202 doctor` reads it. */
const TROUBLE = 'mail_trouble'

/**
 * Remembers a failure that an operator must fix, until a mail is sent. Ignores other failures.
 * @param reason why an attempt failed; null: a mail was sent
 */
export async function recordTrouble(
  { clock, store }: { clock: Clock; store: FactStore },
  reason: string | null,
): Promise<void> {
  if (reason !== null && !OPERATOR_REASONS.has(reason)) return
  const before = (await store.fact(TROUBLE)) || null
  if (reason === null && before === null) return
  await store.setFact(TROUBLE, reason === null ? '' : JSON.stringify({ reason, at: clock.now() }))
}
