import { timestamp } from '../kit/clock.ts'
import { type PasswordRecord, profileOf, type UserRead } from '../kit/schema/user.ts'
import type { SyncedUser } from './peers.ts'
import type { User } from './store.ts'

/** A user as the API answers it: without the password's hash. */
export function userRead(user: User): UserRead {
  return {
    id: user.id,
    email: user.email,
    username: user.username,
    name: user.name,
    roles: user.roles,
    status: user.status,
    email_verified: user.emailVerified,
    has_password: user.passwordHash !== null,
    ...profileOf(user),
    created_at: timestamp(user.createdAt),
    updated_at: timestamp(user.updatedAt),
  }
}

/** A user as auth stores it in its password cache. */
export function passwordRecord(user: User): PasswordRecord {
  const { id, ...read } = userRead(user)
  return { user_id: id, ...read, password_hash: user.passwordHash, password_version: user.version }
}

/** The record, with the marks that tell auth which sessions and tokens earlier changes ended. */
export function syncedUser(user: User): SyncedUser {
  return {
    ...passwordRecord(user),
    sessions_from: user.sessionsFrom,
    session_kept: user.sessionKept,
    all_sessions_from: user.allSessionsFrom,
    tokens_from: user.tokensFrom,
    // Auth of the version before knows no such field, and no second factor either.
    ...(user.factorsFrom > 0 && { factors_from: user.factorsFrom }),
  }
}
