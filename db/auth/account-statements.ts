import { and, asc, desc, eq, getTableColumns, gt, ne, sql } from 'drizzle-orm'
import type { BunSQLiteDatabase } from 'drizzle-orm/bun-sqlite'
import { placeholders } from '../placeholders.ts'
import { prepared } from '../prepared.ts'
import { accounts, passwordResets } from '../schema/auth.ts'
import { COUNT } from './count.ts'

export function prepareAccountStatements(db: BunSQLiteDatabase) {
  const userId = sql.placeholder('userId')
  const emailKey = sql.placeholder('emailKey')
  const username = sql.placeholder('username')
  return prepared({
    byId: () => db.select().from(accounts).where(eq(accounts.userId, userId)).prepare(),
    byEmail: () =>
      db
        .select()
        .from(accounts)
        .where(and(eq(accounts.emailKey, emailKey), sql`${accounts.deleted} = 0`))
        .orderBy(desc(accounts.cached), desc(accounts.syncedAt))
        .limit(1)
        .prepare(),
    byUsername: () =>
      db
        .select()
        .from(accounts)
        .where(and(eq(accounts.username, username), sql`${accounts.deleted} = 0`))
        .orderBy(desc(accounts.cached), desc(accounts.syncedAt))
        .limit(1)
        .prepare(),
    put: () =>
      db
        .insert(accounts)
        .values(placeholders(accounts))
        .onConflictDoUpdate({
          target: accounts.userId,
          set: excluded(),
        })
        .prepare(),
    displace: () =>
      db
        .update(accounts)
        .set({ cached: false, passwordHash: '' })
        .where(
          and(
            eq(accounts.cached, true),
            ne(accounts.userId, userId),
            // A union of two lookups: with OR, or with `deleted` as a parameter, SQLite would read all accounts.
            sql`${accounts.userId} IN (
            SELECT user_id FROM accounts WHERE deleted = 0 AND email_key = ${emailKey}
            UNION ALL SELECT user_id FROM accounts WHERE deleted = 0 AND username = ${username})`,
          ),
        )
        .prepare(),
    voidResets: () => db.delete(passwordResets).where(eq(passwordResets.userId, userId)).prepare(),
    ids: () =>
      db
        .select({ userId: accounts.userId })
        .from(accounts)
        .where(and(eq(accounts.cached, true), gt(accounts.userId, sql.placeholder('after'))))
        .orderBy(asc(accounts.userId))
        .limit(sql.placeholder('limit'))
        .prepare(),
    count: () => db.select(COUNT).from(accounts).where(eq(accounts.cached, true)).prepare(),
  })
}

/** Sets every column but the key to the value of the row that conflicted. */
function excluded() {
  const { userId, ...columns } = getTableColumns(accounts)
  return Object.fromEntries(
    Object.entries(columns).map(([property, column]) => [property, sql.raw(`excluded.${column.name}`)]),
  )
}
