import { SCOPES } from '../../kit/access/scopes.ts'
import { type Complaint, notAllowed, REQUIRED } from '../../kit/field-errors.ts'
import type { Problem } from '../../kit/problem.ts'
import type { AuthorizationParameters } from '../schemas/authorizations.ts'
import type { Client } from '../store/index.ts'
import { isUserScope } from './client-rules.ts'
import { isRegistered } from './redirect-uri.ts'
import { refusedBrowserRequest } from './refused-request.ts'

// Rules of the authorization request (RFC 6749, 4.1.1; OpenID Connect Core, 3.1.2), without input or output.

/** An error that the client gets by a redirect (RFC 6749, 4.1.2.1; OpenID Connect Core, 3.1.2.6). */
export interface AuthorizationError {
  error: string
  description: string
}

/** A request that may be answered with a code. */
export interface AuthorizationRequest {
  scopes: string[]
  resource: string | null
  nonce: string | null
  codeChallenge: string | null
  prompts: readonly string[]
  /** Seconds. */
  maxAge: number | undefined
}

/** The values of `prompt`. */
export const PROMPTS = ['none', 'login', 'consent', 'select_account']
/** A SHA-256 in base64url (RFC 7636, 4.2). */
const CHALLENGE = /^[A-Za-z0-9_-]{43}$/

/**
 * Finds the address that a request may be answered at.
 * @throws Problem `invalid_authorization` for an unknown client or address: answering there would serve an attacker
 */
export function requireRedirectUri(client: Client | null, { redirect_uri }: AuthorizationParameters): string {
  if (client?.status !== 'active') throw refused('client_id', UNKNOWN_CLIENT)
  if (!client.grantTypes.includes('authorization_code')) throw refused('client_id', NOT_FOR_USERS)
  if (redirect_uri === undefined) throw refused('redirect_uri', REQUIRED)
  if (!isRegistered(redirect_uri, client.redirectUris)) throw refused('redirect_uri', UNREGISTERED)
  return redirect_uri
}

const UNKNOWN_CLIENT = notAllowed('must be the id of an active client')
const NOT_FOR_USERS = notAllowed('must be a client with the grant type authorization_code')
const UNREGISTERED = notAllowed('must be a redirect URI of the client, to the letter')

function refused(parameter: string, complaint: Complaint): Problem {
  return refusedBrowserRequest('invalid_authorization', parameter, complaint)
}

/** Reads the rest of a request. Of several errors it gives the first. */
export function authorizationRequest(
  client: Client,
  parameters: AuthorizationParameters,
): AuthorizationRequest | AuthorizationError {
  const { max_age, nonce = null, resource = null } = parameters
  const prompts = (parameters.prompt ?? '').split(' ').filter(Boolean)
  const scopes = scopesOf(client, parameters.scope)
  const error =
    formError(parameters) ??
    pkceError(client, parameters) ??
    promptError(prompts) ??
    (max_age !== undefined && !/^\d{1,10}$/.test(max_age)
      ? invalidRequest('max_age must be a number of seconds')
      : undefined) ??
    scopeError(client, scopes, parameters.scope) ??
    (resource !== null && !client.resources.includes(resource)
      ? { error: 'invalid_target', description: 'resource must be one that the client has' }
      : undefined)
  if (error) return error
  const maxAge = max_age === undefined ? undefined : Number(max_age)
  return { scopes, resource, nonce, codeChallenge: parameters.code_challenge ?? null, prompts, maxAge }
}

function formError(parameters: AuthorizationParameters): AuthorizationError | undefined {
  const { registration, request, request_uri, response_mode = 'query', response_type } = parameters
  if (request !== undefined) return { error: 'request_not_supported', description: 'request is not supported' }
  if (request_uri !== undefined)
    return { error: 'request_uri_not_supported', description: 'request_uri is not supported' }
  if (registration !== undefined)
    return { error: 'registration_not_supported', description: 'registration is not supported' }
  if (response_type === undefined) return invalidRequest('response_type is required')
  if (response_type !== 'code') return { error: 'unsupported_response_type', description: 'response_type must be code' }
  if (response_mode !== 'query') return invalidRequest('response_mode must be query')
  return undefined
}

function pkceError(
  { requirePkce }: Client,
  { code_challenge, code_challenge_method }: AuthorizationParameters,
): AuthorizationError | undefined {
  if (code_challenge === undefined) {
    if (requirePkce) return invalidRequest('code_challenge is required')
    return code_challenge_method === undefined ? undefined : invalidRequest('code_challenge is missing')
  }
  // Without a method it would be `plain` (RFC 7636, 4.3).
  if (code_challenge_method !== 'S256') return invalidRequest('code_challenge_method must be S256')
  return CHALLENGE.test(code_challenge) ? undefined : invalidRequest('code_challenge must be a SHA-256 in base64url')
}

function promptError(prompts: readonly string[]): AuthorizationError | undefined {
  if (!prompts.every((prompt) => PROMPTS.includes(prompt)))
    return invalidRequest(`prompt must be of ${PROMPTS.join(', ')}`)
  if (prompts.includes('none') && prompts.length > 1) return invalidRequest('prompt must be none alone')
  return undefined
}

/**
 * The scopes of a request that the client has; without any, all that it may ask users for but `offline_access`. Scopes that
 * nobody knows are ignored (OpenID Connect Core, 3.1.2.1), and so is `offline_access` of a client without refresh tokens.
 */
function scopesOf(client: Client, scope: string | undefined): string[] {
  const requested = scope?.split(' ').filter(Boolean)
  const all = client.scopes.filter((each) => !Object.hasOwn(SCOPES, each))
  if (!requested || requested.length === 0) return all.filter((each) => each !== 'offline_access')
  const isRefused = (each: string) => each === 'offline_access' && !client.grantTypes.includes('refresh_token')
  return [...new Set(requested)].filter((each) => all.includes(each) && !isRefused(each))
}

function scopeError(
  { scopes: allowed }: Client,
  scopes: readonly string[],
  scope = '',
): AuthorizationError | undefined {
  const requested = scope.split(' ').filter(Boolean)
  const foreign = requested.find(
    (each) => Object.hasOwn(SCOPES, each) || (isUserScope(each) && !allowed.includes(each)),
  )
  if (foreign !== undefined)
    return { error: 'invalid_scope', description: 'scope must be of those that the client has' }
  return scopes.length > 0 ? undefined : { error: 'invalid_scope', description: 'scope must name one of the client' }
}

function invalidRequest(description: string): AuthorizationError {
  return { error: 'invalid_request', description }
}
