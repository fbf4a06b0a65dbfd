import { type KeptSession, sessionsEndedBy } from '../../services/auth/accounts/sync-rules.ts'
import { liveSessions, revocationOf, revokedUntil } from '../../services/auth/sessions/ending.ts'
import type { AuthStore, Ended, Ending, Session } from '../../services/auth/store/index.ts'
import type { AuditEvent } from '../../services/kit/outbox/audit.ts'
import type { Revocation } from '../../services/kit/tokens/revocations.ts'
import type { Body, Engine, Transaction } from '../engine.ts'
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
  ending: Ending
  event: AuditEvent
}

/** The ways in which sessions end. The feed keeps their revocations. */
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

  /** Ends one session for each call. */
  function* endEach(tx: Transaction, calls: readonly EndCall[]): Body<(Ended | null)[]> {
    const stored = yield* tx.getEach(
      statements.byId,
      calls.map(({ id }) => ({ id })),
    )
    const ends = calls.map(({ ending, event, userId }, index) => {
      const session = stored[index]
      if (!session || (userId !== null && session.userId !== userId)) return null
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

  return {
    endWithEvent,
    /** Ends the sessions of a user that were opened before `version`, except one. */
    *endOpenedBefore(
      tx: Transaction,
      userId: string,
      { except, version, ...ending }: { version: number; except: KeptSession | null } & Ending,
    ): Body<Revocation[]> {
      const { ended, survivor } = sessionsEndedBy(yield* tx.all(statements.ofUser, { userId }), { version, except })
      if (survivor) yield* tx.run(statements.update, { ...survivor, version })
      return yield* end(
        tx,
        ended.map((session) => ({ session, ...ending })),
      )
    },
    *revokedUntilOf(tx: Transaction, userId: string): Body<number> {
      return revokedUntil(yield* tx.all(statements.ofUser, { userId }))
    },

    endSession: (id: string, userId: string | null, ending: Ending, event: AuditEvent) =>
      endOne({ id, userId, ending, event }),
    endSessionsOf: (userId: string, ending: Ending, event: AuditEvent) =>
      engine.write(function* (tx) {
        const live = liveSessions(yield* tx.all(statements.ofUser, { userId }), ending.now)
        return yield* endWithEvent(tx, live, ending, event)
      }),
    endAllSessions: (ending: Ending, event: AuditEvent) =>
      engine.write(function* (tx) {
        return yield* endWithEvent(tx, liveSessions(yield* tx.all(statements.all), ending.now), ending, event)
      }),
  } satisfies Partial<AuthStore> & Record<string, unknown>
}

/** Adds the count of ended sessions to an event. */
function eventOf(event: AuditEvent, sessions: number): AuditEvent {
  return { ...event, detail: { ...event.detail, sessions } }
}
