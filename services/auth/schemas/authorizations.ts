import { type Static, t } from 'elysia'
import { described } from '../../kit/schema/described.ts'
import { bodyInteger, oneOf, open, strict } from '../../kit/schema/schema.ts'
import { CLIENT, parameter } from './client-parameters.ts'

const REDIRECT = 'https://app.example.org/callback'

const parameters = {
  client_id: parameter('The client', CLIENT, 100),
  redirect_uri: parameter('Where the browser goes with the answer: an address of the client, to the letter', REDIRECT),
  response_type: parameter('`code`', 'code', 100),
  response_mode: parameter('`query`', 'query', 100),
  scope: parameter('Scopes, separated by spaces', 'openid profile email'),
  state: parameter('Returned to the client as it is', 'af0ifjsldkj'),
  nonce: parameter('Put into the ID token', 'n-0S6_WzA2Mj'),
  code_challenge: parameter('The challenge of PKCE (RFC 7636)', 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM', 200),
  code_challenge_method: parameter('`S256`', 'S256', 100),
  prompt: parameter('`none`, or of `login`, `consent`, `select_account`', 'login', 100),
  max_age: parameter('Seconds since the user authenticated, at most', '3600', 100),
  login_hint: parameter('The name or email that the sign-in shows', 'ada@example.org', 500),
  ui_locales: parameter('Languages, by preference', 'ru en', 500),
  id_token_hint: parameter('An earlier ID token of the expected user', 'eyJhbGciOiJSUzI1NiJ9…', 8000),
  acr_values: parameter('`aal2`: with a second factor', 'aal2', 500),
  resource: parameter('The service that the access token is for (RFC 8707)', 'https://orders.example.org'),
  request: parameter('Not supported', 'eyJhbGciOiJub25lIn0…', 8000),
  request_uri: parameter('Not supported', 'https://app.example.org/request'),
  registration: parameter('Not supported', '{}'),
}

/** The parameters of an authorization request (RFC 6749, 4.1.1; OpenID Connect Core, 3.1.2.1). Others are ignored. */
export const authorizationQuery = open(parameters)
export type AuthorizationParameters = Static<typeof authorizationQuery>

const example = {
  client_id: CLIENT,
  redirect_uri: REDIRECT,
  response_type: 'code',
  scope: 'openid profile email',
  state: 'af0ifjsldkj',
  code_challenge: 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM',
  code_challenge_method: 'S256',
}

export const authorizationBody = open(
  {
    ...parameters,
    consent: t.Optional(described(oneOf('given', 'denied'), 'What the user answered when they were asked')),
    started_at: t.Optional(
      described(
        bodyInteger(0),
        'When the user came with this request, in seconds: an authentication since then is new',
      ),
    ),
  },
  { examples: [example, { ...example, consent: 'given' }] },
)
export type AuthorizationBody = Static<typeof authorizationBody>

export const authorizationAnswer = strict({
  outcome: described(
    oneOf('redirect', 'consent', 'sign_in'),
    '`redirect`: send the browser to `redirect_to`. `consent`: ask the user. `sign_in`: the user must authenticate first, or again',
  ),
  client: strict(
    {
      id: t.String({ description: 'The client', examples: [CLIENT] }),
      name: t.String({ description: 'Its name', examples: ['Orders'] }),
      first_party: t.Boolean({ description: 'Whether the app is one of the team, so that users are not asked' }),
    },
    { description: 'The app that asks' },
  ),
  scopes: t.Array(t.String(), {
    description: 'The scopes that the client would get',
    examples: [['openid', 'profile', 'email']],
  }),
  redirect_to: t.Nullable(t.String(), {
    description: 'The address with the code, or with the error',
    examples: [`${REDIRECT}?code=…&state=af0ifjsldkj`],
  }),
})
export type AuthorizationAnswer = Static<typeof authorizationAnswer>
