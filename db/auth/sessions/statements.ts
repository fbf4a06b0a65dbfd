import { and, asc, eq, gt, lt, max, type SQL, sql } from 'drizzle-orm'
import { DAY } from '../../../services/kit/clock.ts'
import { built, text } from '../../engine.ts'
import { placeholders } from '../../placeholders.ts'
import { accounts, refreshHashes, sessions } from '../../schema/auth.ts'
import { BATCH } from '../../write-in-batches.ts'

const id = sql.placeholder('id')
const userId = sql.placeholder('userId')
const ofUser = eq(sessions.userId, userId)
const isLive = and(gt(sessions.expiresAt, sql.placeholder('now')), gt(sessions.endsAt, sql.placeholder('now')))

/** Selects the first sessions after an id, for one transaction of several. */
const batch = (condition: SQL | undefined) =>
  built((db) =>
    db
      .select()
      .from(sessions)
      .where(and(condition, gt(sessions.id, sql.placeholder('after'))))
      .orderBy(asc(sessions.id))
      .limit(BATCH),
  )

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
  removeConsents: text(
    `DELETE FROM consents WHERE (user_id, client_id) IN (SELECT user_id, client_id FROM consents LIMIT ${BATCH})`,
  ),
  byId: built((db) => db.select().from(sessions).where(eq(sessions.id, id))),
  live: batch(isLive),
  liveOfUser: batch(and(ofUser, isLive)),
  openedBefore: batch(and(ofUser, lt(sessions.version, sql.placeholder('version')))),
  lastAccess: built((db) =>
    db
      .select({ accessUntil: max(sessions.accessUntil) })
      .from(sessions)
      .where(ofUser),
  ),
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
  /** Reads a batch. Its order makes PostgreSQL read the index. */
  expired: text<{ id: string }>({
    sqlite: `SELECT id FROM sessions WHERE expires_at < $now ORDER BY expires_at LIMIT ${BATCH}`,
    postgres: `
      SELECT id FROM sessions WHERE expires_day <= CAST($now AS bigint) / ${DAY} AND expires_at < $now
      ORDER BY expires_day LIMIT ${BATCH}`,
  }),
}
