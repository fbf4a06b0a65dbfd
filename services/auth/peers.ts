import type { PasswordRecord, UserCreate, UserRead } from '../kit/schema/user.ts'

export type NewUser = UserCreate & { password: string }

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
   * Sets the new password of a reset. Returns false when the user does not exist.
   * @throws Problem `weak_password`, `validation_failed`
   */
  resetPassword(userId: string, newPassword: string, requestId: string): Promise<boolean>
  /** Stores a rehash of the same password, unless the record has changed since `ifVersion`. */
  replaceHash(userId: string, passwordHash: string, ifVersion: number, requestId: string): Promise<void>
  /** Makes users send everything that auth has not acknowledged. Resolves when it has. */
  catchUp(): Promise<void>
}
