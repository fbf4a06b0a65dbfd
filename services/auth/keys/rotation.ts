import type { Caller } from '../../kit/caller.ts'
import { HOUR, MINUTE, SECOND } from '../../kit/clock.ts'
import type { AuditEvent } from '../../kit/outbox/audit.ts'
import { Problem } from '../../kit/problem.ts'
import type { Config } from '../../kit/process/config.ts'
import { type AuthContext, auditEvent } from '../context.ts'
import type { StoredKey } from '../store/index.ts'

const SIGNED_AT_MOST_LATE = MINUTE
const LOOK_EVERY = MINUTE
/**
 * Between two rotations by age, by the monotonic clock: a wall clock that is set years forward and back, again and
 * again, makes no storm of keys.
 */
const LEAST_PAUSE = HOUR

/** The longest time for which a copy of the JWKS may be kept by whoever obeys its `cache-control`. */
const JWKS_KEPT = MINUTE
/** Verifiers pause between two look-ups, even if a key is new to them: `jose` for 30 seconds, `oauth4webapi` for 60. */
const VERIFIERS_PAUSE = MINUTE

/**
 * Seconds for which the JWKS may be kept: half of what a verifier's pause leaves of the lead. The other half is for slow
 * networks and for clocks that count whole seconds.
 */
export function jwksMaxAge({ signingKeyLead }: Pick<Config, 'signingKeyLead'>): number {
  return Math.floor(Math.min(JWKS_KEPT, Math.max(0, signingKeyLead - VERIFIERS_PAUSE) / 2) / SECOND)
}

/** Writes the row of the audit about a key. */
type Row = (kid: string) => AuditEvent

type Context = Pick<AuthContext, 'clock' | 'config' | 'feed' | 'keyRing' | 'log' | 'random' | 'store' | 'tokens'>

/**
 * Replaces the key that signs, by hand and by age, and takes keys out.
 *
 * A new key is published first and signs after SIGNING_KEY_LEAD. Ch202's own services learn of it within a second, but
 * verifiers elsewhere keep the JWKS for minutes and pause between two look-ups: a token of a key that they have not seen
 * yet would be refused. A pending key is in the database, so that a restart neither loses it nor begins its lead again.
 */
export class KeyRotation {
  private looks: ReturnType<typeof setInterval> | undefined
  private lead: ReturnType<typeof setInterval> | undefined
  /** Whether the lead of the pending key is over. */
  private due = false
  private looking: Promise<void> = Promise.resolve()
  /** When the last rotation by age began; monotonic milliseconds. */
  private rotatedAt = Number.NEGATIVE_INFINITY

  constructor(private readonly context: Context) {}

  /** Starts to check the keys every minute. The lead of a pending key goes on; the time without the service counts. */
  start(): void {
    const { clock, config, keyRing } = this.context
    const pending = keyRing.pending()
    // At most a whole lead, also if the clock was set back meanwhile.
    if (pending)
      this.beginLead(Math.min(pending.createdAt + config.signingKeyLead - clock.now(), config.signingKeyLead))
    this.look()
    this.looks = setInterval(() => this.look(), LOOK_EVERY)
  }

  /** Resolves when a change by the service itself is done. */
  async stop(): Promise<void> {
    clearInterval(this.looks)
    this.endLead()
    await this.looking
  }

  /**
   * Publishes a new key at someone's request; where one is pending, that is the one. Resolves when every service of
   * Ch202 has it.
   * @param now whether it signs when this resolves, which verifiers elsewhere may not be ready for
   */
  rotate(caller: Caller, now: boolean): Promise<StoredKey> {
    const { config, keyRing } = this.context
    const atOnce = now || config.signingKeyLead === 0
    const row: Row = (kid) => auditEvent(this.context, caller, 'key.rotated', null, { kid, now: atOnce })
    return keyRing.exclusively(() => (atOnce ? this.signWithNext(row) : this.publish(row)))
  }

  /**
   * Takes a key out in an emergency: its tokens are refused everywhere when this resolves. Where it is the one that
   * signs, its successor signs first: the pending key, or else a new one.
   * @throws Problem `not_found`
   */
  remove(kid: string, caller: Caller): Promise<void> {
    const { feed, keyRing, tokens } = this.context
    return keyRing.exclusively(async () => {
      if (!keyRing.has(kid)) throw new Problem('not_found')
      if (keyRing.active().kid === kid)
        await this.signWithNext((next) =>
          auditEvent(this.context, caller, 'key.rotated', null, { kid: next, now: true }),
        )
      const seq = await keyRing.remove(kid, auditEvent(this.context, caller, 'key.removed', null, { kid }))
      if (!keyRing.pending()) this.endLead()
      tokens.keysChanged()
      await feed.waitForAcks(seq)
    })
  }

