import type { Caller } from '../../kit/caller.ts'
import { timestamp } from '../../kit/clock.ts'
import { errorOf, excludedBy, type FieldError, notAllowed } from '../../kit/field-errors.ts'
import type { AuditEvent } from '../../kit/outbox/audit.ts'
import { invalid, invalidField } from '../../kit/problem.ts'
import { type PageQuery, pageAnswer, pageErrors, pageRequest } from '../../kit/schema/page.ts'
import type { AuthContext } from '../context.ts'
import type { AuditBody, RotateQuery } from '../model.ts'
import type { StoredKey } from '../store.ts'

export function listKeys({ keyRing }: AuthContext) {
  return { items: keyRing.list().map(keyRead) }
}

/**
 * Publishes a new key, which signs after SIGNING_KEY_LEAD, or with `now` at once. Tokens of the one before stay good
 * until they expire.
 * @returns `signsAt`: RFC 3339, of a key that does not sign yet
 */
export async function rotateKey({ rotation }: AuthContext, { now }: RotateQuery, caller: Caller) {
  const key = await rotation.rotate(caller, now === 'true')
  return { key: keyRead(key), signsAt: key.status === 'pending' ? timestamp(rotation.signsAt(key)) : undefined }
}

function keyRead({ alg, createdAt, kid, status }: StoredKey) {
  return { kid, alg, created_at: timestamp(createdAt), status }
}

interface AuditQuery extends PageQuery {
  user_id?: string
  type?: string
  since?: string
  request_id?: string
  after_id?: string
}

/** What does not go together in a query of the audit. */
export function auditErrors(query: { after_id?: unknown; cursor?: unknown; page?: unknown }): FieldError[] {
  const twice = query.after_id !== undefined && query.page !== undefined
  return [...pageErrors(query), ...(twice ? [errorOf('page', excludedBy('after_id'))] : [])]
}

/**
 * The audit, newest first; with `after_id`, the rows that were written after that one, oldest first.
 * @throws Problem `validation_failed` for a cursor of another list, and where there is no row of that id
 */
export async function listAudit({ store }: AuthContext, query: AuditQuery) {
  const { after_id, request_id, since, type, user_id } = query
  const list = JSON.stringify(['audit', user_id, type, since, request_id, after_id])
  const asked = pageRequest(query, list)
  const filter = {
    ...(user_id === undefined ? {} : { userId: user_id.toLowerCase() }),
    ...(type === undefined ? {} : { type }),
    ...(since === undefined ? {} : { since: Date.parse(since) }),
    ...(request_id === undefined ? {} : { requestId: request_id }),
  }
  if (after_id === undefined) return pageAnswer(await store.listEvents(filter, asked), asked, list, eventRead)
  if (query.page !== undefined) throw invalid(auditErrors(query))
  const place = await store.placeOfEvent(after_id.toLowerCase())
  if (!place) throw invalidField('after_id', notAllowed('must be the id of a row'))
  const request = 'after' in asked ? asked : { size: asked.size, after: place }
  return pageAnswer(await store.listEvents(filter, request, 'oldest first'), request, list, eventRead)
}

function eventRead(event: AuditEvent) {
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

/** Writes down what another service tells of its own. A second time it is there already. */
export async function recordEvent({ store }: AuthContext, body: AuditBody): Promise<void> {
  const { id, at, type, user_id, actor, ip, request_id, detail } = body
  await store.addEvent({ id, at, type, userId: user_id, actor, ip, requestId: request_id, detail })
}
