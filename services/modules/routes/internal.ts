import { Elysia, t } from 'elysia'
import type { guard } from '../../kit/http/guard.ts'
import { operation } from '../../kit/http/openapi/operation.ts'
import { type ActivationContext, forgetUser, listUserModules } from '../activation.ts'
import { deletedUser, feedPage, feedQuery, userModules, userParams } from '../schemas/internal.ts'

/** What the other services ask of modules. */
export function internalRoutes(context: ActivationContext, guarded: ReturnType<typeof guard>) {
  return new Elysia({ normalize: false })
    .use(guarded)
    .get('/modules/users/:user_id', ({ params, caller }) => listUserModules(context, params.user_id, caller), {
      auth: ['internal', 'operator'],
      params: userParams,
      response: userModules,
      detail: operation('internal', 'List the modules that a user may use', 'users_unavailable'),
    })
    .get(
      '/modules/sync/feed',
      ({ query: { after, epoch, follower, module } }) =>
        context.feed.poll(module, { follower, after: Number(after), epoch }),
      {
        auth: ['internal'],
        query: feedQuery,
        response: feedPage,
        detail: operation('internal', 'Poll the feed of a module; held until there is a change', 'modules_unavailable'),
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
        detail: operation('internal', 'Forget a deleted user'),
      },
    )
}
