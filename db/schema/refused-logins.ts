import { integer, primaryKey, sqliteTable, text } from 'drizzle-orm/sqlite-core'
import type { ProblemCode } from '../../services/kit/problem.ts'

// A table of auth on PostgreSQL. A SQLite file does not have it.

/** Recent logins that were refused before their password was checked: a few of each node and client address. */
export const refusedLogins = sqliteTable(
  'refused_logins',
  {
    owner: text('owner').notNull(),
    address: text('address').notNull(),
    /** Its place among those of the node and the address. */
    place: integer('place').notNull(),
    /** Grows with each of the node and the address. */
    number: integer('number').notNull(),
    at: integer('at').notNull(),
    code: text('code').$type<ProblemCode>().notNull(),
    lockedBy: text('locked_by', { enum: ['account', 'address'] }),
    lockedUntil: integer('locked_until'),
    key: text('key').notNull(),
    userId: text('user_id'),
    ip: text('ip'),
    requestId: text('request_id').notNull(),
  },
  (table) => [primaryKey({ columns: [table.owner, table.address, table.place] })],
)
