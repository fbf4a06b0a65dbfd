import { type KeptSession, sessionsEndedBy } from '../../services/auth/accounts/sync-rules.ts'
import { liveSessions, revocationOf, revokedUntil } from '../../services/auth/sessions/ending.ts'
import type { AuthStore, Ended, Ending, Session } from '../../services/auth/store/index.ts'
import type { AuditEvent } from '../../services/kit/outbox/audit.ts'
import type { Revocation } from '../../services/kit/tokens/revocations.ts'
import type { Body, Engine, Statement, Transaction, Values } from '../engine.ts'
import { BATCH } from '../write-in-batches.ts'
import { hasOneOf } from './account-roles.ts'
import type { Audit } from './audit.ts'
import type { Events } from './events.ts'
import type { Feed } from './revocations.ts'
import { type EndedSession, sessionEvents } from './session-events.ts'
import { STATEMENTS as statements } from './session-statements.ts'

export type SessionEnding = ReturnType<typeof sessionEnding>

interface EndCall {
  id: string
  /** The user whom the session must belong to; null: any user. */
  userId: string | null
  /** The user may have none of these roles. */
  withoutRoles: readonly string[]
  ending: Ending
  event: AuditEvent
}

/** The sessions that one of several transactions ended. */
export interface EndedBatch {
  ended: Ended
  /** The id after which the next transaction continues; null: no session is left. */
  next: string | null
}

type OpenedBefore = { version: number; except: KeptSession | null } & Ending

/**
 * The ways in which sessions end. The feed keeps their revocations. Many sessions end in several transactions: one for all
 * would take longer than a request may, and every other would wait for it.
 */
