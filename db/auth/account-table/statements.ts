import { and, asc, desc, eq, getTableColumns, gt, inArray, ne, type SQL, sql } from 'drizzle-orm'
import type { ChallengePurpose } from '../../../services/auth/store/index.ts'
import { COUNT } from '../../count.ts'
import { type Builder, built } from '../../engine.ts'
import { placeholders } from '../../placeholders.ts'
import { accounts, challenges, consents, devices, finishedMails } from '../../schema/auth.ts'

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

/**
 * The codes and links that become void when all sessions of a user end, or their email changes. The link that undoes a
 * change of the email stays: it is for the owner of the earlier address. Verifications are void for other addresses alone.
 */
const VOIDED_BY_CHANGES: readonly ChallengePurpose[] = [
  'password_reset',
  'email_code',
  'email_change',
  'invitation',
  'device',
  'second_factor',
  'factor_enrolment',
]

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
  /** Ends sessions and tokens, voids factors, and leaves the rest of the account as it is. */
  mark: built((db) =>
    db
      .update(accounts)
      .set({
        sessionsFrom: sql`${sql.placeholder('sessionsFrom')}`,
        tokensFrom: sql`${sql.placeholder('tokensFrom')}`,
        factorsFrom: sql`${sql.placeholder('factorsFrom')}`,
      })
      .where(eq(accounts.userId, userId)),
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
  voidByChange: built((db) =>
    db
      .delete(challenges)
      .where(and(eq(challenges.userId, userId), inArray(challenges.purpose, [...VOIDED_BY_CHANGES]))),
  ),
  /** Deletes what would verify another address of a user than their current one, should they take it again. */
  voidVerifications: built((db) =>
    db
      .delete(challenges)
      .where(
        and(
          eq(challenges.userId, userId),
          eq(challenges.purpose, 'email_verification'),
          ne(challenges.address, sql.placeholder('email')),
        ),
      ),
  ),
  removeDevices: built((db) => db.delete(devices).where(eq(devices.userId, userId))),
  removeConsents: built((db) => db.delete(consents).where(eq(consents.userId, userId))),
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
