import { type Static, t } from 'elysia'
import { open, strict } from '../../kit/schema/schema.ts'
import { CLIENT, parameter } from './client-parameters.ts'

const REDIRECT = 'https://app.example.org/signed-out'

/** OpenID Connect RP-Initiated Logout, 2. Other parameters are ignored. */
export const logoutRequest = open(
  {
    id_token_hint: parameter('The ID token of the session', 'eyJhbGciOiJSUzI1NiJ9…', 8000),
    client_id: parameter('The client, if there is no ID token', CLIENT, 100),
    post_logout_redirect_uri: parameter(
      'Where the browser goes then: an address of the client, to the letter',
      REDIRECT,
    ),
    state: parameter('Returned to the client as it is', 'af0ifjsldkj'),
    logout_hint: parameter('Ignored', 'ada@example.org', 500),
    ui_locales: parameter('Languages, by preference', 'ru en', 500),
  },
  { examples: [{ client_id: CLIENT, post_logout_redirect_uri: REDIRECT, state: 'af0ifjsldkj' }] },
)
export type LogoutRequest = Static<typeof logoutRequest>

export const logoutRequestAnswer = strict({
  client: t.Nullable(
    strict({
      id: t.String({ description: 'The client', examples: [CLIENT] }),
      name: t.String({ description: 'Its name', examples: ['Orders'] }),
    }),
    {
      description: 'The app that asks',
    },
  ),
  confirmed: t.Boolean({
    description: 'Whether it asks for the session of the caller, so that they need not be asked',
  }),
  redirect_to: t.Nullable(t.String(), {
    description: 'Where the browser goes when the user is signed out',
    examples: [`${REDIRECT}?state=af0ifjsldkj`],
  }),
})
export type LogoutRequestAnswer = Static<typeof logoutRequestAnswer>
