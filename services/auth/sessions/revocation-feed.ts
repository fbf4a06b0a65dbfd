import type { Clock } from '../../kit/clock.ts'
import { FeedPublisher, unknownLeasesUntil } from '../../kit/feed/publisher.ts'
import type { RevocationPage } from '../../kit/feed/revocation-subscriber.ts'
import { Problem } from '../../kit/problem.ts'
import type { EventType } from '../../kit/schema/events.ts'
import type { PublicJwk } from '../../kit/tokens/access-token.ts'
import type { Revocation, Revocations } from '../../kit/tokens/revocations.ts'
import type { Ended, RevocationStore } from '../store/index.ts'

/** The most revocations of a page. */
const PAGE = 2000

/** The argument of `announce` for a request that found nothing left to end. */
export const NOTHING_ENDED: Ended = { sessions: 0, seq: 0, revocations: [] }

interface FeedOptions {
  store: RevocationStore
  clock: Clock
  /** The revocations that this service itself enforces. */
  revocations: Revocations
  issuer: string
  audience: string
  jwks(): PublicJwk[]
  /** The event types that webhooks or the broker subscribe to. */
  subscribedTypes(): Iterable<EventType>
  /** Whether the database was used before: then subscribers of the previous process may still hold a lease. */
  servedBefore: boolean
}

/** The revocation feed: publishes what ended to every service that checks tokens by itself (see `FeedPublisher`). */
export class RevocationFeed {
  private readonly publisher: FeedPublisher
  private closed = false
  /** The last number up to which this process has read the revocations that it enforces. */
  private readUpTo = 0

  constructor(private readonly options: FeedOptions) {
    const { clock, servedBefore } = options
    this.publisher = new FeedPublisher(clock, unknownLeasesUntil(clock, servedBefore))
  }

  /** Loads the stored revocations. Call it before the first request. */
  async open(): Promise<void> {
    this.publisher.advance(await this.options.store.lastRevocation())
    await this.enforceStored()
  }

  /**
   * Answers a poll: at once if there are revocations after `after`, otherwise as soon as there are, or with an empty page
   * after `FEED_HOLD`. A subscriber of another epoch, or one that is ahead of this database, starts from the beginning.
   * @param after the last number that the subscriber received: its acknowledgement
   * @throws Problem `auth_unavailable` while the service stops
   */
  async poll(subscriber: string, after: number, epoch: string): Promise<RevocationPage> {
    const { audience, issuer, jwks, store, subscribedTypes } = this.options
    if (this.closed) throw new Problem('auth_unavailable')
    return await this.publisher.answer({ subscriber, after, epoch }, store.epoch, async (from, upTo) => {
      const { revocations, seq } = await store.revocationsAfter(from, PAGE)
      this.enforce(revocations)
      if (from <= this.readUpTo) this.readUpTo = Math.max(this.readUpTo, seq)
      const complete = revocations.length < PAGE
      // Expired rows are deleted, so the last row may be older than the last number.
      const reached = complete ? Math.max(seq, upTo) : seq
      const settings = { issuer, audience, keys: jwks(), wanted: [...subscribedTypes()] }
      return { epoch: store.epoch, seq: reached, ...settings, revoked: revocations, complete }
    })
  }

  /**
   * Refuses the tokens of a change's revocations in this process at once. Resolves when every other service refuses them
   * too.
   */
  async announce(ended: Ended): Promise<void> {
    this.enforce(ended.revocations)
    if (ended.seq > 0) {
      const isNext = ended.revocations.length === 1 && ended.seq === this.readUpTo + 1
      if (isNext) this.readUpTo = ended.seq
      // An earlier request may have failed although it had ended sessions: then this one ended only what was left.
      else if (ended.seq > this.readUpTo) await this.enforceStored()
      return await this.waitForAcks(ended.seq)
    }
    // Perhaps nothing ended because another request has just ended it. Both answers promise the same, so both wait. That
    // request may have failed although its rows were committed: then only the database has its revocations.
    await this.enforceStored()
    await this.waitForAcks(await this.options.store.lastRevocation())
  }

  /** Resolves when every subscriber has acknowledged everything up to `seq`, or has lost its lease. */
  waitForAcks(seq: number): Promise<void> {
    return this.publisher.waitForAcks(seq)
  }

  /** Enforces the revocations that were stored since the last time. */
  private async enforceStored(): Promise<void> {
    for (;;) {
      const { revocations, seq } = await this.options.store.revocationsAfter(this.readUpTo, PAGE)
      if (revocations.length === 0) return
      this.enforce(revocations)
      this.readUpTo = Math.max(this.readUpTo, seq)
    }
  }

  /** Refuses the tokens of these revocations in this process. A subscriber reads them from the feed. */
  private enforce(revocations: readonly Revocation[]): void {
    for (const revocation of revocations) this.options.revocations.add(revocation)
  }

  /** Answers the pending polls, so that the service can stop. */
  close(): void {
    this.closed = true
    this.publisher.answerHeldPolls()
  }

  /** Forgets expired revocations, and subscribers that no longer poll. */
  prune(): void {
    const { clock, revocations } = this.options
    revocations.prune(clock.now())
    this.publisher.prune()
  }
}
