import { ADMIN, type Way } from '../../kit/caller.ts'
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
  /** The known device that the login comes from. */
  deviceId?: string
}

/** A proof with what else the decision must know of the account. */
export interface ProvedAccount extends Proof {
  hasSecondFactor: boolean
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
 * `second_factor`: the user must show it. `confirm_device`: a code by mail must confirm the device first.
 * `enrol_factor`: the user must have a second factor, and has none.
 */
export type Decision =
  | { next: 'complete'; entry: Entry }
  | { next: 'verify_email' | 'second_factor' | 'confirm_device' | 'enrol_factor' }

export type AssurancePolicy = Pick<Config, 'deviceTrust' | 'emailVerification' | 'mfa'>

/**
 * Decides what comes next, for every way in: password, code by mail, passkey, invitation, each by any path. The account is
 * active: `enter` refuses one that is not.
 * @param way whether the request came by the pages
 */
export function decide(policy: AssurancePolicy, proof: ProvedAccount, way: Way): Decision {
  const { account, hasSecondFactor, isDeviceKnown, methods } = proof
  // Whoever reads the mails of an address has proved it.
  const hasMail = methods.includes('email')
  const mustHaveFactor = policy.mfa === 'all' || (policy.mfa === 'admins' && account.roles.includes(ADMIN))
  const mustEnrol = mustHaveFactor && !hasSecondFactor
  // A second factor needs a verified address, so that it never keeps the owner of the address out.
  const needsAddress = policy.emailVerification === 'required' || mustEnrol
  if (needsAddress && !account.emailVerified && !hasMail) return { next: 'verify_email' }
  if (hasSecondFactor && !methods.includes('mfa')) return { next: 'second_factor' }
  const coversWay = policy.deviceTrust === 'all' || (policy.deviceTrust === 'pages' && way === 'pages')
  // A code can only go to an address that is known to be the user's.
  const asksForDevice = coversWay && account.emailVerified && !hasMail && !hasSecondFactor
  // Before the enrolment: whoever has stolen a password must not add a factor of their own.
  if (asksForDevice && !isDeviceKnown) return { next: 'confirm_device' }
  if (mustEnrol) return { next: 'enrol_factor' }
  return { next: 'complete', entry: { account, methods } as Entry }
}
