import type { Clock } from '../clock.ts'
import { Problem } from '../problem.ts'
import {
  authenticationOf,
  type Claims,
  type Expectations,
  type TokenFault,
  type VerifiedToken,
  verifyAccessToken,
} from './access-token.ts'
import type { Revocations } from './revocations.ts'

/** The result of checking an access token, with the claims that a caller may know. */
export type Verdict =
  | {
      valid: true
      userId: string
      sessionId: string
      roles: readonly string[]
      /** Milliseconds since the epoch. */
      expiresAt: number
      /** When the user last authenticated, in seconds since the epoch; 0 if the token does not say so. */
      authTime: number
      /** The methods by which the user authenticated (RFC 8176). */
      amr: readonly string[]
    }
  | { valid: false; reason: TokenFault }

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
    private readonly expected: Expectations,
    private readonly revocations: Revocations,
    private readonly clock: Clock,
  ) {}

  check(token: string): Verdict {
    const result = this.claims(token)
    return result.valid ? verdictOf(result.claims) : result
  }

  /** The claims of a token that is valid now, or the reason why it is not. */
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

function verdictOf(claims: Claims): Verdict {
  return {
    valid: true,
    userId: claims.sub,
    sessionId: claims.sid,
    roles: claims.roles,
    expiresAt: claims.exp * 1000,
    ...authenticationOf(claims),
  }
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
