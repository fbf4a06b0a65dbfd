import { sql } from 'drizzle-orm'
import { foldForSearch, searchTextOf } from '../../../services/kit/schema/search-text.ts'
import type { Dialect } from '../../engine.ts'
import { accounts } from '../../schema/auth.ts'

/** Gives the text that a search of the password cache covers: the email as typed and as compared, and the username. */
export function searchTextOfAccount(account: Pick<typeof accounts.$inferSelect, 'email' | 'emailKey' | 'username'>) {
  return searchTextOf(account.email, account.emailKey, account.username)
}

/** Makes the condition that finds accounts by a search, which is folded first (`foldForSearch`). */
export function containsSearch(search: string, dialect: Dialect) {
  const part = foldForSearch(search)
  return dialect === 'sqlite'
    ? sql`instr(${accounts.searchText}, ${part}) > 0`
    : sql`position(${part} in ${accounts.searchText}) > 0`
}
