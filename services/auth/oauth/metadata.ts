import { SCOPES, USER_SCOPES } from '../../kit/access/scopes.ts'
import { LOCALES } from '../../kit/locale.ts'
import { hasWildcardHost } from '../../kit/outgoing.ts'
import type { Config } from '../../kit/process/config.ts'
import { TOKEN_ALGS } from '../../kit/tokens/algorithms.ts'
import { ASSERTION_ALGS } from './assertion-algorithms.ts'
import { ACR_VALUES } from './assurance-class.ts'
import { PROMPTS } from './authorization-request.ts'

/** How clients that have a secret, or a key, authenticate. A public client names itself. */
const SECRET_METHODS = ['client_secret_basic', 'client_secret_post', 'private_key_jwt']

/** The claims of ID tokens and of `/oauth/userinfo`. */
const CLAIMS = [
  'iss',
  'sub',
  'aud',
  'exp',
  'iat',
  'auth_time',
  'nonce',
  'acr',
  'amr',
  'at_hash',
  'sid',
  'name',
  'preferred_username',
  'locale',
  'updated_at',
  'email',
  'email_verified',
  'roles',
  'metadata',
]

interface MetadataContext {
  config: Config
  issuer: string
}

/**
 * Returns the metadata of the authorization server (RFC 8414; OpenID Connect Discovery, 3), and the addresses of the services.
 *
 * Behind a proxy clients reach auth by the issuer (RFC 8414, 3); without one they reach it by its own address.
 */
export function serverMetadata({ config, issuer }: MetadataContext) {
  const { addresses } = config
  const isBehindProxy = config.issuer !== undefined || hasWildcardHost(addresses.auth)
  const base = isBehindProxy && /^https?:/.test(issuer) ? issuer.replace(/\/+$/, '') : addresses.auth
  return {
    issuer,
    authorization_endpoint: `${config.publicUrl}/oauth/authorize`,
    token_endpoint: `${base}/oauth/token`,
    userinfo_endpoint: `${base}/oauth/userinfo`,
    end_session_endpoint: `${config.publicUrl}/oauth/logout`,
    jwks_uri: `${base}/.well-known/jwks.json`,
    introspection_endpoint: `${base}/auth/introspect`,
    revocation_endpoint: `${base}/auth/revoke`,
    token_endpoint_auth_methods_supported: ['none', ...SECRET_METHODS],
    token_endpoint_auth_signing_alg_values_supported: [...ASSERTION_ALGS],
    introspection_endpoint_auth_methods_supported: SECRET_METHODS,
    introspection_endpoint_auth_signing_alg_values_supported: [...ASSERTION_ALGS],
    revocation_endpoint_auth_methods_supported: ['none'],
    response_types_supported: ['code'],
    response_modes_supported: ['query'],
    grant_types_supported: ['authorization_code', 'refresh_token', 'client_credentials'],
    scopes_supported: [...Object.keys(USER_SCOPES), ...Object.keys(SCOPES)],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: [...TOKEN_ALGS],
    code_challenge_methods_supported: ['S256'],
    authorization_response_iss_parameter_supported: true,
    acr_values_supported: [...ACR_VALUES],
    prompt_values_supported: [...PROMPTS],
    claims_supported: CLAIMS,
    ui_locales_supported: [...LOCALES],
    claims_parameter_supported: false,
    request_parameter_supported: false,
    request_uri_parameter_supported: false,
    backchannel_logout_supported: true,
    backchannel_logout_session_supported: true,
    ch202: addresses,
  }
}
