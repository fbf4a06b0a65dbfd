import { Elysia, t } from 'elysia'
import type { guard } from '../kit/http/guard.ts'
import { linesOperation, operation } from '../kit/http/openapi/operation.ts'
import { allowPauses, ndjsonResponse, readLines } from '../kit/messages/ndjson.ts'
import { pageErrors } from '../kit/schema/page.ts'
import { strict } from '../kit/schema/schema.ts'
import { passwordRecord, userCreate, userRead } from '../kit/schema/user.ts'
import { type Rule, validator } from '../kit/schema/validation.ts'
import { exportUsers, importUsers } from './bulk/bulk.ts'
import {
  changePassword as changePasswordBody,
  changesQuery,
  credentials,
  exportedUser,
  exportQuery,
  importedLine,
  importedUser,
  importQuery,
  internalPassword,
  listQuery,
  passwordRecords as passwordRecordsPage,
  setPassword as setPasswordBody,
  userPage,
  userParams,
  userPatch,
  userReplace,
  verified,
} from './model.ts'
import {
  announcePassword,
  changePassword,
  getPasswordRecord,
  passwordRecords,
  putPassword,
  setPassword,
  verifyCredentials,
} from './passwords.ts'
import {
  changeErrors,
  creationErrors,
  internalPasswordErrors,
  passwordOrHashErrors,
  setPasswordErrors,
} from './policy.ts'
import {
  createUser,
  deleteUser,
  findUser,
  getUser,
  listUsers,
  patchUser,
  replaceUser,
  type UsersContext,
} from './users.ts'

/** Paths of routes that read their body themselves, line by line. */
export const STREAMS = ['/users/import']

const RECORDS = 200
/** How long auth, coming back, waits for what it missed. */
const CATCH_UP = 2000

