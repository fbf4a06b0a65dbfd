import type { Caller } from '../../kit/caller.ts'
import { HOUR, MINUTE } from '../../kit/clock.ts'
import type { Log } from '../../kit/log.ts'
import type { AuditEvent } from '../../kit/outbox/audit.ts'
import { Problem } from '../../kit/problem.ts'
import type { Config } from '../../kit/process/config.ts'
import type { LocalTokenCheck } from '../../kit/tokens/check.ts'
import { AUTH_ITSELF, type AuditRecordContext, auditEvent } from '../audit/record.ts'
import type { AuditStore, RevocationStore, StoredKey } from '../store/index.ts'
import type { KeyRing } from './ring.ts'
import { needsSuccessor, remainingLead, retiredUntil } from './schedule.ts'

const CHECK_EVERY = MINUTE
/**
 * The shortest time between two rotations by age, by the monotonic clock: a wall clock that is repeatedly set years
 * forward and back must not create key after key.
 */
const SHORTEST_INTERVAL = HOUR

/** Builds the audit row about a key. */
type Row = (kid: string) => AuditEvent

interface KeyRotationContext extends AuditRecordContext {
  store: AuditStore & RevocationStore
  config: Pick<Config, 'jwtExpire' | 'signingKeyLead' | 'signingKeyMaxAge'>
  /** `waitForAcks` resolves when every service that checks tokens by itself has the change `seq`. */
  feed: { waitForAcks(seq: number): Promise<void> }
  keyRing: KeyRing
  log: Log
  tokens: Pick<LocalTokenCheck, 'clearCache'>
}

/**
 * Replaces the active key, on request and by age, and removes keys.
 *
 * A new key is published first and signs after SIGNING_KEY_LEAD. Ch202's own services get it within a second, but other
 * verifiers cache the JWKS for minutes and wait between two fetches: until then they would refuse its tokens. A pending
 * key is in the database, so a restart neither loses it nor restarts its lead.
 */
export class KeyRotation {
  private timer: ReturnType<typeof setInterval> | undefined
  private leadTimer: ReturnType<typeof setInterval> | undefined
  /** Whether the lead of the pending key is over. */
  private leadIsOver = false
  private lastCheck: Promise<void> = Promise.resolve()
  /** When the last rotation by age began; monotonic milliseconds. */
  private rotatedAt = Number.NEGATIVE_INFINITY

  constructor(private readonly context: KeyRotationContext) {}

  /** Checks the keys now and every minute. A pending key's lead continues; the time while the service was down counts. */
  start(): void {
    const { clock, config, keyRing } = this.context
    const pending = keyRing.pending()
    if (pending) this.startLead(remainingLead(pending, clock.now(), config.signingKeyLead))
    this.check()
    this.timer = setInterval(() => this.check(), CHECK_EVERY)
  }

  /** Resolves when a check that is under way has ended. */
  async stop(): Promise<void> {
    clearInterval(this.timer)
    this.endLead()
    await this.lastCheck
  }

  /**
   * Publishes a new key on request, or returns the pending one. Resolves when every service of Ch202 has it.
   * @param when `sign now`: the key signs when the promise resolves, perhaps before other verifiers have the key
   * @returns the key that signs, or will sign
   */
  rotate(caller: Caller, when: 'sign now' | 'sign after lead'): Promise<StoredKey> {
    const { config, keyRing } = this.context
    const now = when === 'sign now' || config.signingKeyLead === 0
    const row: Row = (kid) => auditEvent(this.context, caller, 'key.rotated', null, { kid, now })
    return keyRing.exclusively(() => (now ? this.signWithNext(row) : this.publish(row)))
  }

  /**
   * Removes a key in an emergency. Resolves when its tokens are refused everywhere. Before the active key is removed
   * its successor starts to sign: the pending key, or a new one.
   * @throws Problem `not_found`
   */
  remove(kid: string, caller: Caller): Promise<void> {
    const { feed, keyRing, store, tokens } = this.context
    return keyRing.exclusively(async () => {
      if (!keyRing.has(kid)) throw new Problem('not_found')
      if (keyRing.active().kid === kid)
        await this.signWithNext((next) =>
          auditEvent(this.context, caller, 'key.rotated', null, { kid: next, now: true }),
        )
      const seq = await keyRing.remove(kid, auditEvent(this.context, caller, 'key.removed', null, { kid }))
      if (!keyRing.pending()) this.endLead()
      tokens.clearCache()
      await feed.waitForAcks(seq ?? (await store.lastRevocation()))
    })
  }

