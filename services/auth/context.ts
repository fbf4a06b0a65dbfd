import { type AuditEvent, by, type Doer } from '../kit/audit.ts'
import type { Clock } from '../kit/clock.ts'
import type { Config } from '../kit/config.ts'
import type { Hasher } from '../kit/hasher.ts'
import type { Log } from '../kit/log.ts'
import type { Random } from '../kit/random.ts'
import type { LocalTokenCheck } from '../kit/token-check.ts'
import type { GraceClock } from './grace-clock.ts'
import type { KeyRing } from './key-ring.ts'
import type { KeyRotation } from './key-rotation.ts'
import type { LoginLimits } from './login-limits.ts'
import type { Outside } from './outside.ts'
import type { UsersPeer } from './peers.ts'
import type { RevocationFeed } from './revocation-feed.ts'
import type { Codes, Sealing } from './sealing.ts'
import type { AuthStore } from './store.ts'

/** What the functions of the auth service are given. */
export interface AuthContext {
  store: AuthStore
  clock: Clock
  random: Random
  hasher: Hasher
  users: UsersPeer
  keyRing: KeyRing
  rotation: KeyRotation
  feed: RevocationFeed
  tokens: LocalTokenCheck
  outside: Outside
  sealing: Sealing
  /** Make and recognise refresh tokens. */
  codes: Codes
  /** Make the tokens of links for a new password. */
  resetCodes: Codes
  limits: LoginLimits
  graceClock: GraceClock
  cacheUse: { hits: number; misses: number; lastSyncAt: number | null; pending: number }
  log: Log
  config: Config
  issuer: string
}

/** A row of the audit about what `caller` did. */
export function eventBy(
  { clock, random }: Pick<AuthContext, 'clock' | 'random'>,
  caller: Doer,
  type: string,
  userId: string | null,
  detail: Record<string, unknown> = {},
): AuditEvent {
  return { id: random.id(), at: clock.now(), type, userId, ...by(caller), detail }
}
