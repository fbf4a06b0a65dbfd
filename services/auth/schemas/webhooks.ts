import { t } from 'elysia'
import { described } from '../../kit/schema/described.ts'
import { EVENT_TYPES } from '../../kit/schema/events.ts'
import { page, pageQuery } from '../../kit/schema/page.ts'
import { integer, listOf, matching, moment, oneOf, strict, text, time } from '../../kit/schema/schema.ts'
import { id } from './fields.ts'

const WEBHOOK_URL = 'https://shop.example.org/hooks/ch202'
const DESCRIPTION = 'The shop'

const descriptions = {
  url: 'Where events are sent',
  description: 'A note for operators',
  types: 'The event types to send',
  status: '`disabled`: no events are sent',
}

export const webhookBody = strict({
  url: text({ least: 1, most: 2000, description: descriptions.url, examples: [WEBHOOK_URL] }),
  types: t.Optional(
    described(listOf(oneOf(...EVENT_TYPES), EVENT_TYPES.length), `${descriptions.types}; without it, all`),
  ),
  description: t.Optional(text({ most: 200, description: descriptions.description, examples: [DESCRIPTION] })),
})
export const webhookStatusBody = strict({ status: described(oneOf('active', 'disabled'), descriptions.status) })

export const webhookParams = t.Object({
  webhook_id: t.String({ description: 'The id of the webhook', examples: ['0198c7a2-7f3e-7c21-9d5b-3f6a1b2c4d5e'] }),
})

const webhookFields = {
  id: id('The id of the webhook'),
  url: t.String({ description: descriptions.url, examples: [WEBHOOK_URL] }),
  description: t.Nullable(t.String({ examples: [DESCRIPTION] }), { description: descriptions.description }),
  types: t.Array(oneOf(...EVENT_TYPES), { description: `${descriptions.types}; empty: all, also future ones` }),
  status: described(oneOf('active', 'disabled'), descriptions.status),
  created_at: described(time(), 'When the webhook was created'),
}
export const webhook = strict(webhookFields)
export const newWebhook = strict({
  ...webhookFields,
  secret: t.String({
    description: 'The secret that signs the messages. It is returned this once',
    examples: ['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'],
  }),
})
export const webhookList = strict({ items: t.Array(webhook, { description: 'The webhooks' }) })

const targetId = (description: string) =>
  matching(/^(amqp|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$/, 'must be the id of a webhook, or amqp', {
    description,
    examples: ['amqp'],
  })
const deliveryStatus = (description: string) => described(oneOf('pending', 'delivered', 'dead'), description)

export const deliveriesQuery = strict({
  ...pageQuery,
  webhook: t.Optional(targetId('Only deliveries to this webhook, or to the message broker (`amqp`)')),
  status: t.Optional(deliveryStatus('Only deliveries with this status')),
})

const delivery = strict({
  id: t.String({ description: 'The id of the delivery', examples: ['42'] }),
  target: t.String({ description: 'The webhook; `amqp`: the message broker', examples: ['amqp'] }),
  status: deliveryStatus('`dead`: the delivery failed for good'),
  event_id: id('The event, as `webhook-id` in the message'),
  type: described(oneOf(...EVENT_TYPES), 'The type of the event'),
  user_id: id('The user of the event'),
  at: described(time(), 'When the event happened'),
  tries: described(integer(), 'How many attempts were made'),
  last_status: t.Nullable(integer(), { description: 'The HTTP status of the last attempt, if there was one' }),
  last_error: t.Nullable(t.String({ examples: ['broker_away'] }), {
    description: 'Why the last attempt failed, as a code; null: it did not',
  }),
  next_at: t.Nullable(time(), { description: 'When the next attempt is due; null: no further attempt' }),
  finished_at: t.Nullable(time(), { description: 'When it was delivered or failed for good' }),
})
export const deliveryPage = page(delivery)

export const replayBody = strict({
  delivery: t.Optional(
    matching(/^[1-9]\d{0,14}$/, 'must be the id of a delivery', {
      description: 'Only this delivery',
      examples: ['42'],
    }),
  ),
  webhook: t.Optional(targetId('Only deliveries to this webhook, or to the message broker (`amqp`)')),
  status: t.Optional(deliveryStatus('Only deliveries with this status; without it, those that failed (`dead`)')),
  since: t.Optional(described(moment(), 'Only events from this time on')),
})
export const replayed = strict({ replayed: described(integer(), 'How many deliveries will be sent again') })
