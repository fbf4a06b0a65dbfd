import { Elysia } from 'elysia'
import type { guard } from '../../kit/http/guard.ts'
import { operation } from '../../kit/http/openapi/operation.ts'
import type { InputRule } from '../../kit/schema/validation.ts'
import { confirmDevice } from '../login/device.ts'
import { loginErrors } from '../login/identifier.ts'
import { login } from '../login/login.ts'
import { counted } from '../login/outcome.ts'
import { type Reauthenticated, reauthenticate, reproofErrors } from '../login/reauthentication.ts'
import { register, registrationErrors } from '../login/registration.ts'
import { codeBody, deviceConfirmed, reauthenticated } from '../schemas/challenges.ts'
import { reauthenticationBody } from '../schemas/factors.ts'
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
        const { user, tokens, challengeId } = await register(context, body, caller)
        set.status = 201
        return { ...user, tokens, challenge_id: challengeId }
      },
      {
        auth: ['anyone'],
        body: registration,
        rules: registrationRule,
        response: { 201: registered },
        detail: operation(
          'auth',
          {
            summary: 'Register a user',
            description:
              'Creates the user, mails a code to verify the email, and opens a session if it may be used before.',
          },
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
    .post(
      '/auth/login',
      async ({ body, caller }) => (await counted(context, () => login(context, body, caller))).tokens,
      {
        auth: ['anyone'],
        body: loginBody,
        rules: loginErrors,
        response: token,
        detail: operation(
          'auth',
          { summary: 'Log in', description: 'Checks the password and opens a session.' },
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
    .post('/auth/device-confirm', ({ body, caller }) => counted(context, () => confirmDevice(context, body, caller)), {
      auth: ['anyone'],
      body: codeBody,
      response: deviceConfirmed,
      detail: operation(
        'auth',
        {
          summary: 'Confirm a new device',
          description: 'By the code that was mailed when a login answered `device_confirmation_required`.',
        },
        'invalid_challenge',
        'invalid_code',
        'account_disabled',
        'second_factor_required',
        'second_factor_enrolment_required',
      ),
    })
    .post(
      '/auth/reauthenticate',
      ({ body, caller }): Promise<Reauthenticated> => reauthenticate(context, body, caller),
      {
        auth: ['user'],
        body: reauthenticationBody,
        rules: reproofErrors,
        response: reauthenticated,
        detail: operation(
          'auth',
          {
            summary: 'Authenticate again',
            description:
              'Gives a new access token of the same session, for calls that need recent authentication. A user with a second factor gives a code or a passkey: their password alone is refused.',
          },
          'invalid_credentials',
          'invalid_code',
          'rate_limited',
          'users_unavailable',
          'overloaded',
        ),
      },
    )
}
