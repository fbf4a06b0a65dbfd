import type { Caller } from '../../kit/caller.ts'
import { timestamp } from '../../kit/clock.ts'
import { type Complaint, errorOf, type FieldError, notAllowed } from '../../kit/field-errors.ts'
import { invalid, invalidField, Problem } from '../../kit/problem.ts'
import type { Config } from '../../kit/process/config.ts'
import type { EventType } from '../../kit/schema/events.ts'
import type { Sealing } from '../../kit/tokens/sealing.ts'
import { type AuditRecordContext, auditEvent } from '../audit/record.ts'
import { webhookSecretName } from '../keys/sealing.ts'
import type { RevocationFeed } from '../sessions/revocation-feed.ts'
import type { Webhook, WebhookStore } from '../store/index.ts'
import type { EventDispatcher } from './dispatcher.ts'
import { SECRET_BYTES, secretText } from './signature.ts'

export interface WebhooksContext extends AuditRecordContext {
  store: WebhookStore
  dispatcher: Pick<EventDispatcher, 'webhooksChanged'>
  feed: Pick<RevocationFeed, 'waitForAcks'>
  sealing: Sealing
  config: Pick<Config, 'production'>
}

const WEBHOOKS_MAX = 50
const LOOPBACK = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/
const NO_TYPES: Complaint = { code: 'required', message: 'must name at least one; leave it out to receive all' }
const TOO_MANY: Complaint = {
  code: 'too_many',
  message: `would exceed the limit of ${WEBHOOKS_MAX} webhooks: delete one first`,
  limit: WEBHOOKS_MAX,
}

interface NewWebhook {
  url: string
  types?: EventType[]
  description?: string
}

/**
 * Adds a webhook. Every change that is answered after this resolves is delivered to the webhook. Only this answer has the
 * secret.
 * @throws Problem `validation_failed` for an address that is not allowed, and when there are as many webhooks as allowed
 */
export async function createWebhook(context: WebhooksContext, body: NewWebhook, caller: Caller) {
  const { clock, random, sealing, store } = context
  const errors = webhookErrors(context, body)
  if (errors.length > 0) throw invalid(errors)
  const id = random.id()
  const secret = random.bytes(SECRET_BYTES)
  const webhook: Webhook = {
    id,
    url: new URL(body.url).href,
    description: body.description ?? null,
    types: body.types ?? [],
    sealedSecret: sealing.seal(secret, webhookSecretName(id)),
    status: 'active',
    createdAt: clock.now(),
  }
  const event = auditEvent(context, caller, 'webhook.created', null, { id, types: webhook.types })
  const seq = await store.addWebhook(webhook, WEBHOOKS_MAX, event)
  if (seq === null) throw invalidField('body', TOO_MANY)
  await publishChange(context, seq)
  return { ...webhookRead(webhook), secret: secretText(secret) }
}

/** Lists all webhooks, without their secrets. */
export async function listWebhooks({ store }: { store: WebhookStore }) {
  return { items: (await store.webhooks()).map(webhookRead) }
}

/** Deletes a webhook and its deliveries. @throws Problem `not_found` */
export async function deleteWebhook(context: WebhooksContext, id: string, caller: Caller): Promise<void> {
  const { clock, store } = context
  const seq = await store.removeWebhook(id, clock.now(), auditEvent(context, caller, 'webhook.deleted', null, { id }))
  if (seq === null) throw new Problem('not_found')
  await publishChange(context, seq)
}

/**
 * Disables or enables a webhook. Disabling gives up its pending deliveries; an enabled webhook gets the events from then on.
 * @throws Problem `not_found`
 */
export async function setWebhookStatus(
  context: WebhooksContext,
  id: string,
  status: Webhook['status'],
  caller: Caller,
) {
  const { clock, store } = context
  const type = status === 'active' ? 'webhook.enabled' : 'webhook.disabled'
  const change = await store.setWebhookStatus(id, status, clock.now(), auditEvent(context, caller, type, null, { id }))
  const webhook = (await store.webhooks()).find((each) => each.id === id)
  if (!webhook || change.outcome === 'not_found') throw new Problem('not_found')
  if (change.outcome === 'changed') await publishChange(context, change.seq)
  return webhookRead(webhook)
}

/** Resolves when the deliverers and the other services know about a change of the webhooks. */
async function publishChange({ dispatcher, feed }: WebhooksContext, seq: number): Promise<void> {
  await dispatcher.webhooksChanged()
  await feed.waitForAcks(seq)
}

/** Returns the errors of a new webhook beyond its schema. */
export function webhookErrors(
  { config }: Pick<WebhooksContext, 'config'>,
  { types, url }: { types?: unknown; url?: unknown },
): FieldError[] {
  const complaint = typeof url === 'string' ? urlComplaint(url, config) : undefined
  const errors = complaint ? [errorOf('url', complaint)] : []
  if (Array.isArray(types) && types.length === 0) errors.push(errorOf('types', NO_TYPES))
  return errors
}

/**
 * Returns what is wrong with an address, without repeating it: it may contain a secret. In production, events are
 * encrypted or stay on this machine.
 */
function urlComplaint(text: string, { production }: Pick<Config, 'production'>): Complaint | undefined {
  const url = URL.parse(text)
  if (!url || !/^https?:$/.test(url.protocol))
    return { code: 'format', message: 'must be an address that begins with https://' }
  if (url.username || url.password) return notAllowed('must not contain a user name or a password')
  if (url.hash) return notAllowed('must not contain a fragment')
  if (production && url.protocol === 'http:' && !LOOPBACK.test(url.hostname))
    return notAllowed('must begin with https:// in production, unless it is an address of this machine')
  return undefined
}

function webhookRead({ createdAt, description, id, status, types, url }: Webhook) {
  return { id, url, description, types, status, created_at: timestamp(createdAt) }
}
