import { and, asc, desc, eq, gt, lt, sql } from 'drizzle-orm'
import type { BunSQLiteDatabase } from 'drizzle-orm/bun-sqlite'
import type { Account, AuthStore, Ended, Ending, Rotated, Rotation, Session } from '../../services/auth/store/index.ts'
import { HOUR, MINUTE } from '../../services/kit/clock.ts'
import type { AuditEvent } from '../../services/kit/outbox/audit.ts'
import type { PageRequest, Slice } from '../../services/kit/schema/page.ts'
import type { Revocation } from '../../services/kit/tokens/revocations.ts'
import { pageBounds, sliceOf } from '../page-bounds.ts'
import { placeholders } from '../placeholders.ts'
import { prepared } from '../prepared.ts'
import { accounts, refreshHashes, sessions } from '../schema/auth.ts'
import type { Sqlite } from '../sqlite/engine.ts'
import { type Audit, COUNT, countOf } from './audit.ts'
import type { Events } from './events.ts'
import type { Facts } from './facts.ts'
import type { Feed } from './revocations.ts'
import { live, sessionEvents } from './session-events.ts'

export type Sessions = ReturnType<typeof sessionStore>

/** `alive_at` is written each second: so much of its life a token may have had after it. */
const ALIVE_MARK_LAG = 1500

/**
 * A token that is being signed while its session ends is spoken of as well. And a clock that is an hour ahead must not
 * let forget what has expired by it alone: when it is set back, those tokens are good again but for this.
 */
const REVOCATION_MARGIN = HOUR + MINUTE

