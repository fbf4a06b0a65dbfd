import { Elysia } from 'elysia'
import type { guard } from '../../kit/http/guard.ts'
import { operation } from '../../kit/http/openapi/operation.ts'
import { pageErrors } from '../../kit/schema/page.ts'
import { cacheHealth, dropFromCache, listCache, syncCache } from '../accounts/admin.ts'
import { noContent } from '../schemas/fields.ts'
import {
  cacheHealth as cacheHealthAnswer,
  cachePage,
  cacheParams,
  cacheQuery,
  cacheSyncBody,
  cacheSynced,
} from '../schemas/password-cache.ts'
import type { AuthServices } from './auth-services.ts'

/** `/admin/password-cache` and `/health/cache`. */
export function passwordCacheRoutes(context: AuthServices, guarded: ReturnType<typeof guard>) {
  return new Elysia({ normalize: false })
    .use(guarded)
    .get('/admin/password-cache', ({ query }) => listCache(context, query), {
      auth: ['operator'],
      query: cacheQuery,
      rules: pageErrors,
      response: cachePage,
      detail: operation('admin', {
        summary: 'List the password cache',
        description: 'The users whose passwords auth can check without asking the users service.',
      }),
    })
    .delete(
      '/admin/password-cache/:user_id',
      async ({ params, caller, set }) => {
        await dropFromCache(context, params.user_id, caller)
        set.status = 204
      },
      {
        auth: ['operator'],
        params: cacheParams,
        response: noContent,
        detail: operation(
          'admin',
          {
            summary: 'Drop a user from the password cache',
            description: 'The next login of the user asks the users service and caches the record again.',
          },
          'user_not_found',
        ),
      },
    )
    .post('/admin/password-cache/sync', ({ body, caller }) => syncCache(context, body?.user_id, caller), {
      auth: ['operator'],
      body: cacheSyncBody,
      response: cacheSynced,
      detail: operation(
        'admin',
        {
          summary: 'Synchronize the password cache',
          description: 'Compares the cache with the users service, and fixes every difference.',
        },
        'user_not_found',
        'users_unavailable',
      ),
    })
    .get('/health/cache', () => cacheHealth(context), {
      auth: ['anyone'],
      response: cacheHealthAnswer,
      detail: operation('health', 'Get password cache statistics'),
    })
}
