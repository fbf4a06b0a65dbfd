import { Elysia, t } from 'elysia'
import type { guard } from '../../kit/http/guard.ts'
import { operation } from '../../kit/http/openapi/operation.ts'
import { createModule, deleteModule, getModule, type LibraryContext, listModules, patchModule } from '../library.ts'
import { moduleCreate, moduleList, moduleParams, modulePatch, moduleRead, userQuery } from '../schemas/library.ts'

/** Mounts the operations of the module library: everyone reads it, operators change it. */
export function libraryRoutes(context: LibraryContext, guarded: ReturnType<typeof guard>) {
  return new Elysia({ normalize: false })
    .use(guarded)
    .get('/modules', ({ query, caller }) => listModules(context, { userId: query.user_id, caller }), {
      auth: ['user', 'operator', 'scope:modules:read', 'app:modules'],
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
        auth: ['operator', 'scope:modules:write'],
        body: moduleCreate,
        response: { 201: moduleRead },
        detail: operation('admin-modules', 'Create a module', 'module_exists'),
      },
    )
    .get(
      '/modules/:module_id',
      ({ params, query, caller }) => getModule(context, params.module_id, { userId: query.user_id, caller }),
      {
        auth: ['user', 'operator', 'scope:modules:read'],
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
      auth: ['operator', 'scope:modules:write'],
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
        auth: ['operator', 'scope:modules:write'],
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
}
