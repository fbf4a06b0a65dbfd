import { type Static, t } from 'elysia'
import { described } from '../../kit/schema/described.ts'
import { flag, listOf, nullable, oneOf, strict, text, time, typedName } from '../../kit/schema/schema.ts'
import { TOKEN_ALGS } from '../../kit/tokens/algorithms.ts'
import { id } from './fields.ts'

const NAME = 'The shop'
const REDIRECT_URI = 'https://shop.example.org/callback'
const LIST_MAX = 50
const GRANT_TYPES = ['authorization_code', 'refresh_token', 'client_credentials'] as const
const TOKEN_AUTH_METHODS = ['none', 'client_secret_basic', 'client_secret_post', 'private_key_jwt'] as const

const address = (example: string) => text({ least: 1, most: 1000, description: 'An address', examples: [example] })
const addresses = (example: string) => listOf(address(example), LIST_MAX)

const descriptions = {
  name: 'The name of the app, which users see',
  kind: '`confidential`: it runs on a server and authenticates; `public`: it runs in a browser or on a device',
  first_party: 'Whether the app is one of your own: users are not asked for their consent',
  redirect_uris:
    'Where users return to after they signed in. Compared exactly; the port of a loopback address may differ',
  post_logout_redirect_uris: 'Where users return to after they signed out',
  backchannel_logout_uri: 'Where Ch202 reports the end of a session',
  grant_types: 'How the app gets tokens',
  scopes: 'The scopes that it may ask for',
  resources: 'The services that it may ask for tokens for (RFC 8707)',
  id_token_alg: 'The algorithm that signs its ID tokens',
  token_auth_method: 'How it authenticates',
  jwks_uri: 'Where its public keys are. Needed by `private_key_jwt`',
  require_pkce: 'Whether it must use PKCE. A public client must',
  status: '`disabled`: it gets no tokens, and those that it has are refused',
}

const settings = {
  first_party: t.Optional(described(flag(), descriptions.first_party)),
  redirect_uris: t.Optional(described(addresses(REDIRECT_URI), descriptions.redirect_uris)),
  post_logout_redirect_uris: t.Optional(
    described(addresses('https://shop.example.org/'), descriptions.post_logout_redirect_uris),
  ),
  backchannel_logout_uri: t.Optional(
    described(nullable(address('https://shop.example.org/logout')), descriptions.backchannel_logout_uri),
  ),
  grant_types: t.Optional(described(listOf(oneOf(...GRANT_TYPES), GRANT_TYPES.length), descriptions.grant_types)),
  scopes: t.Optional(
    described(
      listOf(text({ least: 1, most: 100, description: 'A scope', examples: ['users:read'] }), LIST_MAX),
      descriptions.scopes,
    ),
  ),
  resources: t.Optional(described(addresses('https://orders.example.org'), descriptions.resources)),
  id_token_alg: t.Optional(described(oneOf(...TOKEN_ALGS), `${descriptions.id_token_alg}; without it, RS256`)),
  token_auth_method: t.Optional(described(oneOf(...TOKEN_AUTH_METHODS), descriptions.token_auth_method)),
  jwks_uri: t.Optional(described(nullable(address('https://shop.example.org/jwks.json')), descriptions.jwks_uri)),
  require_pkce: t.Optional(described(flag(), descriptions.require_pkce)),
  status: t.Optional(described(oneOf('active', 'disabled'), descriptions.status)),
}
const name = typedName({ most: 100, description: descriptions.name, examples: [NAME] })

export const clientBody = strict(
  {
    name,
    kind: t.Optional(described(oneOf('public', 'confidential'), `${descriptions.kind}; without it, confidential`)),
    ...settings,
  },
  { examples: [{ name: NAME, scopes: ['users:read'] }] },
)
export type ClientBody = Static<typeof clientBody>

export const clientUpdate = strict(
  { name: t.Optional(name), ...settings },
  { examples: [{ name: NAME, scopes: ['users:read', 'sessions:read'] }] },
)
export type ClientUpdate = Static<typeof clientUpdate>

export const clientParams = t.Object({
  client_id: t.String({ description: 'The id of the client', examples: ['0198c7a2-7f3e-7c21-9d5b-3f6a1b2c4d5e'] }),
})

export const secretBody = t.Optional(
  strict({
    only: t.Optional(described(flag(), 'Whether the secrets that the client has stop working at once')),
  }),
)

const list = (description: string, example: string) => t.Array(t.String({ examples: [example] }), { description })
const nullableAddress = (description: string, example: string) =>
  t.Nullable(t.String({ examples: [example] }), { description })

const fields = {
  id: id('The id of the client, as `client_id` in its requests'),
  name: t.String({ description: descriptions.name, examples: [NAME] }),
  kind: described(oneOf('public', 'confidential'), descriptions.kind),
  first_party: t.Boolean({ description: descriptions.first_party }),
  redirect_uris: list(descriptions.redirect_uris, REDIRECT_URI),
  post_logout_redirect_uris: list(descriptions.post_logout_redirect_uris, 'https://shop.example.org/'),
  backchannel_logout_uri: nullableAddress(descriptions.backchannel_logout_uri, 'https://shop.example.org/logout'),
  grant_types: t.Array(oneOf(...GRANT_TYPES), { description: descriptions.grant_types }),
  scopes: list(descriptions.scopes, 'users:read'),
  resources: list(descriptions.resources, 'https://orders.example.org'),
  id_token_alg: described(oneOf(...TOKEN_ALGS), descriptions.id_token_alg),
  token_auth_method: described(oneOf(...TOKEN_AUTH_METHODS), descriptions.token_auth_method),
  jwks_uri: t.Optional(
    t.String({ description: descriptions.jwks_uri, examples: ['https://shop.example.org/jwks.json'] }),
  ),
  require_pkce: t.Boolean({ description: descriptions.require_pkce }),
  status: described(oneOf('active', 'disabled'), descriptions.status),
  created_at: described(time(), 'When the client was created'),
}
export const client = strict(fields)
export const clientList = strict({ items: t.Array(client, { description: 'The clients' }) })

const client_secret = t.String({
  description: 'The secret with which the client authenticates. It is returned this once',
  examples: ['pLx1Tq0wB6m3J9cVf5rYkD2sHn8eUa4gZtXoQiWlE7M'],
})
export const newClient = strict({ ...fields, client_secret: t.Optional(client_secret) })
export const clientWithSecret = strict({ ...fields, client_secret })
