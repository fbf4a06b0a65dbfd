import type { Session } from '../../services/auth/store/index.ts'
import type { Event } from '../../services/kit/outbox/events.ts'
import type { EventData, EventType, RevokedBecause } from '../../services/kit/schema/events.ts'
import type { Events } from './events.ts'

/** What the outside hears of sessions. Each to be called within the transaction of what it tells of. */
export function sessionEvents({ subscribedTypes, writeEvents }: Pick<Events, 'subscribedTypes' | 'writeEvents'>) {
  const write = <T extends EventType>(type: T, at: number, sessions: readonly Session[], of: DataOf<T>) => {
    if (!subscribedTypes().has(type)) return
    writeEvents(
      sessions.map((session): Event => {
        const id = Bun.randomUUIDv7()
        return { id, type, at, userId: session.userId, data: of(session) }
      }),
    )
  }
  return {
    opened: (session: Session) =>
      write('session.created', session.createdAt, [session], ({ id, ip, kind, userAgent }) => ({
        session_id: id,
        kind,
        ip,
        user_agent: userAgent,
      })),
    /** Those that had run out anyway are not spoken of. */
    revoked: (ended: readonly Session[], reason: RevokedBecause, now: number) =>
      write('session.revoked', now, live(ended, now), ({ id }) => ({ session_id: id, reason })),
  }
}

type DataOf<T extends EventType> = (session: Session) => EventData[T]

export function live<T extends Session>(sessions: readonly T[], now: number): T[] {
  return sessions.filter((session) => now < session.expiresAt && now < session.endsAt)
}
