import type { Caller } from '../kit/caller.ts'
import type { Clock } from '../kit/clock.ts'
import { actorOf, auditNotice } from '../kit/outbox/audit.ts'
import type { NewNotice } from '../kit/outbox/outbox.ts'
import type { Random } from '../kit/random.ts'

/** A change to a module, as the audit records it. */
interface ModuleAudit {
  type: `module.${string}`
  /** The user for whom the module changed; null when the library changed. */
  userId: string | null
  caller: Caller
  detail: { module: string } & Record<string, unknown>
}

/** The notice that adds a change to a module to the audit. */
export function moduleAuditNotice(
  { clock, random }: { clock: Clock; random: Random },
  { caller, ...event }: ModuleAudit,
): NewNotice {
  return auditNotice({ id: random.id(), at: clock.now(), ...event, ...actorOf(caller) })
}
