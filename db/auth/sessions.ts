import { and, desc, eq, gt, lt } from 'drizzle-orm'
import { type KeptSession, sessionsEndedBy } from '../../services/auth/accounts/sync-rules.ts'
import { liveSessions, revocationOf, revokedUntil } from '../../services/auth/sessions/ending.ts'
import { decideRotation, isUsable } from '../../services/auth/sessions/rotation.ts'
import type {
  Account,
  AuthStore,
  Ended,
  Ending,
  Rotation,
  RotationResult,
  Session,
} from '../../services/auth/store/index.ts'
import type { AuditEvent } from '../../services/kit/outbox/audit.ts'
import type { PageRequest, Slice } from '../../services/kit/schema/page.ts'
import type { Revocation } from '../../services/kit/tokens/revocations.ts'
import { type Body, dynamic, type Engine, type Transaction } from '../engine.ts'
import { pageBounds, sliceOf } from '../page-bounds.ts'
import { sessions } from '../schema/auth.ts'
import type { Audit } from './audit.ts'
import { COUNT, countOf } from './count.ts'
import type { Events } from './events.ts'
import type { Facts } from './facts.ts'
import type { Feed } from './revocations.ts'
import { sessionEvents } from './session-events.ts'
import { STATEMENTS as statements } from './session-statements.ts'

export type Sessions = ReturnType<typeof sessionStore>

/** Milliseconds that auth may have run after the last heartbeat that it recorded: it records one every second. */
const HEARTBEAT_LAG = 1500
/** Milliseconds by which the clocks of two nodes may differ. */
const CLOCK_SKEW = 2000

interface Parts {
  audit: Audit
  events: Events
  feed: Feed
  facts: Facts
}

