import { Elysia, t } from 'elysia'
import type { guard } from '../../kit/http/guard.ts'
import { operation } from '../../kit/http/openapi/operation.ts'
import { pageErrors } from '../../kit/schema/page.ts'
import { userCreate, userRead } from '../../kit/schema/user.ts'
import type { InputRule } from '../../kit/schema/validation.ts'
import { patchUser, replaceUser } from '../changes.ts'
import type { UsersContext } from '../context.ts'
import { eraseUser } from '../erasure.ts'
import { findUser, getUser, listUsers } from '../lookup.ts'
import { changeErrors, creationErrors } from '../policy.ts'
import {
  emailParams,
  eraseBody,
  erased,
  listQuery,
  usernameParams,
  userPage,
  userParams,
  userPatch,
  userReplace,
} from '../schemas/users.ts'
import { createUser, deleteUser } from '../users.ts'

const CHANGE_PROBLEMS = [
  'user_not_found',
  'forbidden_field',
  'reauthentication_required',
  'email_taken',
  'username_taken',
  'last_admin',
] as const

/** Mounts the operations on users and their records. */
export function userRoutes(context: UsersContext, guarded: ReturnType<typeof guard>) {
  const creationRule: InputRule = (sent, { caller }) => creationErrors(context.config, sent, caller)
  return new Elysia({ normalize: false })
    .use(guarded)
    .post(
      '/users',
      async ({ body, caller, set, path }) => {
        const user = await createUser(context, body, caller)
        set.status = 201
        set.headers.location = `${path.startsWith('/api/v1/') ? '/api/v1' : ''}/users/${user.id}`
        return user
      },
      {
        auth: ['anyone', 'operator', 'internal', 'scope:users:write'],
        body: userCreate,
        rules: creationRule,
        response: { 201: userRead },
        detail: operation(
          'users',
          'Create a user',
          'registration_closed',
          'forbidden_field',
          'reauthentication_required',
          'weak_password',
          'email_taken',
          'username_taken',
          'rate_limited',
          'overloaded',
        ),
      },
    )
    .get('/users', ({ query, caller }) => listUsers(context, query, caller), {
      auth: ['operator', 'support', 'scope:users:read'],
      query: listQuery,
      rules: pageErrors,
      response: userPage,
      detail: operation('admin-users', {
        summary: 'List and search users',
        description: 'For a support person without the users who have their role or `ADMIN`.',
      }),
    })
    .get(
      '/users/by-username/:username',
      ({ params, caller }) => findUser(context, 'username', params.username, caller),
      {
        auth: ['operator', 'support', 'internal', 'scope:users:read'],
        params: usernameParams,
        response: userRead,
        detail: operation('admin-users', 'Get a user by username', 'user_not_found'),
      },
    )
    .get('/users/by-email/:email', ({ params, caller }) => findUser(context, 'email', params.email, caller), {
      auth: ['operator', 'support', 'internal', 'scope:users:read'],
      params: emailParams,
      response: userRead,
      detail: operation('admin-users', 'Get a user by email', 'user_not_found'),
    })
    .get('/users/:user_id', ({ params, caller }) => getUser(context, params.user_id, caller), {
      auth: ['user', 'operator', 'support', 'internal', 'scope:users:read'],
      params: userParams,
      response: userRead,
      detail: operation('users', 'Get a user', 'user_not_found'),
    })
    .put('/users/:user_id', ({ params, body, caller }) => replaceUser(context, params.user_id, body, caller), {
      auth: ['user', 'operator', 'scope:users:write'],
      params: userParams,
      body: userReplace,
      rules: changeErrors,
      response: userRead,
      detail: operation(
        'users',
        { summary: 'Replace a user', description: 'Username and name become null if they are left out.' },
        ...CHANGE_PROBLEMS,
      ),
    })
    .patch('/users/:user_id', ({ params, body, caller }) => patchUser(context, params.user_id, body, caller), {
      auth: ['user', 'operator', 'support', 'scope:users:write'],
      params: userParams,
      body: userPatch,
      rules: changeErrors,
      response: userRead,
      detail: operation(
        'users',
        {
          summary: 'Update a user',
          description: 'Fields that are left out stay as they are. A support person may set `status` alone.',
        },
        ...CHANGE_PROBLEMS,
      ),
    })
    .delete(
      '/users/:user_id',
      async ({ params, caller, set }) => {
        await deleteUser(context, params.user_id, caller)
        set.status = 204
      },
      {
        auth: ['user', 'operator', 'scope:users:write'],
        params: userParams,
        response: { 204: t.Void() },
        detail: operation(
          'users',
          { summary: 'Delete a user', description: 'Their sessions end, and every service deletes their data.' },
          'user_not_found',
          'reauthentication_required',
          'last_admin',
        ),
      },
    )
    .post(
      '/users/:user_id/erase',
      async ({ body, params, caller, set }) => {
        await eraseUser(context, params.user_id, caller, body?.emails)
        set.status = 202
        return { user_id: params.user_id.toLowerCase() }
      },
      {
        auth: ['operator'],
        params: userParams,
        body: eraseBody,
        response: { 202: erased },
        detail: operation(
          'admin-users',
          {
            summary: 'Erase a user',
            description:
              'Deletes the user and everything personal that a deletion leaves: in the audit, mails, events and counts. Also by the id of a user who was deleted. An entry `erasure.completed` of the audit says when it is done.',
          },
          'user_not_found',
          'reauthentication_required',
          'last_admin',
        ),
      },
    )
}
