import type { Caller } from '../../kit/caller.ts'
import { HOUR, MINUTE, SECOND } from '../../kit/clock.ts'
import type { Log } from '../../kit/log.ts'
import type { Nodes } from '../../kit/nodes/nodes.ts'
import type { AuditEvent } from '../../kit/outbox/audit.ts'
import { Problem } from '../../kit/problem.ts'
import type { Config } from '../../kit/process/config.ts'
import type { LocalTokenCheck } from '../../kit/tokens/check.ts'
import { AUTH_ITSELF, type AuditRecordContext, auditEvent } from '../audit/record.ts'
import type { AuditStore, RevocationStore, StoredKey } from '../store/index.ts'
import type { KeyRing } from './ring.ts'
import { needsSuccessor, remainingLead, retiredUntil } from './schedule.ts'

const CHECK_EVERY = MINUTE
/** The same where several nodes run: a key may be published by one and activated by another. */
const CHECK_SHARED_EVERY = 5 * SECOND
/** The lease of the node that replaces keys by age. */
export const ROTATION_LEASE = 'rotation of keys'
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
  /** The nodes that share the store: one of them at a time replaces keys by age. Absent: this one is alone. */
  nodes?: Pick<Nodes, 'claim' | 'holds' | 'isShared'>
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
  /** The pending key whose lead runs or is over. */
  private leadKid: string | undefined
  /** Whether the lead of the pending key is over. */
  private leadIsOver = false
  private lastCheck: Promise<void> = Promise.resolve()
  /** When the last rotation by age began; monotonic milliseconds. */
  private rotatedAt = Number.NEGATIVE_INFINITY

  constructor(private readonly context: KeyRotationContext) {}

  /** Checks the keys now and every minute. A pending key's lead continues; the time while the service was down counts. */
  start(): void {
    const { nodes } = this.context
    if (nodes?.isShared) nodes.claim(ROTATION_LEASE).then(() => this.check())
    else this.check()
    this.timer = setInterval(() => this.check(), nodes?.isShared ? CHECK_SHARED_EVERY : CHECK_EVERY)
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
      if (!keyRing.get(kid)) {
        // A request without an answer, or another node, may have removed it a moment ago.
        await feed.waitForAcks(await store.lastRevocation())
        throw new Problem('not_found')
      }
      const successorRow: Row = (next) =>
        auditEvent(this.context, caller, 'key.rotated', null, { kid: next, now: true })
      let seq: Awaited<ReturnType<KeyRing['remove']>>
      do {
        if (keyRing.active().kid === kid) await this.signWithNext(successorRow)
        seq = await keyRing.remove(kid, auditEvent(this.context, caller, 'key.removed', null, { kid }))
        // Meanwhile another node made it the active key.
      } while (seq === 'active')
      if (!keyRing.pending()) this.endLead()
      tokens.clearCache()
      await feed.waitForAcks(seq ?? (await store.lastRevocation()))
    })
  }

  /** Returns when a pending key starts to sign, by the wall clock in milliseconds. */
  signsAt({ createdAt }: StoredKey): number {
    return createdAt + this.context.config.signingKeyLead
  }

  /**
   * Publishes a new key unless one is pending. Runs only within `exclusively`, as do the methods below.
   * @param lease the change fails when this node does not have it
   */
  private async publish(row: Row, lease?: string): Promise<StoredKey> {
    const { feed, keyRing, store } = this.context
    for (;;) {
      const pending = keyRing.pending()
      if (pending) {
        // Every use of an operator's key leaves a row in the audit.
        await store.addAuditEvent(row(pending.kid))
        // Another node may have published it a moment ago.
        await feed.waitForAcks(await store.lastRevocation())
        return pending
      }
      const added = await this.add(row, lease)
      if (!added) continue
      await feed.waitForAcks(added.seq)
      return added.stored
    }
  }

  /** Signs with the pending key, or with a new one, as soon as every service of Ch202 has it. */
  private async signWithNext(row: Row, lease?: string): Promise<StoredKey> {
    const { feed, keyRing, store } = this.context
    for (;;) {
      const pending = keyRing.pending()
      const kid = pending?.kid ?? (await this.add(row, lease))?.kid
      if (kid === undefined) continue
      const key = await this.activate(kid, pending ? row : null, lease)
      if (key) return key
      const activated = keyRing.get(kid)
      // Another node removed it meanwhile.
      if (!activated) continue
      // Another node made it sign at the same moment: both requests have the same result, and a row in the audit.
      if (pending) await store.addAuditEvent(row(kid))
      await feed.waitForAcks(await store.lastRevocation())
      return activated
    }
  }

  /** @returns null when another node has published a key, which the ring then has */
  private async add(row: Row, lease?: string): ReturnType<KeyRing['add']> {
    const { config, keyRing } = this.context
    const result = await keyRing.add(row, lease)
    // Also for a key that shall sign at once: if activating it fails, it signs after its lead.
    if (result) this.startLead(result.kid, config.signingKeyLead)
    return result
  }

  /**
   * Makes a key the active one. The previous key stays until its last token has expired.
   * @returns null when another node made it sign, or removed it
   */
  private async activate(kid: string, row: Row | null, lease?: string): Promise<StoredKey | null> {
    const { clock, config, feed, keyRing, store } = this.context
    // The services got the key when it was published, but after a restart nothing proves that they did.
    await feed.waitForAcks(await store.lastRevocation())
    const change = await keyRing.activate(kid, retiredUntil(clock.now(), config), row?.(kid) ?? null, lease)
    this.endLead()
    if (!change) return null
    // Other nodes sign with the previous key until they have acknowledged this change.
    await feed.waitForAcks(change.seq)
    return change.stored
  }

  /**
   * Waits for the end of the pending key's lead, with a timer rather than by comparing times, because the wall clock may
   * be set meanwhile. The timer is an interval because that is what the tests can drive.
   * @param ms milliseconds
   */
  private startLead(kid: string, ms: number): void {
    this.endLead()
    this.leadKid = kid
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
    this.leadKid = undefined
    this.leadIsOver = false
  }

  /** Continues the lead of a key that was published before this start, or by another node. */
  private resumeLead(): void {
    const { clock, config, keyRing } = this.context
    const pending = keyRing.pending()
    if (!pending) this.endLead()
    else if (pending.kid !== this.leadKid)
      this.startLead(pending.kid, remainingLead(pending, clock.now(), config.signingKeyLead))
  }

  /** Activates, publishes and removes keys that are due, after the check before. Logs failures. */
  private check(): void {
    const { keyRing, log, nodes } = this.context
    if (nodes && !nodes.holds(ROTATION_LEASE)) return
    this.resumeLead()
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
      const row: Row = (kid) => auditEvent(this.context, AUTH_ITSELF, 'key.activated', null, { kid })
      if (await this.activate(pending.kid, row, ROTATION_LEASE)) log.info({ event: 'key.activated' })
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
      await (now ? this.signWithNext(row, ROTATION_LEASE) : this.publish(row, ROTATION_LEASE))
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
