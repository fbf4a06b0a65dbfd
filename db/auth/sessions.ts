import { and, desc, eq, gt, lt } from 'drizzle-orm'
import type { BunSQLiteDatabase } from 'drizzle-orm/bun-sqlite'
import { type KeptSession, sessionsEndedBy } from '../../services/auth/accounts/sync-rules.ts'
import { liveSessions, revocationOf, revokedUntil } from '../../services/auth/sessions/ending.ts'
import { decideRotation, isUsable } from '../../services/auth/sessions/rotation.ts'
import type { AuthStore, Ended, Ending, Rotation, RotationResult, Session } from '../../services/auth/store/index.ts'
import type { AuditEvent } from '../../services/kit/outbox/audit.ts'
import type { PageRequest, Slice } from '../../services/kit/schema/page.ts'
import type { Revocation } from '../../services/kit/tokens/revocations.ts'
import { pageBounds, sliceOf } from '../page-bounds.ts'
import { sessions } from '../schema/auth.ts'
import type { Sqlite, Transaction } from '../sqlite/engine.ts'
import type { Audit } from './audit.ts'
import { COUNT, countOf } from './count.ts'
import type { Events } from './events.ts'
import type { Facts } from './facts.ts'
import type { Feed } from './revocations.ts'
import { sessionEvents } from './session-events.ts'
import { prepareSessionStatements } from './session-statements.ts'

export type Sessions = ReturnType<typeof sessionStore>

/** Milliseconds that auth may have run after the last heartbeat that it recorded: it records one every second. */
const HEARTBEAT_LAG = 1500

interface Parts {
  audit: Audit
  events: Events
  feed: Feed
  facts: Facts
}

/** Sessions and their refresh tokens. */
export function sessionStore(sqlite: Sqlite, db: BunSQLiteDatabase, { audit, events, feed, facts }: Parts) {
  const statements = prepareSessionStatements(db)
  const sessionEvent = sessionEvents(events)

  const accountOf = (tx: Transaction, userId: string) => {
    const row = tx.get(statements.account, { userId })
    return row && !row.deleted ? row : undefined
  }

  const addHash = (tx: Transaction, { counter, id }: Session, hash: Uint8Array | undefined) => {
    if (hash) tx.run(statements.addHash, { hash, sessionId: id, counter })
  }

  /** Deletes the rows of ended sessions. The feed keeps their revocations. */
  const end = (tx: Transaction, ended: readonly Session[], { now, reason }: Ending): Revocation[] => {
    sessionEvent.revoked(tx, ended, reason, now)
    for (const { id } of ended) tx.run(statements.remove, { id })
    return ended.map(revocationOf)
  }

  const endWithEvent = (tx: Transaction, ended: readonly Session[], ending: Ending, event: AuditEvent): Ended => {
    if (ended.length > 0) audit.writeEvent(tx, { ...event, detail: { ...event.detail, sessions: ended.length } })
    return feed.writeRevocations(tx, end(tx, ended, ending), ended.length)
  }

  const rotate = (tx: Transaction, rotation: Rotation, event: (type: string) => AuditEvent): RotationResult => {
    const { now } = rotation
    const stored = tx.get(statements.byId, { id: rotation.sessionId })
    const decision = decideRotation(stored, stored && accountOf(tx, stored.userId), rotation)
    if (decision.outcome === 'reused') {
      const reused = stored ? [stored] : []
      const ending = { reason: 'reuse_detected', now } as const
      return { outcome: 'reused', ended: endWithEvent(tx, reused, ending, event('session.reuse_detected')) }
    }
    if (!('session' in decision)) return decision
    tx.run(statements.update, { ...decision.session })
    // If the secret changed since the first answer, a repeated answer has another token, which is equally valid.
    addHash(tx, decision.session, rotation.hash)
    return decision
  }

  return {
    /** Ends the sessions of a user that were opened before `version`, except one. */
    endOpenedBefore(
      tx: Transaction,
      userId: string,
      { except, version, ...ending }: { version: number; except: KeptSession | null } & Ending,
    ): Revocation[] {
      const { ended, survivor } = sessionsEndedBy(tx.all(statements.ofUser, { userId }), { version, except })
      if (survivor) tx.run(statements.update, { ...survivor, version })
      return end(tx, ended, ending)
    },
    revokedUntilOf: (tx: Transaction, userId: string): number => revokedUntil(tx.all(statements.ofUser, { userId })),

    openSession: (session: Session, event: AuditEvent, hash?: Uint8Array) =>
      sqlite.write((tx) => {
        if (!isUsable(session, accountOf(tx, session.userId), session.createdAt)) return 'account_changed' as const
        tx.run(statements.insert, { ...session, refreshesSince: session.createdAt, refreshes: 0 })
        addHash(tx, session, hash)
        audit.writeEvent(tx, event)
        sessionEvent.created(tx, session)
        return 'opened' as const
      }),
    rotateSession: (rotation: Rotation, event: (type: string) => AuditEvent) =>
      sqlite.write((tx) => rotate(tx, rotation, event)),

    sessionById: async (id: string) => statements.byId.get({ id }) ?? null,
    sessionByHash: async (hash: Uint8Array) => statements.byHash.get({ hash }) ?? null,

    endSession: (id: string, userId: string | null, ending: Ending, event: AuditEvent) =>
      sqlite.write((tx) => {
        const session = tx.get(statements.byId, { id })
        if (!session || (userId !== null && session.userId !== userId)) return null
        if (liveSessions([session], ending.now).length === 0) return null
        return endWithEvent(tx, [session], ending, { ...event, userId: session.userId })
      }),
    endSessionsOf: (userId: string, ending: Ending, event: AuditEvent) =>
      sqlite.write((tx) => {
        const live = liveSessions(tx.all(statements.ofUser, { userId }), ending.now)
        return endWithEvent(tx, live, ending, event)
      }),
    endAllSessions: (ending: Ending, event: AuditEvent) =>
      sqlite.write((tx) => endWithEvent(tx, liveSessions(tx.all(statements.all), ending.now), ending, event)),

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
      await sqlite.write((tx) => {
        const aliveAt = Number(facts.readFact(tx, 'alive_at') ?? now)
        // Nobody could use a token while the service was down: that time does not count towards the grace period.
        if (now > aliveAt) tx.run(statements.shiftRotations, { now, aliveAt, since: aliveAt - grace - HEARTBEAT_LAG })
        facts.writeFact(tx, 'alive_at', String(now))
      })
    },
    async recordHeartbeat(now: number) {
      await sqlite.write((tx) => facts.writeFact(tx, 'alive_at', String(now)))
    },
    async forgetExpired(now: number) {
      await sqlite.write((tx) => {
        tx.run(statements.forget, { now })
        feed.forgetRevocations(tx, now)
      })
    },
  } satisfies Partial<AuthStore> & Record<string, unknown>
}
