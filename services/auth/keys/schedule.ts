import { MINUTE, SECOND } from '../../kit/clock.ts'
import type { Config } from '../../kit/process/config.ts'
import type { StoredKey } from '../store/index.ts'

// When keys are published, sign and retire: rules without input or output. Times are milliseconds.

/** The longest time for which caches that respect `cache-control` may keep the JWKS. */
const JWKS_CACHED = MINUTE
/** Verifiers wait between two fetches of the JWKS, even for an unknown key: `jose` 30 seconds, `oauth4webapi` 60. */
const VERIFIER_COOLDOWN = MINUTE
/** A request that began before the switch may still sign with the previous key for this long. */
const LATE_SIGNATURE = MINUTE

/**
 * Returns the `max-age` of the JWKS in seconds: half of what a verifier's cooldown leaves of the lead. The other half is a
 * margin for slow networks and for clocks that count whole seconds.
 */
export function jwksMaxAge({ signingKeyLead }: Pick<Config, 'signingKeyLead'>): number {
  return Math.floor(Math.min(JWKS_CACHED, Math.max(0, signingKeyLead - VERIFIER_COOLDOWN) / 2) / SECOND)
}

/**
 * Returns how long a pending key still waits, negative when it is late: at most the lead, even if the clock was set back
 * after the key was published.
 */
export function remainingLead({ createdAt }: Pick<StoredKey, 'createdAt'>, now: number, lead: number): number {
  return Math.min(createdAt + lead - now, lead)
}

/** Returns when the last token of a key that stops signing at `now` has expired, in milliseconds since the epoch. */
export function retiredUntil(now: number, { jwtExpire }: Pick<Config, 'jwtExpire'>): number {
  return now + jwtExpire + LATE_SIGNATURE
}

/**
 * Whether to publish a successor, so that it signs when the active key is SIGNING_KEY_MAX_AGE old. A key created in the
 * future, while the clock was ahead, does not need one.
 */
export function needsSuccessor(
  { createdAt }: Pick<StoredKey, 'createdAt'>,
  now: number,
  { signingKeyLead, signingKeyMaxAge }: Pick<Config, 'signingKeyLead' | 'signingKeyMaxAge'>,
): boolean {
  return now - createdAt >= signingKeyMaxAge - signingKeyLead
}
