import type { KeyObject } from 'node:crypto'
import { importPublicKey, type PublicJwk } from './access-token.ts'
import type { Clock } from './clock.ts'
import type { Log } from './log.ts'
import { Problem } from './problem.ts'
import { type Revocation, Revocations } from './revocations.ts'
import { LocalTokenCheck, type TokenCheck, type Verdict } from './token-check.ts'

/** How long auth holds a poll that has nothing to tell. */
export const FEED_HOLD = 250
/**
 * For how long after asking a follower may trust what it was told. Auth counts the same time from its answer, so its
 * reckoning never ends before the follower's; an answer to a logout waits until every follower has acknowledged it or
 * has lost its lease, and so never longer than this.
 */
export const FEED_LEASE = 900

/** What auth tells a follower: everything that was revoked after `after`, and who signs. */
export interface FeedPage {
  /** The database that `seq` counts in: another one means to start over. */
  epoch: string
  seq: number
  issuer: string
  audience: string
  keys: PublicJwk[]
  revoked: Revocation[]
  /** Whether that is all there is: until then the follower knows too little to decide by itself. */
  complete: boolean
}

/** The two questions that a follower asks of auth. */
export interface FeedSource {
  poll(follower: string, after: number, epoch: string): Promise<FeedPage>
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
}

const RETRY = 100
const BRIEF = 20
/** After auth failed to answer a question, how long until the next one is put to it. */
const ASK_AGAIN = 100

/**
 * Follows the revocation feed of auth by polls that auth holds until there is something to tell; the next poll
 * acknowledges what the last one told. While its lease runs, tokens are decided here; without a lease auth is asked
 * about each; with auth gone, what is known to be revoked is refused and the rest accepted until `maxLag`.
 */
export class FeedFollower implements TokenCheck {
  private readonly revocations = new Revocations()
  private readonly keys = new Map<string, KeyObject>()
  private readonly local: LocalTokenCheck
  private issuer = ''
  private audience = ''
  private epoch = ''
  private seq = 0
  /** When the poll that was last answered with all there is had been sent; monotonic milliseconds. */
  private heardAt = Number.NEGATIVE_INFINITY
  private askAgainAt = Number.NEGATIVE_INFINITY
  private running = false
  private loop: Promise<void> = Promise.resolve()
  private firstPage = Promise.withResolvers<void>()

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
  }

  /** Begins to follow. Resolves when auth has told all there is, or after `patience` milliseconds without. */
  async start(patience: number): Promise<void> {
    this.running = true
    this.loop = this.follow()
    let timer: ReturnType<typeof setTimeout> | undefined
    await Promise.race([
      this.firstPage.promise,
      new Promise((resolve) => {
        timer = setTimeout(resolve, patience)
      }),
    ])
    clearTimeout(timer)
  }

  async stop(): Promise<void> {
    this.running = false
    await this.loop
  }

  check(token: string): Verdict | Promise<Verdict> {
    const silence = this.options.clock.monotonic() - this.heardAt
    if (silence < FEED_LEASE) return this.local.check(token)
    return this.ask(token, silence)
  }

  /** Milliseconds since auth was last heard. */
  get silence(): number {
    return this.options.clock.monotonic() - this.heardAt
  }

  private async ask(token: string, silence: number): Promise<Verdict> {
    const here: Verdict = this.issuer ? this.local.check(token) : { valid: false, reason: 'signature' }
    // What is known to be over stays over, whatever auth can still say. A kid that is new to us is for auth to judge.
    if (!here.valid && here.reason !== 'signature') return here
    const { clock, source, maxLag } = this.options
    if (clock.monotonic() >= this.askAgainAt) {
      try {
        return await source.validate(token)
      } catch {
        this.askAgainAt = clock.monotonic() + ASK_AGAIN
      }
    }
    if (silence > maxLag) throw new Problem('auth_unavailable')
    return here
  }

  private async follow(): Promise<void> {
    const { name, source, clock, log } = this.options
    let failed = false
    while (this.running) {
      const sentAt = clock.monotonic()
      try {
        const before = this.seq
        const page = await source.poll(name, before, this.epoch)
        this.take(page)
        if (!page.complete) continue
        this.heardAt = sentAt
        // A poll that brings nothing is held; one that is not held must not make this a spin.
        const held = clock.monotonic() - sentAt > BRIEF
        if (!held && page.seq === before) await Bun.sleep(BRIEF)
        this.firstPage.resolve()
        if (failed) log.info({ event: 'feed.resumed', seq: this.seq })
        failed = false
      } catch (error) {
        if (!failed && this.running) log.warn({ event: 'feed.lost', err: error })
        failed = true
        if (this.running) await Bun.sleep(RETRY)
      }
    }
  }

  private take(page: FeedPage): void {
    for (const revocation of page.revoked) this.revocations.add(revocation)
    if (page.epoch !== this.epoch || page.revoked.length > 0) this.revocations.prune(this.options.clock.now())
    this.takeKeys(page.keys)
    if (page.issuer !== this.issuer || page.audience !== this.audience) this.local.keysChanged()
    this.issuer = page.issuer
    this.audience = page.audience
    this.epoch = page.epoch
    this.seq = page.seq
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
