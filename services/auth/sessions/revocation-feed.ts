import type { Clock } from '../../kit/clock.ts'
import { FeedPublisher, unknownLeasesUntil } from '../../kit/feed/publisher.ts'
import type { RevocationPage } from '../../kit/feed/revocation-subscriber.ts'
import { Problem } from '../../kit/problem.ts'
import type { EventType } from '../../kit/schema/events.ts'
import type { PublicJwk } from '../../kit/tokens/access-token.ts'
import type { Revocations } from '../../kit/tokens/revocations.ts'
import type { AuthStore, Ended } from '../store.ts'

const PAGE = 2000

interface FeedOptions {
  store: AuthStore
  clock: Clock
  /** What this service itself refuses. */
  revocations: Revocations
  issuer: string
  audience: string
  jwks(): PublicJwk[]
  /** The events that someone outside listens to. */
  wanted(): readonly EventType[]
  /** Whether the database has served before: then followers of the run before may still hold a lease. */
  servedBefore: boolean
}

/** The revocation feed: what ended is told to every service that checks tokens by itself (see `Followers`). */
export class RevocationFeed {
  private readonly followers: FeedPublisher
  private closed = false

  constructor(private readonly options: FeedOptions) {
    const { clock, servedBefore } = options
    this.followers = new FeedPublisher(clock, unknownLeasesUntil(clock, servedBefore))
  }

  /** Loads what is revoked still, before the first request. */
  async open(): Promise<void> {
    const { store, revocations } = this.options
    this.followers.advance(await store.lastRevocation())
    for (let seq = 0; ; ) {
      const page = await store.revocationsAfter(seq, PAGE)
      for (const revocation of page.revocations) revocations.add(revocation)
      if (page.revocations.length === 0) return
      seq = page.seq
    }
  }

  /**
   * Answers a poll. A poll from another database, or from ahead of this one, starts over.
   * @param after up to where the follower has heard; its acknowledgement
   * @throws Problem `auth_unavailable` while the server stops
   */
  async poll(follower: string, after: number, epoch: string): Promise<RevocationPage> {
    const { audience, issuer, jwks, store, wanted } = this.options
    if (this.closed) throw new Problem('auth_unavailable')
    return await this.followers.answer({ subscriber: follower, after, epoch }, store.epoch, async (from, upTo) => {
      const { revocations, seq } = await store.revocationsAfter(from, PAGE)
      const complete = revocations.length < PAGE
      // Where the rows up to the last number were forgotten, the follower is at the last number all the same.
      const reached = complete ? Math.max(seq, upTo) : seq
      const said = { issuer, audience, keys: jwks(), wanted: [...wanted()], revoked: revocations }
      return { epoch: store.epoch, seq: reached, ...said, complete }
    })
  }

  /** What ended is refused here at once, and everywhere when this resolves. */
  async announce(ended: Ended): Promise<void> {
    for (const revocation of ended.revocations) this.options.revocations.add(revocation)
    // Where nothing was left to end, another request has just ended it: its answer and this one say the same, so both
    // wait for the same.
    await this.announceUpTo(ended.seq === 0 ? await this.options.store.lastRevocation() : ended.seq)
  }

  /** Resolves when every follower has heard all up to `seq`, or can't decide without asking any more. */
  announceUpTo(seq: number): Promise<void> {
    return this.followers.waitForAcks(seq)
  }

  /** Answers the polls that are held, so that a server can stop. */
  close(): void {
    this.closed = true
    this.followers.answerHeldPolls()
  }

  /** Forgets followers that have not polled for long. */
  prune(): void {
    const { clock, revocations } = this.options
    revocations.prune(clock.now())
    this.followers.prune()
  }
}
