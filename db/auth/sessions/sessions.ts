import { and, desc, eq, gt, lt } from 'drizzle-orm'
import type { AuthStore, Session } from '../../../services/auth/store/index.ts'
import type { PageRequest, Slice } from '../../../services/kit/schema/page.ts'
import { COUNT, countOf } from '../../count.ts'
import { type Body, dynamic, type Engine } from '../../engine.ts'
import { pageBounds, sliceOf } from '../../page-bounds.ts'
import { sessions } from '../../schema/auth.ts'
import { writeInBatches } from '../../write-in-batches.ts'
import type { Audit } from '../audit/audit.ts'
import type { Facts } from '../feed/facts.ts'
import type { Feed } from '../feed/revocations.ts'
import type { Events } from '../webhooks/events.ts'
import type { ClientLogouts } from './client-logouts.ts'
import { sessionEnding } from './ending.ts'
import { endGrantsOfSessions } from './grant-ending.ts'
import { sessionRotation } from './rotation.ts'
import { STATEMENTS as statements } from './statements.ts'

export type Sessions = ReturnType<typeof sessionStore>

/** Milliseconds that auth may have run after the last heartbeat that it recorded: it records one every second. */
const HEARTBEAT_LAG = 1500

interface Parts {
  audit: Audit
  events: Events
  feed: Feed
  facts: Facts
  logouts: ClientLogouts
}

/** Sessions and their refresh tokens. */
export function sessionStore(engine: Engine, { audit, events, feed, facts, logouts }: Parts) {
  const ending = sessionEnding(engine, { audit, events, feed, logouts })
  const hasOneNode = engine.dialect === 'sqlite'

  return {
    ...ending,
    ...sessionRotation(engine, { audit, ending, events }),

    sessionById: async (id: string) => (await engine.get(statements.byId, { id })) ?? null,
    sessionByHash: async (hash: Uint8Array) => (await engine.get(statements.byHash, { hash })) ?? null,

    async listSessions(userId: string | null, now: number, request: PageRequest): Promise<Slice<Session>> {
      const where = and(
        eq(sessions.ofGrant, false),
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
      await writeInBatches(engine, function* (tx): Body<number> {
        const expired = yield* tx.all(statements.expired, { now })
        if (expired.length === 0) return 0
        yield* tx.run(statements.remove, { ids: JSON.stringify(expired.map(({ id }) => id)) })
        yield* endGrantsOfSessions(
          tx,
          logouts,
          expired.map(({ id }) => ({ id, reason: 'expired', now })),
        )
        return expired.length
      })
      await writeInBatches(engine, (tx) => feed.forgetRevocations(tx, now))
    },
  } satisfies Partial<AuthStore> & Record<string, unknown>
}
