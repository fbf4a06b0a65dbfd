import { Elysia, t } from 'elysia'
import { subscriberName } from '../../kit/access/clients.ts'
import type { guard } from '../../kit/http/guard.ts'
import { operation } from '../../kit/http/openapi/operation.ts'
import { type ActivationContext, forgetUser, listUserModules } from '../activation.ts'
import { deletedUser, feedPage, feedQuery, userModules, userParams } from '../schemas/internal.ts'

/** Mounts the operations for the other services. */
export function internalRoutes(context: ActivationContext, guarded: ReturnType<typeof guard>) {
  return new Elysia({ normalize: false })
    .use(guarded)
    .get('/modules/users/:user_id', ({ params, caller }) => listUserModules(context, params.user_id, caller), {
      auth: ['internal', 'operator', 'scope:modules:read'],
      params: userParams,
      response: userModules,
      detail: operation('admin-modules', 'List the modules that a user may use', 'users_unavailable'),
    })
    .get(
      '/modules/sync/feed',
      ({ caller, query: { after, epoch, follower, module } }) =>
        context.feed.poll(module, { subscriber: subscriberName(caller, follower), after: Number(after), epoch }),
      {
        auth: ['internal', 'scope:modules:read'],
        query: feedQuery,
        response: feedPage,
        detail: operation('internal', {
          summary: 'Poll the feed of a module',
          description:
            'Returns the choices after `after`. A poll is held until there is something new; the next poll acknowledges the page.',
        }),
      },
    )
    .post(
      '/modules/sync/user-deleted',
      async ({ body, set }) => {
        await forgetUser(context, body.user_id)
        set.status = 204
      },
      {
        auth: ['internal'],
        body: deletedUser,
        response: { 204: t.Void() },
        detail: operation('internal', {
          summary: 'Remove a deleted user from modules',
          description: 'Deletes the choices of the user.',
        }),
      },
    )
}
