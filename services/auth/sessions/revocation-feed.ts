import type { Clock } from '../../kit/clock.ts'
import { NodeSubscription } from '../../kit/feed/node-subscription.ts'
import { FeedPublisher, type Publisher, unknownLeasesUntil } from '../../kit/feed/publisher.ts'
import type { RevocationPage } from '../../kit/feed/revocation-subscriber.ts'
import { SharedFeedPublisher } from '../../kit/feed/shared-publisher.ts'
import { SharedRuns } from '../../kit/feed/shared-runs.ts'
import { type Acknowledgement, StoredSubscribers } from '../../kit/feed/stored-subscribers.ts'
import type { Log } from '../../kit/log.ts'
import type { EventType } from '../../kit/schema/events.ts'
import type { PublicJwk } from '../../kit/tokens/algorithms.ts'
import type { Revocation, Revocations } from '../../kit/tokens/revocations.ts'
import type { Ended, RevocationStore } from '../store/index.ts'

/** The most revocations of a page. */
const PAGE = 2000

/** The argument of `announce` for a request that found nothing left to end. */
export const NOTHING_ENDED: Ended = { sessions: 0, seq: 0, revocations: [] }

interface FeedOptions {
  store: RevocationStore
  clock: Clock
  log: Log
  /** The revocations that this service itself enforces. */
  revocations: Revocations
  issuer: string
  audience: string
  /** The public keys of access tokens. */
  jwks(): PublicJwk[]
  /** The event types that webhooks or the broker subscribe to. */
  subscribedTypes(): Iterable<EventType>
  /** Whether the database was used before: then subscribers of the previous process may still hold a lease. */
  servedBefore: boolean
  /** Identifies this run of this node of auth. */
  node: string
  /** Reads the keys again, after another node changed them. */
  reloadKeys(): Promise<void>
  /** Reads the subscribed types again, after another node changed them. @param seq the number of the change; null: unknown */
  reloadSubscribedTypes(seq: number | null): Promise<void>
}

/** The revocation feed: publishes what ended to every service that checks tokens by itself (see `FeedPublisher`). */
export class RevocationFeed {
  /** The subscription of this node to what the others publish; null when it is the only node. */
  readonly subscription: NodeSubscription | null
  private readonly publisher: Publisher
  private readonly subscribers: StoredSubscribers | null
  private readonly reads = new SharedRuns(() => this.readStored())
  /** The last number up to which this process has read the revocations that it enforces. */
  private readUpTo = 0

  constructor(private readonly options: FeedOptions) {
    const { clock, log, node, servedBefore, store } = options
    this.subscribers = store.subscribers && new StoredSubscribers(store.subscribers, clock)
    if (this.subscribers) {
      const { subscribers } = this
      this.publisher = new SharedFeedPublisher({
        clock,
        subscribers,
        nameOf: (subscriber) => subscriber,
        // This node applies by itself what it publishes.
        concerns: (name) => name !== node,
        readLastSeq: () => store.lastRevocation(),
      })
      const catchUp = async (poll?: Acknowledgement) => {
        await (poll ? this.readStored(poll) : this.reads.run())
        return this.readUpTo
      }
      this.subscription = new NodeSubscription({ name: node, subscribers, catchUp, clock, log })
    } else {
      this.publisher = new FeedPublisher(clock, unknownLeasesUntil(clock, servedBefore))
      this.subscription = null
    }
  }

  /** Loads the stored revocations. Call it before the first request. */
  async open(): Promise<void> {
    this.publisher.advance(await this.options.store.lastRevocation())
    await this.reads.run()
  }

  /**
   * Answers a poll: at once if there are revocations after `after`, otherwise as soon as there are, or with an empty page
   * after `FEED_HOLD`. A subscriber of another epoch, or one that is ahead of this database, starts from the beginning.
   * @param after the last number that the subscriber received: its acknowledgement
   */
  async poll(subscriber: string, after: number, epoch: string): Promise<RevocationPage> {
    const { audience, issuer, jwks, store, subscribedTypes } = this.options
    return await this.publisher.answer({ subscriber, after, epoch }, store.epoch, async (from, upTo, poll) => {
      const { revocations, seq } = await store.revocationsAfter(from, PAGE, poll)
      const complete = revocations.length < PAGE
      // Expired rows of a file are deleted, so the last row may be older than the last number.
      const reached = complete && !this.subscription ? Math.max(seq, upTo) : seq
      if (this.subscription) {
        // Another node may have changed the keys and the types that stand in the page.
        if (reached > this.readUpTo) await this.reads.run()
      } else {
        this.enforce(revocations)
        if (from <= this.readUpTo) this.readUpTo = Math.max(this.readUpTo, seq)
      }
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
      else if (ended.seq > this.readUpTo) await this.reads.run()
      return await this.waitForAcks(ended.seq)
    }
    // Perhaps nothing ended because another request has just ended it. Both answers promise the same, so both wait. That
    // request may have failed although its rows were committed: then only the database has its revocations.
    await this.reads.run()
    await this.waitForAcks(await this.options.store.lastRevocation())
  }

  /** Resolves when every subscriber has acknowledged everything up to `seq`, or has lost its lease. */
  waitForAcks(seq: number): Promise<void> {
    return this.publisher.waitForAcks(seq)
  }

  /** Enforces the revocations that were stored since the last time, and reloads what other nodes changed. */
  private async readStored(poll?: Acknowledgement): Promise<void> {
    for (;;) {
      const page = await this.options.store.revocationsAfter(this.readUpTo, PAGE, poll)
      const { revocations, seq } = page
      if (page.hasRestarted) await this.restart()
      if (revocations.length === 0) return
      this.enforce(revocations)
      if (this.subscription) await this.reload(revocations, seq)
      this.readUpTo = Math.max(this.readUpTo, seq)
      this.publisher.advance(this.readUpTo)
    }
  }

  /**
   * Begins with the first entry again, because the last one that this node has read is not in the database: after a
   * failover that lost it, its number and earlier ones may be given to other revocations. Keys and webhooks may have been
   * set back too.
   */
  private async restart(): Promise<void> {
    const { log, reloadKeys, reloadSubscribedTypes } = this.options
    await reloadKeys()
    await reloadSubscribedTypes(null)
    log.warn({ event: 'feed.restarted', target: 'database' })
    this.readUpTo = 0
    this.publisher.restart()
  }

  private async reload(revocations: readonly Revocation[], seq: number): Promise<void> {
    const kinds = new Set(revocations.map(({ kind }) => kind))
    if (kinds.has('keys')) await this.options.reloadKeys()
    if (kinds.has('events')) await this.options.reloadSubscribedTypes(seq)
  }

  /** Refuses the tokens of these revocations in this process. A subscriber reads them from the feed. */
  private enforce(revocations: readonly Revocation[]): void {
    for (const revocation of revocations) this.options.revocations.add(revocation)
  }

  /** Answers the pending polls, so that the service can stop. Subscribers have their lease until it has stopped. */
  close(): void {
    this.publisher.stopHolding()
  }

  /** Forgets expired revocations, and subscribers that no longer poll. @throws when the store fails */
  async prune(): Promise<void> {
    const { clock, revocations } = this.options
    revocations.prune(clock.now())
    this.publisher.prune()
    await this.subscribers?.read()
  }
}
