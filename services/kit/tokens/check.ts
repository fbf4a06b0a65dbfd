import type { Clock } from '../clock.ts'
import { Problem } from '../problem.ts'
import { type Claims, type Expected, type TokenFault, verifyAccessToken } from './access-token.ts'
import type { Revocations } from './revocations.ts'

/** What the bearer of a good token may be told about it. */
export type Verdict =
  | { valid: true; userId: string; sessionId: string; roles: readonly string[]; expiresAt: number }
  | { valid: false; reason: TokenFault }

/** Decides about access tokens: in auth by what it knows, elsewhere by the revocation feed. */
export interface TokenCheck {
  /** @throws Problem `auth_unavailable` when nothing can be said about the token */
  check(token: string): Verdict | Promise<Verdict>
}

const REMEMBERED_MAX = 20_000

/**
 * Checks a token with nothing but what is in memory. A signature is checked once: a token that passed is remembered
 * (bounded, emptied when the key ring changes); its time and its revocation are looked at each time.
 */
export class LocalTokenCheck implements TokenCheck {
  private readonly passed = new Map<string, Claims>()

  constructor(
    private readonly expected: Expected,
    private readonly revocations: Revocations,
    private readonly clock: Clock,
  ) {}

  check(token: string): Verdict {
    const claims = this.claims(token)
    return typeof claims === 'string' ? { valid: false, reason: claims } : verdictOf(claims)
  }

  /** The claims of a token that is good now, or what is wrong with it. */
  claims(token: string): Claims | TokenFault {
    let claims = this.passed.get(token)
    if (!claims) {
      const checked = verifyAccessToken(token, this.expected)
      if (typeof checked === 'string') return checked
      claims = checked
      if (this.passed.size >= REMEMBERED_MAX) this.forgetOldest()
      this.passed.set(token, claims)
    }
    if (claims.exp * 1000 <= this.clock.now()) {
      this.passed.delete(token)
      return 'expired'
    }
    // No leeway either way: the services of an instance go by one clock.
    if (claims.nbf !== undefined && claims.nbf * 1000 > this.clock.now()) return 'malformed'
    return this.revocations.covers(claims) ? 'revoked' : claims
  }

  /** To be called when a key came or went. */
  keysChanged(): void {
    this.passed.clear()
  }

  private forgetOldest(): void {
    let spare = REMEMBERED_MAX / 10
    for (const token of this.passed.keys()) {
      if (spare-- <= 0) return
      this.passed.delete(token)
    }
  }
}

function verdictOf(claims: Claims): Verdict {
  return {
    valid: true,
    userId: claims.sub,
    sessionId: claims.sid,
    roles: claims.roles,
    expiresAt: claims.exp * 1000,
  }
}

/** Whether it says that an access token is not good. */
export function isTokenProblem(error: unknown): error is Problem {
  return error instanceof Problem && /^(invalid_token|token_expired|token_revoked)$/.test(error.code)
}

export function tokenProblem(reason: TokenFault): Problem {
  if (reason === 'expired') return new Problem('token_expired')
  if (reason === 'revoked') return new Problem('token_revoked')
  return new Problem('invalid_token')
}
