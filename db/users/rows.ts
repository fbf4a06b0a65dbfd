import { emailKey } from '../../services/kit/schema/email.ts'
import { isActiveAdmin } from '../../services/users/last-admin.ts'
import type { User } from '../../services/users/store.ts'
import { fromHashColumn, toHashColumn } from '../password-hash.ts'
import type { users } from '../schema/users.ts'
import { searchTextOfUser } from './search.ts'

export type Row = typeof users.$inferSelect

/** Gives a user without the columns that only the database needs. */
export function present(row: Row): User {
  const { seq, emailKey, isAdmin, change, passwordHash, searchText, ...user } = row
  return { ...user, passwordHash: fromHashColumn(passwordHash) }
}

export function presentOrNull(row: Row | undefined): User | null {
  return row ? present(row) : null
}

/** @param change the number of the change that writes the row */
export function rowOf(user: User, change: number): Omit<Row, 'seq'> {
  const columns = { ...user, emailKey: emailKey(user.email), passwordHash: toHashColumn(user.passwordHash) }
  return { ...columns, isAdmin: isActiveAdmin(user), change, searchText: searchTextOfUser(columns) }
}
