import { createHash, createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import type { Clock } from '../../kit/clock.ts'
import { InternalError } from '../../kit/log.ts'
import type { AuditEvent } from '../../kit/outbox/audit.ts'
import { Problem } from '../../kit/problem.ts'
import { importPublicKey, type PublicJwk, type SigningKey } from '../../kit/tokens/access-token.ts'
import type { AuthStore, StoredKey } from '../store/index.ts'
import type { Sealing } from './sealing.ts'

const ALG = 'EdDSA'
const ORDER: readonly StoredKey['status'][] = ['pending', 'active', 'retiring']
const NO_ACTIVE_KEY = 'The key ring has no active key'

interface RingKey {
  stored: StoredKey
  publicKey: KeyObject
  privateKey: KeyObject
}

/**
 * The signing keys: one that signs, at most one that is published and will sign next, and those before until the last of
 * their tokens has expired.
 */
export class KeyRing {
  private readonly keys = new Map<string, RingKey>()

  private changing: Promise<unknown> = Promise.resolve()

  private constructor(
    private readonly store: AuthStore,
    private readonly sealing: Sealing,
    private readonly clock: Clock,
  ) {}

  /**
   * Reads the ring, and makes its first key. A key that was pending stays so. What an older secret sealed is sealed by
   * the first one, so that the older can be taken away.
   * @throws Fault when CH202_SECRET does not open the keys that are there
   */
  static async open(store: AuthStore, sealing: Sealing, clock: Clock): Promise<KeyRing> {
    const ring = new KeyRing(store, sealing, clock)
    for (const stored of await store.signingKeys()) ring.put(await ring.sealedByFirst(stored))
    // The first start of all may have been killed between the two.
    if (!ring.activeKey()) await ring.activate(ring.pending()?.kid ?? (await ring.add()).kid, 0, null)
    return ring
  }

  /** What signs now. */
  signing(): SigningKey {
    const active = this.activeKey()
    if (!active) throw new InternalError(NO_ACTIVE_KEY)
    return { kid: active.stored.kid, privateKey: active.privateKey }
  }

  publicKey(kid: string): KeyObject | undefined {
    return this.keys.get(kid)?.publicKey
  }

  /** Every key that a live token may bear, and one that is about to sign (RFC 7517). */
  jwks(): PublicJwk[] {
    this.dropExpired()
    return [...this.keys.values()].map(({ stored }) => jwkOf(stored))
  }

  /** The pending key, the one that signs, and the retiring ones, the newest first. */
  list(): StoredKey[] {
    this.dropExpired()
    return [...this.keys.values()]
      .map(({ stored }) => stored)
      .sort((a, b) => ORDER.indexOf(a.status) - ORDER.indexOf(b.status) || b.createdAt - a.createdAt)
  }

  /** Runs one change of the ring after the other: a rotation is several steps, and meets no other halfway. */
  exclusively<T>(change: () => Promise<T>): Promise<T> {
    const done = this.changing.then(change)
    this.changing = done.catch(() => undefined)
    return done
  }

  /**
   * Makes and publishes a key that does not sign yet. To be called where none is pending.
   * @param event what the audit says of it @returns `seq`: its place in the feed
   */
  async add(event?: (kid: string) => AuditEvent): Promise<{ kid: string; stored: StoredKey; seq: number }> {
    const { publicKey, privateKey } = generateKeyPairSync('ed25519')
    const x = publicKey.export({ format: 'jwk' }).x ?? ''
    const kid = thumbprint(x)
    const stored: StoredKey = {
      kid,
      alg: ALG,
      x,
      sealedPrivateKey: this.sealing.seal(privateKey.export({ format: 'der', type: 'pkcs8' }), nameOf(kid)),
      status: 'pending',
      createdAt: this.clock.now(),
      goneAt: null,
    }
    // Whoever reads its place in the feed must be given the key with it.
    this.put(stored)
    try {
      return { kid, stored, seq: await this.store.addSigningKey(stored, event?.(kid) ?? null) }
    } catch (error) {
      this.keys.delete(kid)
      throw error
    }
  }

  /** @param goneAt when the last token of the key before has expired */
  async activate(kid: string, goneAt: number, event: AuditEvent | null): Promise<StoredKey> {
    const next = this.keys.get(kid)
    if (!next) throw new Problem('not_found')
    await this.store.activateSigningKey(kid, goneAt, event)
    for (const { stored } of this.keys.values())
      if (stored.status === 'active') Object.assign(stored, { status: 'retiring', goneAt })
    Object.assign(next.stored, { status: 'active', goneAt: null })
    return next.stored
  }

  /** Takes a key out: its tokens are refused from now on. Gives its place in the feed. @throws Problem `not_found` */
  async remove(kid: string, event: AuditEvent | null): Promise<number> {
    const key = this.keys.get(kid)
    // Whoever reads the place of its removal in the feed must not be given the key once more.
    this.keys.delete(kid)
    const seq = await this.store.removeSigningKey(kid, this.clock.now(), event).catch((error) => {
      if (key) this.keys.set(kid, key)
      throw error
    })
    if (seq === null) throw new Problem('not_found')
    return seq
  }

  /** The key that signs, as it is kept. */
  active(): StoredKey {
    const active = this.activeKey()
    if (!active) throw new InternalError(NO_ACTIVE_KEY)
    return active.stored
  }

  /** The key that is published and will sign next. */
  pending(): StoredKey | undefined {
    return this.keyOf('pending')?.stored
  }

  has(kid: string): boolean {
    return this.keys.has(kid)
  }

  private activeKey(): RingKey | undefined {
    return this.keyOf('active')
  }

  private keyOf(status: StoredKey['status']): RingKey | undefined {
    for (const key of this.keys.values()) if (key.stored.status === status) return key
    return undefined
  }

  private put(stored: StoredKey): void {
    const der = this.sealing.open(stored.sealedPrivateKey, nameOf(stored.kid))
    if (!der)
      throw new InternalError('CH202_SECRET does not open the signing keys: it is not the secret that sealed them')
    this.keys.set(stored.kid, {
      stored,
      publicKey: importPublicKey(jwkOf(stored)),
      privateKey: createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }),
    })
  }

  private async sealedByFirst(stored: StoredKey): Promise<StoredKey> {
    const { kid, sealedPrivateKey } = stored
    const der = this.sealing.open(sealedPrivateKey, nameOf(kid))
    if (!der || this.sealing.isByFirst(sealedPrivateKey, nameOf(kid))) return stored
    const sealed = this.sealing.seal(der, nameOf(kid))
    await this.store.resealSigningKey(kid, sealed)
    return { ...stored, sealedPrivateKey: sealed }
  }

  private dropExpired(): void {
    const now = this.clock.now()
    for (const { stored } of this.keys.values())
      if (stored.goneAt !== null && stored.goneAt <= now) {
        this.keys.delete(stored.kid)
        // Nothing hangs on the row any more; if it can't be removed now, it is at the next start.
        this.store.removeSigningKey(stored.kid, now, null).catch(() => undefined)
      }
  }
}

/** What its private key is sealed under. */
function nameOf(kid: string): string {
  return `signing key ${kid}`
}

/** RFC 7638, over the members that RFC 8037 requires, in their order. */
function thumbprint(x: string): string {
  return createHash('sha256')
    .update(JSON.stringify({ crv: 'Ed25519', kty: 'OKP', x }))
    .digest('base64url')
}

function jwkOf({ kid, x }: StoredKey): PublicJwk {
  return { kty: 'OKP', crv: 'Ed25519', x, kid, alg: ALG, use: 'sig' }
}
