import { HOUR, MINUTE } from '../../kit/clock.ts'
import type { Revocation } from '../../kit/tokens/revocations.ts'
import type { Session } from '../store/index.ts'

/**
 * Milliseconds for which a revocation outlives the last access token of its session. A token may be signed while its
 * session ends. And a revocation must not be dropped too early by a clock that is up to an hour ahead: once that clock is
 * set back, those tokens would be valid again.
 */
export const REVOCATION_MARGIN = HOUR + MINUTE

/** Returns the sessions that have not expired. */
export function liveSessions<T extends Session>(sessions: readonly T[], now: number): T[] {
  return sessions.filter((session) => now < session.expiresAt && now < session.endsAt)
}

/** Builds the revocation of the access tokens of a session that ends. */
export function revocationOf(session: Session): Revocation {
  return { kind: 'session', subject: session.id, version: 0, until: revokedUntil(session.accessUntil) }
}

/**
 * Returns the time until which access tokens must stay revoked, in milliseconds since the epoch.
 * @param accessUntil when the last of them expires
 */
export function revokedUntil(accessUntil: number): number {
  return accessUntil + REVOCATION_MARGIN
}