/** The routes of the users service. */
export function usersRoutes(context: UsersContext, guarded: ReturnType<typeof guard>) {
  const readUser = validator(importedUser, (sent) => passwordOrHashErrors(sent, context.config.passwordMinLength, sent))
  const creating: Rule = (sent, { caller }) => creationErrors(context.config, sent, caller)
  const settingPassword: Rule = (sent) => setPasswordErrors(context.config, sent)
  const puttingPassword: Rule = (sent) => internalPasswordErrors(context.config, sent)
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
        auth: ['anyone', 'operator', 'internal'],
        body: userCreate,
        rules: creating,
        response: { 201: userRead },
        detail: operation(
          'users',
          'Create a user',
          'registration_closed',
          'forbidden_field',
          'weak_password',
          'email_taken',
          'username_taken',
          'rate_limited',
          'overloaded',
        ),
      },
    )
    .get('/users', ({ query }) => listUsers(context, query), {
      auth: ['operator'],
      query: listQuery,
      rules: pageErrors,
      response: userPage,
      detail: operation('users', 'List and search users'),
    })
    .get(
      '/users/export',
      async ({ query, caller, request, server }) => {
        allowPauses(request, server)
        // The framework answers a HEAD by the GET: it would walk through all users for no one.
        const isHead = request.method === 'HEAD'
        const users = isHead ? null : await exportUsers(context, query.with_hashes === 'true', caller)
        return ndjsonResponse(users, context.log, caller.requestId)
      },
      {
        auth: ['operator'],
        query: exportQuery,
        response: exportedUser,
        detail: linesOperation(operation('users', 'Export every user, a line of JSON each')),
      },
    )
    .post(
      '/users/import',
      async ({ query, caller, request, server }) => {
        allowPauses(request, server)
        const users = await readLines(request, readUser)
        const results = importUsers(context, users, query.on_conflict ?? 'fail', caller)
        return ndjsonResponse(results, context.log, caller.requestId)
      },
      {
        auth: ['operator'],
        query: importQuery,
        response: importedLine,
        detail: linesOperation(operation('users', 'Import users, a line of JSON each'), importedUser),
      },
    )
    .get('/users/by-username/:username', ({ params }) => findUser(context, 'username', params.username), {
      auth: ['operator', 'internal'],
      params: t.Object({ username: t.String() }),
      response: userRead,
      detail: operation('users', 'Find a user by its username', 'user_not_found'),
    })
    .get('/users/by-email/:email', ({ params }) => findUser(context, 'email', params.email), {
      auth: ['operator', 'internal'],
      params: t.Object({ email: t.String() }),
      response: userRead,
      detail: operation('users', 'Find a user by its email', 'user_not_found'),
    })
    .get('/users/:user_id', ({ params, caller }) => getUser(context, params.user_id, caller), {
      auth: ['user', 'operator', 'internal'],
      params: userParams,
      response: userRead,
      detail: operation('users', 'Read a user', 'user_not_found'),
    })
    .put('/users/:user_id', ({ params, body, caller }) => replaceUser(context, params.user_id, body, caller), {
      auth: ['user', 'operator'],
      params: userParams,
      body: userReplace,
      rules: changeErrors,
      response: userRead,
      detail: operation(
        'users',
        'Replace a user: what is left out becomes null',
        'user_not_found',
        'forbidden_field',
        'email_taken',
        'username_taken',
        'last_admin',
      ),
    })
    .patch('/users/:user_id', ({ params, body, caller }) => patchUser(context, params.user_id, body, caller), {
      auth: ['user', 'operator'],
      params: userParams,
      body: userPatch,
      rules: changeErrors,
      response: userRead,
      detail: operation(
        'users',
        'Change a user',
        'user_not_found',
        'forbidden_field',
        'email_taken',
        'username_taken',
        'last_admin',
      ),
    })
    .delete(
      '/users/:user_id',
      async ({ params, caller, set }) => {
        await deleteUser(context, params.user_id, caller)
        set.status = 204
      },
      {
        auth: ['user', 'operator'],
        params: userParams,
        response: { 204: t.Void() },
        detail: operation('users', 'Delete a user', 'user_not_found', 'last_admin'),
      },
    )
    .post(
      '/users/:user_id/change-password',
      async ({ params, body, caller, set }) => {
        await changePassword(context, params.user_id, body.current_password, body.new_password, caller)
        set.status = 204
      },
      {
        auth: ['user'],
        params: userParams,
        body: changePasswordBody,
        rules: settingPassword,
        response: { 204: t.Void() },
        detail: operation(
          'users',
          'Change the own password',
          'user_not_found',
          'invalid_credentials',
          'weak_password',
          'rate_limited',
          'overloaded',
        ),
      },
    )
    .post(
      '/users/:user_id/set-password',
      async ({ params, body, caller, set }) => {
        await setPassword(context, params.user_id, body.new_password, caller)
        set.status = 204
      },
      {
        auth: ['operator'],
        params: userParams,
        body: setPasswordBody,
        rules: settingPassword,
        response: { 204: t.Void() },
        detail: operation('users', 'Set the password of a user', 'user_not_found', 'weak_password', 'overloaded'),
      },
    )
    .post('/users/verify-credentials', ({ body }) => verifyCredentials(context, body.login, body.password), {
      auth: ['internal'],
      body: credentials,
      response: verified,
      detail: operation('internal', 'Whether a password is right', 'overloaded'),
    })
    .get(
      '/users/password-hashes',
      ({ query }) => passwordRecords(context, query.after, Number(query.limit ?? RECORDS)),
      {
        auth: ['internal'],
        query: changesQuery,
        response: passwordRecordsPage,
        detail: operation('internal', 'Every password record, in the order of change'),
      },
    )
    .get('/users/:user_id/password-hash', ({ params, caller }) => getPasswordRecord(context, params.user_id, caller), {
      auth: ['internal'],
      params: userParams,
      response: passwordRecord,
      detail: operation('internal', 'The password record of a user', 'user_not_found'),
    })
    .post(
      '/users/:user_id/password',
      async ({ params, body, caller, set }) => {
        await putPassword(context, params.user_id, body, caller)
        set.status = 204
      },
      {
        auth: ['internal'],
        params: userParams,
        body: internalPassword,
        rules: puttingPassword,
        response: { 204: t.Void() },
        detail: operation(
          'internal',
          'Finish a password reset, or replace an old hash',
          'user_not_found',
          'weak_password',
          'overloaded',
        ),
      },
    )
    .post(
      '/users/:user_id/password-changed',
      async ({ params, caller, set }) => {
        await announcePassword(context, params.user_id, caller)
        set.status = 202
      },
      {
        auth: ['internal'],
        params: userParams,
        body: t.Optional(strict({})),
        response: { 202: t.Void() },
        detail: operation('internal', 'Announce the password to auth again', 'user_not_found'),
      },
    )
    .post('/users/announcements/send', async () => ({ done: await context.announcements.catchUpAuth(CATCH_UP) }), {
      auth: ['internal'],
      body: t.Optional(strict({})),
      response: strict({ done: t.Boolean() }),
      detail: operation('internal', 'Tell auth, which has just started, all that it missed'),
    })
}

/** For the typed clients. */
export type UsersApi = ReturnType<typeof usersRoutes>
