import { Elysia } from 'elysia'
import type { guard } from '../../kit/http/guard.ts'
import { operation } from '../../kit/http/openapi/operation.ts'
import type { InputRule } from '../../kit/schema/validation.ts'
import { loginErrors } from '../login/identifier.ts'
import { login } from '../login/login.ts'
import { register, registrationErrors } from '../login/registration.ts'
import { loginBody, registered, registration } from '../schemas/login.ts'
import { token } from '../schemas/tokens.ts'
import type { AuthServices } from './auth-services.ts'

/** `/auth/register` and `/auth/login`. */
export function loginRoutes(context: AuthServices, guarded: ReturnType<typeof guard>) {
  const registrationRule: InputRule = (sent) => registrationErrors(context, sent)
  return new Elysia({ normalize: false })
    .use(guarded)
    .post(
      '/auth/register',
      async ({ body, caller, set }) => {
        const { user, tokens } = await register(context, body, caller)
        set.status = 201
        return { ...user, tokens }
      },
      {
        auth: ['anyone'],
        body: registration,
        rules: registrationRule,
        response: { 201: registered },
        detail: operation(
          'auth',
          { summary: 'Register a user', description: 'Creates the user and opens a session.' },
          'registration_closed',
          'forbidden_field',
          'weak_password',
          'email_taken',
          'username_taken',
          'rate_limited',
          'users_unavailable',
          'overloaded',
        ),
      },
    )
    .post('/auth/login', async ({ body, caller }) => (await login(context, body, caller)).tokens, {
      auth: ['anyone'],
      body: loginBody,
      rules: loginErrors,
      response: token,
      detail: operation(
        'auth',
        { summary: 'Log in', description: 'Checks the password and opens a session.' },
        'invalid_credentials',
        'account_disabled',
        'rate_limited',
        'users_unavailable',
        'overloaded',
      ),
    })
}
