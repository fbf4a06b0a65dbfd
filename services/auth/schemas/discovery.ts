import { t } from 'elysia'
import { strict } from '../../kit/schema/schema.ts'

const ISSUER = 'https://auth.example.org'
const endpoint = (path: string, description: string) => t.String({ description, examples: [`${ISSUER}${path}`] })
const listOfNames = (description: string, ...example: string[]) =>
  t.Array(t.String(), { description, examples: [example] })

/** A public key of Ed25519 (RFC 8037, 2). */
export const jwk = strict({
  kty: t.Literal('OKP', { description: 'The key type' }),
  crv: t.Literal('Ed25519', { description: 'The curve' }),
  x: t.String({ description: 'The public key, base64url', examples: ['11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo'] }),
  kid: t.String({
    description: 'The id of the key, as `kid` in the header of the tokens that it signed (RFC 7638)',
    examples: ['kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k'],
  }),
  alg: t.Literal('EdDSA', { description: 'The signature algorithm' }),
  use: t.Literal('sig', { description: 'The key signs tokens' }),
})
export const jwks = strict({
  keys: t.Array(jwk, { description: 'The keys whose tokens are valid, and the key that will sign next' }),
})

/** RFC 8414, 2. */
export const metadata = strict({
  issuer: endpoint('', 'The issuer, as `iss` in the tokens'),
  jwks_uri: endpoint('/.well-known/jwks.json', 'Where the public keys are'),
  introspection_endpoint: endpoint('/auth/introspect', 'Where a token is introspected (RFC 7662)'),
  revocation_endpoint: endpoint('/auth/revoke', 'Where a token is revoked (RFC 7009)'),
  introspection_endpoint_auth_methods_supported: listOfNames(
    'How OAuth clients authenticate for introspection: none of the standard methods; it takes an API key',
  ),
  revocation_endpoint_auth_methods_supported: listOfNames('How OAuth clients authenticate for revocation', 'none'),
  response_types_supported: listOfNames('The response types of the authorization endpoint'),
  grant_types_supported: listOfNames('The grant types of the token endpoint'),
  ch202: t.Object(
    { auth: t.String({ description: 'The base address of auth', examples: ['https://auth.example.org'] }) },
    { additionalProperties: t.String(), description: 'The base address of each service, by its name' },
  ),
})
