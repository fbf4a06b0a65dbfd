import type { PostgresMigration } from '../migrate.ts'
import users from './users/0001_users.sql' with { type: 'text' }
import nodes from './users/0002_nodes.sql' with { type: 'text' }
import reservedEmails from './users/0003_reserved_emails.sql' with { type: 'text' }
import factorsFrom from './users/0004_factors_from.sql' with { type: 'text' }

/** The migrations, in the order in which they are applied. They are part of the compiled tool. */
export const usersMigrations: readonly PostgresMigration[] = [
  { name: '0001_users', sql: users },
  { name: '0002_nodes', sql: nodes },
  { name: '0003_reserved_emails', sql: reservedEmails },
  { name: '0004_factors_from', sql: factorsFrom },
]
