import type { AuditEvent } from '../../kit/outbox/audit.ts'
import type { AuthMethod } from '../../kit/tokens/access-token.ts'
import type { MailRequest } from './mails.ts'
import type { SessionKind } from './sessions.ts'

/** The purposes of codes and links in mails. */
export type MailedPurpose =
  | 'password_reset'
  | 'email_verification'
  | 'email_code'
  | 'email_change'
  | 'email_undo'
  | 'invitation'
  | 'device'

/** The steps of a login that wait for a second factor, or for the enrolment of one: no mail has their answer. */
export type LoginPurpose = 'second_factor' | 'factor_enrolment'

export type ChallengePurpose = MailedPurpose | LoginPurpose

/** A login of which a step is missing. */
export interface WaitingLogin {
  kind: SessionKind
  methods: AuthMethod[]
  /** The version of the account when the password, or another proof, was checked. */
  version: number
  /** The known device that it comes from, whose failures have a count of their own. */
  deviceId?: string
}

/** The values that a purpose needs besides the address and the user. Never a secret. */
export interface ChallengeData {
  /** The login that waits, of the purpose `device` and of those without a mail. */
  login?: WaitingLogin
}

/** A code or a link that was mailed. Times are milliseconds since the epoch. */
export interface Challenge {
  /** 128 unguessable bits: the client that asked for a code names the challenge by it. Never logged. */
  id: string
  purpose: ChallengePurpose
  /** The address that the code or the link proves, as it was typed. */
  address: string
  /** Null: nobody has the address, or the mail has not been written yet. */
  userId: string | null
  data: ChallengeData
  /** The mail, from whose id the code and the token are derived. Without a mail, an id that no mail has. */
  mailId: string
  /** Null: the mail has not been written yet. */
  tokenHash: Uint8Array | null
  requestedAt: number
  /**
   * Counted from the request, also where the mail is written later: the code of an unknown address must end when that of a
   * known one does. Null: the mail has a link alone.
   */
  codeExpiresAt: number | null
  expiresAt: number
  tries: number
  takenAt: number | null
}

/** The part of a challenge that is set when its mail is first written. */
export interface Issue {
  mailId: string
  userId: string
  tokenHash: Uint8Array
  expiresAt: number
  /** Whether an earlier link of the same user and purpose becomes void, and a later one makes this one useless. */
  isOnlyOne: boolean
}

/** How a challenge is found: by the token of the link, or by its id after its code was compared. */
export type ChallengeKey = { tokenHash: Uint8Array } | { id: string }

/** Conditions of a challenge and its mail, and the row that is written with them. */
export interface ChallengeOptions {
  /** Roles none of which the user may have when the mail is queued. */
  withoutRoles?: readonly string[] | undefined
  /** The row of the audit that names who caused the mail. */
  event?: AuditEvent | undefined
}

export interface ChallengeStore {
  /**
   * Adds a challenge, its mail and its row of the audit, in one commit. Does nothing when the mail exists, or was finished. If the user is given, earlier ones of a purpose in
   * `challenges/only-one.ts` become void at once: whether a mail follows depends on who has the address.
   * @returns false: the user has one of the roles `withoutRoles`, and nothing was added
   */
  addChallenge(challenge: Challenge, mail: MailRequest, options?: ChallengeOptions): Promise<boolean>
  /** Adds a challenge without a mail. */
  openChallenge(challenge: Challenge): Promise<void>
  /** Returns a challenge that can still be answered, without counting a try. */
  openedChallenge(id: string, purpose: LoginPurpose, now: number): Promise<Challenge | null>
  /**
   * Makes the code and the link of a mail valid. Gives the challenge as it is if an earlier attempt to send the mail did so;
   * null when it was used, voided or has expired, or a later one made it useless.
   */
  issueChallenge(issue: Issue, now: number, event: AuditEvent | null): Promise<Challenge | null>
  /** Counts a try of the code, before it is compared. @returns null: unknown, another purpose, used, expired, too many tries */
  tryCode(id: string, purpose: ChallengePurpose, most: number, now: number): Promise<Challenge | null>
  /** Takes a challenge. Of several callers at once, one gets it. One that is voided while it is taken stays void. */
  takeChallenge(key: ChallengeKey, purpose: ChallengePurpose, now: number): Promise<Challenge | null>
  /** Whether a challenge, which may be taken, has neither been used nor voided. */
  hasChallenge(id: string): Promise<boolean>
  /** Makes a taken challenge available again, unless it was voided meanwhile. */
  returnChallenge(id: string): Promise<void>
  /** Ends a taken challenge. @param event null: no audit row */
  finishChallenge(id: string, event: AuditEvent | null): Promise<void>
  /** Ends the challenges of a user. @param since only those that were requested at this time or later */
  voidChallenges(userId: string, purposes: readonly ChallengePurpose[], since?: number): Promise<void>
  /** Returns the challenge of a user that was requested last; null: none is open. */
  latestChallenge(userId: string, purpose: ChallengePurpose, now: number): Promise<Challenge | null>
  /** Deletes expired challenges and devices. */
  forgetChallenges(now: number): Promise<void>
}

/** A device that its user has confirmed by a code. */
export interface Device {
  id: string
  userId: string
  tokenHash: Uint8Array
  createdAt: number
  expiresAt: number
}

/** The client from which a device was confirmed. */
export interface DeviceClient {
  ip: string | null
  userAgent: string | null
}

/** Known devices. A new password of their user removes them. */
export interface DeviceStore {
  /** Adds a device, with its event for webhooks. */
  addDevice(device: Device, client: DeviceClient, event: AuditEvent): Promise<void>
  /** Finds the device of a user by the hash of its token; null: unknown, or of another user, or expired. */
  deviceOf(userId: string, tokenHash: Uint8Array, now: number): Promise<Device | null>
  removeDevices(userId: string): Promise<void>
}
