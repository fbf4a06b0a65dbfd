import type { KeyObject } from 'node:crypto'
import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import { Problem } from '../problem.ts'
import type { EventType } from '../schema/events.ts'
import { importPublicKey, type PublicJwk } from '../tokens/algorithms.ts'
import { LocalTokenCheck, type TokenCheck, type Verdict } from '../tokens/check.ts'
import { type Revocation, Revocations } from '../tokens/revocations.ts'
import { type FeedPage, FeedSubscriber } from './subscriber.ts'

/** A page of auth's feed: the revocations since the last page, and the keys that sign access tokens. */
export interface RevocationPage extends FeedPage {
  issuer: string
  audience: string
  keys: PublicJwk[]
  revoked: Revocation[]
  /** The types of events that a webhook or the broker subscribes to. Services write notices of these only. */
  wanted: EventType[]
}

/** The two calls that a subscriber makes to auth. */
export interface FeedSource {
  poll(subscriber: string, after: number, epoch: string): Promise<RevocationPage>
  /** @throws any error when auth cannot be reached */
  validate(token: string): Promise<Verdict>
}

interface RevocationSubscriberOptions {
  /** Identifies this run of this service. */
  name: string
  source: FeedSource
  clock: Clock
  log: Log
  /** Milliseconds without contact to auth after which no token is accepted. */
  maxLag: number
  /** The name of this service in clients' tokens (RFC 8707). */
  resource?: string | undefined
  /** See `FeedSubscriberOptions`. */
  startupGrace?: number
}

/**
 * Checks access tokens by auth's revocation feed. While the lease runs, this service decides by itself; without a lease
 * it asks auth about each token; when auth cannot be reached, it refuses tokens that it knows to be revoked and accepts
 * the others until `maxLag`.
 */
export class RevocationSubscriber implements TokenCheck {
  private readonly revocations = new Revocations()
  private readonly keys = new Map<string, KeyObject>()
  private readonly local: LocalTokenCheck
  private readonly feed: FeedSubscriber<RevocationPage>
  private issuer = ''
  private audience = ''
  private epoch = ''
  /** Undefined before the first page. */
  private subscribedTypes: ReadonlySet<EventType> | undefined

  constructor(private readonly options: RevocationSubscriberOptions) {
    const subscriber = this
    this.local = new LocalTokenCheck(
      {
        get issuer() {
          return subscriber.issuer
        },
        get audience() {
          return subscriber.audience
        },
        key: (kid) => subscriber.keys.get(kid),
        resource: options.resource,
      },
      this.revocations,
      options.clock,
    )
    const { clock, log, name, source, startupGrace } = options
    this.feed = new FeedSubscriber({
      poll: (after, epoch) => source.poll(name, after, epoch),
      apply: (page) => this.apply(page),
      clock,
      log,
      target: 'auth',
      startupGrace,
    })
  }

  /** Starts to poll. Resolves after the first complete page, or after `patience` milliseconds. */
  start(patience: number): Promise<void> {
    return this.feed.start(patience)
  }

  stop(): Promise<void> {
    return this.feed.stop()
  }

  check(token: string): Verdict | Promise<Verdict> {
    return this.feed.hasLease ? this.local.check(token) : this.askAuth(token)
  }

  /** Milliseconds since what is known was up to date. Infinite before the first contact with auth. */
  get staleness(): number {
    return this.feed.staleness
  }

  /** Milliseconds since auth last answered. Infinite before the first contact. */
  get silence(): number {
    return this.feed.silence
  }

  /** Whether this service decides about tokens by itself. */
  get hasLease(): boolean {
    return this.feed.hasLease
  }

  /**
   * Whether a webhook or the broker subscribes to events of this type. True without a lease: auth drops an event that
   * nobody subscribes to, but an event that was never written would be lost.
   */
  isSubscribed(type: EventType): boolean {
    return !this.feed.hasLease || (this.subscribedTypes?.has(type) ?? true)
  }

  private async askAuth(token: string): Promise<Verdict> {
    const { maxLag, source } = this.options
    const { staleness } = this.feed
    const local: Verdict = this.issuer ? this.local.check(token) : { valid: false, reason: 'signature' }
    // An expired or revoked token never becomes valid again. A bad signature may be a new key that only auth knows yet.
    if (!local.valid && local.reason !== 'signature') return local
    const verdict = await this.feed.tryAsk(() => source.validate(token))
    if (verdict) return verdict
    if (staleness > maxLag || this.feed.mustAsk) throw new Problem('auth_unavailable')
    return local
  }

  private apply(page: RevocationPage): void {
    for (const revocation of page.revoked) this.revocations.add(revocation)
    if (page.epoch !== this.epoch || page.revoked.length > 0) this.revocations.prune(this.options.clock.now())
    this.applyKeys(page.keys)
    if (page.issuer !== this.issuer || page.audience !== this.audience) this.local.clearCache()
    this.subscribedTypes = new Set(page.wanted)
    this.issuer = page.issuer
    this.audience = page.audience
    this.epoch = page.epoch
  }

  private applyKeys(keys: PublicJwk[]): void {
    const kids = new Set(keys.map((key) => key.kid))
    let changed = false
    for (const kid of this.keys.keys()) if (!kids.has(kid)) changed = this.keys.delete(kid)
    for (const key of keys) {
      if (this.keys.has(key.kid)) continue
      this.keys.set(key.kid, importPublicKey(key))
      changed = true
    }
    if (changed) this.local.clearCache()
  }
}
