import type { NewNotice, Notice } from './outbox.ts'

/** Something that happened to an account or was done by an operator: a row of the audit, which auth keeps. */
export interface AuditEvent {
  id: string
  /** Milliseconds since the epoch. */
  at: number
  /** `noun.verb`, such as `login.failed` or `user.roles_changed`. */
  type: string
  userId: string | null
  actor: string
  ip: string | null
  requestId: string | null
  /** What changed: names and states, never a secret. */
  detail: Record<string, unknown>
}

/** Who did something: a caller, or a service by itself. */
export type Doer = Pick<AuditEvent, 'actor' | 'ip' | 'requestId'>

/** The columns of an event that come from who asked. */
export function actorOf(caller: Doer) {
  return { actor: caller.actor, ip: caller.ip, requestId: caller.requestId }
}

/** How another service's event gets into the audit: by its outbox, written in the transaction of the change. */
export function auditNotice(event: AuditEvent): NewNotice {
  return { target: 'auth', kind: 'audit', subject: event.userId ?? event.id, payload: { ...event } }
}

/** The event that such a notice holds. */
export function auditOf({ payload }: Notice): AuditEvent {
  return payload as unknown as AuditEvent
}
