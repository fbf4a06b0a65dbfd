import type { KeyObject } from 'node:crypto'
import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import { Problem } from '../problem.ts'
import type { EventType } from '../schema/events.ts'
import { importPublicKey, type PublicJwk } from '../tokens/access-token.ts'
import { LocalTokenCheck, type TokenCheck, type Verdict } from '../tokens/check.ts'
import { type Revocation, Revocations } from '../tokens/revocations.ts'
import { type FeedPage, FeedSubscriber } from './subscriber.ts'

/** What auth tells a follower: everything that was revoked after `after`, and who signs. */
export interface RevocationPage extends FeedPage {
  issuer: string
  audience: string
  keys: PublicJwk[]
  revoked: Revocation[]
  /** The events that someone outside listens to: no other is worth a notice. */
  wanted: EventType[]
}

/** The two questions that a follower asks of auth. */
export interface FeedSource {
  poll(follower: string, after: number, epoch: string): Promise<RevocationPage>
  /** @throws anything when auth can't be reached */
  validate(token: string): Promise<Verdict>
}

interface FollowerOptions {
  /** A name that tells this run of this service from all others. */
  name: string
  source: FeedSource
  clock: Clock
  log: Log
  /** Milliseconds without a word from auth after which nothing is accepted any more. */
  maxLag: number
  /** As `Following` has it. */
  comingUp?: number
}

/**
 * Decides about tokens by the revocation feed of auth. While its lease runs, they are decided here; without a lease auth
 * is asked about each; with auth gone, what is known to be revoked is refused and the rest accepted until `maxLag`.
 */
export class RevocationSubscriber implements TokenCheck {
  private readonly revocations = new Revocations()
  private readonly keys = new Map<string, KeyObject>()
  private readonly local: LocalTokenCheck
  private readonly following: FeedSubscriber<RevocationPage>
  private issuer = ''
  private audience = ''
  private epoch = ''
  /** Undefined until auth has said it. */
  private wanted: ReadonlySet<EventType> | undefined

  constructor(private readonly options: FollowerOptions) {
    const follower = this
    this.local = new LocalTokenCheck(
      {
        get issuer() {
          return follower.issuer
        },
        get audience() {
          return follower.audience
        },
        key: (kid) => follower.keys.get(kid),
      },
      this.revocations,
      options.clock,
    )
    const { clock, comingUp, log, name, source } = options
    this.following = new FeedSubscriber({
      poll: (after, epoch) => source.poll(name, after, epoch),
      take: (page) => this.take(page),
      clock,
      log,
      target: 'auth',
      comingUp,
    })
  }

  /** Begins to follow. Resolves when auth has told all there is, or after `patience` milliseconds without. */
  start(patience: number): Promise<void> {
    return this.following.start(patience)
  }

  stop(): Promise<void> {
    return this.following.stop()
  }

  check(token: string): Verdict | Promise<Verdict> {
    return this.following.hasLease ? this.local.check(token) : this.ask(token)
  }

  /** Milliseconds since auth was last heard. */
  get silence(): number {
    return this.following.silence
  }

  /**
   * Whether someone outside listens to events of this type. True while auth is not heard, which waits for no one without
   * a lease when that changes: an event that no one wants is dropped there, one that was not told is lost.
   */
  wants(type: EventType): boolean {
    return !this.following.hasLease || (this.wanted?.has(type) ?? true)
  }

  private async ask(token: string): Promise<Verdict> {
    const { maxLag, source } = this.options
    const { silence } = this.following
    const here: Verdict = this.issuer ? this.local.check(token) : { valid: false, reason: 'signature' }
    // What is known to be over stays over, whatever auth can still say. A kid that is new to us is for auth to judge.
    if (!here.valid && here.reason !== 'signature') return here
    const said = await this.following.ask(() => source.validate(token))
    if (said) return said
    if (silence > maxLag) throw new Problem('auth_unavailable')
    return here
  }

  private take(page: RevocationPage): void {
    for (const revocation of page.revoked) this.revocations.add(revocation)
    if (page.epoch !== this.epoch || page.revoked.length > 0) this.revocations.prune(this.options.clock.now())
    this.takeKeys(page.keys)
    if (page.issuer !== this.issuer || page.audience !== this.audience) this.local.keysChanged()
    this.wanted = new Set(page.wanted)
    this.issuer = page.issuer
    this.audience = page.audience
    this.epoch = page.epoch
  }

  private takeKeys(keys: PublicJwk[]): void {
    const kids = new Set(keys.map((key) => key.kid))
    let changed = false
    for (const kid of this.keys.keys()) if (!kids.has(kid)) changed = this.keys.delete(kid)
    for (const key of keys) {
      if (this.keys.has(key.kid)) continue
      this.keys.set(key.kid, importPublicKey(key))
      changed = true
    }
    if (changed) this.local.keysChanged()
  }
}
