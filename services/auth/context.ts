import type { Clock } from '../kit/clock.ts'
import type { Log } from '../kit/log.ts'
import { type Actor, type AuditEvent, actorOf } from '../kit/outbox/audit.ts'
import type { Hasher } from '../kit/passwords/hasher.ts'
import type { Config } from '../kit/process/config.ts'
import type { Random } from '../kit/random.ts'
import type { LocalTokenCheck } from '../kit/tokens/check.ts'
import type { KeyRing } from './keys/ring.ts'
import type { KeyRotation } from './keys/rotation.ts'
import type { Codes, Sealing } from './keys/sealing.ts'
import type { LoginLimits } from './login/limits.ts'
import type { UsersPeer } from './peers.ts'
import type { GraceHeartbeat } from './sessions/grace.ts'
import type { RevocationFeed } from './sessions/revocation-feed.ts'
import type { AuthStore } from './store.ts'
import type { EventDispatcher } from './webhooks/dispatcher.ts'

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
  outside: EventDispatcher
  sealing: Sealing
  /** Make and recognise refresh tokens. */
  codes: Codes
  /** Make the tokens of links for a new password. */
  resetCodes: Codes
  limits: LoginLimits
  graceClock: GraceHeartbeat
  cacheUse: { hits: number; misses: number; lastSyncAt: number | null; pending: number }
  log: Log
  config: Config
  issuer: string
}

/** A row of the audit about what `caller` did. */
export function eventBy(
  { clock, random }: Pick<AuthContext, 'clock' | 'random'>,
  caller: Actor,
  type: string,
  userId: string | null,
  detail: Record<string, unknown> = {},
): AuditEvent {
  return { id: random.id(), at: clock.now(), type, userId, ...actorOf(caller), detail }
}
