import { hasWildcardHost } from '../../kit/outgoing.ts'
import type { Config } from '../../kit/process/config.ts'

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
    jwks_uri: `${base}/.well-known/jwks.json`,
    introspection_endpoint: `${base}/auth/introspect`,
    revocation_endpoint: `${base}/auth/revoke`,
    introspection_endpoint_auth_methods_supported: [],
    revocation_endpoint_auth_methods_supported: ['none'],
    response_types_supported: [],
    grant_types_supported: [],
    ch202: addresses,
  }
}
