import { and, asc, desc, eq, getTableColumns, gt, ne, type SQL, sql } from 'drizzle-orm'
import { type Builder, built } from '../engine.ts'
import { placeholders } from '../placeholders.ts'
import { accounts, challenges, devices, finishedMails } from '../schema/auth.ts'
import { COUNT } from './count.ts'

const userId = sql.placeholder('userId')
const emailKey = sql.placeholder('emailKey')
const username = sql.placeholder('username')

/** Selects one of the accounts that match: the cached one, or else the one that was synced last. */
const newest = (db: Builder, matches: SQL) =>
  db
    .select()
    .from(accounts)
    .where(and(matches, sql`${accounts.deleted} = 0`))
    .orderBy(desc(accounts.cached), desc(accounts.syncedAt))
    .limit(1)

const ownerOf = (db: Builder, matches: SQL) =>
  db
    .select({ userId: accounts.userId })
    .from(accounts)
    .where(and(matches, sql`${accounts.deleted} = 0`))

/** The statements for the password cache. */
export const STATEMENTS = {
  byId: built((db) => db.select().from(accounts).where(eq(accounts.userId, userId))),
  byEmail: built((db) => newest(db, eq(accounts.emailKey, emailKey))),
  byUsername: built((db) => newest(db, eq(accounts.username, username))),
  /** Find the account that has an email or a username. */
  ownerOfEmail: built((db) => ownerOf(db, eq(accounts.emailKey, emailKey))),
  ownerOfUsername: built((db) => ownerOf(db, eq(accounts.username, username))),
  insert: built((db) => db.insert(accounts).values(placeholders(accounts))),
  put: built((db) =>
    db.insert(accounts).values(placeholders(accounts)).onConflictDoUpdate({ target: accounts.userId, set: excluded() }),
  ),
  displace: built((db) =>
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
      ),
  ),
  removeDevices: built((db) => db.delete(devices).where(eq(devices.userId, userId))),
  removeMails: built((db) => db.delete(finishedMails).where(eq(finishedMails.userId, userId))),
  removeChallenges: built((db) => db.delete(challenges).where(eq(challenges.userId, userId))),
  ids: built((db) =>
    db
      .select({ userId: accounts.userId })
      .from(accounts)
      .where(and(eq(accounts.cached, true), gt(accounts.userId, sql.placeholder('after'))))
      .orderBy(asc(accounts.userId))
      .limit(sql.placeholder('limit')),
  ),
  count: built((db) => db.select(COUNT).from(accounts).where(eq(accounts.cached, true))),
}

/** Sets every column but the key to the value of the row that conflicted. */
function excluded() {
  const { userId: _, ...columns } = getTableColumns(accounts)
  return Object.fromEntries(
    Object.entries(columns).map(([property, column]) => [property, sql.raw(`excluded.${column.name}`)]),
  )
}
