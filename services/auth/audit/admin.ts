import type { Caller } from '../../kit/caller.ts'
import { timestamp } from '../../kit/clock.ts'
import { errorOf, excludedBy, type FieldError, notAllowed } from '../../kit/field-errors.ts'
import type { AuditEvent } from '../../kit/outbox/audit.ts'
import { invalid, invalidField } from '../../kit/problem.ts'
import { type PageQuery, pageAnswer, pageErrors, pageRequest } from '../../kit/schema/page.ts'
import { type AuthorityContext, requireAuthority } from '../assurance/authority.ts'
import type { AuditBody } from '../schemas/audit.ts'
import type { AuditFilter, AuditStore, ErasureStore } from '../store/index.ts'
import { partsAbout } from './erasure-rules.ts'

export interface AuditContext {
  store: AuditStore
}

export type AuditListContext = AuditContext & AuthorityContext

interface AuditQuery extends PageQuery {
  user_id?: string
  type?: string
  since?: string
  request_id?: string
  after_id?: string
}

/** Returns the errors of an audit query: of its page, and parameters that exclude each other. */
export function auditErrors(query: { after_id?: unknown; cursor?: unknown; page?: unknown }): FieldError[] {
  const hasBoth = query.after_id !== undefined && query.page !== undefined
  return [...pageErrors(query), ...(hasBoth ? [errorOf('page', excludedBy('after_id'))] : [])]
}

/**
 * Lists the audit, newest first; with `after_id`, the rows written after that one, oldest first.
 * @throws Problem `validation_failed` for a cursor of another list, and when no row has the id `after_id`; as
 * `requireAuthority`
 */
export async function listAudit(context: AuditListContext, query: AuditQuery, caller: Caller) {
  const { store } = context
  await requireAuthority(context, query.user_id?.toLowerCase() ?? null, caller)
  const { after_id, request_id, since, type, user_id } = query
  const list = JSON.stringify(['audit', user_id, type, since, request_id, after_id])
  const request = pageRequest(query, list)
  const filter = filterOf(query)
  if (after_id === undefined) return pageAnswer(await store.listAuditEvents(filter, request), request, list, eventRead)
  if (query.page !== undefined) throw invalid(auditErrors(query))
  const start = await store.placeOfAuditEvent(after_id.toLowerCase())
  if (!start) throw invalidField('after_id', notAllowed('must be the id of a row'))
  const forward = 'after' in request ? request : { size: request.size, after: start }
  return pageAnswer(await store.listAuditEvents(filter, forward, 'oldest first'), forward, list, eventRead)
}

/** The filter of a query of the audit. */
export function filterOf({
  request_id,
  since,
  type,
  until,
  user_id,
}: Pick<AuditQuery, 'request_id' | 'since' | 'type' | 'user_id'> & { until?: string }): AuditFilter {
  return {
    ...(user_id === undefined ? {} : { userId: user_id.toLowerCase() }),
    ...(type === undefined ? {} : { type }),
    ...(since === undefined ? {} : { since: Date.parse(since) }),
    ...(until === undefined ? {} : { until: Date.parse(until) }),
    ...(request_id === undefined ? {} : { requestId: request_id }),
  }
}

/** Presents a row of the audit to an operator. */
export function eventRead(event: AuditEvent) {
  return {
    id: event.id,
    at: timestamp(event.at),
    type: event.type,
    user_id: event.userId,
    actor: event.actor,
    ip: event.ip,
    request_id: event.requestId,
    detail: event.detail,
  }
}

export interface AuditRecordingContext {
  store: AuditStore & Pick<ErasureStore, 'isErased'>
}

/** Stores an audit row of another service. Idempotent by `id`. What arrives late about an erased user is left out. */
export async function recordEvent({ store }: AuditRecordingContext, body: AuditBody): Promise<void> {
  const { id, at, type, user_id, actor, ip, request_id, detail } = body
  const event = { id, at, type, userId: user_id, actor, ip, requestId: request_id, detail }
  for (const userId of [user_id, /^user:(.+)$/.exec(actor)?.[1]])
    if (userId != null && (await store.isErased(userId.toLowerCase()))) {
      const parts = partsAbout(event, userId)
      if (parts.origin) Object.assign(event, { ip: null, requestId: null })
      if (parts.detail) event.detail = { erased: true }
    }
  await store.addAuditEvent(event)
}
