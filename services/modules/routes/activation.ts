import { Elysia } from 'elysia'
import type { guard } from '../../kit/http/guard.ts'
import { operation } from '../../kit/http/openapi/operation.ts'
import { pageErrors } from '../../kit/schema/page.ts'
import {
  type ActivationContext,
  activationErrors,
  disableModule,
  enableModule,
  listModuleUsers,
} from '../activation.ts'
import { activationBody, moduleUserPage, moduleUsersQuery } from '../schemas/activation.ts'
import { moduleParams, moduleRead } from '../schemas/library.ts'

/** Mounts the operations that enable and disable modules for users. */
export function activationRoutes(context: ActivationContext, guarded: ReturnType<typeof guard>) {
  return new Elysia({ normalize: false })
    .use(guarded)
    .post(
      '/modules/:module_id/enable',
      ({ params, body, caller }) => enableModule(context, params.module_id, { userId: body?.user_id, caller }),
      {
        auth: ['user', 'operator', 'scope:modules:write'],
        params: moduleParams,
        body: activationBody,
        rules: activationErrors,
        response: moduleRead,
        detail: operation(
          'modules',
          'Enable a module',
          'module_not_found',
          'module_not_available',
          'module_dependency',
          'forbidden_field',
          'user_not_found',
          'users_unavailable',
        ),
      },
    )
    .post(
      '/modules/:module_id/disable',
      ({ params, body, caller }) => disableModule(context, params.module_id, { userId: body?.user_id, caller }),
      {
        auth: ['user', 'operator', 'scope:modules:write'],
        params: moduleParams,
        body: activationBody,
        rules: activationErrors,
        response: moduleRead,
        detail: operation(
          'modules',
          'Disable a module',
          'module_not_found',
          'module_dependency',
          'forbidden_field',
          'user_not_found',
          'users_unavailable',
        ),
      },
    )
    .get('/modules/:module_id/users', ({ params, query }) => listModuleUsers(context, params.module_id, query), {
      auth: ['operator', 'scope:modules:read'],
      params: moduleParams,
      query: moduleUsersQuery,
      rules: pageErrors,
      response: moduleUserPage,
      detail: operation('admin-modules', 'List the users of a module', 'module_not_found'),
    })
}
