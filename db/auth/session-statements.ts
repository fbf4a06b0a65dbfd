import { asc, eq, gt, lt, sql } from 'drizzle-orm'
import type { BunSQLiteDatabase } from 'drizzle-orm/bun-sqlite'
import { placeholders } from '../placeholders.ts'
import { prepared } from '../prepared.ts'
import { accounts, refreshHashes, sessions } from '../schema/auth.ts'

export function prepareSessionStatements(db: BunSQLiteDatabase) {
  const id = sql.placeholder('id')
  const userId = sql.placeholder('userId')
  return prepared({
    insert: () => db.insert(sessions).values(placeholders(sessions)).prepare(),
    update: () =>
      db
        .update(sessions)
        .set(placeholders(sessions, ['id', 'userId', 'kind', 'createdAt', 'endsAt', 'ip', 'userAgent']))
        .where(eq(sessions.id, id))
        .prepare(),
    remove: () => db.delete(sessions).where(eq(sessions.id, id)).prepare(),
    byId: () => db.select().from(sessions).where(eq(sessions.id, id)).prepare(),
    ofUser: () => db.select().from(sessions).where(eq(sessions.userId, userId)).orderBy(asc(sessions.id)).prepare(),
    all: () => db.select().from(sessions).prepare(),
    account: () => db.select().from(accounts).where(eq(accounts.userId, userId)).prepare(),
    addHash: () => db.insert(refreshHashes).values(placeholders(refreshHashes)).onConflictDoNothing().prepare(),
    byHash: () =>
      db
        .select({ sessionId: refreshHashes.sessionId, counter: refreshHashes.counter })
        .from(refreshHashes)
        .where(eq(refreshHashes.hash, sql.placeholder('hash')))
        .prepare(),
    /** Moves the times of rotations forward, so that the grace after each goes on where it was. */
    shiftRotations: () =>
      db
        .update(sessions)
        .set({
          rotatedAt: sql`${sql.placeholder('now')} - max(0, ${sql.placeholder('aliveAt')} - ${sessions.rotatedAt})`,
        })
        .where(gt(sessions.rotatedAt, sql.placeholder('since')))
        .prepare(),
    forget: () =>
      db
        .delete(sessions)
        .where(lt(sessions.expiresAt, sql.placeholder('now')))
        .prepare(),
  })
}
