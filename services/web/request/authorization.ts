import { createHash } from 'node:crypto'

/** The page to which apps send people. */
export const AUTHORIZE = '/oauth/authorize'

/** The parameters of an authorization that count (OpenID Connect Core 1.0, 3.1.2.1; RFC 7636; RFC 8707). */
const AUTHORIZATION_PARAMETERS = [
  'response_type',
  'client_id',
  'redirect_uri',
  'scope',
  'state',
  'nonce',
  'code_challenge',
  'code_challenge_method',
  'prompt',
  'max_age',
  'login_hint',
  'ui_locales',
  'id_token_hint',
  'acr_values',
  'resource',
  'response_mode',
  'request',
  'request_uri',
  'registration',
] as const

/** The parameters of a sign-out that an app asks for (OpenID Connect RP-Initiated Logout 1.0, 2). */
const LOGOUT_PARAMETERS = [
  'id_token_hint',
  'client_id',
  'post_logout_redirect_uri',
  'state',
  'logout_hint',
  'ui_locales',
] as const

type Parameters<Name extends string> = Partial<Record<Name, string>>
export type AuthorizationParameters = Parameters<(typeof AUTHORIZATION_PARAMETERS)[number]>
export type LogoutParameters = Parameters<(typeof LOGOUT_PARAMETERS)[number]>

/** Characters of an authorization as an address of the pages: the cookie of a step must have room for it. */
export const LONGEST_AUTHORIZATION = 3000

/** Characters of a source: the cookie of begun authorizations must have room for several. */
const LONGEST_SOURCE = 270

/** The parameters of an authorization; null if one was sent twice, which is not allowed (RFC 6749, 3.1). */
export function authorizationParameters(sent: URLSearchParams): AuthorizationParameters | null {
  return parametersOf(AUTHORIZATION_PARAMETERS, sent)
}

/** The parameters of a sign-out; null if one was sent twice. */
export function logoutParameters(sent: URLSearchParams): LogoutParameters | null {
  return parametersOf(LOGOUT_PARAMETERS, sent)
}

function parametersOf<Name extends string>(names: readonly Name[], sent: URLSearchParams): Parameters<Name> | null {
  // A parameter without a value counts as absent (RFC 6749, 3.1).
  const values = names.map((name) => [name, sent.getAll(name).filter(Boolean)] as const)
  if (values.some(([, { length }]) => length > 1)) return null
  return Object.fromEntries(
    values.flatMap(([name, [value]]) => (value === undefined ? [] : [[name, value]])),
  ) as Parameters<Name>
}

/**
 * The address at which a page takes these parameters. The same parameters give the same address, in whatever order and
 * spelling they were sent.
 */
export function addressWith(path: string, parameters: Readonly<Record<string, string>>): string {
  const query = new URLSearchParams(parameters).toString()
  return query === '' ? path : `${path}?${query}`
}

/** The parameters of an authorization to which a person returns; null if the address is that of another page. */
export function authorizationIn(url: string): URLSearchParams | null {
  const [path, query] = [url.split('?', 1)[0], url.slice(url.indexOf('?') + 1)]
  return path === AUTHORIZE ? new URLSearchParams(query) : null
}

/** Identifies an authorization in the cookie. @param url its address, from `addressWith` */
export function keyOf(url: string): string {
  return createHash('sha256').update(url).digest('base64url').slice(0, 22)
}

/**
 * The source for `form-action` that allows a redirect to this address, and as little more as can be: its origin, or the
 * scheme of an app's own. The policy has no way to write an IPv6 address, so the scheme stands for one.
 * @param uri an address that auth has checked
 */
export function sourceOf(uri: string | undefined): string | null {
  const url = URL.parse(uri ?? '')
  if (!url) return null
  const isOrigin = url.origin !== 'null' && !url.hostname.startsWith('[')
  const source = isOrigin ? url.origin : url.protocol
  return /^[a-z][a-z0-9+.-]*:(\/\/[\w.:-]+)?$/.test(source) && source.length <= LONGEST_SOURCE ? source : null
}
