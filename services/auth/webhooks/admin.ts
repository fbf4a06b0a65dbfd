import type { Caller } from '../../kit/caller.ts'
import { timestamp } from '../../kit/clock.ts'
import { type Complaint, errorOf, type FieldError, notAllowed } from '../../kit/field-errors.ts'
import { invalid, invalidField, Problem } from '../../kit/problem.ts'
import type { EventType } from '../../kit/schema/events.ts'
import { type PageQuery, pageAnswer, pageRequest } from '../../kit/schema/page.ts'
import { type AuthContext, eventBy } from '../context.ts'
import type { Delivery, DeliveryFilter, DeliveryStatus, Webhook } from '../store.ts'
import { sealedName } from './dispatcher.ts'
import { SECRET_BYTES, secretText } from './signature.ts'

const MOST = 50
const LOOPBACK = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/

interface NewWebhook {
  url: string
  types?: EventType[]
  description?: string
}

/**
 * Adds one. When this resolves, every change that is answered afterwards is told to it. Its secret is told this once.
 * @throws Problem `validation_failed` for an address that is not good, and where there are as many as there may be
 */
export async function createWebhook(context: AuthContext, body: NewWebhook, caller: Caller) {
  const { clock, feed, outside, random, sealing, store } = context
  const errors = webhookErrors(context, body)
  if (errors.length > 0) throw invalid(errors)
  const { href } = new URL(body.url)
  const id = random.id()
  const secret = random.bytes(SECRET_BYTES)
  const webhook: Webhook = {
    id,
    url: href,
    description: body.description ?? null,
    types: body.types ?? [],
    sealedSecret: sealing.seal(secret, sealedName(id)),
    status: 'active',
    createdAt: clock.now(),
  }
  const event = eventBy(context, caller, 'webhook.created', null, { id, types: webhook.types })
  const seq = await store.addWebhook(webhook, MOST, event)
  if (seq === null) throw invalidField('body', TOO_MANY)
  await outside.webhooksChanged()
  await feed.announceUpTo(seq)
  return { ...webhookRead(webhook), secret: secretText(secret) }
}

export async function listWebhooks({ store }: AuthContext) {
  return { items: (await store.webhooks()).map(webhookRead) }
}

/** Takes one out, with what was on its way to it. @throws Problem `not_found` */
export async function deleteWebhook(context: AuthContext, id: string, caller: Caller): Promise<void> {
  const { clock, feed, outside, store } = context
  const seq = await store.removeWebhook(id, clock.now(), eventBy(context, caller, 'webhook.deleted', null, { id }))
  if (seq === null) throw new Problem('not_found')
  await outside.webhooksChanged()
  await feed.announceUpTo(seq)
}

/** Disabled, nothing is sent to it and what was on its way is dead; enabled again, it hears of what happens from then on. */
export async function setWebhookStatus(context: AuthContext, id: string, status: Webhook['status'], caller: Caller) {
  const { clock, feed, outside, store } = context
  const event = eventBy(context, caller, status === 'active' ? 'webhook.enabled' : 'webhook.disabled', null, { id })
  const seq = await store.setWebhookStatus(id, status, clock.now(), event)
  const webhook = (await store.webhooks()).find((one) => one.id === id)
  if (!webhook) throw new Problem('not_found')
  if (seq !== null) {
    await outside.webhooksChanged()
    await feed.announceUpTo(seq)
  }
  return webhookRead(webhook)
}

interface DeliveriesQuery extends PageQuery {
  webhook?: string
  status?: DeliveryStatus
}

/** What is and was on its way to webhooks and to the broker, the newest first. */
export async function listDeliveries({ store }: AuthContext, query: DeliveriesQuery) {
  const { status, webhook } = query
  const list = JSON.stringify(['deliveries', webhook, status])
  const request = pageRequest(query, list)
  const filter = { ...(webhook === undefined ? {} : { target: webhook }), ...(status === undefined ? {} : { status }) }
  return pageAnswer(await store.listDeliveries(filter, request), request, list, deliveryRead)
}

interface Replay {
  delivery?: string
  webhook?: string
  status?: DeliveryStatus
  since?: string
}

/**
 * Sends again one delivery; or those of a webhook, or of all, that are dead, or have the status that is asked for. What
 * waits for another attempt is sent at once; while one is under way, it is sent again only if that one fails.
 * What was for a webhook that is disabled stays as it is.
 */
export async function replayDeliveries(context: AuthContext, body: Replay, caller: Caller) {
  const { clock, store } = context
  const { delivery, since, status, webhook } = body
  const filter: DeliveryFilter = {
    ...(delivery === undefined ? { status: status ?? 'dead' } : { seq: Number(delivery) }),
    ...(webhook === undefined ? {} : { target: webhook }),
    ...(since === undefined ? {} : { since: Date.parse(since) }),
  }
  const replayed = await store.replayDeliveries(filter, clock.now(), (count) =>
    eventBy(context, caller, 'webhook.replayed', null, { ...body, count }),
  )
  return { replayed }
}

/** What is wrong with a new webhook beyond its schema. */
export function webhookErrors(
  { config }: AuthContext,
  { types, url }: { types?: unknown; url?: unknown },
): FieldError[] {
  const complaint = typeof url === 'string' ? urlComplaint(url, config.production) : undefined
  const errors = complaint ? [errorOf('url', complaint)] : []
  if (Array.isArray(types) && types.length === 0) errors.push(errorOf('types', NO_TYPES))
  return errors
}

const NO_TYPES: Complaint = { code: 'required', message: 'must name at least one; without it, all are meant' }
const TOO_MANY: Complaint = {
  code: 'too_many',
  message: `would be one more than the ${MOST} webhooks that there may be: delete one first`,
  limit: MOST,
}

/**
 * What is wrong with an address, without repeating it: it may hold a secret. In production events go encrypted, or do
 * not leave the machine.
 */
function urlComplaint(text: string, production: boolean): Complaint | undefined {
  const url = URL.parse(text)
  if (!url || !/^https?:$/.test(url.protocol))
    return { code: 'format', message: 'must be an address that begins with https://' }
  if (url.username || url.password) return notAllowed('must not hold a user or a password')
  if (url.hash) return notAllowed('must not hold a fragment')
  if (production && url.protocol === 'http:' && !LOOPBACK.test(url.hostname))
    return notAllowed('must begin with https:// in production, but for an address of this machine')
  return undefined
}

function webhookRead({ createdAt, description, id, status, types, url }: Webhook) {
  return { id, url, description, types, status, created_at: timestamp(createdAt) }
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
