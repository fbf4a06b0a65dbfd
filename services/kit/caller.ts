/** Who asks, and from where: what the guard found out, for the functions and the audit. Knows no HTTP. */
export interface Caller {
  /** The user whose access token came with the request. */
  userId: string | null
  sessionId: string | null
  roles: readonly string[]
  /** The operator's key, or a token with the role ADMIN. */
  operator: boolean
  /** The key that the services use among themselves. */
  internal: boolean
  /** For the audit: `user:<id>`, `operator`, `internal` or `anyone`. */
  actor: string
  /** The client's address, behind the trusted proxies. Null for a call within the process. */
  ip: string | null
  userAgent: string | null
  requestId: string
}

export const ADMIN = 'ADMIN'
