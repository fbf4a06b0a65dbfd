import { integer, sqliteTable, text } from 'drizzle-orm/sqlite-core'

// Tables of every schema of PostgreSQL, where several nodes may run. A SQLite file has none of them.

/** The nodes that run. */
export const nodes = sqliteTable('nodes', {
  name: text('name').primaryKey(),
  /** How often the node has renewed its row: the others see by it that the node is alive. */
  renewals: integer('renewals').notNull(),
})

/** Work that one node at a time does, and which one does it. */
export const leases = sqliteTable('leases', {
  name: text('name').primaryKey(),
  owner: text('owner').notNull(),
})
