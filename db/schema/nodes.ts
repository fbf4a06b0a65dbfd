import { integer, sqliteTable, text } from 'drizzle-orm/sqlite-core'

// Tables of every schema of PostgreSQL, where several nodes may run. A SQLite file has none of them.

/** The nodes that run. */
export const nodes = sqliteTable('nodes', {
  name: text('name').primaryKey(),
  /** How often the node has renewed its row: the others see by it that the node is alive. */
  renewals: integer('renewals').notNull(),
  /** Its host and the id of its process. This column and the following ones are for operators: nothing is decided by them. */
  process: text('process').notNull().default(''),
  /** The address at which it listens. */
  address: text('address').notNull().default(''),
  version: text('version').notNull().default(''),
  /** When it was added, by the clock of the database; as all times, in milliseconds since the epoch. */
  since: integer('since').notNull().default(0),
  /** When it last renewed its row, by the clock of the database. */
  renewedAt: integer('renewed_at').notNull().default(0),
  /** The time on its own clock when it sent that renewal. */
  clock: integer('clock').notNull().default(0),
})

/** Work that one node at a time does, and which one does it. */
export const leases = sqliteTable('leases', {
  name: text('name').primaryKey(),
  owner: text('owner').notNull(),
})
