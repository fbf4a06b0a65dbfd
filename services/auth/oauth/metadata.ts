import { SCOPES } from '../../kit/access/scopes.ts'
import { hasWildcardHost } from '../../kit/outgoing.ts'
import type { Config } from '../../kit/process/config.ts'
import { ASSERTION_ALGS } from './assertion-algorithms.ts'

/** How clients that have a secret, or a key, authenticate. */
const SECRET_METHODS = ['client_secret_basic', 'client_secret_post', 'private_key_jwt']

interface MetadataContext {
  config: Config
  issuer: string
}

/**
 * Returns the metadata of the authorization server (RFC 8414), and the addresses of the services.
 *
 * Behind a proxy clients reach auth by the issuer (RFC 8414, 3); without one they reach it by its own address.
 */
export function serverMetadata({ config, issuer }: MetadataContext) {
  const { addresses } = config
  const isBehindProxy = config.issuer !== undefined || hasWildcardHost(addresses.auth)
  const base = isBehindProxy && /^https?:/.test(issuer) ? issuer.replace(/\/+$/, '') : addresses.auth
  return {
    issuer,
    token_endpoint: `${base}/oauth/token`,
    jwks_uri: `${base}/.well-known/jwks.json`,
    introspection_endpoint: `${base}/auth/introspect`,
    revocation_endpoint: `${base}/auth/revoke`,
    token_endpoint_auth_methods_supported: SECRET_METHODS,
    token_endpoint_auth_signing_alg_values_supported: [...ASSERTION_ALGS],
    introspection_endpoint_auth_methods_supported: SECRET_METHODS,
    introspection_endpoint_auth_signing_alg_values_supported: [...ASSERTION_ALGS],
    revocation_endpoint_auth_methods_supported: ['none'],
    response_types_supported: [],
    grant_types_supported: ['client_credentials'],
    scopes_supported: Object.keys(SCOPES),
    ch202: addresses,
  }
}
