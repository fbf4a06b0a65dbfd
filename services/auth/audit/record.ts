import type { Clock } from '../../kit/clock.ts'
import { type Actor, type AuditEvent, actorOf } from '../../kit/outbox/audit.ts'
import type { Random } from '../../kit/random.ts'

/** The part of a context that building an audit row takes. */
export interface AuditRecordContext {
  clock: Clock
  random: Random
}

/** The actor of changes that auth makes by itself, such as a key rotation by age. */
export const AUTH_ITSELF: Actor = { actor: 'auth', ip: null, requestId: null }

/**
 * Builds the audit row for something that `doer` did now; does not store it.
 * @param type `noun.verb`, such as `login.failed`
 * @param detail names and states, never a secret
 */
export function auditEvent(
  { clock, random }: AuditRecordContext,
  actor: Actor,
  type: string,
  userId: string | null,
  detail: Record<string, unknown> = {},
): AuditEvent {
  return { id: random.id(), at: clock.now(), type, userId, ...actorOf(actor), detail }
}
