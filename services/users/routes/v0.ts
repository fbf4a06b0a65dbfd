import { Elysia, t } from 'elysia'
import type { guard } from '../../kit/http/guard.ts'
import { operation } from '../../kit/http/openapi/operation.ts'
import { credentialsV0, type UserRead, userV0 } from '../../kit/schema/user.ts'
import type { InputRule } from '../../kit/schema/validation.ts'
import type { UsersContext } from '../context.ts'
import { getUserNamed } from '../lookup.ts'
import { creationErrors } from '../policy.ts'
import { createUser, deleteUser } from '../users.ts'

/** Mounts the API of version 0.0.1, at the root only: other shapes, the same functions. */
export function usersV0(context: UsersContext, guarded: ReturnType<typeof guard>) {
  const creationRule: InputRule = (sent, { caller }) => creationErrors(context.config, sent, caller)
  return new Elysia({ normalize: false })
    .use(guarded)
    .get('/user/:id', async ({ params, caller }) => inV0(await getUserNamed(context, params.id, caller)), {
      auth: ['user', 'operator', 'support'],
      params: t.Object({
        id: t.String({
          description: 'The id or the email of the user',
          examples: ['0198c7a2-7f3e-7c21-9d5b-3f6a1b2c4d5e'],
        }),
      }),
      response: userV0,
      detail: operation('v0', 'Get a user by id or email (v0)', 'user_not_found'),
    })
    .post('/user', async ({ body, caller }) => inV0(await createUser(context, body, caller)), {
      auth: ['anyone', 'operator', 'internal'],
      body: credentialsV0,
      rules: creationRule,
      response: userV0,
      detail: operation(
        'v0',
        'Create a user (v0)',
        'registration_closed',
        'forbidden_field',
        'reauthentication_required',
        'weak_password',
        'email_taken',
        'rate_limited',
        'overloaded',
      ),
    })
    .delete('/user/:id', async ({ params, caller }) => inV0(await deleteUser(context, params.id, caller)), {
      auth: ['user', 'operator'],
      params: t.Object({
        id: t.String({ description: 'The id of the user', examples: ['0198c7a2-7f3e-7c21-9d5b-3f6a1b2c4d5e'] }),
      }),
      response: userV0,
      detail: operation('v0', 'Delete a user (v0)', 'user_not_found', 'reauthentication_required', 'last_admin'),
    })
}

function inV0({ id, email, roles }: UserRead) {
  return { id, email, roles }
}
