import type { Caller } from '../../kit/caller.ts'
import { HOUR, MINUTE, SECOND } from '../../kit/clock.ts'
import { notAllowed } from '../../kit/field-errors.ts'
import type { Log } from '../../kit/log.ts'
import type { Nodes } from '../../kit/nodes/nodes.ts'
import type { Actor, AuditEvent } from '../../kit/outbox/audit.ts'
import { invalidField, Problem } from '../../kit/problem.ts'
import type { Config } from '../../kit/process/config.ts'
import type { TokenAlg } from '../../kit/tokens/algorithms.ts'
import type { LocalTokenCheck } from '../../kit/tokens/check.ts'
import { AUTH_ITSELF, type AuditRecordContext, auditEvent } from '../audit/record.ts'
import type { AuditStore, RevocationStore, StoredKey } from '../store/index.ts'
import { Leads } from './leads.ts'
import type { KeyRing } from './ring.ts'
import { needsSuccessor, retiredUntil } from './schedule.ts'
import { longestTokenLife, type TokenLifeStore } from './token-life.ts'

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
  store: AuditStore & RevocationStore & TokenLifeStore
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
 * Replaces the active key of each algorithm, on request and by age, and removes keys. After a change of `TOKEN_ALG` the first key
 * of the new algorithm is published and waits as any other. The first key of an algorithm that clients use for ID tokens signs
 * at once: no app has cached the JWKS for these.
 *
 * A new key is published first and signs after SIGNING_KEY_LEAD. Ch202's own services get it within a second, but other
 * verifiers cache the JWKS for minutes and wait between two fetches: until then they would refuse its tokens. A pending
 * key is in the database, so a restart neither loses it nor restarts its lead.
 */
export class KeyRotation {
  private timer: ReturnType<typeof setInterval> | undefined
  private readonly leads: Leads
  private lastCheck: Promise<void> = Promise.resolve()
  /** When the last rotation by age began; monotonic milliseconds. */
  private readonly rotatedAt = new Map<TokenAlg, number>()

