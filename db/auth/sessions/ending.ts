import { type KeptSession, sessionsEndedBy } from '../../../services/auth/accounts/sync-rules.ts'
import { liveSessions, revocationOf, revokedUntil } from '../../../services/auth/sessions/ending.ts'
import type { AuthStore, Ended, Ending, Session } from '../../../services/auth/store/index.ts'
import type { AuditEvent } from '../../../services/kit/outbox/audit.ts'
import type { Revocation } from '../../../services/kit/tokens/revocations.ts'
import type { Body, Engine, Transaction } from '../../engine.ts'
import { BATCH, writeInBatches } from '../../write-in-batches.ts'
import { hasOneOf } from '../account-table/roles.ts'
import { STATEMENTS as accountStatements } from '../account-table/statements.ts'
import type { Audit } from '../audit/audit.ts'
import type { Feed } from '../feed/revocations.ts'
import type { Events } from '../webhooks/events.ts'
import type { ClientLogouts } from './client-logouts.ts'
import { type EndedSession, sessionEvents } from './events.ts'
import { endGrantsOfSessions } from './grant-ending.ts'
import { STATEMENTS as statements } from './statements.ts'

export type SessionEnding = ReturnType<typeof sessionEnding>

interface Parts {
  audit: Audit
  events: Events
  feed: Feed
  logouts: ClientLogouts
}

/** The end of all sessions of a user, in the order of their ids. */
interface EndCallOf {
  userId: string
  /** The id after which this transaction continues. */
  after: string
  withoutRoles: readonly string[]
  ending: Ending
  event: AuditEvent
}

/** A change that ends sessions. */
export interface EndingChange {
  sessions: readonly EndedSession[]
  /** More to revoke. */
  revoked?: readonly Revocation[]
  /** Makes the event, if sessions end. Their number is added. */
  event(): AuditEvent
}

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

/** Sessions of a user that end. */
export interface EndingBatch {
  sessions: readonly EndedSession[]
  /** The id after which the next transaction continues; null: no session is left. */
  next: string | null
  /** The id after which this one continues. */
  after: string
  /** The grants that end although their session stays. */
  revoked?: readonly Revocation[]
}

type OpenedBefore = { version: number; except: KeptSession | null } & Ending

/**
 * The ways in which sessions end. The feed keeps their revocations. Many sessions end in several transactions: one for all
 * would take longer than a request may, and every other would wait for it.
 */
