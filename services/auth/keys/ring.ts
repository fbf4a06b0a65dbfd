import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Clock } from '../../kit/clock.ts'
import { InternalError } from '../../kit/log.ts'
import type { AuditEvent } from '../../kit/outbox/audit.ts'
import type { SigningKey } from '../../kit/tokens/access-token.ts'
import { type PublicJwk, publicJwk, type TokenAlg } from '../../kit/tokens/algorithms.ts'
import type { Sealing } from '../../kit/tokens/sealing.ts'
import type { ClientStore, KeyStore, StoredKey } from '../store/index.ts'
import { newKey } from './new-key.ts'
import { signingKeyName } from './sealing.ts'

const ORDER: readonly StoredKey['status'][] = ['pending', 'active', 'retiring']
/** Milliseconds between two reads of the keys while this process changes them. */
const RELOAD_AFTER = 5

interface RingKey {
  stored: StoredKey
  publicKey: KeyObject
  privateKey: KeyObject
}

/** The algorithms of the keys that the ring must have; the first is that of access tokens. */
export type AlgorithmsInUse = readonly [TokenAlg, ...TokenAlg[]]

interface KeyRingContext {
  store: KeyStore & Pick<ClientStore, 'idTokenAlgs'>
  sealing: Sealing
  clock: Clock
  /** The algorithm of access tokens (`TOKEN_ALG`). */
  tokenAlg: TokenAlg
}

/**
 * The signing keys. Of each algorithm in use: one active key that signs, at most one pending key that is published and will
 * sign next, and retiring keys until their last token has expired.
 *
 * An algorithm is in use as `TOKEN_ALG`, or by clients for ID tokens. The JWKS has the keys of all. The feed has only those for
 * access tokens: the services need no others, and a guard of an earlier version cannot read keys of other algorithms.
 */
export class KeyRing {
  private readonly keys = new Map<string, RingKey>()

  /** The algorithms that clients use for ID tokens. */
  algsOfClients: readonly TokenAlg[] = []

  /** How many changes this process has begun, and how many of them are under way. */
  private readonly changes = { begun: 0, underWay: 0 }

  /** Resolves after the last of the changes that were asked for. */
  private lastChange: Promise<unknown> = Promise.resolve()

  private constructor(private readonly context: KeyRingContext) {}

  /**
   * Loads the keys, and creates the first one. A pending key stays pending. Keys that an older secret sealed are resealed
   * with the first secret, so that the older one can be removed.
   * @throws InternalError when CH202_SECRET does not open the stored keys
   */
  static async open(context: KeyRingContext): Promise<KeyRing> {
    const { store, tokenAlg } = context
    const ring = new KeyRing(context)
    for (const stored of await store.signingKeys()) ring.put(await ring.resealed(stored))
    await ring.readInUse()
    if (ring.signer()) return ring
    const pending = ring.pending(tokenAlg)
    // The very first start of an earlier version may have been killed after the key was added and before it was activated.
    // Another node may do the same at this moment.
    if (pending) await ring.activate(pending.kid, 0, null)
    else await ring.addFirst(tokenAlg)
    return ring
  }

  /** Returns the key that signs access tokens now. @throws InternalError when no key is active */
  signing(): SigningKey {
    const key = this.signer()
    if (!key) throw new InternalError('The key ring has no active key')
    const { privateKey, stored } = key
    return { kid: stored.kid, alg: stored.alg, privateKey }
  }

  /** Returns the key that signs ID tokens by an algorithm. @throws InternalError when none does */
  signingIdTokens(alg: TokenAlg): SigningKey {
    const key = this.keyOf('active', alg)
    if (!key) throw new InternalError(`The key ring has no active key of ${alg}`)
    return { kid: key.stored.kid, alg, privateKey: key.privateKey }
  }

  /** Returns the key that verifies ID tokens with this `kid`; undefined for an unknown key. */
  idTokenKey(kid: string): KeyObject | undefined {
    return this.keys.get(kid)?.publicKey
  }

  /** Returns the key that verifies access tokens with this `kid`; undefined for an unknown key, and for one of ID tokens. */
  accessTokenKey(kid: string): KeyObject | undefined {
    const key = this.keys.get(kid)
    return key?.stored.forAccessTokens ? key.publicKey : undefined
  }

  /** Returns the public keys of all tokens that may be valid, and of the pending keys (RFC 7517). */
  jwks(): PublicJwk[] {
    return this.unexpired().map(({ publicKey, stored }) => publicJwk(stored.alg, publicKey))
  }

  /** Returns those of `jwks` that access tokens may bear. */
  accessTokenJwks(): PublicJwk[] {
    return this.unexpired()
      .filter(({ stored }) => stored.forAccessTokens)
      .map(({ publicKey, stored }) => publicJwk(stored.alg, publicKey))
  }

  /** Returns the pending key, the active key, then the retiring keys, newest first. */
  list(): StoredKey[] {
    return this.unexpired()
      .map(({ stored }) => stored)
      .sort((a, b) => ORDER.indexOf(a.status) - ORDER.indexOf(b.status) || b.createdAt - a.createdAt)
  }

