import type { Caller } from '../../kit/caller.ts'
import { notAllowed, REQUIRED } from '../../kit/field-errors.ts'
import type { Config } from '../../kit/process/config.ts'
import { type ClientClaims, signAccessToken } from '../../kit/tokens/access-token.ts'
import type { AuditRecordContext } from '../audit/record.ts'
import type { KeyRing } from '../keys/ring.ts'
import type { TokenAnswer, TokenRequest } from '../schemas/oauth.ts'
import type { Client, GrantType } from '../store/index.ts'
import { authenticateClient, type ClientAuthenticationContext } from './client-authentication.ts'
import { clientCredentials, invalidClient } from './client-credentials.ts'
import { isUserScope } from './client-rules.ts'
import { type CodeGrantContext, redeemCode } from './code-grant.ts'
import { type RefreshGrantContext, refreshGrant } from './refresh-grant.ts'
import { refusedRequest } from './refused-request.ts'

export type TokenContext = ClientAuthenticationContext &
  AuditRecordContext &
  CodeGrantContext &
  RefreshGrantContext & {
    keyRing: Pick<KeyRing, 'signing'>
    config: Pick<Config, 'jwtExpire'>
  }

/**
 * Answers a request at the token endpoint (RFC 6749, 3.2).
 * @param authorization the value of the header
 * @throws Problem with an OAuth error
 */
export async function issueToken(
  context: TokenContext,
  request: TokenRequest,
  authorization: string | null,
  caller: Caller,
): Promise<TokenAnswer> {
  const credentials = clientCredentials(authorization, request)
  if (!credentials) throw invalidClient(authorization)
  const client = await authenticateClient(context, credentials, authorization)
  const { grant_type } = request
  if (grant_type === undefined) throw refusedRequest('invalid_request', 'grant_type', REQUIRED)
  if (!isGrantType(grant_type))
    throw refusedRequest('unsupported_grant_type', 'grant_type', notAllowed(`must be one of ${GRANT_TYPES.join(', ')}`))
  if (!client.grantTypes.includes(grant_type))
    throw refusedRequest('unauthorized_client', 'grant_type', notAllowed('must be one that the client may use'))
  switch (grant_type) {
    case 'authorization_code':
      return await redeemCode(context, client, request, caller)
    case 'refresh_token':
      return await refreshGrant(context, client, request, caller)
    case 'client_credentials':
      return tokenForClient(context, client, request)
  }
}

const GRANT_TYPES: readonly GrantType[] = ['authorization_code', 'refresh_token', 'client_credentials']

function isGrantType(text: string): text is GrantType {
  return (GRANT_TYPES as readonly string[]).includes(text)
}

/** A token that a client has for itself (RFC 6749, 4.4). It has no refresh token, and no scope that is about a user. */
function tokenForClient(
  { clock, config, issuer, keyRing, random }: TokenContext,
  client: Client,
  { resource, scope: requested }: TokenRequest,
): TokenAnswer {
  const machineScopes = client.scopes.filter((scope) => !isUserScope(scope))
  const scopes = requested === undefined ? machineScopes : [...new Set(requested.split(' ').filter(Boolean))]
  if (!scopes.every((scope) => machineScopes.includes(scope)))
    throw refusedRequest('invalid_scope', 'scope', notAllowed('must be scopes that the client has'))
  if (resource !== undefined && !client.resources.includes(resource))
    throw refusedRequest('invalid_target', 'resource', notAllowed('must be a resource that the client has'))
  const now = Math.floor(clock.now() / 1000)
  const expires_in = Math.floor(config.jwtExpire / 1000)
  const scope = scopes.join(' ')
  const claims: ClientClaims = {
    iss: issuer,
    sub: client.id,
    aud: resource ?? client.id,
    exp: now + expires_in,
    iat: now,
    jti: random.id(),
    client_id: client.id,
    scope,
    ver: client.version,
  }
  return { access_token: signAccessToken(claims, keyRing.signing()), token_type: 'Bearer', expires_in, scope }
}