/** Sessions and their refresh tokens. */
export function sessionStore(engine: Engine, { audit, events, feed, facts }: Parts) {
  const sessionEvent = sessionEvents(events)
  const hasOneNode = engine.dialect === 'sqlite'

  /** Deletes the rows of ended sessions. The feed keeps their revocations. */
  function* end(tx: Transaction, ended: readonly Session[], { now, reason }: Ending): Body<Revocation[]> {
    if (ended.length === 0) return []
    yield* sessionEvent.revoked(tx, ended, reason, now)
    yield* tx.run(statements.remove, { ids: JSON.stringify(ended.map(({ id }) => id)) })
    return ended.map(revocationOf)
  }

  function* endWithEvent(tx: Transaction, ended: readonly Session[], ending: Ending, event: AuditEvent): Body<Ended> {
    const revoked = yield* feed.writeRevocations(tx, yield* end(tx, ended, ending), ended.length)
    if (ended.length > 0) yield* audit.writeEvent(tx, { ...event, detail: { ...event.detail, sessions: ended.length } })
    return revoked
  }

  function* rotate(tx: Transaction, rotation: Rotation, event: (type: string) => AuditEvent): Body<RotationResult> {
    const stored = yield* tx.get(statements.byId, { id: rotation.sessionId })
    const account = stored && (yield* accountOf(tx, stored.userId))
    const now = hasOneNode || !stored ? rotation.now : timeOnNodes(rotation.now, stored)
    const decision = decideRotation(stored, account, { ...rotation, now })
    if (decision.outcome === 'reused') {
      const reused = stored ? [stored] : []
      const ending = { reason: 'reuse_detected', now } as const
      return { outcome: 'reused', ended: yield* endWithEvent(tx, reused, ending, event('session.reuse_detected')) }
    }
    if (!('session' in decision)) return decision
    yield* tx.run(statements.update, { ...decision.session })
    // If the secret changed since the first answer, a repeated answer has another token, which is equally valid.
    yield* addHash(tx, decision.session, rotation.hash)
    return decision
  }

  return {
    /** Ends the sessions of a user that were opened before `version`, except one. */
    *endOpenedBefore(
      tx: Transaction,
      userId: string,
      { except, version, ...ending }: { version: number; except: KeptSession | null } & Ending,
    ): Body<Revocation[]> {
      const { ended, survivor } = sessionsEndedBy(yield* tx.all(statements.ofUser, { userId }), { version, except })
      if (survivor) yield* tx.run(statements.update, { ...survivor, version })
      return yield* end(tx, ended, ending)
    },
    *revokedUntilOf(tx: Transaction, userId: string): Body<number> {
      return revokedUntil(yield* tx.all(statements.ofUser, { userId }))
    },

    openSession: (session: Session, event: AuditEvent, hash?: Uint8Array) =>
      engine.write(function* (tx) {
        if (!isUsable(session, yield* accountOf(tx, session.userId), session.createdAt))
          return 'account_changed' as const
        yield* tx.run(statements.insert, { ...session, refreshesSince: session.createdAt, refreshes: 0 })
        yield* addHash(tx, session, hash)
        yield* sessionEvent.created(tx, session)
        yield* audit.writeEvent(tx, event)
        return 'opened' as const
      }),
    rotateSession: (rotation: Rotation, event: (type: string) => AuditEvent) =>
      engine.write((tx) => rotate(tx, rotation, event)),

    sessionById: async (id: string) => (await engine.get(statements.byId, { id })) ?? null,
    sessionByHash: async (hash: Uint8Array) => (await engine.get(statements.byHash, { hash })) ?? null,

    endSession: (id: string, userId: string | null, ending: Ending, event: AuditEvent) =>
      engine.write(function* (tx) {
        const session = yield* tx.get(statements.byId, { id })
        if (!session || (userId !== null && session.userId !== userId)) return null
        if (liveSessions([session], ending.now).length === 0) return null
        return yield* endWithEvent(tx, [session], ending, { ...event, userId: session.userId })
      }),
    endSessionsOf: (userId: string, ending: Ending, event: AuditEvent) =>
      engine.write(function* (tx) {
        const live = liveSessions(yield* tx.all(statements.ofUser, { userId }), ending.now)
        return yield* endWithEvent(tx, live, ending, event)
      }),
    endAllSessions: (ending: Ending, event: AuditEvent) =>
      engine.write(function* (tx) {
        return yield* endWithEvent(tx, liveSessions(yield* tx.all(statements.all), ending.now), ending, event)
      }),

    async listSessions(userId: string | null, now: number, request: PageRequest): Promise<Slice<Session>> {
      const where = and(
        gt(sessions.expiresAt, now),
        gt(sessions.endsAt, now),
        userId === null ? undefined : eq(sessions.userId, userId),
      )
      const before = 'after' in request ? lt(sessions.id, String(request.after[0])) : undefined
      const { limit, offset } = pageBounds(request)
      const page = dynamic((db) =>
        db.select().from(sessions).where(and(where, before)).orderBy(desc(sessions.id)).limit(limit).offset(offset),
      )
      return sliceOf(
        await engine.all(page),
        request,
        async () => countOf(await engine.get(dynamic((db) => db.select(COUNT).from(sessions).where(where)))),
        (row) => [row.id],
      )
    },

    async resumeGrace(now: number, grace: number) {
      await engine.write(function* (tx) {
        const aliveAt = Number((yield* facts.readFact(tx, 'alive_at')) ?? now)
        // Nobody could use a token while the service was down: that time does not count towards the grace period.
        const wasDown = now > aliveAt + (hasOneNode ? 0 : HEARTBEAT_LAG)
        if (wasDown) yield* tx.run(statements.shiftRotations, { now, aliveAt, since: aliveAt - grace - HEARTBEAT_LAG })
        yield* facts.writeFact(tx, 'alive_at', String(now))
      })
    },
    async recordHeartbeat(now: number) {
      await engine.write((tx) => facts.writeFact(tx, 'alive_at', String(now)))
    },
    async forgetExpired(now: number) {
      await engine.write(function* (tx) {
        yield* tx.run(statements.forget, { now })
        yield* feed.forgetRevocations(tx, now)
      })
    },
  } satisfies Partial<AuthStore> & Record<string, unknown>
}

/** Reads the account of a user who was not deleted. */
function* accountOf(tx: Transaction, userId: string): Body<Account | undefined> {
  const row = yield* tx.get(statements.account, { userId })
  return row && !row.deleted ? row : undefined
}

function* addHash(tx: Transaction, { counter, id }: Session, hash: Uint8Array | undefined): Body<void> {
  if (hash) yield* tx.run(statements.addHash, { hash, sessionId: id, counter })
}

/**
 * Gives the time of a rotation where several nodes rotate: if the clock of another node, which rotated last, is slightly
 * ahead, the time of its rotation. Otherwise the session would end as if the clock had been set back.
 */
function timeOnNodes(now: number, { rotatedAt }: Session): number {
  return rotatedAt - now <= CLOCK_SKEW ? Math.max(now, rotatedAt) : now
}
