/**
 * The scopes (RFC 6749, 3.3) by which an operator allows a client something on the routes of Ch202. Each route names the scope
 * that opens it; a client's token passes on no other.
 */
export const SCOPES = {
  'users:read': 'List and read users',
  'users:write': 'Create, update, disable, delete and invite users, but no administrators',
  'sessions:read': 'List the sessions of users',
  'sessions:revoke': 'End sessions of users',
  'modules:read': 'Read the library of modules, the modules of a user, the users of a module',
  'modules:write': 'Create, update and delete modules, and enable them for users',
  introspect: 'Introspect tokens, and read the feed of revocations',
  'audit:read': 'Read the audit',
  'mails:read': 'List mails',
  metrics: 'Read metrics',
} as const satisfies Record<string, string>

/** The scopes that apps ask users for (OpenID Connect Core, 5.4 and 11), and those of Ch202. */
export const USER_SCOPES = {
  openid: 'Know who the user is, by an ID token',
  profile: 'Read their name and username',
  email: 'Read their email',
  offline_access: 'Go on when they have signed out',
  roles: 'Read their roles',
  modules: 'Read which modules they have',
  metadata: 'Read their public metadata',
} as const satisfies Record<string, string>

export type Scope = keyof typeof SCOPES

export type UserScope = keyof typeof USER_SCOPES

/** A client's token with this scope, as a caller that a route admits. */
export type ScopeAccess = `scope:${string}`

/** The token that an app has for a user, with this scope, as a caller that a route admits. */
export type AppAccess = `app:${string}`

/** The scopes of clients that a route admits. */
export function scopesIn(access: readonly string[]): string[] {
  return after(SCOPE, access)
}

/** The scopes of users that a route admits in the tokens of apps. */
export function userScopesIn(access: readonly string[]): string[] {
  return after(APP, access)
}

function after(prefix: string, access: readonly string[]): string[] {
  return access.filter((who) => who.startsWith(prefix)).map((who) => who.slice(prefix.length))
}

const SCOPE: ScopeAccess = 'scope:'
const APP: AppAccess = 'app:'
