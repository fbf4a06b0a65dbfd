import { integer, primaryKey, sqliteTable, text } from 'drizzle-orm/sqlite-core'

// A table of auth on PostgreSQL. A SQLite file does not have it.

/** Logins whose password is being checked, by subject (see `login_failures`) and node. */
export const loginAttempts = sqliteTable(
  'login_attempts',
  {
    subject: text('subject').notNull(),
    owner: text('owner').notNull(),
    /** A number that the node gave. */
    attempt: integer('attempt').notNull(),
  },
  (table) => [primaryKey({ columns: [table.subject, table.owner, table.attempt] })],
)