  /** Returns when a pending key starts to sign, by the wall clock in milliseconds. */
  signsAt({ createdAt }: StoredKey): number {
    return createdAt + this.context.config.signingKeyLead
  }

  /** Publishes a new key unless one is pending. Runs only within `exclusively`, as do the methods below. */
  private async publish(row: Row): Promise<StoredKey> {
    const { feed, keyRing, store } = this.context
    const pending = keyRing.pending()
    if (pending) {
      // Every use of an operator's key leaves a row in the audit.
      await store.addAuditEvent(row(pending.kid))
      return pending
    }
    const { seq, stored } = await this.add(row)
    await feed.waitForAcks(seq)
    return stored
  }

  /** Signs with the pending key, or with a new one, as soon as every service of Ch202 has it. */
  private async signWithNext(row: Row): Promise<StoredKey> {
    const { keyRing } = this.context
    const pending = keyRing.pending()
    if (pending) return await this.activate(pending.kid, row)
    return await this.activate((await this.add(row)).kid, null)
  }

  private async add(row: Row): ReturnType<KeyRing['add']> {
    const { config, keyRing } = this.context
    const result = await keyRing.add(row)
    // Also for a key that shall sign at once: if activating it fails, it signs after its lead.
    this.startLead(config.signingKeyLead)
    return result
  }

  /** Makes a key the active one. The previous key stays until its last token has expired. */
  private async activate(kid: string, row: Row | null): Promise<StoredKey> {
    const { clock, config, feed, keyRing, store } = this.context
    // The services got the key when it was published, but after a restart nothing proves that they did.
    await feed.waitForAcks(await store.lastRevocation())
    const { seq, stored } = await keyRing.activate(kid, retiredUntil(clock.now(), config), row?.(kid) ?? null)
    this.endLead()
    // Other nodes sign with the previous key until they have acknowledged this change.
    await feed.waitForAcks(seq)
    return stored
  }

  /**
   * Waits for the end of the pending key's lead, with a timer rather than by comparing times, because the wall clock may
   * be set meanwhile. The timer is an interval because that is what the tests can drive.
   * @param ms milliseconds
   */
  private startLead(ms: number): void {
    this.endLead()
    this.leadIsOver = ms <= 0
    if (this.leadIsOver) return
    this.leadTimer = setInterval(() => {
      clearInterval(this.leadTimer)
      this.leadIsOver = true
      this.check()
    }, ms)
  }

  private endLead(): void {
    clearInterval(this.leadTimer)
    this.leadIsOver = false
  }

  /** Activates, publishes and removes keys that are due, after the check before. Logs failures. */
  private check(): void {
    const { keyRing, log } = this.context
    this.lastCheck = this.lastCheck
      .then(() => this.signIfDue())
      .then(() => this.publishIfOld())
      .then(() => keyRing.exclusively(() => keyRing.removeExpired()))
      .catch((error) => log.error({ event: 'key.rotation_failed', err: error }))
  }

  /** Activates the pending key when its lead is over. */
  private async signIfDue(): Promise<void> {
    const { keyRing, log } = this.context
    if (!this.leadIsOver) return
    await keyRing.exclusively(async () => {
      // Meanwhile an operator may have removed the key, or made it sign at once.
      const pending = keyRing.pending()
      if (!pending || !this.leadIsOver) return
      await this.activate(pending.kid, (kid) => auditEvent(this.context, AUTH_ITSELF, 'key.activated', null, { kid }))
      log.info({ event: 'key.activated' })
    })
  }

  /** Publishes a successor when the active key is old. */
  private async publishIfOld(): Promise<void> {
    const { clock, config, keyRing, log } = this.context
    if (!this.isOld() || clock.monotonic() - this.rotatedAt < SHORTEST_INTERVAL) return
    await keyRing.exclusively(async () => {
      // Meanwhile an operator may have rotated the key.
      if (!this.isOld()) return
      const now = config.signingKeyLead === 0
      const row: Row = (kid) => auditEvent(this.context, AUTH_ITSELF, 'key.rotated', null, { kid, now })
      await (now ? this.signWithNext(row) : this.publish(row))
      this.rotatedAt = clock.monotonic()
      log.info({ event: 'key.rotated' })
    })
  }

  /** Whether the active key needs a successor that is not pending yet. */
  private isOld(): boolean {
    const { clock, config, keyRing } = this.context
    return !keyRing.pending() && needsSuccessor(keyRing.active(), clock.now(), config)
  }
}
