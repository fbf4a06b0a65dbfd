import { t } from 'elysia'
import { strict } from '../../kit/schema/schema.ts'
import type { TokenAlg } from '../../kit/tokens/algorithms.ts'

const ISSUER = 'https://auth.example.org'
const endpoint = (path: string, description: string) => t.String({ description, examples: [`${ISSUER}${path}`] })
const listOfNames = (description: string, ...example: string[]) =>
  t.Array(t.String(), { description, examples: [example] })

const kid = t.String({
  description: 'The id of the key, as `kid` in the header of the tokens that it signed (RFC 7638)',
  examples: ['kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k'],
})
const use = t.Literal('sig', { description: 'The key signs tokens' })
const alg = <Alg extends TokenAlg>(name: Alg) => t.Literal(name, { description: 'The signature algorithm' })
const bytes = (description: string, example: string) =>
  t.String({ description: `${description}, base64url`, examples: [example] })

/** A public key (RFC 7518, 6; RFC 8037, 2). */
export const jwk = t.Union([
  strict({
    kty: t.Literal('OKP', { description: 'The key type' }),
    crv: t.Literal('Ed25519', { description: 'The curve' }),
    x: bytes('The public key', '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo'),
    kid,
    alg: alg('EdDSA'),
    use,
  }),
  strict({
    kty: t.Literal('EC', { description: 'The key type' }),
    crv: t.Literal('P-256', { description: 'The curve' }),
    x: bytes('The first coordinate of the public key', 'MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4'),
    y: bytes('The second coordinate of the public key', '4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM'),
    kid,
    alg: alg('ES256'),
    use,
  }),
  strict({
    kty: t.Literal('RSA', { description: 'The key type' }),
    n: bytes('The modulus of the public key', '0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86z…'),
    e: bytes('The exponent of the public key', 'AQAB'),
    kid,
    alg: alg('RS256'),
    use,
  }),
])
export const jwks = strict({
  keys: t.Array(jwk, { description: 'The keys whose tokens are valid, and the key that will sign next' }),
})

/** RFC 8414, 2; OpenID Connect Discovery, 3, RP-Initiated Logout, 2.1, Back-Channel Logout, 2.1; RFC 9207, 3. */
export const metadata = strict({
  issuer: endpoint('', 'The issuer, as `iss` in the tokens'),
  jwks_uri: endpoint('/.well-known/jwks.json', 'Where the public keys are'),
  introspection_endpoint: endpoint('/auth/introspect', 'Where a token is introspected (RFC 7662)'),
  revocation_endpoint: endpoint('/auth/revoke', 'Where a token is revoked (RFC 7009)'),
  token_endpoint: endpoint('/oauth/token', 'Where clients get tokens (RFC 6749, 3.2)'),
  token_endpoint_auth_methods_supported: listOfNames('How clients authenticate for a token', 'client_secret_basic'),
  token_endpoint_auth_signing_alg_values_supported: listOfNames('The algorithms of their assertions', 'ES256'),
  introspection_endpoint_auth_methods_supported: listOfNames(
    'How clients authenticate for introspection. It takes an API key and a Bearer too',
    'client_secret_basic',
  ),
  introspection_endpoint_auth_signing_alg_values_supported: listOfNames('The algorithms of their assertions', 'ES256'),
  revocation_endpoint_auth_methods_supported: listOfNames('How OAuth clients authenticate for revocation', 'none'),
  authorization_endpoint: endpoint('/oauth/authorize', 'The page where users sign in for an app (RFC 6749, 3.1)'),
  userinfo_endpoint: endpoint('/oauth/userinfo', 'Where apps get the claims about a user'),
  end_session_endpoint: endpoint('/oauth/logout', 'The page where an app signs its user out'),
  response_types_supported: listOfNames('The response types of the authorization endpoint', 'code'),
  response_modes_supported: listOfNames('Where the answer of the authorization endpoint stands', 'query'),
  grant_types_supported: listOfNames('The grant types of the token endpoint', 'client_credentials'),
  subject_types_supported: listOfNames('`sub` is the id of the user, the same for each client', 'public'),
  id_token_signing_alg_values_supported: listOfNames('The algorithms of ID tokens', 'RS256'),
  code_challenge_methods_supported: listOfNames('The methods of PKCE (RFC 7636)', 'S256'),
  authorization_response_iss_parameter_supported: t.Boolean({
    description: 'Whether the answer of the authorization endpoint names the issuer (RFC 9207)',
  }),
  acr_values_supported: listOfNames('By one factor or by two', 'aal2'),
  prompt_values_supported: listOfNames('What an app may ask for by `prompt`', 'login'),
  claims_supported: listOfNames('The claims of ID tokens and of the user info', 'sub'),
  ui_locales_supported: listOfNames('The languages of the pages', 'en'),
  claims_parameter_supported: t.Boolean({ description: 'Whether an app may name single claims' }),
  request_parameter_supported: t.Boolean({ description: 'Whether an app may send the request as a JWT' }),
  request_uri_parameter_supported: t.Boolean({ description: 'Whether an app may send the address of a request' }),
  backchannel_logout_supported: t.Boolean({ description: 'Whether apps are notified of the end of a session' }),
  backchannel_logout_session_supported: t.Boolean({ description: 'Whether the notice names the session' }),
  scopes_supported: listOfNames('The scopes of this API; an operator may give clients others', 'users:read'),
  ch202: t.Object(
    { auth: t.String({ description: 'The base address of auth', examples: ['https://auth.example.org'] }) },
    { additionalProperties: t.String(), description: 'The base address of each service, by its name' },
  ),
})