  /** When a pending key signs, by the wall clock in milliseconds. */
  signsAt({ createdAt }: StoredKey): number {
    return createdAt + this.context.config.signingKeyLead
  }

  /** Publishes a new key, unless one is pending. Only within `exclusively`, as the methods below. */
  private async publish(row: Row): Promise<StoredKey> {
    const { feed, keyRing, store } = this.context
    const pending = keyRing.pending()
    if (pending) {
      // Each use of an operator's key is a row of the audit.
      await store.addEvent(row(pending.kid))
      return pending
    }
    const { seq, stored } = await this.add(row)
    await feed.waitForAcks(seq)
    return stored
  }

  /** Signs with the pending key from now on, or else with a new one, as soon as every service of Ch202 has it. */
  private async signWithNext(row: Row): Promise<StoredKey> {
    const { keyRing } = this.context
    const pending = keyRing.pending()
    if (pending) return await this.activate(pending.kid, row)
    return await this.activate((await this.add(row)).kid, null)
  }

  private async add(row: Row): ReturnType<AuthContext['keyRing']['add']> {
    const { config, keyRing } = this.context
    const added = await keyRing.add(row)
    // Also for a key that is to sign at once: if that fails, the key signs after its lead.
    this.beginLead(config.signingKeyLead)
    return added
  }

  /** The key before stays until its last token has expired. */
  private async activate(kid: string, row: Row | null): Promise<StoredKey> {
    const { clock, config, feed, keyRing, store } = this.context
    // The services got the key when it was published; after a restart, none is known to have it.
    await feed.waitForAcks(await store.lastRevocation())
    const goneAt = clock.now() + config.jwtExpire + SIGNED_AT_MOST_LATE
    const key = await keyRing.activate(kid, goneAt, row?.(kid) ?? null)
    this.endLead()
    return key
  }

  /**
   * Waits for the end of the pending key's lead. A timer does so, and no comparison of times, because the wall clock may
   * be set meanwhile; it is an interval, as every timer that the tests drive.
   * @param left milliseconds
   */
  private beginLead(left: number): void {
    this.endLead()
    this.due = left <= 0
    if (this.due) return
    this.lead = setInterval(() => {
      clearInterval(this.lead)
      this.due = true
      this.look()
    }, left)
  }

  private endLead(): void {
    clearInterval(this.lead)
    this.due = false
  }

  private look(): void {
    const { log } = this.context
    this.looking = this.looking
      .then(() => this.signIfDue())
      .then(() => this.publishIfOld())
      .catch((error) => log.error({ event: 'key.rotation_failed', err: error }))
  }

  private async signIfDue(): Promise<void> {
    const { keyRing, log } = this.context
    if (!this.due) return
    await keyRing.exclusively(async () => {
      // An operator may have removed the key meanwhile, or made it sign at once.
      const pending = keyRing.pending()
      if (!pending || !this.due) return
      await this.activate(pending.kid, (kid) => this.rowByItself('key.activated', { kid }))
      log.info({ event: 'key.activated' })
    })
  }

  private async publishIfOld(): Promise<void> {
    const { clock, config, keyRing, log } = this.context
    if (!this.isOld() || clock.monotonic() - this.rotatedAt < LEAST_PAUSE) return
    await keyRing.exclusively(async () => {
      // Someone may have just done it by hand.
      if (!this.isOld()) return
      const atOnce = config.signingKeyLead === 0
      const row: Row = (kid) => this.rowByItself('key.rotated', { kid, now: atOnce })
      await (atOnce ? this.signWithNext(row) : this.publish(row))
      this.rotatedAt = clock.monotonic()
      log.info({ event: 'key.rotated' })
    })
  }

  /**
   * Whether it is time to publish a successor, so that it signs when the key is SIGNING_KEY_MAX_AGE old. A key of the
   * future, made while the clock was ahead, is not old.
   */
  private isOld(): boolean {
    const { clock, config, keyRing } = this.context
    if (keyRing.pending()) return false
    return clock.now() - keyRing.active().createdAt >= config.signingKeyMaxAge - config.signingKeyLead
  }

  private rowByItself(type: string, detail: Record<string, unknown>): AuditEvent {
    return auditEvent(this.context, { actor: 'auth', ip: null, requestId: null }, type, null, detail)
  }
}
