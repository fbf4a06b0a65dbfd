import { Elysia } from 'elysia'
import type { guard } from '../../kit/http/guard.ts'
import { operation } from '../../kit/http/openapi/operation.ts'
import { issueToken } from '../oauth/token.ts'
import { clientToken, tokenRequest } from '../schemas/oauth.ts'
import type { AuthServices } from './auth-services.ts'

/** `/oauth/…`: the endpoints of OAuth. */
export function oauthRoutes(context: AuthServices, guarded: ReturnType<typeof guard>) {
  return new Elysia({ normalize: false })
    .use(guarded)
    .post('/oauth/token', ({ body, request }) => issueToken(context, body, request.headers.get('authorization')), {
      auth: ['anyone'],
      body: tokenRequest,
      response: clientToken,
      detail: {
        ...operation(
          'oauth',
          {
            summary: 'Get a token for a client',
            description:
              'The token endpoint (RFC 6749, 3.2). A client authenticates as it is registered: with `Authorization: Basic`, with its secret in the form, or with a JWT that it signed.',
          },
          'invalid_credentials',
        ),
        security: [{ clientSecret: [] }, {}],
      },
    })
}