export function sessionEnding(engine: Engine, { audit, events, feed }: { audit: Audit; events: Events; feed: Feed }) {
  const sessionEvent = sessionEvents(events)

  /** Deletes the rows of ended sessions. */
  function* end(tx: Transaction, ended: readonly EndedSession[]): Body<Revocation[]> {
    if (ended.length === 0) return []
    yield* sessionEvent.revoked(tx, ended)
    yield* tx.run(statements.remove, { ids: JSON.stringify(ended.map(({ session }) => session.id)) })
    return ended.map(({ session }) => revocationOf(session))
  }

  /** Ends sessions, with one event for all. */
  function* endWithEvent(
    tx: Transaction,
    sessions: readonly Session[],
    ending: Ending,
    event: AuditEvent,
  ): Body<Ended> {
    const ended = sessions.map((session) => ({ session, ...ending }))
    const revoked = yield* feed.writeRevocations(tx, yield* end(tx, ended), ended.length)
    if (ended.length > 0) yield* audit.writeEvents(tx, [eventOf(event, ended.length)])
    return revoked
  }

  /** The calls whose session belongs to a user with one of the roles that the call excludes. */
  function* refusedOwners(
    tx: Transaction,
    calls: readonly EndCall[],
    stored: readonly (Session | undefined)[],
  ): Body<Set<number>> {
    const refused = new Set<number>()
    for (const [index, { withoutRoles }] of calls.entries()) {
      const session = stored[index]
      if (session && (yield* hasOneOf(tx, withoutRoles, session.userId))) refused.add(index)
    }
    return refused
  }

  /** Ends one session for each call. */
  function* endEach(tx: Transaction, calls: readonly EndCall[]): Body<(Ended | null)[]> {
    const stored = yield* tx.getEach(
      statements.byId,
      calls.map(({ id }) => ({ id })),
    )
    const refused = yield* refusedOwners(tx, calls, stored)
    const ends = calls.map(({ ending, event, userId }, index) => {
      const session = stored[index]
      if (!session || refused.has(index) || (userId !== null && session.userId !== userId)) return null
      if (liveSessions([session], ending.now).length === 0) return null
      return { session, ...ending, event: eventOf({ ...event, userId: session.userId }, 1) }
    })
    const ended = ends.filter((each) => each !== null)
    const { revocations, seq: last } = yield* feed.writeRevocations(tx, yield* end(tx, ended), ended.length)
    yield* audit.writeEvents(
      tx,
      ended.map(({ event }) => event),
    )
    // A list of entries has consecutive numbers.
    const first = last - ended.length + 1
    return ends.map((each) => {
      const place = each ? ended.indexOf(each) : -1
      const revocation = revocations[place]
      return revocation ? { sessions: 1, seq: first + place, revocations: [revocation] } : null
    })
  }

  const endOne = engine.grouped(endEach, ({ id }) => id)

  /**
   * Ends sessions of a user that were opened before `version`, except one: the first `BATCH` after an id. They cannot be
   * used any more once the account has the version, so `endRestOpenedBefore` may end the others in further transactions.
   */
  function* endOpenedBefore(
    tx: Transaction,
    userId: string,
    { except, version, ...ending }: OpenedBefore,
    after = '',
  ): Body<{ revocations: Revocation[]; next: string | null }> {
    const older = yield* tx.all(statements.openedBefore, { userId, version, after })
    const exception = except && (yield* tx.get(statements.byId, { id: except.id }))
    const others = older.filter(({ id }) => id !== exception?.id)
    const sessions = exception?.userId === userId ? [...others, exception] : others
    const { ended, survivor } = sessionsEndedBy(sessions, { version, except })
    if (survivor) yield* tx.run(statements.update, { ...survivor, version })
    const revocations = yield* end(
      tx,
      ended.map((session) => ({ session, ...ending })),
    )
    return { revocations, next: nextOf(older) }
  }

  /**
   * Ends sessions in the order of their ids.
   * @param live selects the first `BATCH` after an id that have not expired
   * @param isRefused whether no more sessions may end
   */
  async function endLive(
    live: Statement<Session>,
    values: Values,
    ending: Ending,
    event: AuditEvent,
    isRefused?: (tx: Transaction) => Body<boolean>,
  ): Promise<Ended> {
    const endBatch = (after: string, batchEvent: AuditEvent) =>
      engine.write(function* (tx): Body<EndedBatch> {
        const mayEnd = !(isRefused && (yield* isRefused(tx)))
        const sessions = mayEnd ? yield* tx.all(live, { ...values, now: ending.now, after }) : []
        return { ended: yield* endWithEvent(tx, sessions, ending, batchEvent), next: nextOf(sessions) }
      })
    return await endRest(await endBatch('', event), (after) => endBatch(after, withNewId(event)))
  }

  return {
    endWithEvent,
    endOpenedBefore,
    /**
     * Ends the sessions that `endOpenedBefore` left.
     * @param first what the first transaction ended
     * @param event makes the event of each further transaction
     */
    endRestOpenedBefore(
      first: EndedBatch,
      userId: string,
      { version, ...ending }: { version: number } & Ending,
      event: () => AuditEvent,
    ): Promise<Ended> {
      return endRest(first, (after) => {
        const batchEvent = event()
        return engine.write(function* (tx): Body<EndedBatch> {
          const before = { ...ending, version, except: null }
          const { next, revocations } = yield* endOpenedBefore(tx, userId, before, after)
          const ended = yield* feed.writeRevocations(tx, revocations, revocations.length)
          if (ended.sessions > 0) yield* audit.writeEvents(tx, [eventOf(batchEvent, ended.sessions)])
          return { ended, next }
        })
      })
    },
    *revokedUntilOf(tx: Transaction, userId: string): Body<number> {
      return revokedUntil((yield* tx.get(statements.lastAccess, { userId }))?.accessUntil ?? 0)
    },

    endSession: (
      id: string,
      userId: string | null,
      ending: Ending,
      event: AuditEvent,
      withoutRoles: readonly string[] = [],
    ) => endOne({ id, userId, withoutRoles, ending, event }),
    endSessionsOf: (userId: string, ending: Ending, event: AuditEvent, withoutRoles: readonly string[] = []) =>
      endLive(statements.liveOfUser, { userId }, ending, event, (tx) => hasOneOf(tx, withoutRoles, userId)),
    endAllSessions: (ending: Ending, event: AuditEvent) => endLive(statements.live, {}, ending, event),
  } satisfies Partial<AuthStore> & Record<string, unknown>
}

/** Adds the count of ended sessions to an event. */
function eventOf(event: AuditEvent, sessions: number): AuditEvent {
  return { ...event, detail: { ...event.detail, sessions } }
}

/** Two events in the audit never have one id. */
function withNewId(event: AuditEvent): AuditEvent {
  return { ...event, id: Bun.randomUUIDv7() }
}

/** Gives the id after which the next transaction continues; null: this one read the last sessions. */
function nextOf(sessions: readonly Session[]): string | null {
  return sessions.length < BATCH ? null : (sessions.at(-1)?.id ?? null)
}

/** Runs further transactions until no session is left. @returns what all of them ended */
async function endRest(first: EndedBatch, endBatch: (after: string) => Promise<EndedBatch>): Promise<Ended> {
  const all = [first.ended]
  for (let { next } = first; next !== null; ) {
    const batch = await endBatch(next)
    all.push(batch.ended)
    next = batch.next
  }
  return {
    sessions: all.reduce((sum, { sessions }) => sum + sessions, 0),
    seq: Math.max(...all.map(({ seq }) => seq)),
    revocations: all.flatMap(({ revocations }) => revocations),
  }
}
