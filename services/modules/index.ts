import { Elysia, t } from 'elysia'
import type { guard } from '../kit/http/guard.ts'
import { operation } from '../kit/http/openapi/operation.ts'
import { pageErrors } from '../kit/schema/page.ts'
import {
  disableModule,
  enableModule,
  listModuleUsers,
  listUserModules,
  switchErrors,
  userDeleted,
} from './activation.ts'
import { createModule, deleteModule, getModule, listModules, type ModulesContext, patchModule } from './library.ts'
import {
  feedQuery,
  moduleCreate,
  moduleList,
  modulePage,
  moduleParams,
  modulePatch,
  moduleRead,
  moduleUserPage,
  moduleUsersQuery,
  switchBody,
  userDeleted as userDeletedBody,
  userModules,
  userParams,
  userQuery,
} from './model.ts'

/** The routes of the modules service. */
export function modulesRoutes(context: ModulesContext, guarded: ReturnType<typeof guard>) {
  return new Elysia({ normalize: false })
    .use(guarded)
    .get('/modules', ({ query, caller }) => listModules(context, query.user_id, caller), {
      auth: ['user', 'operator'],
      query: userQuery,
      response: moduleList,
      detail: operation(
        'modules',
        { summary: 'List modules', description: 'Shows for a user which modules are enabled and available.' },
        'user_not_found',
        'users_unavailable',
      ),
    })
    .post(
      '/modules',
      async ({ body, caller, set, path }) => {
        const module = await createModule(context, body, caller)
        set.status = 201
        set.headers.location = `${path.replace(/\/$/, '')}/${module.id}`
        return module
      },
      {
        auth: ['operator'],
        body: moduleCreate,
        response: { 201: moduleRead },
        detail: operation('admin-modules', 'Create a module', 'module_exists'),
      },
    )
    .get(
      '/modules/:module_id',
      ({ params, query, caller }) => getModule(context, params.module_id, query.user_id, caller),
      {
        auth: ['user', 'operator'],
        params: moduleParams,
        query: userQuery,
        response: moduleRead,
        detail: operation(
          'modules',
          { summary: 'Get a module', description: 'Shows for a user whether it is enabled and available.' },
          'module_not_found',
          'user_not_found',
          'users_unavailable',
        ),
      },
    )
    .patch('/modules/:module_id', ({ params, body, caller }) => patchModule(context, params.module_id, body, caller), {
      auth: ['operator'],
      params: moduleParams,
      body: modulePatch,
      response: moduleRead,
      detail: operation(
        'admin-modules',
        { summary: 'Update a module', description: 'Fields that are left out stay as they are.' },
        'module_not_found',
        'module_dependency',
      ),
    })
    .delete(
      '/modules/:module_id',
      async ({ params, caller, set }) => {
        await deleteModule(context, params.module_id, caller)
        set.status = 204
      },
      {
        auth: ['operator'],
        params: moduleParams,
        response: { 204: t.Void() },
        detail: operation(
          'admin-modules',
          { summary: 'Delete a module', description: 'The choices of all users are deleted too.' },
          'module_not_found',
          'module_dependency',
        ),
      },
    )
    .post(
      '/modules/:module_id/enable',
      ({ params, body, caller }) => enableModule(context, params.module_id, body?.user_id, caller),
      {
        auth: ['user', 'operator'],
        params: moduleParams,
        body: switchBody,
        rules: switchErrors,
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
      ({ params, body, caller }) => disableModule(context, params.module_id, body?.user_id, caller),
      {
        auth: ['user', 'operator'],
        params: moduleParams,
        body: switchBody,
        rules: switchErrors,
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
      auth: ['operator'],
      params: moduleParams,
      query: moduleUsersQuery,
      rules: pageErrors,
      response: moduleUserPage,
      detail: operation('admin-modules', 'List the users of a module', 'module_not_found'),
    })
    .get('/modules/users/:user_id', ({ params, caller }) => listUserModules(context, params.user_id, caller), {
      auth: ['internal', 'operator'],
      params: userParams,
      response: userModules,
      detail: operation('admin-modules', 'List the modules that a user may use', 'users_unavailable'),
    })
    .get(
      '/modules/sync/feed',
      ({ query: { after, epoch, follower, module } }) =>
        context.feed.poll(module, { follower, after: Number(after), epoch }),
      {
        auth: ['internal'],
        query: feedQuery,
        response: modulePage,
        detail: operation(
          'internal',
          {
            summary: 'Poll the feed of a module',
            description:
              'Returns the choices after `after`. A poll is held until there is something new; the next poll acknowledges the page.',
          },
          'modules_unavailable',
        ),
      },
    )
    .post(
      '/modules/sync/user-deleted',
      async ({ body, set }) => {
        await userDeleted(context, body.user_id)
        set.status = 204
      },
      {
        auth: ['internal'],
        body: userDeletedBody,
        response: { 204: t.Void() },
        detail: operation('internal', {
          summary: 'Remove a deleted user from modules',
          description: 'Deletes the choices of the user.',
        }),
      },
    )
}

/** For the typed clients. */
export type ModulesApi = ReturnType<typeof modulesRoutes>
