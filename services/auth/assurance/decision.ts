import type { Way } from '../../kit/caller.ts'
import type { Config } from '../../kit/process/config.ts'
import type { AuthMethod } from '../../kit/tokens/access-token.ts'
import type { Account } from '../store/index.ts'

/** The proof that someone gave on a way in: that they may use an account, and how. */
export interface Proof {
  account: Account
  /** How they authenticated so far, in this order. */
  methods: readonly AuthMethod[]
  /** Whether the account's user has confirmed the device before, or has just done so. */
  isDeviceKnown: boolean
}

declare const decided: unique symbol

/** An account whose user has proved enough for a session. Only `decide` makes one: nothing else opens a session. */
export interface Entry {
  readonly account: Account
  readonly methods: readonly AuthMethod[]
  readonly [decided]: true
}

/**
 * The next step of a way in. `complete`: a session. `verify_email`: the address must be verified first.
 * `confirm_device`: a code by mail must confirm the device first.
 */
export type Decision = { next: 'complete'; entry: Entry } | { next: 'verify_email' } | { next: 'confirm_device' }

export type AssurancePolicy = Pick<Config, 'deviceTrust' | 'emailVerification'>

/**
 * Decides what comes next, for every way in: password, code by mail, invitation, each by any path. A further factor is one
 * more outcome here, and no second path. The account is active: `enter` refuses one that is not.
 * @param way whether the request came by the pages
 */
export function decide(policy: AssurancePolicy, proof: Proof, way: Way): Decision {
  const { account, isDeviceKnown, methods } = proof
  // Whoever reads the mails of an address has proved it.
  const hasMail = methods.includes('email')
  if (policy.emailVerification === 'required' && !account.emailVerified && !hasMail) return { next: 'verify_email' }
  const coversWay = policy.deviceTrust === 'all' || (policy.deviceTrust === 'pages' && way === 'pages')
  // A code can only go to an address that is known to be the user's.
  const asksForDevice = coversWay && account.emailVerified && !hasMail
  if (asksForDevice && !isDeviceKnown) return { next: 'confirm_device' }
  return { next: 'complete', entry: { account, methods } as Entry }
}
