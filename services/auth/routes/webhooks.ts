import { Elysia } from 'elysia'
import type { guard } from '../../kit/http/guard.ts'
import { operation } from '../../kit/http/openapi/operation.ts'
import { pageErrors } from '../../kit/schema/page.ts'
import type { InputRule } from '../../kit/schema/validation.ts'
import { noContent } from '../schemas/fields.ts'
import {
  deliveriesQuery,
  deliveryPage,
  newWebhook,
  replayBody,
  replayed,
  webhook,
  webhookBody,
  webhookList,
  webhookParams,
  webhookStatusBody,
} from '../schemas/webhooks.ts'
import { createWebhook, deleteWebhook, listWebhooks, setWebhookStatus, webhookErrors } from '../webhooks/admin.ts'
import { listDeliveries, replayDeliveries } from '../webhooks/deliveries-admin.ts'
import type { AuthServices } from './auth-services.ts'

/** `/admin/webhooks`: webhooks, and the deliveries to them and to the message broker. */
export function webhookRoutes(context: AuthServices, guarded: ReturnType<typeof guard>) {
  const webhookRule: InputRule = (sent) => webhookErrors(context, sent)
  return new Elysia({ normalize: false })
    .use(guarded)
    .post(
      '/admin/webhooks',
      async ({ body, caller, set }) => {
        const created = await createWebhook(context, body, caller)
        set.status = 201
        return created
      },
      {
        auth: ['operator'],
        body: webhookBody,
        rules: webhookRule,
        response: { 201: newWebhook },
        detail: operation('admin-webhooks', {
          summary: 'Create a webhook',
          description: 'Returns the secret that signs the messages. It cannot be read again.',
        }),
      },
    )
    .get('/admin/webhooks', () => listWebhooks(context), {
      auth: ['operator'],
      response: webhookList,
      detail: operation('admin-webhooks', 'List webhooks'),
    })
    .patch(
      '/admin/webhooks/:webhook_id',
      ({ body, params, caller }) => setWebhookStatus(context, params.webhook_id, body.status, caller),
      {
        auth: ['operator'],
        params: webhookParams,
        body: webhookStatusBody,
        response: webhook,
        detail: operation(
          'admin-webhooks',
          {
            summary: 'Enable or disable a webhook',
            description: 'Disabling drops its pending deliveries. After enabling it receives new events only.',
          },
          'not_found',
        ),
      },
    )
    .delete(
      '/admin/webhooks/:webhook_id',
      async ({ params, caller, set }) => {
        await deleteWebhook(context, params.webhook_id, caller)
        set.status = 204
      },
      {
        auth: ['operator'],
        params: webhookParams,
        response: noContent,
        detail: operation(
          'admin-webhooks',
          { summary: 'Delete a webhook', description: 'Its pending deliveries are deleted too.' },
          'not_found',
        ),
      },
    )
    .get('/admin/webhooks/deliveries', ({ query }) => listDeliveries(context, query), {
      auth: ['operator'],
      query: deliveriesQuery,
      rules: pageErrors,
      response: deliveryPage,
      detail: operation('admin-webhooks', {
        summary: 'List deliveries',
        description: 'Pending, delivered and failed deliveries, newest first.',
      }),
    })
    .post('/admin/webhooks/replay', ({ body, caller }) => replayDeliveries(context, body, caller), {
      auth: ['operator'],
      body: replayBody,
      response: replayed,
      detail: operation('admin-webhooks', {
        summary: 'Replay deliveries',
        description: 'Sends failed or already delivered events again, and pending ones without waiting.',
      }),
    })
}
