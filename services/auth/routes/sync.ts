import { Elysia } from 'elysia'
import type { guard } from '../../kit/http/guard.ts'
import { operation } from '../../kit/http/openapi/operation.ts'
import { deleteUser, syncUser } from '../accounts/sync.ts'
import { noteEmailChange, queueAccountMail } from '../challenges/account-mails.ts'
import { noContent } from '../schemas/fields.ts'
import {
  accountMailBody,
  emailChangedBody,
  eventsBody,
  syncBody,
  syncManyBody,
  userDeletedBody,
  userErasedBody,
} from '../schemas/sync.ts'
import { ingestEvents } from '../webhooks/ingest.ts'
import type { AuthServices } from './auth-services.ts'

/** `/auth/sync`: the notices of the other services. */
export function syncRoutes(context: AuthServices, guarded: ReturnType<typeof guard>) {
  const peer = { actor: 'internal', ip: null }
  return new Elysia({ normalize: false })
    .use(guarded)
    .post(
      '/auth/sync/password',
      async ({ body, caller, set }) => {
        await syncUser(context, body, { ...peer, requestId: caller.requestId })
        set.status = 204
      },
      {
        auth: ['internal'],
        body: syncBody,
        response: noContent,
        detail: operation('internal', {
          summary: 'Store a password record',
          description: 'Adds a user to the password cache, or replaces the record if this one is newer.',
        }),
      },
    )
    .post(
      '/auth/sync/passwords',
      async ({ body, caller, set }) => {
        const by = { ...peer, requestId: caller.requestId }
        await Promise.all(body.users.map((user) => syncUser(context, user, by)))
        set.status = 204
      },
      {
        auth: ['internal'],
        body: syncManyBody,
        response: noContent,
        detail: operation('internal', {
          summary: 'Store many password records',
          description: 'The batch form of `POST /auth/sync/password`, for imports.',
        }),
      },
    )
    .post(
      '/auth/sync/user-deleted',
      async ({ body, caller, set }) => {
        await deleteUser(context, body.user_id, { ...peer, requestId: caller.requestId })
        set.status = 204
      },
      {
        auth: ['internal'],
        body: userDeletedBody,
        response: noContent,
        detail: operation('internal', {
          summary: 'Remove a deleted user from auth',
          description: 'Removes the user from the password cache and ends their sessions.',
        }),
      },
    )
    .post(
      '/auth/sync/user-erased',
      async ({ body, set }) => {
        const { emails, user_id, usernames } = body
        await context.erasures.request({ userId: user_id, emails, usernames })
        set.status = 204
      },
      {
        auth: ['internal'],
        body: userErasedBody,
        response: noContent,
        detail: operation('internal', {
          summary: 'Erase what is left of a deleted user',
          description:
            'Erases mails, events, counts, and the personal parts of audit entries. Continues after the answer.',
        }),
      },
    )
    .post(
      '/auth/sync/email-changed',
      async ({ body, set }) => {
        await noteEmailChange(context, body)
        set.status = 204
      },
      {
        auth: ['internal'],
        body: emailChangedBody,
        response: noContent,
        detail: operation('internal', {
          summary: 'Notify the previous email address',
          description:
            'Queues a notice to the address that the user had before the change, and a mail that verifies the new one.',
        }),
      },
    )
    .post(
      '/auth/sync/account-mail',
      async ({ body, set }) => {
        await queueAccountMail(context, body)
        set.status = 204
      },
      {
        auth: ['internal'],
        body: accountMailBody,
        response: noContent,
        detail: operation('internal', {
          summary: 'Mail a user',
          description: 'Queues a notice about their account, or a mail that verifies their email.',
        }),
      },
    )
    .post(
      '/auth/sync/events',
      async ({ body, set }) => {
        await ingestEvents(context, body.events)
        set.status = 204
      },
      {
        auth: ['internal'],
        body: eventsBody,
        response: noContent,
        detail: operation('internal', {
          summary: 'Queue events for delivery',
          description: 'Takes events of another service for the webhooks and the message broker.',
        }),
      },
    )
}
