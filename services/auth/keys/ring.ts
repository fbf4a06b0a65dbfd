import { createHash, createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Clock } from '../../kit/clock.ts'
import { InternalError } from '../../kit/log.ts'
import type { AuditEvent } from '../../kit/outbox/audit.ts'
import { importPublicKey, type PublicJwk, type SigningKey } from '../../kit/tokens/access-token.ts'
import type { Sealing } from '../../kit/tokens/sealing.ts'
import type { KeyStore, StoredKey } from '../store/index.ts'
import { signingKeyName } from './sealing.ts'

const ALG = 'EdDSA'
const ORDER: readonly StoredKey['status'][] = ['pending', 'active', 'retiring']
/** Milliseconds between two reads of the keys while this process changes them. */
const RELOAD_AFTER = 5
const NO_ACTIVE_KEY = 'The key ring has no active key'

interface RingKey {
  stored: StoredKey
  publicKey: KeyObject
  privateKey: KeyObject
}

/**
 * The signing keys: one active key that signs, at most one pending key that is published and will sign next, and
 * retiring keys until their last token has expired.
 */
export class KeyRing {
  private readonly keys = new Map<string, RingKey>()

  /** How many changes this process has begun, and how many of them are under way. */
  private readonly changes = { begun: 0, underWay: 0 }

  /** Resolves after the last of the changes that were asked for. */
  private lastChange: Promise<unknown> = Promise.resolve()

  private constructor(
    private readonly store: KeyStore,
    private readonly sealing: Sealing,
    private readonly clock: Clock,
  ) {}

  /**
   * Loads the keys, and creates the first one. A pending key stays pending. Keys that an older secret sealed are resealed
   * with the first secret, so that the older one can be removed.
   * @throws InternalError when CH202_SECRET does not open the stored keys
   */
  static async open(store: KeyStore, sealing: Sealing, clock: Clock): Promise<KeyRing> {
    const ring = new KeyRing(store, sealing, clock)
    for (const stored of await store.signingKeys()) ring.put(await ring.resealed(stored))
    if (ring.activeKey()) return ring
    const pending = ring.pending()
    // The very first start of an earlier version may have been killed after the key was added and before it was activated.
    // Another node may do the same at this moment.
    if (pending) await ring.activate(pending.kid, 0, null)
    else {
      await store.addFirstSigningKey({ ...ring.newKey(), status: 'active' })
      await ring.reload()
    }
    return ring
  }

  /** Returns the key that signs now. @throws InternalError when no key is active */
  signing(): SigningKey {
    const active = this.activeKey()
    if (!active) throw new InternalError(NO_ACTIVE_KEY)
    return { kid: active.stored.kid, privateKey: active.privateKey }
  }

  /** Returns the key that verifies tokens with this `kid`; undefined for an unknown key. */
  publicKey(kid: string): KeyObject | undefined {
    return this.keys.get(kid)?.publicKey
  }

  /** Returns the public keys of all tokens that may be valid, and of the pending key (RFC 7517). */
  jwks(): PublicJwk[] {
    return this.unexpired().map(jwkOf)
  }

