import { and, asc, eq, gt, lte, sql } from 'drizzle-orm'
import type { SQLiteColumn } from 'drizzle-orm/sqlite-core'
import { built, type Dialect, text } from '../engine.ts'
import { placeholders } from '../placeholders.ts'
import { counters, deletedIds, reservedEmails, users } from '../schema/users.ts'

const { placeholder } = sql

const byId = eq(users.id, placeholder('id'))

/** Makes a read of the users whose column is in a list, which is passed as JSON. @param list the name of the parameter */
const usersAmong = (column: SQLiteColumn, list: string) =>
  built((db, dialect) =>
    db
      .select()
      .from(users)
      .where(among(dialect, column, list)),
  )

/** The statements of all requests. */
export const STATEMENTS = {
  insert: built((db, dialect) =>
    db.insert(users).values({
      ...placeholders(users, ['seq']),
      // The database gives the number, which SQLite does for NULL only.
      seq: dialect === 'sqlite' ? sql`NULL` : sql`DEFAULT`,
    }),
  ),
  update: built((db) =>
    db
      .update(users)
      .set(placeholders(users, ['seq', 'id']))
      .where(byId),
  ),
  remove: built((db) => db.delete(users).where(byId)),
  addDeletedId: built((db) => db.insert(deletedIds).values(placeholders(deletedIds))),
  byId: built((db) => db.select().from(users).where(byId)),
  byEmail: built((db) =>
    db
      .select()
      .from(users)
      .where(eq(users.emailKey, placeholder('key'))),
  ),
  byUsername: built((db) =>
    db
      .select()
      .from(users)
      .where(eq(users.username, placeholder('username'))),
  ),
  byIds: usersAmong(users.id, 'ids'),
  byEmails: usersAmong(users.emailKey, 'keys'),
  byUsernames: usersAmong(users.username, 'usernames'),
  reservedFor: built((db) =>
    db
      .select({ emailKey: reservedEmails.emailKey })
      .from(reservedEmails)
      .where(eq(reservedEmails.userId, placeholder('id'))),
  ),
  deletedAmong: built((db, dialect) =>
    db
      .select()
      .from(deletedIds)
      .where(among(dialect, deletedIds.id, 'ids')),
  ),
  /**
   * The holders of emails and usernames, and the users for whom the emails are reserved, for a list of names, each a list of
   * the key of an email, a username and the time. `place` is that of the names, from 0.
   */
  holders: text<{ place: number; name: 'email' | 'username'; id: string }>({
    sqlite: `
      SELECT list.key AS place, 'email' AS name, users.id FROM json_each($names) AS list CROSS JOIN users
      WHERE email_key = value->>0
      UNION ALL SELECT list.key, 'username', users.id FROM json_each($names) AS list CROSS JOIN users
      WHERE username = value->>1
      UNION ALL SELECT list.key, 'email', user_id FROM json_each($names) AS list CROSS JOIN reserved_emails
      WHERE email_key = value->>0 AND until > value->>2`,
    // Each name is looked up in the index: a join might read the whole table, and conflict with every other change.
    postgres: `
      SELECT list.place - 1 AS place, holder.name, holder.id
      FROM jsonb_array_elements(CAST($names AS text)::jsonb) WITH ORDINALITY AS list (value, place) CROSS JOIN LATERAL (
        SELECT 'email' AS name, id FROM users WHERE email_key = value->>0
        UNION ALL SELECT 'username', id FROM users WHERE username = value->>1
        UNION ALL SELECT 'email', user_id FROM reserved_emails
        WHERE email_key = value->>0 AND until > CAST(value->>2 AS bigint)
        OFFSET 0) AS holder`,
  }),
  reservedAmong: built((db, dialect) =>
    db
      .select({ emailKey: reservedEmails.emailKey })
      .from(reservedEmails)
      .where(and(among(dialect, reservedEmails.emailKey, 'keys'), gt(reservedEmails.until, placeholder('now')))),
  ),
  reserve: text(`
    INSERT INTO reserved_emails (email_key, user_id, until) VALUES ($emailKey, $userId, $until)
    ON CONFLICT (email_key) DO UPDATE SET user_id = excluded.user_id, until = excluded.until`),
  /** Ends the reservations that were made since the one of an email, and that one. */
  endReservations: text(`
    DELETE FROM reserved_emails WHERE user_id = $userId AND until >= (
      SELECT until FROM reserved_emails WHERE email_key = $key AND user_id = $userId)`),
  endReservationsOf: built((db) => db.delete(reservedEmails).where(eq(reservedEmails.userId, placeholder('id')))),
  forgetReservations: built((db) => db.delete(reservedEmails).where(lte(reservedEmails.until, placeholder('now')))),
  admins: built((db) =>
    db.select({ seq: users.seq }).from(users).where(eq(users.isAdmin, true)).limit(placeholder('limit')),
  ),
  changedAfter: built((db) =>
    db
      .select()
      .from(users)
      .where(gt(users.change, placeholder('after')))
      .orderBy(asc(users.change))
      .limit(placeholder('limit')),
  ),
  lastChange: built((db) => db.select({ value: counters.value }).from(counters).where(eq(counters.name, 'change'))),
  /** Reserves the numbers of the next changes, and gives the last of them. */
  nextChanges: built((db) =>
    db
      .update(counters)
      .set({ value: sql`${counters.value} + ${placeholder('count')}` })
      .where(eq(counters.name, 'change'))
      .returning({ value: counters.value }),
  ),
  probe: built((db) =>
    db
      .update(counters)
      .set({ value: sql`${counters.value} + 1` })
      .where(eq(counters.name, 'probe')),
  ),
  probed: built((db) => db.select().from(counters).where(eq(counters.name, 'probe'))),
}

function among(dialect: Dialect, column: SQLiteColumn, list: string) {
  return dialect === 'sqlite'
    ? sql`${column} IN (SELECT value FROM json_each(${placeholder(list)}))`
    : sql`${column} IN (SELECT jsonb_array_elements_text(CAST(${placeholder(list)} AS text)::jsonb))`
}
