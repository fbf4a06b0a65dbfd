import { Elysia } from 'elysia'
import type { guard } from '../../kit/http/guard.ts'
import { operation } from '../../kit/http/openapi/operation.ts'
import { userRead } from '../../kit/schema/user.ts'
import { currentUser } from '../accounts/current-user.ts'
import type { AuthServices } from './auth-services.ts'

/** `/auth/me`. */
export function meRoutes(context: AuthServices, guarded: ReturnType<typeof guard>) {
  return new Elysia({ normalize: false }).use(guarded).get(
    '/auth/me',
    async ({ caller, set }) => {
      const { user, stale } = await currentUser(context, caller)
      if (stale) set.headers['x-ch202-stale'] = '1'
      return user
    },
    {
      auth: ['user'],
      response: userRead,
      detail: operation(
        'auth',
        {
          summary: 'Get the current user',
          description:
            'If the users service cannot be reached, auth returns its own copy and the header `x-ch202-stale: 1`.',
        },
        'users_unavailable',
      ),
    },
  )
}