  constructor(private readonly context: KeyRotationContext) {
    this.leads = new Leads(context, () => this.check())
  }

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
    this.leads.endAll()
    await this.lastCheck
  }

  /**
   * Publishes a new key on request, or returns the pending one. Resolves when every service of Ch202 has it.
   * @param when `sign now`: the key signs when the promise resolves, perhaps before other verifiers have the key
   * @param alg the algorithm of the key; that of access tokens by default
   * @returns the key that signs, or will sign
   * @throws Problem `validation_failed` for an algorithm that is not in use
   */
  rotate(
    caller: Caller,
    when: 'sign now' | 'sign after lead',
    alg: TokenAlg = this.context.keyRing.inUse[0],
  ): Promise<StoredKey> {
    const { config, keyRing } = this.context
    if (!keyRing.inUse.includes(alg))
      throw invalidField('alg', notAllowed(`must be an algorithm in use: ${keyRing.inUse.join(', ')}`))
    const now = when === 'sign now' || config.signingKeyLead === 0
    const row = this.rows(caller, 'key.rotated', alg, { now })
    return keyRing.exclusively(() => (now ? this.signWithNext(alg, row) : this.publish(alg, row)))
  }

  /**
   * Removes a key in an emergency. Resolves when its tokens are refused everywhere. Before the active key is removed
   * its successor starts to sign: the pending key, or a new one.
   * @throws Problem `not_found`
   */
  remove(kid: string, caller: Caller): Promise<void> {
    const { feed, keyRing, store, tokens } = this.context
    return keyRing.exclusively(async () => {
      const key = keyRing.get(kid)
      if (!key) {
        // A request without an answer, or another node, may have removed it a moment ago.
        await feed.waitForAcks(await store.lastRevocation())
        throw new Problem('not_found')
      }
      const row = this.rows(caller, 'key.removed', key.alg)
      let seq: Awaited<ReturnType<KeyRing['remove']>>
      do {
        const next = key.status === 'active' ? this.successorAlg(key) : undefined
        if (next) await this.signWithNext(next, this.rows(caller, 'key.rotated', next, { now: true }))
        if (keyRing.get(kid)?.status === 'active') await keyRing.retire(kid, await this.retiredUntil(), null)
        seq = await keyRing.remove(kid, row(kid))
        // Meanwhile another node made it the active key.
      } while (seq === 'active')
      if (!keyRing.pending(key.alg)) this.leads.end(key.alg)
      tokens.clearCache()
      await feed.waitForAcks(seq ?? (await store.lastRevocation()))
    })
  }

  /**
   * Follows a change of clients: an algorithm that they use and that has no key gets one, which signs at once, and the keys of
   * algorithms that they used retire. Resolves when every node has the new keys.
   * @param caller who changed the clients
   */
  followClients(caller: Caller): Promise<void> {
    const { keyRing } = this.context
    return keyRing.exclusively(async () => {
      await keyRing.reload()
      await this.addFirstKeys(keyRing.algsOfClients, caller)
      // Only the node that rotates ends a TOKEN_ALG: while nodes restart one by one, they do not have the same.
      await this.endUnused(caller, ({ forAccessTokens }) => !forAccessTokens)
    })
  }

  /**
   * Adds the key of an algorithm that a client is about to use, unless it has one. Resolves when every node has it. If no
   * client uses it after all, it retires at the next check.
   * @param caller who changes the client
   */
  addKeyFor(alg: TokenAlg, caller: Caller): Promise<void> {
    return this.context.keyRing.exclusively(() => this.addFirstKeys([alg], caller))
  }

  /** Returns when a pending key starts to sign, by the wall clock in milliseconds. */
  signsAt({ createdAt }: StoredKey): number {
    return createdAt + this.context.config.signingKeyLead
  }

  /**
   * Publishes a new key unless one of the algorithm is pending. Runs only within `exclusively`, as do the methods below.
   * @param lease the change fails when this node does not have it
   */
  private async publish(alg: TokenAlg, row: Row, lease?: string): Promise<StoredKey> {
    const { feed, keyRing, store } = this.context
    for (;;) {
      const pending = keyRing.pending(alg)
      if (pending) {
        // Every use of an operator's key leaves a row in the audit.
        await store.addAuditEvent(row(pending.kid))
        // Another node may have published it a moment ago.
        await feed.waitForAcks(await store.lastRevocation())
        return pending
      }
      const added = await this.add(alg, row, lease)
      if (!added) continue
      await feed.waitForAcks(added.seq)
      return added.stored
    }
  }

  /** Signs with the pending key, or with a new one, as soon as every service of Ch202 has it. */
  private async signWithNext(alg: TokenAlg, row: Row, lease?: string): Promise<StoredKey> {
    const { feed, keyRing, store } = this.context
    for (;;) {
      const pending = keyRing.pending(alg)
      const kid = pending?.kid ?? (await this.add(alg, row, lease))?.kid
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
  private async add(alg: TokenAlg, row: Row, lease?: string): ReturnType<KeyRing['add']> {
    const { keyRing } = this.context
    const result = await keyRing.add(alg, row, lease)
    // Also for a key that shall sign at once: if activating it fails, it signs after its lead.
    if (result) this.leads.start(result.stored)
    return result
  }

  /**
   * Makes a key the active one. The previous key stays until its last token has expired.
   * @returns null when another node made it sign, or removed it
   */
  private async activate(kid: string, row: Row | null, lease?: string): Promise<StoredKey | null> {
    const { feed, keyRing, store } = this.context
    // The services got the key when it was published, but after a restart nothing proves that they did.
    await feed.waitForAcks(await store.lastRevocation())
    const change = await keyRing.activate(kid, await this.retiredUntil(), row?.(kid) ?? null, lease)
    if (!change) {
      this.leads.resume()
      return null
    }
    this.leads.end(change.stored.alg)
    // Other nodes sign with the previous key until they have acknowledged this change.
    await feed.waitForAcks(change.seq)
    return change.stored
  }

  /** Activates, publishes and removes keys that are due, after the check before. Logs failures. */
  private check(): void {
    const { log, nodes } = this.context
    if (nodes && !nodes.holds(ROTATION_LEASE)) return
    this.leads.resume()
    this.lastCheck = this.lastCheck
      .then(() => this.changeWhatIsDue())
      .catch((error) => log.error({ event: 'key.rotation_failed', err: error }))
  }

  private async changeWhatIsDue(): Promise<void> {
    const { keyRing } = this.context
    // A process that changed a client may have ended before the keys followed.
    await keyRing.exclusively(async () => {
      await keyRing.readInUse()
      await this.addFirstKeys(keyRing.algsOfClients, AUTH_ITSELF)
    })
    for (const alg of keyRing.inUse) {
      await this.signIfDue(alg)
      await this.publishIfOld(alg)
    }
    await keyRing.exclusively(async () => {
      await this.endUnused(AUTH_ITSELF, () => true, ROTATION_LEASE)
      await keyRing.removeExpired()
    })
  }

  /** Adds the first key of each algorithm, unless it has one. */
  private async addFirstKeys(algs: readonly TokenAlg[], actor: Actor): Promise<void> {
    const { feed, keyRing, store } = this.context
    for (const alg of algs) {
      if (keyRing.active(alg)) continue
      const seq = await keyRing.addFirst(alg, this.rows(actor, 'key.rotated', alg, { now: true }))
      await feed.waitForAcks(seq ?? (await store.lastRevocation()))
    }
  }

  /** Retires the keys that sign for nobody any longer, and removes those that would. */
  private async endUnused(actor: Actor, which: (key: StoredKey) => boolean, lease?: string): Promise<void> {
    const { keyRing } = this.context
    for (const { alg, kid, status } of keyRing.unused().filter(which)) {
      if (status === 'pending') await keyRing.remove(kid, this.rows(actor, 'key.removed', alg)(kid))
      else {
        const row = this.rows(actor, 'key.retired', alg)
        await keyRing.retire(kid, await this.retiredUntil(), row(kid), lease)
      }
    }
  }

  /** Until when a key that stops signing now is needed. Its tokens may be from a time when `JWT_EXPIRE` was longer. */
  private async retiredUntil(): Promise<number> {
    const { clock, config, store } = this.context
    const jwtExpire = Math.max(config.jwtExpire, await longestTokenLife(store))
    return retiredUntil(clock.now(), { jwtExpire })
  }

  /**
   * The algorithm of the key that must sign before an active key is removed: its own, if that is in use; otherwise
   * `TOKEN_ALG`, unless another key signs access tokens.
   */
  private successorAlg({ alg, kid }: StoredKey): TokenAlg | undefined {
    const { keyRing } = this.context
    if (keyRing.inUse.includes(alg)) return alg
    return keyRing.signsWithout(kid) ? undefined : keyRing.inUse[0]
  }

  /** Builds the rows about keys of an algorithm. */
  private rows(actor: Actor, type: string, alg: TokenAlg, detail: { now?: boolean } = {}): Row {
    return (kid) => auditEvent(this.context, actor, type, null, { kid, alg, ...detail })
  }

  /** Activates the pending key of an algorithm when its lead is over. */
  private async signIfDue(alg: TokenAlg): Promise<void> {
    const { keyRing, log } = this.context
    if (!this.leads.isOver(alg)) return
    await keyRing.exclusively(async () => {
      // Meanwhile an operator may have removed the key, or made it sign at once.
      const pending = keyRing.pending(alg)
      if (!pending || !this.leads.isOver(alg)) return
      const row = this.rows(AUTH_ITSELF, 'key.activated', alg)
      if (await this.activate(pending.kid, row, ROTATION_LEASE)) log.info({ event: 'key.activated' })
    })
  }

  /** Publishes a successor when the active key of an algorithm is old, or does not exist. */
  private async publishIfOld(alg: TokenAlg): Promise<void> {
    const { clock, config, keyRing, log } = this.context
    const rotatedAt = this.rotatedAt.get(alg) ?? Number.NEGATIVE_INFINITY
    if (!this.isOld(alg) || clock.monotonic() - rotatedAt < SHORTEST_INTERVAL) return
    await keyRing.exclusively(async () => {
      // Meanwhile an operator may have rotated the key.
      if (!this.isOld(alg)) return
      const now = config.signingKeyLead === 0
      const row = this.rows(AUTH_ITSELF, 'key.rotated', alg, { now })
      await (now ? this.signWithNext(alg, row, ROTATION_LEASE) : this.publish(alg, row, ROTATION_LEASE))
      this.rotatedAt.set(alg, clock.monotonic())
      log.info({ event: 'key.rotated' })
    })
  }

  /** Whether an algorithm needs a key that is not pending yet. */
  private isOld(alg: TokenAlg): boolean {
    const { clock, config, keyRing } = this.context
    if (keyRing.pending(alg)) return false
    const active = keyRing.active(alg)
    // The services do not have a key that signed ID tokens alone, and other verifiers may not have fetched it.
    if (active && alg === keyRing.inUse[0] && !active.forAccessTokens) return true
    return !active || needsSuccessor(active, clock.now(), config)
  }
}
