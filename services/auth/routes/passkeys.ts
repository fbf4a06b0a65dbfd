import { Elysia } from 'elysia'
import type { guard } from '../../kit/http/guard.ts'
import { operation } from '../../kit/http/openapi/operation.ts'
import { counted } from '../login/outcome.ts'
import { addPasskey, passkeyCreationOptions } from '../login/passkey-enrolment.ts'
import { loginByPasskey, passkeyLoginOptions } from '../login/passkey-login.ts'
import { enrolled, enrolmentBody, passkeyBody } from '../schemas/factors.ts'
import {
  passkeyCreationOptions as creationOptions,
  loginOptionsBody,
  passkeyLoginBody,
  passkeyOptions,
} from '../schemas/passkeys.ts'
import { token } from '../schemas/tokens.ts'
import type { AuthServices } from './auth-services.ts'
import { ENROLMENT_PROBLEMS, enrolledAnswer } from './factors.ts'

/** Passkeys (WebAuthn 3): new ones, and logins with them. */
export function passkeyRoutes(context: AuthServices, guarded: ReturnType<typeof guard>) {
  return new Elysia({ normalize: false })
    .use(guarded)
    .post('/auth/passkeys/options', ({ body, caller }) => passkeyCreationOptions(context, body ?? {}, caller), {
      auth: ['anyone', 'user'],
      body: enrolmentBody,
      response: creationOptions,
      detail: operation(
        'factors',
        {
          summary: 'Get the options of a new passkey',
          description:
            'For `navigator.credentials.create`: `PublicKeyCredential.parseCreationOptionsFromJSON` reads them.',
        },
        ...ENROLMENT_PROBLEMS,
      ),
    })
    .post(
      '/auth/passkeys',
      async ({ body, caller, set }) => {
        const isLogin = body.challenge_id !== undefined
        const answer = enrolledAnswer(await counted(context, () => addPasskey(context, body, caller), isLogin))
        set.status = 201
        return answer
      },
      {
        auth: ['anyone', 'user'],
        body: passkeyBody,
        response: { 201: enrolled },
        detail: operation(
          'factors',
          {
            summary: 'Add a passkey',
            description: 'With the credential that the browser made. The first factor of a user brings recovery codes.',
          },
          ...ENROLMENT_PROBLEMS,
          'invalid_credentials',
          'account_disabled',
        ),
      },
    )
    .post(
      '/auth/passkeys/login-options',
      ({ body, caller }) => passkeyLoginOptions(context, body?.challenge_id, caller),
      {
        auth: ['anyone', 'user'],
        body: loginOptionsBody,
        response: passkeyOptions,
        detail: operation(
          'auth',
          {
            summary: 'Get the options of a login by a passkey',
            description:
              'For `navigator.credentials.get`. Without anything for a sign-in; with a `challenge_id` for a second factor; with an access token to authenticate again.',
          },
          'invalid_challenge',
        ),
      },
    )
    .post(
      '/auth/passkeys/login',
      async ({ body, caller }) =>
        (await counted(context, () => loginByPasskey(context, body.credential, caller))).tokens,
      {
        auth: ['anyone'],
        body: passkeyLoginBody,
        response: token,
        detail: operation(
          'auth',
          { summary: 'Log in by a passkey', description: 'With the credential that the browser gave.' },
          'invalid_credentials',
          'account_disabled',
          'email_not_verified',
          'users_unavailable',
        ),
      },
    )
}
