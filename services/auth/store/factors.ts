import type { AuditEvent } from '../../kit/outbox/audit.ts'
import type { AuthMethod } from '../../kit/tokens/access-token.ts'

/** The answers that complete a login with a second factor. */
export type SecondFactorMethod = 'totp' | 'recovery_code' | 'passkey'

/** How codes follow from a secret (RFC 6238). Apps that read a QR code know SHA1 for certain. */
export interface TotpForm {
  algorithm: 'SHA1' | 'SHA256' | 'SHA512'
  digits: number
  /** Seconds for which a code is shown. */
  period: number
}

/** An app that shows codes. Times are milliseconds since the epoch. */
export interface Totp extends TotpForm {
  id: string
  userId: string
  name: string
  /** Sealed with the user's id as associated data. */
  sealedSecret: Uint8Array
  createdAt: number
  /** When a code of it was first typed. Null: it is pending, and no factor yet. */
  confirmedAt: number | null
  /** When a pending one expires. */
  expiresAt: number
  lastUsedAt: number | null
  /** The step of the last code that was used: no code of it or an earlier one is taken again. */
  lastStep: number
}

/** A passkey. Times are milliseconds since the epoch. */
export interface Passkey {
  id: string
  userId: string
  name: string
  credentialId: Uint8Array
  /** SubjectPublicKeyInfo, DER. */
  publicKey: Uint8Array
  /** The algorithm, as COSE numbers it. */
  algorithm: number
  /** How often the authenticator has signed; 0 for ever: it does not count. */
  counter: number
  transports: string[]
  /** The model of the authenticator, in hexadecimal. */
  aaguid: string
  backupEligible: boolean
  backedUp: boolean
  createdAt: number
  lastUsedAt: number | null
}

/** The factors of a user, oldest first. */
export interface FactorsOfUser {
  totps: Totp[]
  passkeys: Passkey[]
  /** How many recovery codes were not used yet. */
  recoveryCodes: number
}

/** A factor that is added, and what must still hold for it. */
export interface Enrolment {
  userId: string
  /**
   * A pending TOTP whose code was right, with the step of the code; or a passkey, with the challenge that it answered. The
   * first passkey of all users fixes the id of the relying party.
   */
  factor:
    | { kind: 'totp'; id: string; step: number }
    | { kind: 'passkey'; passkey: Passkey; challenge: UsedChallenge; rpId: string }
  /** Hashes of the recovery codes that the first factor brings. */
  recoveryCodes: readonly Uint8Array[]
  /**
   * The session that adds it, which gains `methods`; or the version of the account at the login that waits for it.
   * `needsFactor`: whether the session must have shown a second factor, if the user has one.
   */
  by: { sessionId: string; methods: readonly AuthMethod[]; needsFactor: boolean } | { version: number }
  now: number
  /** How many factors a user may have. */
  most: number
}

/**
 * `first`: recovery codes were stored. `gone`: the session or the login has ended, or the pending factor has expired.
 * `unproved`: the user has got a factor meanwhile, which the session has not shown. `replayed`: the challenge was used.
 * `taken`: the passkey is one already. `too_many`: nothing was added.
 */
export type EnrolmentResult = 'added' | 'first' | 'gone' | 'unproved' | 'replayed' | 'taken' | 'too_many'

/** A challenge that a passkey has answered. */
export interface UsedChallenge {
  hash: Uint8Array
  expiresAt: number
}

/** A verified login with a passkey. */
export interface PasskeyLogin {
  id: string
  counter: number
  backedUp: boolean
  challenge: UsedChallenge
  now: number
}

/** Second factors: truth that cannot be fetched from users. A restore keeps them. */
export interface FactorStore {
  /** The methods by which a user can answer; empty: they have no second factor. */
  secondFactorMethods(userId: string): Promise<SecondFactorMethod[]>
  factorsOf(userId: string): Promise<FactorsOfUser>
  /** Adds a pending TOTP, in place of another pending one of the user. */
  startTotp(totp: Totp): Promise<void>
  /** Returns a TOTP of a user that is pending, and has not expired. */
  pendingTotp(userId: string, id: string, now: number): Promise<Totp | null>
  /** Adds a factor, its event for webhooks, and the recovery codes if it is the first one. */
  enrol(enrolment: Enrolment, event: AuditEvent): Promise<EnrolmentResult>
  /** Adds a TOTP whose secret the user has already. */
  importTotp(totp: Totp, event: AuditEvent): Promise<void>
  /** Marks the code of a step as used. Of several callers at once, one gets true; a code of an earlier step is refused too. */
  useTotp(id: string, step: number, now: number): Promise<boolean>
  /** Uses a recovery code. Of several callers at once, one gets true. */
  useRecoveryCode(userId: string, hash: Uint8Array, event: AuditEvent): Promise<boolean>
  /** Finds a passkey by the id of its credential. */
  passkeyByCredential(credentialId: Uint8Array): Promise<Passkey | null>
  /**
   * Records the use of a passkey. @returns false: the challenge was used before, the counter shows a copy of the
   * authenticator, or the passkey is gone
   */
  usePasskey(use: PasskeyLogin): Promise<boolean>
  /** Replaces the recovery codes of a user who has a factor. @returns false: the user has none */
  replaceRecoveryCodes(userId: string, hashes: readonly Uint8Array[], now: number, event: AuditEvent): Promise<boolean>
  renameFactor(userId: string, id: string, name: string): Promise<boolean>
  /**
   * Removes one factor; with the last one also the recovery codes.
   * @returns the kind of the factor that was removed
   * @param needsPasskey whether the user has no other way in than a passkey: then the last one stays
   */
  removeFactor(
    userId: string,
    id: string,
    needsPasskey: boolean,
    event: AuditEvent,
  ): Promise<'totp' | 'passkey' | 'unknown' | 'last_way_in'>
  /**
   * Removes the factors of a user that were added at `since` or later, and the recovery codes that were made since; with the
   * last factor all of them.
   */
  removeFactors(userId: string, since: number, event: AuditEvent): Promise<number>
  /** The sealed secrets, by pages of ids. */
  sealedTotps(after: string, limit: number): Promise<Pick<Totp, 'id' | 'userId' | 'sealedSecret'>[]>
  resealTotp(id: string, sealedSecret: Uint8Array): Promise<void>
  /** Deletes pending factors and used challenges that have expired. */
  forgetFactors(now: number): Promise<void>
}
