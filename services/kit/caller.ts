import type { Locale } from './locale.ts'

/** The way by which a request came. */
export type Way = 'pages' | 'api'

/** Characters of a user agent that are stored. */
export const USER_AGENT_MAX = 256

/** The caller of a request, as the guard identified them. Functions and the audit read it; it has no part of HTTP. */
export interface Caller {
  /** The user of the access token; null for a key or an anonymous caller. */
  userId: string | null
  /** The session of the user; null for an app, which may do nothing to sessions. */
  sessionId: string | null
  roles: readonly string[]
  /** When the user last authenticated, in seconds since the epoch; 0 if the token does not say so. Null without a user. */
  authTime: number | null
  /** The methods by which the user authenticated (RFC 8176). */
  amr: readonly string[]
  /** Whether the credential is the operator key or a token with the role ADMIN. False for a client: see `actsForOperators`. */
  operator: boolean
  /**
   * The role by which the user may help other users (`SUPPORT_ROLE`): see `mayHelp`. Null for everyone else, and for a user
   * who also has the role ADMIN.
   */
  supportRole: string | null
  /** Whether the credential is the key that the services use for calls to each other. */
  internal: boolean
  /** Whether the credential is the key that reads metrics and nothing else. */
  scraper: boolean
  /** The client whose own token the credential is, with the scopes of the token; null for everyone else. */
  client: { id: string; scopes: readonly string[] } | null
  /** The app that has the token of the user, with the grant and the scopes that the user gave it; null for everyone else. */
  app: { clientId: string; grantId: string; scopes: readonly string[] } | null
  /** The name in the audit: `user:<id>`, `client:<id>`, `operator`, `internal`, `scraper` or `anyone`. */
  actor: string
  /**
   * The client's address, behind trusted proxies; for a call of the pages that of the browser. Null for calls within the
   * process and between services.
   */
  ip: string | null
  /** The user agent; for a call of the pages that of the browser. */
  userAgent: string | null
  /** Whether the pages called for a browser, or a client called the API. */
  way: Way
  /** The language that the request prefers; null: none of those that mails have. */
  locale: Locale | null
  requestId: string
}

/** The role that makes a user an operator. */
export const ADMIN = 'ADMIN'
