import { Elysia } from 'elysia'
import { exactlyOne } from '../../kit/field-errors.ts'
import type { guard } from '../../kit/http/guard.ts'
import { operation } from '../../kit/http/openapi/operation.ts'
import { invalid } from '../../kit/problem.ts'
import type { InputRule } from '../../kit/schema/validation.ts'
import { loginErrors } from '../login/identifier.ts'
import { login } from '../login/login.ts'
import { counted } from '../login/outcome.ts'
import { registerUser, registrationErrors } from '../login/registration.ts'
import { loginBody } from '../schemas/login.ts'
import { credentialsV0, refreshBodyV0, tokensV0, userV0 } from '../schemas/v0.ts'
import { tokensV0Of } from '../sessions/answer.ts'
import { refreshSession } from '../sessions/sessions.ts'
import type { AuthServices } from './auth-services.ts'

const refreshErrors = (sent: object) => exactlyOne(sent, ['refreshToken', 'refresh_token'])

/** The routes of version 0.0.1, served at the root only: other shapes, the same functions. */
export function authV0(context: AuthServices, guarded: ReturnType<typeof guard>) {
  const registrationRule: InputRule = (sent) => registrationErrors(context, sent)
  return new Elysia({ normalize: false })
    .use(guarded)
    .post(
      '/auth/register',
      async ({ body, caller }) => {
        const { user } = await registerUser(context, body, caller)
        return { id: user.id, email: user.email, roles: user.roles }
      },
      {
        auth: ['anyone'],
        body: credentialsV0,
        rules: registrationRule,
        response: userV0,
        detail: operation(
          'v0',
          { summary: 'Register a user (v0)', description: 'Creates the user. It opens no session: log in afterwards.' },
          'registration_closed',
          'forbidden_field',
          'weak_password',
          'email_taken',
          'rate_limited',
          'users_unavailable',
          'overloaded',
        ),
      },
    )
    .post(
      '/auth/login',
      async ({ body, caller }) => tokensV0Of(await counted(context, () => login(context, body, caller, 'v0'))),
      {
        auth: ['anyone'],
        body: loginBody,
        rules: loginErrors,
        response: tokensV0,
        detail: operation(
          'v0',
          {
            summary: 'Log in (v0)',
            description: 'Checks the password and opens a session. The refresh token is a UUID v4.',
          },
          'invalid_credentials',
          'account_disabled',
          'email_not_verified',
          'second_factor_required',
          'second_factor_enrolment_required',
          'device_confirmation_required',
          'rate_limited',
          'users_unavailable',
          'overloaded',
        ),
      },
    )
    .post(
      '/auth/refresh',
      async ({ body, caller }) => {
        const errors = refreshErrors(body)
        const token = body.refreshToken ?? body.refresh_token
        if (token === undefined || errors.length > 0) throw invalid(errors)
        return tokensV0Of(await refreshSession(context, token, caller))
      },
      {
        auth: ['anyone'],
        body: refreshBodyV0,
        rules: refreshErrors,
        response: tokensV0,
        detail: operation(
          'v0',
          {
            summary: 'Refresh the tokens (v0)',
            description: 'Takes refresh tokens of every version, and returns the shape of version 0.0.1.',
          },
          'invalid_refresh_token',
          'refresh_token_reused',
          'rate_limited',
        ),
      },
    )
}
