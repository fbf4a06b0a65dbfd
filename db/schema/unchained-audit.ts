import { integer, sqliteTable, text } from 'drizzle-orm/sqlite-core'

// A table of auth on PostgreSQL. Rows of a SQLite file are chained in their transaction.

/** Rows of the audit that are not in the chain yet. Two may have the same id: a service repeats an event. */
export const unchainedAudit = sqliteTable('unchained_audit', {
  place: integer('place').primaryKey(),
  id: text('id').notNull(),
  at: integer('at').notNull(),
  type: text('type').notNull(),
  userId: text('user_id'),
  actor: text('actor').notNull(),
  ip: text('ip'),
  requestId: text('request_id'),
  detail: text('detail').notNull(),
  writtenAt: integer('written_at').notNull(),
})
