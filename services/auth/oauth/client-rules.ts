import { SCOPES, USER_SCOPES } from '../../kit/access/scopes.ts'
import { type Complaint, errorOf, type FieldError, notAllowed, REQUIRED } from '../../kit/field-errors.ts'
import { isPrivateHost } from '../../kit/outgoing-public.ts'
import type { Client, ClientSettings } from '../store/index.ts'

// Rules of the settings of a client, without input or output.

/** Whether a scope is one that apps ask users for. */
export function isUserScope(scope: string): boolean {
  return Object.hasOwn(USER_SCOPES, scope)
}

/** A scope of a service of another repository: `orders:read`. Those that look like ours are typing errors. */
const OWN_SCOPE = /^[a-z][a-z0-9._-]{0,30}(:[a-z0-9._-]{1,30})+$/
const RESERVED = new Set(Object.keys(SCOPES).map((scope) => scope.split(':')[0]))
const LOOPBACK = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/

/**
 * Returns the errors of a client beyond its schema.
 * @param privateHosts the hosts that may be called over http (`OAUTH_PRIVATE_HOSTS`)
 */
export function clientErrors(client: ClientSettings, privateHosts: readonly string[]): FieldError[] {
  const calledAt = (text: string | null) => (text === null ? undefined : calledAddressComplaint(text, privateHosts))
  return [
    ...kindErrors(client),
    ...listErrors('redirect_uris', client.redirectUris, (uri) => redirectComplaint(uri, client.kind)),
    ...listErrors('post_logout_redirect_uris', client.postLogoutRedirectUris, (uri) =>
      redirectComplaint(uri, client.kind),
    ),
    ...listErrors('scopes', client.scopes, scopeComplaint),
    ...listErrors('resources', client.resources, resourceComplaint),
    ...fieldErrors('backchannel_logout_uri', calledAt(client.backchannelLogoutUri)),
    ...fieldErrors('jwks_uri', calledAt(client.jwksUri)),
  ]
}

/** Whether a change takes rights away, so that tokens which have them must end. */
export function takesRightsAway(before: Client, after: Client): boolean {
  const isMissing = (list: readonly string[], of: readonly string[]) => of.some((value) => !list.includes(value))
  return (
    (before.status === 'active' && after.status === 'disabled') ||
    isMissing(after.scopes, before.scopes) ||
    isMissing(after.resources, before.resources) ||
    isMissing(after.grantTypes, before.grantTypes)
  )
}

function kindErrors({
  grantTypes,
  jwksUri,
  kind,
  redirectUris,
  requirePkce,
  tokenAuthMethod,
}: ClientSettings): FieldError[] {
  const errors: FieldError[] = []
  const refuse = (field: string, complaint: Complaint) => void errors.push(errorOf(field, complaint))
  if (kind === 'public') {
    if (tokenAuthMethod !== 'none')
      refuse('token_auth_method', notAllowed('must be none: a public client has no secret'))
    if (grantTypes.includes('client_credentials'))
      refuse('grant_types', notAllowed('must not hold client_credentials: a public client cannot authenticate'))
    if (!requirePkce) refuse('require_pkce', notAllowed('must be true for a public client'))
  } else if (tokenAuthMethod === 'none')
    refuse('token_auth_method', notAllowed('must not be none: a confidential client authenticates'))
  if (grantTypes.length === 0) refuse('grant_types', REQUIRED)
  if (grantTypes.includes('refresh_token') && !grantTypes.includes('authorization_code'))
    refuse('grant_types', notAllowed('must hold authorization_code beside refresh_token'))
  if (grantTypes.includes('authorization_code') && redirectUris.length === 0) refuse('redirect_uris', REQUIRED)
  if (tokenAuthMethod === 'private_key_jwt' && jwksUri === null) refuse('jwks_uri', REQUIRED)
  if (tokenAuthMethod !== 'private_key_jwt' && jwksUri !== null)
    refuse('jwks_uri', notAllowed('must be left out: only private_key_jwt needs it'))
  return errors
}

function listErrors(
  field: string,
  values: readonly string[],
  complaintOf: (value: string) => Complaint | undefined,
): FieldError[] {
  return values.flatMap((value, index) => fieldErrors(`${field}.${index}`, complaintOf(value)))
}

function fieldErrors(field: string, complaint: Complaint | undefined): FieldError[] {
  return complaint ? [errorOf(field, complaint)] : []
}

function scopeComplaint(scope: string): Complaint | undefined {
  if (Object.hasOwn(SCOPES, scope) || isUserScope(scope)) return undefined
  if (OWN_SCOPE.test(scope) && !RESERVED.has(scope.split(':')[0] ?? '')) return undefined
  return notAllowed('must be a scope of Ch202, or one of your own such as orders:read')
}

/** RFC 8252, 7 and 8.4: https; http on this machine; a scheme of the app itself, which is a reversed domain. */
function redirectComplaint(text: string, kind: Client['kind']): Complaint | undefined {
  const complaint = addressComplaint(text)
  if (complaint) return complaint
  const { hostname, protocol } = new URL(text)
  if (protocol === 'https:' || (protocol === 'http:' && LOOPBACK.test(hostname))) return undefined
  if (kind === 'public' && /^[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+:$/.test(protocol)) return undefined
  return notAllowed(
    'must begin with https://, with http:// and a loopback address, or for a public client with a scheme such as com.example.app:',
  )
}

/** RFC 8707, 2: an absolute address without a fragment. */
function resourceComplaint(text: string): Complaint | undefined {
  return addressComplaint(text)
}

/** An address that Ch202 itself calls. Where it leads is checked at each call. */
function calledAddressComplaint(text: string, privateHosts: readonly string[]): Complaint | undefined {
  const complaint = addressComplaint(text)
  if (complaint) return complaint
  const { protocol } = new URL(text)
  if (protocol === 'https:' || (protocol === 'http:' && isPrivateHost(text, privateHosts))) return undefined
  return notAllowed('must begin with https://')
}

const NO_ADDRESS: Complaint = {
  code: 'format',
  message: 'must be an address in lower case and ASCII, without spaces, backslashes and wildcards',
}

/** Returns the error of an absolute address, without repeating it: it may contain a secret. */
function addressComplaint(text: string): Complaint | undefined {
  const url = URL.parse(text)
  // Exactly what the parser makes of it: it would also read `https:host`, backslashes, and hosts in other scripts.
  if (!url || !/^[a-z][a-z0-9+.-]*:[!-~]+$/.test(text) || /[\\*]/.test(text)) return NO_ADDRESS
  if (/^https?:/.test(text) && !text.startsWith(`${url.protocol}//${url.host}`) && !url.username && !url.password)
    return NO_ADDRESS
  if (url.username || url.password) return notAllowed('must not contain a user name or a password')
  if (text.includes('#')) return notAllowed('must not contain a fragment')
  return undefined
}
