import { Elysia, t } from 'elysia'
import type { guard } from '../../kit/http/guard.ts'
import { operation } from '../../kit/http/openapi/operation.ts'
import type { InputRule } from '../../kit/schema/validation.ts'
import type { UsersContext } from '../context.ts'
import { changePassword, setPassword } from '../passwords.ts'
import { setPasswordErrors } from '../policy.ts'
import { changePasswordBody, setPasswordBody } from '../schemas/passwords.ts'
import { userParams } from '../schemas/users.ts'

/** Mounts the operations that set a password. */
export function passwordRoutes(context: UsersContext, guarded: ReturnType<typeof guard>) {
  const passwordRule: InputRule = (sent) => setPasswordErrors(context.config, sent)
  return new Elysia({ normalize: false })
    .use(guarded)
    .post(
      '/users/:user_id/change-password',
      async ({ params, body, caller, set }) => {
        await changePassword(context, params.user_id, body, caller)
        set.status = 204
      },
      {
        auth: ['user'],
        params: userParams,
        body: changePasswordBody,
        rules: passwordRule,
        response: { 204: t.Void() },
        detail: operation(
          'users',
          { summary: 'Change your own password', description: 'Ends all other sessions of the user.' },
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
        rules: passwordRule,
        response: { 204: t.Void() },
        detail: operation(
          'admin-users',
          { summary: 'Set the password of a user', description: 'Ends all sessions of the user.' },
          'user_not_found',
          'reauthentication_required',
          'weak_password',
          'overloaded',
        ),
      },
    )
}
