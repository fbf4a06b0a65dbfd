import type { Actor } from '../kit/outbox/audit.ts'
import type { PasswordRecord, UserCreate, UserRead } from '../kit/schema/user.ts'
import type { SyncedUser } from '../users/peers.ts'

export type NewUser = UserCreate & { password: string }

/** The caller who asked auth for something that users stores. */
export type Requester = Actor & { requestId: string }

/** A mail that its recipient has answered, and what they sent with the answer. */
export type AddressProof =
  | { kind: 'verification' | 'email_code'; email: string }
  | { kind: 'reset'; email: string; new_password: string }
  | { kind: 'invitation'; email: string; new_password: string; username?: string | null; name?: string | null }
  /**
   * The email becomes this one, which is verified. `sessions_from`: that of the account before the challenge was taken, or
   * the version of the record; the change is void if sessions ended since.
   */
  | { kind: 'email_change'; email: string; sessions_from: number }
  /** The email becomes this earlier one again, which is verified. The password is removed. */
  | { kind: 'undo'; email: string; sessions_from: number }

export type ProofResult =
  /** `wasVerified`: whether the email before it was verified. */
  | { outcome: 'proved'; record: SyncedUser; wasVerified: boolean }
  /** The user has another address by now, or their sessions ended. */
  | { outcome: 'email_changed' }
  | { outcome: 'user_not_found' }

/**
 * The calls that auth makes to users, each on behalf of the request `requestId`. All of them throw Problem
 * `users_unavailable` when users cannot be reached.
 */
export interface UsersPeer {
  /** Creates a user. @throws the Problem that users answers: `email_taken`, `weak_password`, … */
  createUser(input: NewUser, requestId: string): Promise<UserRead>
  /** Returns null when the user does not exist. */
  user(userId: string, requestId: string): Promise<UserRead | null>
  /** Returns null when no user has this email. */
  userByEmail(email: string, requestId: string | null): Promise<UserRead | null>
  /** Checks a password. Returns null when the user does not exist or the password is wrong. */
  verifyCredentials(login: string, password: string, requestId: string): Promise<UserRead | null>
  /** Returns null when the user does not exist. */
  passwordRecord(userId: string, requestId: string): Promise<PasswordRecord | null>
  /** Returns a page of all records. @param after the cursor of the page before; null: the first page */
  passwordRecords(
    after: string | null,
    requestId: string,
  ): Promise<{ items: PasswordRecord[]; next_cursor: string | null }>
  /**
   * Stores that a user has answered a mail, and what follows from that. When it resolves, all services refuse what it ended.
   * @param by who has answered, for the audit
   * @throws Problem `weak_password`, `validation_failed`, `email_taken`, `username_taken`
   */
  proveAddress(userId: string, proof: AddressProof, by: Requester): Promise<ProofResult>
  /**
   * Creates a user without a password. Returns the user who has the email and no password yet, if there is one.
   * @param by who invites, for the audit
   * @throws Problem `email_taken` if the user has a password; `username_taken`
   */
  inviteUser(input: Omit<UserCreate, 'password' | 'password_hash'>, by: Requester): Promise<UserRead>
  /** Stores a rehash of the same password, unless the record has changed since `ifVersion`. */
  replaceHash(userId: string, passwordHash: string, ifVersion: number, requestId: string): Promise<void>
  /** Makes users send everything that auth has not acknowledged. Resolves when it has. */
  catchUp(): Promise<void>
}