  /** Runs changes of the ring one after the other: a rotation has several steps, which must not interleave. */
  exclusively<T>(change: () => Promise<T>): Promise<T> {
    const result = this.lastChange.then(change)
    this.lastChange = result.catch(() => undefined)
    return result
  }

  /**
   * Creates and publishes a key that does not sign yet.
   * @param event builds the audit row of the new key
   * @param lease the change fails when this node does not have it
   * @returns `seq`: the number of the change in the feed; null when a key of the algorithm is pending already, which the
   * ring then has
   */
  async add(
    alg: TokenAlg,
    event?: (kid: string) => AuditEvent,
    lease?: string,
  ): Promise<{ kid: string; stored: StoredKey; seq: number } | null> {
    // A successor may sign what the key before it signs: after a change of TOKEN_ALG that is access tokens for a while.
    const forAccessTokens = alg === this.context.tokenAlg || this.active(alg)?.forAccessTokens === true
    const stored = this.newKey(alg, 'pending', forAccessTokens)
    const { kid } = stored
    const seq = await this.putAndWrite(stored, () =>
      this.context.store.addSigningKey(stored, event?.(kid) ?? null, lease),
    )
    return seq === null ? null : { kid, stored, seq }
  }

  /**
   * Creates the first key of an algorithm, which signs at once: access tokens only if no other key does.
   * @param event as for `add`
   * @returns the number of the change in the feed; null when another node added one, which the ring then has
   */
  addFirst(alg: TokenAlg, event?: (kid: string) => AuditEvent): Promise<number | null> {
    const stored = this.newKey(alg, 'active', this.signer() === undefined)
    return this.putAndWrite(stored, () => this.context.store.addFirstSigningKey(stored, event?.(stored.kid) ?? null))
  }

  /**
   * Makes a pending key the active one of its algorithm and retires the previous one.
   * @param goneAt when the last token of the previous key has expired, in milliseconds since the epoch
   * @returns `seq`: the number of the change in the feed; null when another node made the key sign or removed it, which the
   * ring then knows
   */
  async activate(
    kid: string,
    goneAt: number,
    event: AuditEvent | null,
    lease?: string,
  ): Promise<{ stored: StoredKey; seq: number } | null> {
    const change = await this.changing(async () => {
      const next = this.keys.get(kid)
      const seq = await this.context.store.activateSigningKey(
        kid,
        { now: this.context.clock.now(), goneAt },
        event,
        lease,
      )
      if (seq === null || !next) return null
      const previous = this.active(next.stored.alg)
      if (previous) Object.assign(previous, { status: 'retiring', goneAt })
      Object.assign(next.stored, { status: 'active', goneAt: null })
      return { stored: next.stored, seq }
    })
    if (!change) await this.reload()
    return change
  }

  /**
   * Returns the keys that shall neither sign nor wait any longer: those of algorithms that are not in use, but the one that
   * signs access tokens until a key of `TOKEN_ALG` does; and a pending key of `TOKEN_ALG` that the services do not have.
   */
  unused(): StoredKey[] {
    const { tokenAlg } = this.context
    const isReplaced = this.active(tokenAlg)?.forAccessTokens === true
    return this.list().filter(({ alg, forAccessTokens, status }) => {
      if (status === 'retiring') return false
      if (this.inUse.includes(alg)) return status === 'pending' && alg === tokenAlg && !forAccessTokens
      return status === 'pending' || !forAccessTokens || isReplaced
    })
  }

  /**
   * Retires an active key that has no successor of its algorithm.
   * @param goneAt as for `activate`
   * @param lease the change fails when this node does not have it
   */
  async retire(kid: string, goneAt: number, event: AuditEvent | null, lease?: string): Promise<void> {
    const isRetired = await this.changing(async () => {
      const isRetired = await this.context.store.retireSigningKey(kid, goneAt, event, lease)
      const key = this.keys.get(kid)
      if (key && isRetired) Object.assign(key.stored, { status: 'retiring', goneAt })
      return isRetired
    })
    if (!isRetired) await this.reload()
  }

  /**
   * Removes a key that is not the active one: its tokens are refused from now on.
   * @returns the number of the change in the feed; null when an earlier call removed it from the database and failed, or
   * another node removed it; `active` when another node made it sign, which the ring then knows
   */
  async remove(kid: string, event: AuditEvent | null): Promise<number | null | 'active'> {
    const removed = await this.changing(async () => {
      const key = this.keys.get(kid)
      // From memory first: a subscriber that reads the number of this change must not get the key again.
      this.keys.delete(kid)
      let isRemoved = false
      try {
        const seq = await this.context.store.removeSigningKey(kid, this.context.clock.now(), event)
        isRemoved = seq !== 'active'
        return seq
      } finally {
        if (key && !isRemoved) this.keys.set(kid, key)
      }
    })
    if (removed === 'active') await this.reload()
    return removed
  }

  /**
   * Reads the stored keys and the algorithms in use again, because another node changed them.
   * @throws InternalError when CH202_SECRET does not open a key
   */
  async reload(): Promise<void> {
    await this.readInUse()
    for (;;) {
      const { begun, underWay } = this.changes
      const rows = await this.context.store.signingKeys()
      // A change of this process may be in the memory and not in the rows, or the other way round.
      if (underWay === 0 && begun === this.changes.begun) return this.replaceWith(rows)
      await sleep(RELOAD_AFTER)
    }
  }

