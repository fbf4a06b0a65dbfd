import { type Static, t } from 'elysia'
import { described } from '../../kit/schema/described.ts'
import { integer, open, strict } from '../../kit/schema/schema.ts'
import { CLIENT, clientParameters, parameter } from './client-parameters.ts'
import { ACCESS_TOKEN } from './fields.ts'
import { scope } from './tokens.ts'

/** RFC 6749, 3.2 and 4.4; RFC 8707, 2. */
export const tokenRequest = open(
  {
    grant_type: parameter('The grant', 'client_credentials', 100),
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

/** RFC 6749, 5.1. */
export const clientToken = strict({
  access_token: t.String({ description: 'The access token, a signed JWT (RFC 9068)', examples: [ACCESS_TOKEN] }),
  token_type: t.Literal('Bearer', { description: 'Send the access token as `Authorization: Bearer …`' }),
  expires_in: described(integer(), 'Seconds until the access token expires', 3600),
  scope,
})
export type ClientToken = Static<typeof clientToken>
