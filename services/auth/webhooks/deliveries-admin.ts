import type { Caller } from '../../kit/caller.ts'
import { timestamp } from '../../kit/clock.ts'
import { type PageQuery, pageAnswer, pageRequest } from '../../kit/schema/page.ts'
import { type AuditRecordContext, auditEvent } from '../audit/record.ts'
import type { Delivery, DeliveryFilter, DeliveryStatus, DeliveryStore } from '../store/index.ts'

export interface DeliveriesContext extends AuditRecordContext {
  store: DeliveryStore
}

interface DeliveriesQuery extends PageQuery {
  webhook?: string
  status?: DeliveryStatus
}

/** Lists pending and finished deliveries to webhooks and to the broker, newest first. */
export async function listDeliveries({ store }: Pick<DeliveriesContext, 'store'>, query: DeliveriesQuery) {
  const { status, webhook } = query
  const list = JSON.stringify(['deliveries', webhook, status])
  const request = pageRequest(query, list)
  const filter = { ...(webhook === undefined ? {} : { target: webhook }), ...(status === undefined ? {} : { status }) }
  return pageAnswer(await store.listDeliveries(filter, request), request, list, deliveryRead)
}

/** A request to send deliveries again; see `replayDeliveries`. */
interface Replay {
  delivery?: string
  webhook?: string
  status?: DeliveryStatus
  since?: string
}

/**
 * Sends deliveries again: one; or those of a webhook, or of all targets, that failed or have the given status. A pending
 * delivery is retried at once; one that is under way is sent again only if it fails. Deliveries to a disabled webhook stay
 * unchanged. Returns how many will be sent.
 */
export async function replayDeliveries(context: DeliveriesContext, body: Replay, caller: Caller) {
  const { clock, store } = context
  const { delivery, since, status, webhook } = body
  const filter: DeliveryFilter = {
    ...(delivery === undefined ? { status: status ?? 'dead' } : { seq: Number(delivery) }),
    ...(webhook === undefined ? {} : { target: webhook }),
    ...(since === undefined ? {} : { since: Date.parse(since) }),
  }
  const replayed = await store.replayDeliveries(filter, clock.now(), (count) =>
    auditEvent(context, caller, 'webhook.replayed', null, { ...body, count }),
  )
  return { replayed }
}

function deliveryRead(delivery: Delivery) {
  const { event, finishedAt, lastError, lastStatus, nextAt, seq, status, target, tries } = delivery
  return {
    id: String(seq),
    target,
    status,
    event_id: event.id,
    type: event.type,
    user_id: event.userId,
    at: timestamp(event.at),
    tries,
    last_status: lastStatus,
    last_error: lastError,
    next_at: status === 'pending' ? timestamp(nextAt) : null,
    finished_at: finishedAt === null ? null : timestamp(finishedAt),
  }
}
