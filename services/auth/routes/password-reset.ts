import { Elysia } from 'elysia'
import type { guard } from '../../kit/http/guard.ts'
import { operation } from '../../kit/http/openapi/operation.ts'
import type { InputRule } from '../../kit/schema/validation.ts'
import { confirmReset, requestReset, resetErrors, sendReset } from '../challenges/password-reset.ts'
import { userParams } from '../schemas/factors.ts'
import { emptyBody, noContent } from '../schemas/fields.ts'
import {
  message,
  RESET_ANSWER,
  RESET_SENT,
  resetConfirmBody,
  resetRequestBody,
  resetSent,
} from '../schemas/password-reset.ts'
import type { AuthServices } from './auth-services.ts'

/** `/auth/password-reset-request`, `/auth/password-reset-confirm`, and for operators `/admin/users/{user_id}/password-reset`. */
export function passwordResetRoutes(context: AuthServices, guarded: ReturnType<typeof guard>) {
  const resetRule: InputRule = (sent) => resetErrors(context, sent)
  return new Elysia({ normalize: false })
    .use(guarded)
    .post(
      '/auth/password-reset-request',
      async ({ body, caller, set }) => {
        await requestReset(context, body.email, caller)
        set.status = 202
        return { message: RESET_ANSWER }
      },
      {
        auth: ['anyone'],
        body: resetRequestBody,
        response: { 202: message },
        detail: operation(
          'auth',
          {
            summary: 'Request a password reset',
            description: 'Sends a mail with a link. The answer is the same for an address without an account.',
          },
          'rate_limited',
        ),
      },
    )
    .post(
      '/auth/password-reset-confirm',
      async ({ body, caller, set }) => {
        await confirmReset(context, body.token, body.new_password, caller)
        set.status = 204
      },
      {
        auth: ['anyone'],
        body: resetConfirmBody,
        rules: resetRule,
        response: noContent,
        detail: operation(
          'auth',
          {
            summary: 'Complete a password reset',
            description: 'Sets a new password by the token of the mail, and ends all sessions of the user.',
          },
          'invalid_reset_token',
          'weak_password',
          'users_unavailable',
          'overloaded',
        ),
      },
    )
    .post(
      '/admin/users/:user_id/password-reset',
      async ({ caller, params, set }) => {
        await sendReset(context, params.user_id, caller)
        set.status = 202
        return { message: RESET_SENT }
      },
      {
        auth: ['operator', 'support'],
        params: userParams,
        body: emptyBody,
        response: { 202: resetSent },
        detail: operation(
          'admin',
          {
            summary: 'Send a user a password reset',
            description: 'Sends the mail of a password reset to a user. The audit names who had it sent.',
          },
          'user_not_found',
          'account_disabled',
          'rate_limited',
          'users_unavailable',
        ),
      },
    )
}
