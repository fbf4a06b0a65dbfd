import { liveSessions } from '../../services/auth/sessions/ending.ts'
import type { Session } from '../../services/auth/store/index.ts'
import type { Event } from '../../services/kit/outbox/events.ts'
import type { EventData, EventType, RevocationReason } from '../../services/kit/schema/events.ts'
import type { Body, Transaction } from '../engine.ts'
import type { Events } from './events.ts'

/** Writes the events of sessions, for the types that a webhook or the message broker subscribes to. */
export function sessionEvents({ subscribedTypes, writeEvents }: Pick<Events, 'subscribedTypes' | 'writeEvents'>) {
  return {
    *created(tx: Transaction, session: Session): Body<void> {
      if (!subscribedTypes().has('session.created')) return
      const { createdAt, id, ip, kind, userAgent, userId } = session
      const data = { session_id: id, kind, ip, user_agent: userAgent } satisfies EventData['session.created']
      yield* writeEvents(tx, [eventOf('session.created', createdAt, userId, data)])
    },
    /** Skips sessions that had expired. */
    *revoked(tx: Transaction, ended: readonly Session[], reason: RevocationReason, now: number): Body<void> {
      if (!subscribedTypes().has('session.revoked')) return
      const events = liveSessions(ended, now).map(({ id, userId }) => {
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