  /** Returns the pending key, the active key, then the retiring keys, newest first. */
  list(): StoredKey[] {
    return this.unexpired().sort(
      (a, b) => ORDER.indexOf(a.status) - ORDER.indexOf(b.status) || b.createdAt - a.createdAt,
    )
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
   * @returns `seq`: the number of the change in the feed; null when a key is pending already, which the ring then has
   */
  async add(
    event?: (kid: string) => AuditEvent,
    lease?: string,
  ): Promise<{ kid: string; stored: StoredKey; seq: number } | null> {
    const stored = this.newKey()
    const { kid } = stored
    let seq: number | null = null
    await this.changing(async () => {
      // In memory first: a subscriber that reads the number of this change must get the key with it.
      this.put(stored)
      try {
        seq = await this.store.addSigningKey(stored, event?.(kid) ?? null, lease)
      } finally {
        if (seq === null) this.keys.delete(kid)
      }
    })
    if (seq !== null) return { kid, stored, seq }
    await this.reload()
    return null
  }

  /**
   * Makes the pending key the active one and retires the previous one.
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
      const seq = await this.store.activateSigningKey(kid, { now: this.clock.now(), goneAt }, event, lease)
      if (seq === null || !next) return null
      for (const { stored } of this.keys.values())
        if (stored.status === 'active') Object.assign(stored, { status: 'retiring', goneAt })
      Object.assign(next.stored, { status: 'active', goneAt: null })
      return { stored: next.stored, seq }
    })
    if (!change) await this.reload()
    return change
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
        const seq = await this.store.removeSigningKey(kid, this.clock.now(), event)
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
   * Reads the stored keys again, because another node changed them.
   * @throws InternalError when CH202_SECRET does not open a key
   */
  async reload(): Promise<void> {
    for (;;) {
      const { begun, underWay } = this.changes
      const rows = await this.store.signingKeys()
      // A change of this process may be in the memory and not in the rows, or the other way round.
      if (underWay === 0 && begun === this.changes.begun) return this.replaceWith(rows)
      await sleep(RELOAD_AFTER)
    }
  }

  /** Removes the retiring keys whose last token has expired. No valid token needs them, so no service must acknowledge it. */
  async removeExpired(): Promise<void> {
    for (const { stored } of [...this.keys.values()]) if (this.isExpired(stored)) await this.remove(stored.kid, null)
  }

  /** Returns the stored form of the active key. @throws InternalError when no key is active */
  active(): StoredKey {
    const active = this.activeKey()
    if (!active) throw new InternalError(NO_ACTIVE_KEY)
    return active.stored
  }

  /** Returns the key that is published and will sign next. */
  pending(): StoredKey | undefined {
    return this.keyOf('pending')?.stored
  }

  /** Returns the stored form of a key; undefined for an unknown one. */
  get(kid: string): StoredKey | undefined {
    return this.keys.get(kid)?.stored
  }

  private newKey(): StoredKey {
    const { publicKey, privateKey } = generateKeyPairSync('ed25519')
    const x = publicKey.export({ format: 'jwk' }).x ?? ''
    const kid = thumbprint(x)
    return {
      kid,
      alg: ALG,
      x,
      sealedPrivateKey: this.sealing.seal(privateKey.export({ format: 'der', type: 'pkcs8' }), signingKeyName(kid)),
      status: 'pending',
      createdAt: this.clock.now(),
      goneAt: null,
    }
  }

  private activeKey(): RingKey | undefined {
    return this.keyOf('active')
  }

  private keyOf(status: StoredKey['status']): RingKey | undefined {
    for (const key of this.keys.values()) if (key.stored.status === status) return key
    return undefined
  }

  private unexpired(): StoredKey[] {
    return [...this.keys.values()].map(({ stored }) => stored).filter((stored) => !this.isExpired(stored))
  }

  private isExpired({ goneAt }: StoredKey): boolean {
    return goneAt !== null && goneAt <= this.clock.now()
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
    const der = this.sealing.open(stored.sealedPrivateKey, signingKeyName(stored.kid))
    if (!der)
      throw new InternalError('CH202_SECRET does not open the signing keys: it is not the secret that sealed them')
    this.keys.set(stored.kid, {
      stored,
      publicKey: importPublicKey(jwkOf(stored)),
      privateKey: createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }),
    })
  }

  /** Returns a key sealed with the first secret. A key that no secret opens stays as it is, and `put` refuses it. */
  private async resealed(stored: StoredKey): Promise<StoredKey> {
    const { kid, sealedPrivateKey } = stored
    const name = signingKeyName(kid)
    const der = this.sealing.open(sealedPrivateKey, name)
    if (!der || this.sealing.isByFirst(sealedPrivateKey, name)) return stored
    const sealed = this.sealing.seal(der, name)
    await this.store.resealSigningKey(kid, sealed)
    return { ...stored, sealedPrivateKey: sealed }
  }
}

/** Returns the id of a key: its thumbprint (RFC 7638), over the members that RFC 8037 requires, in their order. */
function thumbprint(x: string): string {
  return createHash('sha256')
    .update(JSON.stringify({ crv: 'Ed25519', kty: 'OKP', x }))
    .digest('base64url')
}

function jwkOf({ kid, x }: StoredKey): PublicJwk {
  return { kty: 'OKP', crv: 'Ed25519', x, kid, alg: ALG, use: 'sig' }
}
