import { integer, sqliteTable, text } from 'drizzle-orm/sqlite-core'

// A table of the services with a feed, on PostgreSQL. A SQLite file does not have it.

/** The subscribers of the feed. A row changes with each poll. */
export const subscribers = sqliteTable('subscribers', {
  name: text('name').primaryKey(),
  /** The number of the last change that the subscriber has acknowledged. */
  acked: integer('acked').notNull(),
  /** A number that each poll changes: nodes see by it that the subscriber is running. */
  renewal: integer('renewal').notNull(),
})
