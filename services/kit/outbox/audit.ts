import type { NewNotice, Notice } from './outbox.ts'

/** An action of an operator or a change to an account: a row of the audit, which auth keeps. */
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
  /** The change: names and states, never a secret. */
  detail: Record<string, unknown>
}

/** The type of the event that says that the data of a user is erased. It stays as it is. */
export const USER_ERASED = 'user.erased'

/** The caller behind an audit event, or a service that acts by itself. */
export type Actor = Pick<AuditEvent, 'actor' | 'ip' | 'requestId'>

/** The fields of an audit event that come from the caller. */
export function actorOf(caller: Actor) {
  return { actor: caller.actor, ip: caller.ip, requestId: caller.requestId }
}

/** The notice by which another service reports an audit event to auth: written in the transaction of the change. */
export function auditNotice(event: AuditEvent): NewNotice {
  return { target: 'auth', kind: 'audit', subject: event.userId ?? event.id, payload: { ...event } }
}

/** The audit event of a notice that `auditNotice` made. */
export function auditEventOf({ payload }: Notice): AuditEvent {
  return payload as unknown as AuditEvent
}
