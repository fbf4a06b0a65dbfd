import type { User } from '../../services/users/store.ts'
import { fromHashColumn } from '../password-hash.ts'
import type { users } from '../schema/users.ts'

export type Row = typeof users.$inferSelect

/** Gives a user without the columns that only the database needs. */
export function present(row: Row): User {
  const { seq, emailKey, isAdmin, change, passwordHash, searchText, ...user } = row
  return { ...user, passwordHash: fromHashColumn(passwordHash) }
}

export function presentOrNull(row: Row | undefined): User | null {
  return row ? present(row) : null
}
