import { Elysia, t } from 'elysia'
import { timestamp } from '../../kit/clock.ts'
import { exactlyOne } from '../../kit/field-errors.ts'
import type { guard } from '../../kit/http/guard.ts'
import { operation } from '../../kit/http/openapi/operation.ts'
import { invalid } from '../../kit/problem.ts'
import { oneFieldOf, strict, text, time } from '../../kit/schema/schema.ts'
import { credentialsV0, userV0 } from '../../kit/schema/user.ts'
import type { Rule } from '../../kit/schema/validation.ts'
import { loginErrors } from '../login/identifier.ts'
import { login } from '../login/login.ts'
import { registerUser, registrationErrors } from '../login/registration.ts'
import { loginBody } from '../model.ts'
import { type Opened, refreshSession } from '../sessions/sessions.ts'
import type { AuthServices } from './auth-services.ts'

/** What a refresh token of v0 looks like. */
const UUID_V4 = '6f1c2b7e-4a53-4c8f-9d0e-2b7a1f5e8c34'
const tokensV0 = strict({
  accessToken: t.String(),
  refreshToken: strict({ token: t.String({ examples: [UUID_V4] }), exp: time(), userId: t.String({ format: 'uuid' }) }),
})
const refreshToken = text({ least: 1, most: 8192, controls: true })
/** Two documents meet at this path, each with its own spelling. */
const refreshBody = strict(
  { refreshToken: t.Optional(refreshToken), refresh_token: t.Optional(refreshToken) },
  { ...oneFieldOf('refreshToken', 'refresh_token'), examples: [{ refreshToken: UUID_V4 }] },
)

const refreshErrors = (sent: object) => exactlyOne(sent, ['refreshToken', 'refresh_token'])

/** The contract of version 0.0.1, at the root alone: other shapes, the same functions. */
export function authV0(context: AuthServices, guarded: ReturnType<typeof guard>) {
  const registering: Rule = (sent) => registrationErrors(context, sent)
  return new Elysia({ normalize: false })
    .use(guarded)
    .post(
      '/auth/register',
      async ({ body, caller }) => {
        const user = await registerUser(context, body, caller)
        return { id: user.id, email: user.email, roles: user.roles }
      },
      {
        auth: ['anyone'],
        body: credentialsV0,
        rules: registering,
        response: userV0,
        detail: operation(
          'v0',
          'Register (v0)',
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
    .post('/auth/login', async ({ body, caller }) => tokensOf(await login(context, body, caller, 'v0')), {
      auth: ['anyone'],
      body: loginBody,
      rules: loginErrors,
      response: tokensV0,
      detail: operation(
        'v0',
        'Log in (v0): the refresh token is a UUID v4',
        'invalid_credentials',
        'account_disabled',
        'rate_limited',
        'users_unavailable',
        'overloaded',
      ),
    })
    .post(
      '/auth/refresh',
      async ({ body, caller }) => {
        const errors = refreshErrors(body)
        const token = body.refreshToken ?? body.refresh_token
        if (token === undefined || errors.length > 0) throw invalid(errors)
        return tokensOf(await refreshSession(context, token, caller))
      },
      {
        auth: ['anyone'],
        body: refreshBody,
        rules: refreshErrors,
        response: tokensV0,
        detail: operation(
          'v0',
          'Rotate a refresh token (v0)',
          'invalid_refresh_token',
          'refresh_token_reused',
          'rate_limited',
        ),
      },
    )
}

function tokensOf({ session, tokens }: Opened) {
  return {
    accessToken: tokens.access_token,
    refreshToken: { token: tokens.refresh_token, exp: timestamp(session.expiresAt), userId: session.userId },
  }
}
