import type { StoredAccount } from '../../../services/auth/accounts/sync-rules.ts'
import type { Account } from '../../../services/auth/store/index.ts'
import { emailKey } from '../../../services/kit/schema/email.ts'
import { fromHashColumn, toHashColumn } from '../../password-hash.ts'
import type { accounts } from '../../schema/auth.ts'
import { searchTextOfAccount } from './search.ts'

export type Row = typeof accounts.$inferSelect

export function stored(row: Row): StoredAccount {
  return { ...row, passwordHash: fromHashColumn(row.passwordHash) }
}

export function present(row: Row | undefined): Account | null {
  return row && !row.deleted ? stored(row) : null
}

/** Gives the row of an account that is not deleted. */
export function rowOf(account: Account): Row {
  const row = { ...account, emailKey: emailKey(account.email), passwordHash: toHashColumn(account.passwordHash) }
  return { ...row, deleted: false, searchText: searchTextOfAccount(row) }
}
