import type { Caller } from '../kit/caller.ts'
import type { Clock } from '../kit/clock.ts'
import { actorOf, auditNotice } from '../kit/outbox/audit.ts'
import type { NewNotice } from '../kit/outbox/outbox.ts'
import type { Random } from '../kit/random.ts'

/**
 * The notice of something that was done to a module, for the audit.
 * @param userId the user for whom it was done; null when it was done to the library
 */
export function audited(
  { clock, random }: { clock: Clock; random: Random },
  type: string,
  userId: string | null,
  caller: Caller,
  detail: { module: string } & Record<string, unknown>,
): NewNotice {
  return auditNotice({ id: random.id(), at: clock.now(), type, userId, ...actorOf(caller), detail })
}
