import { Elysia } from 'elysia'
import { subscriberName } from '../../kit/access/clients.ts'
import type { guard } from '../../kit/http/guard.ts'
import { operation } from '../../kit/http/openapi/operation.ts'
import { feedPage, feedQuery } from '../schemas/revocations.ts'
import type { AuthServices } from './auth-services.ts'

/** `/auth/revocations`: the feed that the other services check tokens by. */
export function revocationRoutes(context: AuthServices, guarded: ReturnType<typeof guard>) {
  return new Elysia({ normalize: false })
    .use(guarded)
    .get(
      '/auth/revocations',
      ({ caller, query: { after, epoch, follower } }) =>
        context.feed.poll(subscriberName(caller, follower), Number(after), epoch),
      {
        auth: ['internal', 'scope:introspect'],
        query: feedQuery,
        response: feedPage,
        detail: operation('internal', {
          summary: 'Poll the revocation feed',
          description:
            'Returns what was revoked after `after`, and the keys. A poll is held until there is something new; the next poll acknowledges the page.',
        }),
      },
    )
}
