import { foldUsers } from './fold-rows.ts'
import type { Migration } from './migration.ts'
import users from './users/0001_users.sql' with { type: 'text' }
import deletedIds from './users/0002_deleted_ids.sql' with { type: 'text' }
import searchMerging from './users/0003_search_merging.sql' with { type: 'text' }
import searchText from './users/0004_search_text.sql' with { type: 'text' }
import noPassword from './users/0005_no_password.sql' with { type: 'text' }
import profile from './users/0006_profile.sql' with { type: 'text' }
import reservedEmails from './users/0007_reserved_emails.sql' with { type: 'text' }
import factorsFrom from './users/0008_factors_from.sql' with { type: 'text' }
import secureSearch from './users/0009_secure_search.sql' with { type: 'text' }

/** The migrations, in the order in which they are applied. They are part of the compiled tool. */
export const usersMigrations: readonly Migration[] = [
  { name: '0001_users', sql: users },
  { name: '0002_deleted_ids', sql: deletedIds },
  { name: '0003_search_merging', sql: searchMerging },
  { name: '0004_search_text', sql: searchText, finish: foldUsers },
  { name: '0005_no_password', sql: noPassword },
  { name: '0006_profile', sql: profile },
  { name: '0007_reserved_emails', sql: reservedEmails },
  { name: '0008_factors_from', sql: factorsFrom },
  { name: '0009_secure_search', sql: secureSearch },
]
