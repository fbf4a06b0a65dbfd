import { type Clock, timestamp } from '../clock.ts'
import type { Random } from '../random.ts'
import type { EventData, EventType } from '../schema/events.ts'
import type { NewNotice } from './outbox.ts'

/** Something that happened to a user, as the outside is told of it. */
export interface Event {
  /** A UUID, the same however often it is told. */
  id: string
  type: EventType
  /** Milliseconds since the epoch. */
  at: number
  userId: string
  /** What the schema of its type says, beside the user. Never a secret. */
  data: Record<string, unknown>
}

/** An event of now. */
export function eventOf<T extends EventType>(
  { clock, random }: { clock: Clock; random: Random },
  type: T,
  userId: string,
  data: EventData[T],
): Event {
  return { id: random.id(), type, at: clock.now(), userId, data }
}

/** How an event of another service gets to auth, which tells the outside: by its outbox, in the transaction of the change. */
export function eventNotice(event: Event): NewNotice {
  return { target: 'auth', kind: 'event', subject: event.userId, payload: { ...event } }
}

/** What the outside gets: the payload of Standard Webhooks. */
export interface EventMessage {
  id: string
  type: EventType
  /** RFC 3339. */
  timestamp: string
  data: { user_id: string } & Record<string, unknown>
}

export function messageOf({ at, data, id, type, userId }: Event): EventMessage {
  // Whom it is about is said once: by what it was kept in order by, and not by what another service put beside that.
  const { user_id: _, ...said } = data
  return { id, type, timestamp: timestamp(at), data: { user_id: userId, ...said } }
}