  /** Removes the retiring keys whose last token has expired. No valid token needs them, so no service must acknowledge it. */
  async removeExpired(): Promise<void> {
    for (const { stored } of [...this.keys.values()]) if (this.isExpired(stored)) await this.remove(stored.kid, null)
  }

  /** The algorithms of the keys that the ring must have. */
  get inUse(): AlgorithmsInUse {
    const { tokenAlg } = this.context
    return [tokenAlg, ...this.algsOfClients.filter((alg) => alg !== tokenAlg)]
  }

  /** Reads the algorithms in use again, because clients have changed. */
  async readInUse(): Promise<void> {
    this.algsOfClients = await this.context.store.idTokenAlgs()
  }

  /** Whether another key than this one is active and signs access tokens. */
  signsWithout(kid: string): boolean {
    return this.list().some((key) => key.status === 'active' && key.forAccessTokens && key.kid !== kid)
  }

  /** Returns the key of an algorithm that signs. */
  active(alg: TokenAlg): StoredKey | undefined {
    return this.keyOf('active', alg)?.stored
  }

  /** Returns the key of an algorithm that is published and will sign next. */
  pending(alg: TokenAlg): StoredKey | undefined {
    return this.keyOf('pending', alg)?.stored
  }

  /** Returns the stored form of a key; undefined for an unknown one. */
  get(kid: string): StoredKey | undefined {
    return this.keys.get(kid)?.stored
  }

  private newKey(alg: TokenAlg, status: StoredKey['status'], forAccessTokens: boolean): StoredKey {
    const { clock, sealing } = this.context
    return newKey(sealing, { alg, status, createdAt: clock.now(), forAccessTokens })
  }

  /**
   * Adds a key to the ring and the store.
   * @param write returns null when the store refuses the key; then the ring reads those of other nodes
   */
  private async putAndWrite(stored: StoredKey, write: () => Promise<number | null>): Promise<number | null> {
    let seq: number | null = null
    await this.changing(async () => {
      // In memory first: a subscriber that reads the number of this change must get the key with it.
      this.put(stored)
      try {
        seq = await write()
      } finally {
        if (seq === null) this.keys.delete(stored.kid)
      }
    })
    if (seq === null) await this.reload()
    return seq
  }

  /** The key that signs access tokens. After a change of `TOKEN_ALG` that of before signs until the new one may. */
  private signer(): RingKey | undefined {
    const { tokenAlg } = this.context
    const signers = [...this.keys.values()].filter(({ stored }) => stored.status === 'active' && stored.forAccessTokens)
    return signers.find(({ stored }) => stored.alg === tokenAlg) ?? signers[0]
  }

  private keyOf(status: StoredKey['status'], alg: TokenAlg): RingKey | undefined {
    for (const key of this.keys.values()) if (key.stored.status === status && key.stored.alg === alg) return key
    return undefined
  }

  private unexpired(): RingKey[] {
    return [...this.keys.values()].filter(({ stored }) => !this.isExpired(stored))
  }

  private isExpired({ goneAt }: StoredKey): boolean {
    return goneAt !== null && goneAt <= this.context.clock.now()
  }

  /** Runs a change of the memory and the store: `reload` must not read between the two. */
  private async changing<T>(change: () => Promise<T>): Promise<T> {
    this.changes.begun++
    this.changes.underWay++
    try {
      return await change()
    } finally {
      this.changes.underWay--
    }
  }

  private replaceWith(rows: readonly StoredKey[]): void {
    const kids = new Set(rows.map(({ kid }) => kid))
    for (const kid of this.keys.keys()) if (!kids.has(kid)) this.keys.delete(kid)
    for (const stored of rows) {
      const key = this.keys.get(stored.kid)
      if (key) Object.assign(key.stored, stored)
      else this.put(stored)
    }
  }

  /** Adds a key to the ring. @throws InternalError when CH202_SECRET does not open the key */
  private put(stored: StoredKey): void {
    const der = this.context.sealing.open(stored.sealedPrivateKey, signingKeyName(stored.kid))
    if (!der)
      throw new InternalError('CH202_SECRET does not open the signing keys: it is not the secret that sealed them')
    const privateKey = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
    this.keys.set(stored.kid, { stored, publicKey: createPublicKey(privateKey), privateKey })
  }

  /** Returns a key sealed with the first secret. A key that no secret opens stays as it is, and `put` refuses it. */
  private async resealed(stored: StoredKey): Promise<StoredKey> {
    const { kid, sealedPrivateKey } = stored
    const name = signingKeyName(kid)
    const der = this.context.sealing.open(sealedPrivateKey, name)
    if (!der || this.context.sealing.isByFirst(sealedPrivateKey, name)) return stored
    const sealed = this.context.sealing.seal(der, name)
    await this.context.store.resealSigningKey(kid, sealed)
    return { ...stored, sealedPrivateKey: sealed }
  }
}
