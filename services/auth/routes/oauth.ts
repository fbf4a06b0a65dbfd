import { Elysia } from 'elysia'
import type { guard } from '../../kit/http/guard.ts'
import { operation } from '../../kit/http/openapi/operation.ts'
import { issueToken } from '../oauth/token.ts'
import { userInfoOf } from '../oauth/userinfo.ts'
import { tokenAnswer, tokenRequest, userInfo } from '../schemas/oauth.ts'
import type { AuthServices } from './auth-services.ts'

/** `/oauth/…`: the endpoints of OAuth. */
export function oauthRoutes(context: AuthServices, guarded: ReturnType<typeof guard>) {
  return new Elysia({ normalize: false })
    .use(guarded)
    .post(
      '/oauth/token',
      ({ body, caller, request }) => issueToken(context, body, request.headers.get('authorization'), caller),
      {
        auth: ['anyone'],
        body: tokenRequest,
        response: tokenAnswer,
        detail: {
          ...operation(
            'oauth',
            {
              summary: 'Get a token',
              description:
                'The token endpoint (RFC 6749, 3.2). A client authenticates as it is registered: with `Authorization: Basic`, with its secret in the form, or with a JWT that it signed. A public client sends its `client_id`.',
            },
            'invalid_credentials',
            'rate_limited',
          ),
          security: [{ clientSecret: [] }, {}],
        },
      },
    )
    .get('/oauth/userinfo', ({ caller }) => userInfoOf(context, caller), {
      auth: ['app:openid'],
      response: userInfo,
      detail: operation('oauth', { summary: 'Get the claims about the user', description: USER_INFO }),
    })
    .post('/oauth/userinfo', ({ caller }) => userInfoOf(context, caller), {
      auth: ['app:openid'],
      response: userInfo,
      detail: operation('oauth', { summary: 'Get the claims about the user by a POST', description: USER_INFO }),
    })
}

const USER_INFO = 'The claims that the scopes of the access token of an app allow (OpenID Connect Core, 5.3).'
