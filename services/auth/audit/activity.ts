import type { Caller } from '../../kit/caller.ts'
import { timestamp } from '../../kit/clock.ts'
import { notAllowed } from '../../kit/field-errors.ts'
import type { AuditEvent } from '../../kit/outbox/audit.ts'
import { invalidField } from '../../kit/problem.ts'
import { isUuid } from '../../kit/random.ts'
import { type PageQuery, type PageRequest, pageAnswer, pageRequest } from '../../kit/schema/page.ts'
import type { Activity } from '../schemas/audit.ts'
import type { AuditStore } from '../store/index.ts'

/**
 * The types of rows that users see of their own account, each with the fields of `detail` that they see. Rows of other types
 * and other fields are for operators alone: what someone typed, and how the services work together.
 */
export const ACTIVITY: Readonly<Record<string, readonly string[]>> = {
  'login.failed': ['reason'],
  'login.paused': ['until'],
  'session.created': ['session_id', 'amr'],
  'session.reauthenticated': ['session_id'],
  'session.logout': ['session_id'],
  'session.logout_all': ['sessions'],
  'session.revoked': ['session_id', 'sessions'],
  'session.token_revoked': ['session_id'],
  'session.reuse_detected': ['session_id'],
  'session.ended_by_change': ['sessions'],
  'device.confirmed': [],
  'factor.added': ['kind'],
  'factor.removed': ['kind'],
  'factors.removed': ['factors'],
  'factors.reset': ['factors'],
  'recovery_codes.replaced': [],
  'recovery_code.used': ['left'],
  'password.changed': [],
  'password.change_failed': [],
  'password.set': [],
  'password.set_by_invitation': [],
  'password.reset_requested': [],
  'password.reset_sent': [],
  'password.reset': [],
  'password.reset_confirmed': [],
  'password.removed': ['by'],
  'email.verified': ['by'],
  'email.changed': [],
  'email.restored': [],
  'invitation.accepted': [],
  'grant.issued': ['client_id', 'scopes'],
  'grant.consented': ['client_id', 'scopes'],
  'grant.ended': ['client_id'],
  'grant.token_revoked': ['client_id'],
  'grant.code_reused': ['client_id'],
  'grant.reuse_detected': ['client_id'],
  'user.registered': [],
  'user.created': ['roles'],
  'user.invited': [],
  'user.updated': ['fields'],
  'user.roles_changed': ['from', 'to'],
  'user.disabled': [],
  'user.enabled': [],
  'user.recovered': [],
  'module.enabled': ['module'],
  'module.disabled': ['module'],
}
const TYPES = Object.keys(ACTIVITY)

/**
 * Lists what happened to the caller's own account, newest first.
 * @throws Problem `validation_failed` for a cursor of another list
 */
export async function listActivity(
  { store }: { store: AuditStore },
  query: PageQuery,
  { userId }: Pick<Caller, 'userId'> & { userId: string },
) {
  const list = JSON.stringify(['activity', userId])
  const request = pageRequest(query, list)
  const { next, rows, total } = await store.listAuditEvents({ userId, types: TYPES }, await placed(store, request))
  const last = rows.at(-1)
  // The place of a row would show how many rows the audit has.
  const slice = { rows, total, next: next && last ? [last.id] : null }
  return pageAnswer(slice, request, list, (event) => activityRead(event, userId))
}

/** Turns the id in a cursor into a place in the audit. @throws Problem `validation_failed` when there is no such row */
async function placed(store: AuditStore, request: PageRequest): Promise<PageRequest> {
  if (!('after' in request)) return request
  const [id] = request.after
  const after = typeof id === 'string' && isUuid(id) ? await store.placeOfAuditEvent(id) : null
  if (!after) throw invalidField('cursor', notAllowed('is not a cursor of this list'))
  return { size: request.size, after }
}

/**
 * Shows a row to the user whom it is about. Nothing shows who someone else is: an operator's address is left out, and so is
 * the id of a request that someone else may have chosen.
 */
function activityRead({ actor, at, detail, id, ip, requestId, type }: AuditEvent, userId: string): Activity {
  const isOwn = actor === `user:${userId}`
  // A login is by anyone: the address of whoever tried is what the user wants to know.
  const showsAddress = isOwn || actor === 'anyone'
  const showsRequest = isOwn || (showsAddress && requestId !== null && isUuid(requestId))
  const fields = (ACTIVITY[type] ?? []).filter((name) => name in detail)
  return {
    id,
    at: timestamp(at),
    type,
    ip: showsAddress ? ip : null,
    request_id: showsRequest ? requestId : null,
    detail: Object.fromEntries(fields.map((name) => [name, detail[name]])),
  }
}
