import { asc, eq, gt, lt, sql } from 'drizzle-orm'
import { built, text } from '../engine.ts'
import { placeholders } from '../placeholders.ts'
import { accounts, refreshHashes, sessions } from '../schema/auth.ts'

const id = sql.placeholder('id')
const userId = sql.placeholder('userId')

/** The statements for sessions. */
export const STATEMENTS = {
  insert: built((db) => db.insert(sessions).values(placeholders(sessions))),
  update: built((db) =>
    db
      .update(sessions)
      .set(placeholders(sessions, ['id', 'userId', 'kind', 'createdAt', 'endsAt', 'ip', 'userAgent']))
      .where(eq(sessions.id, id)),
  ),
  remove: text({
    sqlite: 'DELETE FROM sessions WHERE id IN (SELECT value FROM json_each($ids))',
    postgres: 'DELETE FROM sessions WHERE id IN (SELECT jsonb_array_elements_text(CAST($ids AS text)::jsonb))',
  }),
  byId: built((db) => db.select().from(sessions).where(eq(sessions.id, id))),
  ofUser: built((db) => db.select().from(sessions).where(eq(sessions.userId, userId)).orderBy(asc(sessions.id))),
  all: built((db) => db.select().from(sessions).orderBy(asc(sessions.id))),
  account: built((db) => db.select().from(accounts).where(eq(accounts.userId, userId))),
  addHash: built((db) => db.insert(refreshHashes).values(placeholders(refreshHashes)).onConflictDoNothing()),
  byHash: built((db) =>
    db
      .select({ sessionId: refreshHashes.sessionId, counter: refreshHashes.counter })
      .from(refreshHashes)
      .where(eq(refreshHashes.hash, sql.placeholder('hash'))),
  ),
  /** Moves the times of rotations forward, so that the grace after each goes on where it was. */
  shiftRotations: built((db, dialect) => {
    const sinceRotation = sql`${sql.placeholder('aliveAt')} - ${sessions.rotatedAt}`
    const greatest = sql.raw(dialect === 'sqlite' ? 'max' : 'greatest')
    return db
      .update(sessions)
      .set({ rotatedAt: sql`${sql.placeholder('now')} - ${greatest}(0, ${sinceRotation})` })
      .where(gt(sessions.rotatedAt, sql.placeholder('since')))
  }),
  forget: built((db) => db.delete(sessions).where(lt(sessions.expiresAt, sql.placeholder('now')))),
}