export function sessionEnding(engine: Engine, { audit, events, feed, logouts }: Parts) {
  const sessionEvent = sessionEvents(events)

  /** Deletes the rows of ended sessions, and their grants. */
  function* remove(tx: Transaction, ended: readonly EndedSession[]): Body<void> {
    if (ended.length === 0) return
    yield* tx.together([
      tx.run(statements.remove, { ids: JSON.stringify(ended.map(({ session }) => session.id)) }),
      endGrantsOfSessions(
        tx,
        logouts,
        ended.map(({ now, reason, session: { id } }) => ({ id, reason, now })),
      ),
      sessionEvent.revoked(tx, ended),
    ])
  }

  /**
   * Writes what several changes end: the audit, the rows of their sessions and the entries of the feed, each with one
   * statement for all.
   */
  function* endOfEach(tx: Transaction, changes: readonly EndingChange[]): Body<Ended[]> {
    const [, , ended] = yield* tx.together([
      audit.writeEvents(
        tx,
        changes.flatMap(({ event, sessions }) =>
          sessions.length > 0 ? [eventOf(event(), signInsOf(sessions).length)] : [],
        ),
      ),
      remove(
        tx,
        changes.flatMap(({ sessions }) => sessions),
      ),
      // Last: all other transactions that end sessions wait for the counter of the feed.
      feed.writeEach(
        tx,
        changes.map(({ revoked = [], sessions }) => ({
          revocations: [...revoked, ...sessions.map(({ session }) => revocationOf(session))],
          sessions: signInsOf(sessions).length,
        })),
      ),
    ])
    return ended
  }

  /** Ends sessions, with one event for all. */
  function* endWithEvent(
    tx: Transaction,
    sessions: readonly Session[],
    ending: Ending,
    event: AuditEvent,
  ): Body<Ended> {
    const change = { sessions: sessions.map((session) => ({ session, ...ending })), event: () => event }
    const [ended] = yield* endOfEach(tx, [change])
    return ended as Ended
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
    const changes = calls.map(({ ending, event, userId }, index) => {
      const session = stored[index]
      // A grant ends as `endGrant` does it.
      if (!session || session.ofGrant) return null
      if (refused.has(index) || (userId !== null && session.userId !== userId)) return null
      if (liveSessions([session], ending.now).length === 0) return null
      return { sessions: [{ session, ...ending }], event: () => ({ ...event, userId: session.userId }) }
    })
    const ended = yield* endOfEach(
      tx,
      changes.filter((change) => change !== null),
    )
    return changes.map((change) => (change ? (ended.shift() ?? null) : null))
  }

  const endOne = engine.grouped(endEach, ({ id }) => id)

  /** Ends a batch of a user's sessions for each call. */
  function* endEachOf(tx: Transaction, calls: readonly EndCallOf[]): Body<EndedBatch[]> {
    const live = yield* tx.together(
      calls.map(function* ({ after, ending, userId, withoutRoles }) {
        const isRefused = yield* hasOneOf(tx, withoutRoles, userId)
        const sessions = isRefused ? [] : yield* tx.all(statements.liveOfUser, { userId, now: ending.now, after })
        return {
          sessions: sessions.map((session) => ({ session, ...ending })),
          next: nextOf(sessions),
          after,
          isRefused,
        }
      }),
    )
    const batches = shareBatch(live)
    const [ended] = yield* tx.together([
      endOfEach(
        tx,
        calls.map(({ event }, index) => ({ sessions: batches[index]?.sessions ?? [], event: () => event })),
      ),
      // Users who sign out everywhere expect that apps ask again, also those whose consent has no grant to withdraw it with.
      tx.runEach(
        accountStatements.removeConsents,
        calls.flatMap(({ userId }, index) => (live[index]?.isRefused ? [] : [{ userId }])),
      ),
    ])
    return ended.map((each, index) => ({ ended: each, next: batches[index]?.next ?? null }))
  }
  const endBatchOf = engine.grouped(endEachOf, ({ userId }) => userId, 'for each')

  /**
   * Finds the sessions of a user that were opened before `version`, except one: the first `BATCH` after an id. They cannot be
   * used any more once the account has the version, so `endRestOpenedBefore` may end the others in further transactions.
   */
  function* openedBefore(
    tx: Transaction,
    userId: string,
    { except, version, ...ending }: OpenedBefore,
    after = '',
  ): Body<EndingBatch> {
    const older = yield* tx.all(statements.openedBefore, { userId, version, after })
    const exception = except && (yield* tx.get(statements.byId, { id: except.id }))
    const others = older.filter(({ id }) => id !== exception?.id)
    const candidates = exception?.userId === userId ? [...others, exception] : others
    const { ended, survivor } = sessionsEndedBy(candidates, { version, except })
    const sessions = ended.map((session) => ({ session, ...ending }))
    if (!survivor) return { sessions, next: nextOf(older), after }
    yield* tx.run(statements.update, { ...survivor, version })
    const revoked = yield* endGrantsOfSessions(tx, logouts, [{ id: survivor.id, ...ending }])
    return { sessions, next: nextOf(older), after, revoked }
  }

  const endBatchOfAll = (after: string, ending: Ending, event: AuditEvent) =>
    engine.write(function* (tx): Body<EndedBatch> {
      const sessions = yield* tx.all(statements.live, { now: ending.now, after })
      return { ended: yield* endWithEvent(tx, sessions, ending, event), next: nextOf(sessions) }
    })

  return {
    endWithEvent,
    endOfEach,
    openedBefore,
    /**
     * Ends the sessions that the first transaction left.
     * @param first what it ended
     * @param event makes the event of each further transaction
     */
    endRestOpenedBefore(
      first: EndedBatch,
      userId: string,
      { version, ...ending }: { version: number } & Ending,
      event: () => AuditEvent,
    ): Promise<Ended> {
      return endRest(first, (after) =>
        engine.write(function* (tx): Body<EndedBatch> {
          const { next, sessions } = yield* openedBefore(tx, userId, { ...ending, version, except: null }, after)
          const [ended] = yield* endOfEach(tx, [{ sessions, event }])
          return { ended: ended as Ended, next }
        }),
      )
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
    async endSessionsOf(userId: string, ending: Ending, event: AuditEvent, withoutRoles: readonly string[] = []) {
      const call = { userId, withoutRoles, ending }
      return await endRest(await endBatchOf({ ...call, after: '', event }), (after) =>
        endBatchOf({ ...call, after, event: withNewId(event) }),
      )
    },
    async endAllSessions(ending: Ending, event: AuditEvent) {
      const ended = await endRest(await endBatchOfAll('', ending, event), (after) =>
        endBatchOfAll(after, ending, withNewId(event)),
      )
      // Deletes consents last: a user whose session is still open may give one.
      await writeInBatches(engine, (tx) => tx.run(statements.removeConsents))
      return ended
    },
  } satisfies Partial<AuthStore> & Record<string, unknown>
}

/** The sessions that users see: not those of grants. */
function signInsOf(ended: readonly EndedSession[]): EndedSession[] {
  return ended.filter(({ session }) => !session.ofGrant)
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

/** Leaves no more sessions than one user may end at once, so that the transaction of several takes no longer. */
export function shareBatch(batches: readonly EndingBatch[]): EndingBatch[] {
  let room = BATCH
  return batches.map((batch) => {
    const sessions = batch.sessions.slice(0, room)
    room -= sessions.length
    if (sessions.length === batch.sessions.length) return batch
    return { ...batch, sessions, next: sessions.at(-1)?.session.id ?? batch.after }
  })
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
