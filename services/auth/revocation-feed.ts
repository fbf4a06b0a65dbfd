import type { PublicJwk } from '../kit/access-token.ts'
import type { Clock } from '../kit/clock.ts'
import { FEED_HOLD, FEED_LEASE, type FeedPage } from '../kit/feed.ts'
import { Problem } from '../kit/problem.ts'
import type { Revocations } from '../kit/revocations.ts'
import type { AuthStore, Ended } from './store.ts'

const PAGE = 2000

interface Follower {
  /** Up to where it has acknowledged. */
  acknowledged: number
  /** Until when it decides without asking; monotonic milliseconds. */
  leaseEnds: number
}

interface FeedOptions {
  store: AuthStore
  clock: Clock
  /** What this service itself refuses. */
  revocations: Revocations
  issuer: string
  audience: string
  jwks(): PublicJwk[]
  /** Whether the database has served before: then followers of the run before may still hold a lease. */
  servedBefore: boolean
}

/**
 * The revocation feed. A follower polls; the poll is held until there is something to tell; its next poll acknowledges
 * what it was told. Whoever ends something waits here until every follower that decides by itself has acknowledged it,
 * or has lost the right to decide by itself (its lease), which is a matter of less than a second.
 */
export class RevocationFeed {
  private readonly followers = new Map<string, Follower>()
  private readonly waiting = new Set<() => void>()
  private news = Promise.withResolvers<void>()
  private last = 0
  /** Followers of the run before this one are not known here, but their leases may still run. */
  private readonly strangersUntil: number
  private closed = false

  constructor(private readonly options: FeedOptions) {
    const { clock, servedBefore } = options
    this.strangersUntil = servedBefore ? clock.monotonic() + FEED_LEASE : Number.NEGATIVE_INFINITY
  }

  /** Loads what is revoked still, before the first request. */
  async open(): Promise<void> {
    const { store, revocations } = this.options
    this.last = await store.lastRevocation()
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
   */
  async poll(name: string, after: number, epoch: string): Promise<FeedPage> {
    const { clock, store } = this.options
    if (this.closed) throw new Problem('auth_unavailable')
    const from = epoch === store.epoch && after <= this.last ? after : 0
    const follower = this.followers.get(name) ?? { acknowledged: 0, leaseEnds: Number.NEGATIVE_INFINITY }
    follower.acknowledged = from
    this.followers.set(name, follower)
    this.settle()

    if (from === this.last && from === after) await this.somethingNew()
    // Taken before the rows are read: what is written meanwhile is for the next poll.
    const upTo = this.last
    const { revocations, seq } = await store.revocationsAfter(from, PAGE)
    // Also what no one announced, such as a key whose time was up: a follower that knew of it would count as ahead of
    // us, and start over with each poll.
    this.advance(seq)
    const complete = revocations.length < PAGE
    if (complete) follower.leaseEnds = clock.monotonic() + FEED_LEASE
    const { audience, issuer, jwks } = this.options
    // Where the rows up to the last number were forgotten, the follower is at the last number all the same.
    const reached = complete ? Math.max(seq, upTo) : seq
    return { epoch: store.epoch, seq: reached, issuer, audience, keys: jwks(), revoked: revocations, complete }
  }

  /** What ended is refused here at once, and everywhere when this resolves. */
  async announce(ended: Ended): Promise<void> {
    for (const revocation of ended.revocations) this.options.revocations.add(revocation)
    // Where nothing was left to end, another request has just ended it: its answer and this one say the same, so both
    // wait for the same.
    await this.announceUpTo(ended.seq === 0 ? await this.options.store.lastRevocation() : ended.seq)
  }

  /** Resolves when every follower has heard all up to `seq`, or can't decide without asking any more. */
  async announceUpTo(seq: number): Promise<void> {
    if (seq === 0) return
    this.advance(seq)
    while (!this.everyoneKnows(seq)) await this.change()
  }

  /** Answers the polls that are held, so that a server can stop. */
  close(): void {
    this.closed = true
    this.news.resolve()
  }

  /** Forgets followers that have not polled for long. */
  prune(): void {
    const { clock, revocations } = this.options
    revocations.prune(clock.now())
    for (const [name, { leaseEnds }] of this.followers)
      if (leaseEnds + 60_000 < clock.monotonic()) this.followers.delete(name)
  }

  private advance(seq: number): void {
    if (seq <= this.last) return
    this.last = seq
    this.news.resolve()
    this.news = Promise.withResolvers()
  }

  private everyoneKnows(seq: number): boolean {
    const now = this.options.clock.monotonic()
    if (now < this.strangersUntil) return false
    for (const { acknowledged, leaseEnds } of this.followers.values())
      if (acknowledged < seq && now < leaseEnds) return false
    return true
  }

  /** Resolves when a follower has polled, and now and then: leases run out in silence. */
  private async change(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.waiting.add(resolve)
    const timer = setTimeout(resolve, 20)
    await promise
    clearTimeout(timer)
    this.waiting.delete(resolve)
  }

  private settle(): void {
    for (const resolve of this.waiting) resolve()
  }

  private async somethingNew(): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined
    await Promise.race([
      this.news.promise,
      new Promise((resolve) => {
        timer = setTimeout(resolve, FEED_HOLD)
      }),
    ])
    clearTimeout(timer)
  }
}
