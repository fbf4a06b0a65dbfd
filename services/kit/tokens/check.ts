import type { Clock } from '../clock.ts'
import { Problem } from '../problem.ts'
import {
  authenticationIn,
  authenticationOf,
  type Claims,
  type Expectations,
  isForService,
  isOfClient,
  isOfGrant,
  scopesOf,
  type TokenFault,
  type VerifiedToken,
  verifyAccessToken,
} from './access-token.ts'
import type { Revocations } from './revocations.ts'

/** The result of checking an access token, with the claims that a caller may know. */
export type Verdict = ValidUserToken | ValidClientToken | ValidGrantToken | { valid: false; reason: TokenFault }

interface ValidUserToken {
  valid: true
  userId: string
  clientId?: undefined
  grantId?: undefined
  sessionId: string
  roles: readonly string[]
  /** Milliseconds since the epoch. */
  expiresAt: number
  /** When the user last authenticated, in seconds since the epoch; 0 if the token does not say so. */
  authTime: number
  /** The methods by which the user authenticated (RFC 8176). */
  amr: readonly string[]
}

/** The result for a token that a client has for itself. */
interface ValidClientToken {
  valid: true
  userId?: undefined
  grantId?: undefined
  clientId: string
  scopes: readonly string[]
  /** Milliseconds since the epoch. */
  expiresAt: number
}

/** The result for a token that a client has for a user. */
export interface ValidGrantToken extends Omit<ValidUserToken, 'clientId' | 'grantId' | 'sessionId'> {
  clientId: string
  grantId: string
  /** The session in which the user signed in; undefined: the grant may outlive it. */
  sessionId?: string | undefined
  scopes: readonly string[]
}

/** Checks access tokens: in auth by its own state, elsewhere by the revocation feed. */
export interface TokenCheck {
  /** @throws Problem `auth_unavailable` when nobody can decide about the token */
  check(token: string): Verdict | Promise<Verdict>
}

const CACHE_MAX = 20_000

/**
 * Checks a token by what is in memory. A signature is verified once: the claims of a verified token are cached (bounded,
 * emptied when the key ring changes), while its times and revocations are checked at every request.
 */
export class LocalTokenCheck implements TokenCheck {
  private readonly verified = new Map<string, Extract<VerifiedToken, { valid: true }>>()

  constructor(
    private readonly expected: Expectations & {
      /** The name of this service in the tokens of clients and grants (RFC 8707). Undefined: it has none, as Ch202's own have none. */
      resource?: string | undefined
    },
    private readonly revocations: Revocations,
    private readonly clock: Clock,
  ) {}

  check(token: string): Verdict {
    const result = this.claims(token)
    if (!result.valid) return result
    return isForService(result.claims, this.expected.resource) ? verdictOf(result.claims) : FOR_ANOTHER
  }

  /** The claims of a token that is valid now, perhaps for another service, or the reason why it is not. */
  claims(token: string): VerifiedToken {
    let result = this.verified.get(token)
    if (!result) {
      const verified = verifyAccessToken(token, this.expected)
      if (!verified.valid) return verified
      result = verified
      if (this.verified.size >= CACHE_MAX) this.evictOldest()
      this.verified.set(token, result)
    }
    const { claims } = result
    if (claims.exp * 1000 <= this.clock.now()) {
      this.verified.delete(token)
      return EXPIRED
    }
    // No leeway either way: the services of an instance share one clock.
    if (claims.nbf !== undefined && claims.nbf * 1000 > this.clock.now()) return MALFORMED
    return this.revocations.covers(claims) ? REVOKED : result
  }

  /** Forgets the verified tokens. To be called when a key, the issuer or the audience has changed. */
  clearCache(): void {
    this.verified.clear()
  }

  private evictOldest(): void {
    let remaining = CACHE_MAX / 10
    for (const token of this.verified.keys()) {
      if (remaining-- <= 0) return
      this.verified.delete(token)
    }
  }
}

const EXPIRED = { valid: false, reason: 'expired' } as const
const MALFORMED = { valid: false, reason: 'malformed' } as const
const REVOKED = { valid: false, reason: 'revoked' } as const
const FOR_ANOTHER = { valid: false, reason: 'signature' } as const

/** Returns the claims of a verified token that a caller may know. */
function verdictOf(claims: Claims): Extract<Verdict, { valid: true }> {
  const expiresAt = claims.exp * 1000
  if (isOfClient(claims)) return { valid: true, clientId: claims.client_id, scopes: scopesOf(claims), expiresAt }
  const { roles = [], sub: userId } = claims
  const ofUser = { valid: true, userId, roles, expiresAt, ...authenticationOf(claims) } as const
  if (!isOfGrant(claims)) return { ...ofUser, sessionId: claims.sid }
  return { ...ofUser, sessionId: claims.sid, clientId: claims.client_id, grantId: claims.gid, scopes: scopesOf(claims) }
}

/** The answer of auth about a valid token, at `POST /auth/validate-token`. */
export type Validity =
  | { user_id: string; session_id: string; roles: readonly string[]; expires_at: string | Date }
  | { client_id: string; scope: string; expires_at: string | Date }
  | GrantValidity

interface GrantValidity {
  user_id: string
  client_id: string
  grant_id: string
  session_id?: string
  scope: string
  roles?: readonly string[]
  expires_at: string | Date
}

/** The same by the answer of auth about a token. Auth has verified it, and its answer does not repeat every claim. */
export function verdictBy(validity: Validity, token: string): Extract<Verdict, { valid: true }> {
  const expiresAt = Date.parse(String(validity.expires_at))
  if (!('user_id' in validity))
    return { valid: true, clientId: validity.client_id, scopes: scopesOf(validity), expiresAt }
  const { roles = [], session_id, user_id: userId } = validity
  const ofUser = { valid: true, userId, roles, expiresAt, ...authenticationIn(token) } as const
  if (!('grant_id' in validity)) return { ...ofUser, sessionId: validity.session_id }
  const { client_id: clientId, grant_id: grantId } = validity
  return { ...ofUser, sessionId: session_id, clientId, grantId, scopes: scopesOf(validity) }
}

/** Whether an error is one of `tokenProblem`. */
export function isTokenProblem(error: unknown): error is Problem {
  return error instanceof Problem && /^(invalid_token|token_expired|token_revoked)$/.test(error.code)
}

/** The problem of an invalid access token. */
export function tokenProblem(reason: TokenFault): Problem {
  if (reason === 'expired') return new Problem('token_expired')
  if (reason === 'revoked') return new Problem('token_revoked')
  return new Problem('invalid_token')
}
