import { liveSessions } from '../../../services/auth/sessions/ending.ts'
import type { Ending, Session } from '../../../services/auth/store/index.ts'
import type { Event } from '../../../services/kit/outbox/events.ts'
import type { EventData, EventType } from '../../../services/kit/schema/events.ts'
import type { Body, Transaction } from '../../engine.ts'
import type { Events } from '../webhooks/events.ts'

/** A session and why it ends. */
export type EndedSession = { session: Session } & Ending

/** Writes the events of sessions, for the types that a webhook or the message broker subscribes to. */
export function sessionEvents({ isSubscribed, writeEvents }: Pick<Events, 'isSubscribed' | 'writeEvents'>) {
  return {
    *created(tx: Transaction, sessions: readonly Session[]): Body<void> {
      if (!isSubscribed('session.created')) return
      const events = sessions.map(({ createdAt, id, ip, kind, userAgent, userId }) => {
        const data = { session_id: id, kind, ip, user_agent: userAgent } satisfies EventData['session.created']
        return eventOf('session.created', createdAt, userId, data)
      })
      yield* writeEvents(tx, events)
    },
    /** Skips sessions that had expired, and those of grants. */
    *revoked(tx: Transaction, ended: readonly EndedSession[]): Body<void> {
      if (!isSubscribed('session.revoked')) return
      const live = ended.filter(({ now, session }) => !session.ofGrant && liveSessions([session], now).length > 0)
      const events = live.map(({ now, reason, session: { id, userId } }) => {
        const data = { session_id: id, reason } satisfies EventData['session.revoked']
        return eventOf('session.revoked', now, userId, data)
      })
      yield* writeEvents(tx, events)
    },
  }
}

function eventOf(type: EventType, at: number, userId: string, data: Event['data']): Event {
  return { id: Bun.randomUUIDv7(), type, at, userId, data }
}