export function sessionStore(
  sqlite: Sqlite,
  db: BunSQLiteDatabase,
  { audit, events, feed, facts }: { audit: Audit; events: Events; feed: Feed; facts: Facts },
) {
  const statements = prepare(db)
  const outside = sessionEvents(events)
  /** Ends sessions within the transaction of what ends them. Their rows go: what is revoked stays in the feed. */
  const end = (ended: readonly Session[], { now, reason }: Ending): Revocation[] => {
    outside.revoked(ended, reason, now)
    return ended.map((session) => {
      statements.remove.run({ id: session.id })
      const until = session.accessUntil + REVOCATION_MARGIN
      return { kind: 'session', subject: session.id, version: 0, until }
    })
  }

  const endEvent = (ended: readonly Session[], ending: Ending, event: AuditEvent): Ended => {
    if (ended.length > 0) audit.writeEvent({ ...event, detail: { ...event.detail, sessions: ended.length } })
    return feed.writeRevocations(end(ended, ending), ended.length)
  }

  /** A clock that was set back makes no token young again. */
  const sinceRotation = (session: Session, now: number) =>
    now < session.rotatedAt ? Number.POSITIVE_INFINITY : now - session.rotatedAt

  const usable = (session: Session, account: Account | undefined, now: number): account is Account =>
    account?.status === 'active' &&
    session.version >= account.sessionsFrom &&
    now < session.expiresAt &&
    now < session.endsAt

  const accountOf = (userId: string) => {
    const row = statements.account.get({ userId })
    return row && !row.deleted ? row : undefined
  }

  const rotate = (rotation: Rotation, event: (type: string) => AuditEvent): Rotated => {
    const { counter, now } = rotation
    const row = statements.byId.get({ id: rotation.sessionId })
    if (!row || counter > row.counter) return { outcome: 'gone' }
    const account = accountOf(row.userId)
    if (!usable(row, account, now)) return { outcome: 'gone' }

    const spent = row.counter - counter
    if (spent > 1 || (spent === 1 && sinceRotation(row, now) > rotation.grace))
      return {
        outcome: 'reused',
        ended: endEvent([row], { reason: 'reuse_detected', now }, event('session.reuse_detected')),
      }

    const { limit } = rotation
    const sameWindow = limit !== undefined && now >= row.refreshesSince && now < row.refreshesSince + limit.window
    const refreshes = sameWindow ? row.refreshes + 1 : 1
    if (sameWindow && refreshes > limit.most) return { outcome: 'limited', until: row.refreshesSince + limit.window }
    const refreshesSince = sameWindow ? row.refreshesSince : now

    const accessUntil = Math.max(row.accessUntil, rotation.accessUntil)
    if (spent === 1) {
      const repeated = { ...row, accessUntil, refreshes, refreshesSince }
      statements.update.run(repeated)
      // Of another secret than the first time it is another token, and as good.
      if (rotation.hash) statements.addHash.run({ hash: rotation.hash, sessionId: row.id, counter: row.counter })
      return { outcome: 'repeated', session: repeated, account }
    }
    const rotated = {
      ...row,
      counter: counter + 1,
      rotatedAt: now,
      lastUsedAt: now,
      expiresAt: Math.min(rotation.expiresAt, row.endsAt),
      accessUntil,
      refreshes,
      refreshesSince,
    }
    statements.update.run(rotated)
    if (rotation.hash) statements.addHash.run({ hash: rotation.hash, sessionId: row.id, counter: rotated.counter })
    return { outcome: 'rotated', session: rotated, account }
  }

  return {
    /**
     * Those of a user that were opened before `version`, but for one, if that is of the version `since`. To be called
     * within a transaction.
     */
    endOpenedBefore(
      userId: string,
      { kept, version, ...ending }: { version: number; kept: { id: string; since: number } | null } & Ending,
    ): Revocation[] {
      const stale = statements.ofUser.all({ userId }).filter((session) => session.version < version)
      const survivor = stale.find((session) => session.id === kept?.id && session.version >= kept.since)
      if (survivor) statements.update.run({ ...survivor, version })
      return end(
        stale.filter((session) => session !== survivor),
        ending,
      )
    },
    /** When the last access token of a user expires. To be called within a transaction. */
    accessUntilOf(userId: string): number {
      const ends = statements.ofUser.all({ userId }).map((session) => session.accessUntil)
      return Math.max(0, ...ends) + REVOCATION_MARGIN
    },

    openSession: (session: Session, event: AuditEvent, hash?: Uint8Array) =>
      sqlite.write(() => {
        const account = accountOf(session.userId)
        if (!usable(session, account, session.createdAt)) return 'account_changed' as const
        statements.insert.run({ ...session, refreshesSince: session.createdAt, refreshes: 0 })
        if (hash) statements.addHash.run({ hash, sessionId: session.id, counter: session.counter })
        audit.writeEvent(event)
        outside.opened(session)
        return 'opened' as const
      }),
    rotateSession: (rotation: Rotation, event: (type: string) => AuditEvent) =>
      sqlite.write(() => rotate(rotation, event)),

    sessionById: async (id: string) => statements.byId.get({ id }) ?? null,
    sessionByHash: async (hash: Uint8Array) => statements.byHash.get({ hash }) ?? null,

    endSession: (id: string, userId: string | null, ending: Ending, event: AuditEvent) =>
      sqlite.write(() => {
        const session = statements.byId.get({ id })
        if (!session || (userId !== null && session.userId !== userId)) return null
        if (live([session], ending.now).length === 0) return null
        return endEvent([session], ending, { ...event, userId: session.userId })
      }),
    endSessionsOf: (userId: string, ending: Ending, event: AuditEvent) =>
      sqlite.write(() => endEvent(live(statements.ofUser.all({ userId }), ending.now), ending, event)),
    endAllSessions: (ending: Ending, event: AuditEvent) =>
      sqlite.write(() => endEvent(live(statements.all.all(), ending.now), ending, event)),

    async listSessions(userId: string | null, now: number, request: PageRequest): Promise<Slice<Session>> {
      const where = and(
        gt(sessions.expiresAt, now),
        gt(sessions.endsAt, now),
        userId === null ? undefined : eq(sessions.userId, userId),
      )
      const before = 'after' in request ? lt(sessions.id, String(request.after[0])) : undefined
      const { limit, offset } = pageBounds(request)
      const rows = db
        .select()
        .from(sessions)
        .where(and(where, before))
        .orderBy(desc(sessions.id))
        .limit(limit)
        .offset(offset)
        .all()
      return sliceOf(
        rows,
        request,
        () => countOf(db.select(COUNT).from(sessions).where(where).get()),
        (row) => [row.id],
      )
    },

    async resumeGrace(now: number, grace: number) {
      await sqlite.write(() => {
        const aliveAt = Number(facts.readFact('alive_at') ?? now)
        // The time in which the service was down is not time in which anyone could have used a token.
        if (now > aliveAt) statements.postpone.run({ now, aliveAt, since: aliveAt - grace - ALIVE_MARK_LAG })
        facts.writeFact('alive_at', String(now))
      })
    },
    async recordHeartbeat(now: number) {
      await sqlite.write(() => facts.writeFact('alive_at', String(now)))
    },
    async forgetExpired(now: number) {
      await sqlite.write(() => {
        statements.forget.run({ now })
        feed.forgetRevocations(now)
      })
    },
  } satisfies Partial<AuthStore> & Record<string, unknown>
}

function prepare(db: BunSQLiteDatabase) {
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
    postpone: () =>
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
