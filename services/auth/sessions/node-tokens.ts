import type { NodeSubscription } from '../../kit/feed/node-subscription.ts'
import type { VerifiedToken } from '../../kit/tokens/access-token.ts'
import type { LocalTokenCheck, TokenCheck, Verdict } from '../../kit/tokens/check.ts'

/** Checks the access tokens that auth itself receives. */
export interface AuthTokenCheck extends TokenCheck {
  /** The claims of a token that is valid now, perhaps for another service, or the reason why it is not. */
  claims(token: string): VerifiedToken | Promise<VerifiedToken>
}

interface NodeTokenOptions {
  local: LocalTokenCheck
  subscription: Pick<NodeSubscription, 'catchUp' | 'hasLease' | 'staleness' | 'mustAsk'>
  /** Milliseconds without contact to the database after which no token is accepted. */
  maxLag: number
}

/**
 * Checks access tokens on one of several nodes of auth. While the node's lease runs, its memory decides; without a lease
 * the node reads the feed for each token; without the database it refuses tokens that it knows to be revoked and accepts
 * the others until `maxLag`, unless it stood still: as `RevocationSubscriber` does in the other services.
 */
export class NodeTokenCheck implements AuthTokenCheck {
  constructor(private readonly options: NodeTokenOptions) {}

  check(token: string): Verdict | Promise<Verdict> {
    return this.decide(() => this.options.local.check(token))
  }

  claims(token: string): VerifiedToken | Promise<VerifiedToken> {
    return this.decide(() => this.options.local.claims(token))
  }

  private decide<Result extends Verdict | VerifiedToken>(byMemory: () => Result): Result | Promise<Result> {
    return this.options.subscription.hasLease ? byMemory() : this.decideByFeed(byMemory)
  }

  private async decideByFeed<Result extends Verdict | VerifiedToken>(byMemory: () => Result): Promise<Result> {
    const { maxLag, subscription } = this.options
    const before = byMemory()
    // An expired or revoked token never becomes valid again. A bad signature may be a new key of another node.
    if (!before.valid && before.reason !== 'signature') return before
    const { staleness } = subscription
    try {
      await subscription.catchUp()
    } catch (error) {
      if (staleness > maxLag || subscription.mustAsk) throw error
    }
    return byMemory()
  }
}
