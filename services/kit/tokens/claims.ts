/** The client id of sessions that no OAuth client opened. A token must name its client (RFC 9068, 2.2). */
export const CLIENT_ID = 'ch202'

/** The claims of every access token (RFC 9068). Times are seconds since the epoch. */
interface TokenClaims {
  iss: string
  sub: string
  aud: string
  exp: number
  iat: number
  /** The start of the validity. Ours do not have this claim, but a signed one must be respected (RFC 7519, 4.1.5). */
  nbf?: number
  jti: string
  client_id: string
  /** The version of the rights of `sub`. When they change, tokens of older versions end. */
  ver: number
}

/** The claims of an access token of a user. */
export interface UserClaims extends TokenClaims {
  sid: string
  email: string
  roles: string[]
  /** When the user last authenticated. Tokens of earlier versions do not have this claim. */
  auth_time?: number
  /** The methods by which the user authenticated (RFC 8176). Tokens of earlier versions do not have this claim. */
  amr?: string[]
}

/** The claims of an access token that a client has for itself (RFC 6749, 4.4): `sub` is the client. */
export interface ClientClaims extends TokenClaims {
  /** Scopes, separated by spaces (RFC 9068, 2.2.3). */
  scope: string
}

/**
 * The claims of an access token that a client has for a user who gave it a grant (RFC 9068, 2.2): `sub` is the user, and `aud`
 * the resource (RFC 8707), or the client itself.
 */
export interface GrantClaims extends TokenClaims {
  /** Scopes, separated by spaces. */
  scope: string
  /** The version of the client. When its rights change, tokens of older versions end. */
  client_ver: number
  /** The grant. */
  gid: string
  /** The session in which the user signed in. A grant that outlives its session (`offline_access`) has none. */
  sid?: string
  auth_time: number
  amr: string[]
  /** Only with the scope `email`. */
  email?: string
  /** Only with the scope `roles`. */
  roles?: string[]
}

export type Claims = UserClaims | ClientClaims | GrantClaims

/** Whether a token is one that a client has for itself. */
export function isOfClient(claims: Claims): claims is ClientClaims {
  return claims.client_id !== CLIENT_ID && claims.sub === claims.client_id
}

/** Whether a token is one that a client has for a user. */
export function isOfGrant(claims: Claims): claims is GrantClaims {
  return claims.client_id !== CLIENT_ID && claims.sub !== claims.client_id
}

/** The scopes of a client's token, or of a grant's. */
export function scopesOf({ scope }: Pick<ClientClaims, 'scope'>): string[] {
  return scope.split(' ').filter(Boolean)
}

/** Whether an object has the claims of a token. Checks the type of each except `iss` and `aud`, because later code does not. */
export function isClaims(value: Record<string, unknown> | Claims): value is Claims {
  const { client_id, exp, iat, jti, nbf = 0, sub, ver } = value
  return (
    [exp, iat, ver, nbf].every(Number.isSafeInteger) &&
    [sub, jti, client_id].every(isText) &&
    hasClaimsOfItsKind({ ...value })
  )
}

function hasClaimsOfItsKind(claims: Record<string, unknown>): boolean {
  const { client_id, scope, sub } = claims
  if (client_id === CLIENT_ID) return hasUserClaims(claims)
  if (!isText(scope)) return false
  return sub === client_id || hasGrantClaims(claims)
}

function hasUserClaims({ amr = [], auth_time = 0, email, roles, sid }: Record<string, unknown>): boolean {
  return Number.isSafeInteger(auth_time) && [sid, email].every(isText) && [roles, amr].every(isTexts)
}

function hasGrantClaims(claims: Record<string, unknown>): boolean {
  const { amr, auth_time, client_ver, email = '', gid, roles = [], sid = '' } = claims
  return (
    [auth_time, client_ver].every(Number.isSafeInteger) &&
    [email, gid, sid].every(isText) &&
    [amr, roles].every(isTexts)
  )
}

function isText(value: unknown): value is string {
  return typeof value === 'string'
}

function isTexts(value: unknown): boolean {
  return Array.isArray(value) && value.every(isText)
}
