import { type Static, t } from 'elysia'
import { described } from '../../kit/schema/described.ts'
import { integer, open, strict } from '../../kit/schema/schema.ts'
import { CLIENT, clientParameters, parameter } from './client-parameters.ts'
import { ACCESS_TOKEN, id } from './fields.ts'
import { scope } from './tokens.ts'

/** RFC 6749, 3.2, 4.1.3, 4.4 and 6; RFC 7636, 4.5; RFC 8707, 2. */
export const tokenRequest = open(
  {
    grant_type: parameter(
      'The grant: `authorization_code`, `refresh_token` or `client_credentials`',
      'client_credentials',
      100,
    ),
    code: parameter('The authorization code', 'cQ8vN2…', 200),
    redirect_uri: parameter('That of the authorization request', 'https://app.example.org/callback'),
    code_verifier: parameter('The verifier of PKCE (RFC 7636)', 'dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk', 200),
    refresh_token: parameter('The refresh token of the client', 'ch202_ort_…', 500),
    scope: parameter('The scopes of the token, separated by spaces; without it, all that the client has', 'users:read'),
    resource: parameter('The service that the token is for', 'https://orders.example.org'),
    ...clientParameters,
  },
  {
    examples: [
      {
        grant_type: 'client_credentials',
        scope: 'users:read',
        client_id: CLIENT,
        client_secret: 'pLx1Tq0wB6m3J9cVf5rYkD2sHn8eUa4gZtXoQiWlE7M',
      },
    ],
  },
)
export type TokenRequest = Static<typeof tokenRequest>

/** RFC 6749, 5.1; OpenID Connect Core, 3.1.3.3. */
export const tokenAnswer = strict({
  access_token: t.String({ description: 'The access token, a signed JWT (RFC 9068)', examples: [ACCESS_TOKEN] }),
  token_type: t.Literal('Bearer', { description: 'Send the access token as `Authorization: Bearer …`' }),
  expires_in: described(integer(), 'Seconds until the access token expires', 3600),
  scope,
  refresh_token: t.Optional(t.String({ description: 'With the scope `offline_access`', examples: ['ch202_ort_…'] })),
  id_token: t.Optional(t.String({ description: 'With the scope `openid`', examples: [ACCESS_TOKEN] })),
})
export type TokenAnswer = Static<typeof tokenAnswer>

/** The claims about a user (OpenID Connect Core, 5.1 and 5.3.2), by scopes. */
export const userInfo = strict({
  sub: id('The user'),
  name: t.Optional(t.String({ description: 'The name of the user', examples: ['Ada Lovelace'] })),
  preferred_username: t.Optional(t.String({ description: 'Their username', examples: ['ada'] })),
  locale: t.Optional(t.String({ description: 'The language of their mails', examples: ['en'] })),
  updated_at: t.Optional(described(integer(), 'When these last changed, in seconds since 1970', 1_764_500_000)),
  email: t.Optional(t.String({ description: 'Their email', examples: ['ada@example.org'] })),
  email_verified: t.Optional(t.Boolean({ description: 'Whether they have shown that it is theirs' })),
  roles: t.Optional(t.Array(t.String(), { description: 'Their roles', examples: [['USER']] })),
  metadata: t.Optional(t.Record(t.String(), t.Unknown(), { description: 'Their public metadata' })),
})
export type UserInfo = Static<typeof userInfo>
