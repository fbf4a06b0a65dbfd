import type { AuditEvent } from '../../kit/outbox/audit.ts'
import type { AuthMethod } from '../../kit/tokens/access-token.ts'
import type { Account } from './accounts.ts'
import type { Ended } from './revocations.ts'
import type { Session } from './sessions.ts'

/** The access that a user gave a client. Times are milliseconds since the epoch. */
export interface Grant {
  id: string
  userId: string
  clientId: string
  /** The session in which the user signed in: the `sid` of ID tokens. */
  sessionId: string
  scopes: string[]
  /** The audience of access tokens (RFC 8707); null: the client. */
  resource: string | null
  /**
   * Whether it outlives its session (`offline_access`). Then it has a session of its own, with its id, whose refresh
   * tokens the client has.
   */
  offline: boolean
  /** The version of the account. */
  version: number
  clientVersion: number
  createdAt: number
  lastUsedAt: number
  /** When its last access token expires; of an offline grant, its session says so. */
  accessUntil: number
  endsAt: number
}

/** A grant as its user sees it. */
export type ListedGrant = Pick<Grant, 'clientId' | 'createdAt' | 'id' | 'lastUsedAt' | 'offline' | 'scopes'> & {
  clientName: string
}

/** An authorization code (RFC 6749, 4.1). Times are milliseconds since the epoch. */
export interface AuthorizationCode {
  /** The SHA-256 of the code. */
  hash: Uint8Array
  clientId: string
  userId: string
  sessionId: string
  redirectUri: string
  scopes: string[]
  resource: string | null
  nonce: string | null
  /** The S256 challenge of PKCE; null for a client that is exempt. */
  codeChallenge: string | null
  createdAt: number
  expiresAt: number
  /** The version of the account. */
  version: number
  authTime: number
  amr: AuthMethod[]
  usedAt: number | null
  grantId: string | null
}

/** The input of `useCode`. */
export interface CodeUse {
  hash: Uint8Array
  now: number
  /** The id of the grant, unless the session already has one for the client. */
  grantId: string
  clientVersion: number
  /** Whether the client needs no consent. */
  firstParty: boolean
  accessUntil: number
  /** Makes the session of an offline grant, with the id of the grant. */
  offlineSession(account: Account, code: AuthorizationCode): Session
  event(code: AuthorizationCode, grantId: string): AuditEvent
}

/**
 * The result of `useCode`. `session`: of an offline grant its own, otherwise the one in which the user signed in. `used`: the
 * code was used before, and what it gave has ended.
 */
export type CodeResult =
  | { outcome: 'granted'; grant: Grant; session: Session; account: Account }
  | { outcome: 'used'; ended: Ended }
  | { outcome: 'gone' }

/** The input of `endGrant`. */
export interface GrantEnding {
  id: string
  /** The user whom the grant must belong to; null: any user. */
  userId: string | null
  now: number
  reason: 'grant_ended' | 'token_revoked'
  /** Whether the client has to ask the user again, and loses the codes that it has not redeemed. */
  forgetsConsent: boolean
}

/** The scopes that a user allows a client in a session. `givenAt`: milliseconds since the epoch. */
export interface ConsentOfUser {
  userId: string
  sessionId: string
  clientId: string
  scopes: string[]
  givenAt: number
}

export interface GrantStore {
  addCode(code: AuthorizationCode): Promise<void>
  code(hash: Uint8Array): Promise<AuthorizationCode | null>
  /** Uses a code once. A second use ends what the first gave (RFC 6749, 4.1.2). */
  useCode(use: CodeUse): Promise<CodeResult>
  /** Returns a grant; null also when its client was disabled since. */
  grant(id: string): Promise<Grant | null>
  /** Lists the live grants of a user, newest first. */
  grantsOf(userId: string, now: number): Promise<ListedGrant[]>
  /**
   * Ends a grant.
   * @returns null when there is no such grant
   */
  endGrant(ending: GrantEnding, event: AuditEvent): Promise<Ended | null>
  /**
   * Deletes the codes of a client, and its grants that were given before a version of it. The feed has refused their tokens
   * already.
   */
  removeGrantsOf(clientId: string, version: number): Promise<void>
  /** Returns the scopes that a user has allowed a client. */
  consent(userId: string, clientId: string): Promise<string[]>
  /**
   * Adds scopes to those that a user has allowed a client.
   * @returns false when the session has ended: the end of the account's earlier consents must not miss a late one
   */
  giveConsent(consent: ConsentOfUser, event: AuditEvent): Promise<boolean>
  /** Deletes expired codes and grants. */
  forgetGrants(now: number): Promise<void>
}
