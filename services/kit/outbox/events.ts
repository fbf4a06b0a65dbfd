import { type Clock, timestamp } from '../clock.ts'
import type { Random } from '../random.ts'
import type { EventData, EventType } from '../schema/events.ts'
import type { NewNotice } from './outbox.ts'

/** An event about a user, for webhooks and the message broker. */
export interface Event {
  /** A UUID. It stays the same when the event is delivered again. */
  id: string
  type: EventType
  /** Milliseconds since the epoch. */
  at: number
  userId: string
  /** The fields of its type's schema, except the user. Never a secret. */
  data: Record<string, unknown>
}

/** Creates an event that happens now. */
export function newEvent<T extends EventType>(
  { clock, random }: { clock: Clock; random: Random },
  type: T,
  userId: string,
  data: EventData[T],
): Event {
  return { id: random.id(), type, at: clock.now(), userId, data }
}

/** The notice by which another service has auth deliver an event: written in the transaction of the change. */
export function eventNotice(event: Event): NewNotice {
  return { target: 'auth', kind: 'event', subject: event.userId, payload: { ...event } }
}

/** The message that webhooks and the broker receive: the payload of Standard Webhooks. */
export interface EventMessage {
  id: string
  type: EventType
  /** RFC 3339. */
  timestamp: string
  data: { user_id: string } & Record<string, unknown>
}

export function messageOf({ at, data, id, type, userId }: Event): EventMessage {
  // The user comes from the event itself, by which deliveries are ordered, and not from the data of another service.
  const { user_id: _, ...fields } = data
  return { id, type, timestamp: timestamp(at), data: { user_id: userId, ...fields } }
}
