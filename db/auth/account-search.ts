import type { Database } from 'bun:sqlite'
import { sql } from 'drizzle-orm'
import { foldForSearch, searchTextOf } from '../../services/kit/schema/search-text.ts'
import { accounts } from '../schema/auth.ts'
import { foldRows } from '../sqlite/migrations/fold-rows.ts'

/** What a search of the password cache looks into: the email as it was typed and as it is compared, and the username. */
export function searchTextOfAccount(account: Pick<typeof accounts.$inferSelect, 'email' | 'emailKey' | 'username'>) {
  return searchTextOf(account.email, account.emailKey, account.username)
}

/** Whether a search finds an account, however its letters are written. */
export function containsSearch(search: string) {
  return sql`instr(${accounts.searchText}, ${foldForSearch(search)}) > 0`
}

/** Folds accounts from before searches looked into a folded text. */
export function foldAccounts(raw: Database): void {
  foldRows(raw, { table: 'accounts', key: 'user_id', start: '', fields: ['email', 'email_key', 'username'] })
}
