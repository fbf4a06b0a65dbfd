import type { PasswordRecord, UserCreate, UserRead } from '../kit/schema/user.ts'

export type NewUser = UserCreate & { password: string }

/**
 * What auth needs of users, each for the request of an id. Each throws Problem `users_unavailable` when it can't be
 * reached.
 */
export interface UsersPeer {
  /** @throws Problem that users answers with: `email_taken`, `weak_password`, … */
  createUser(input: NewUser, requestId: string): Promise<UserRead>
  /** Null: there is no such user. */
  user(userId: string, requestId: string): Promise<UserRead | null>
  userByEmail(email: string, requestId: string | null): Promise<UserRead | null>
  /** Null: no such user, or another password. */
  verifyCredentials(login: string, password: string, requestId: string): Promise<UserRead | null>
  passwordRecord(userId: string, requestId: string): Promise<PasswordRecord | null>
  passwordRecords(
    after: string | null,
    requestId: string,
  ): Promise<{ items: PasswordRecord[]; next_cursor: string | null }>
  /** Ends a reset. False: there is no such user. @throws Problem `weak_password`, `validation_failed` */
  resetPassword(userId: string, newPassword: string, requestId: string): Promise<boolean>
  /** Ignored when the record has changed since `ifVersion`. */
  replaceHash(userId: string, passwordHash: string, ifVersion: number, requestId: string): Promise<void>
  /** Users tells all that auth missed. */
  catchUp(): Promise<void>
}
