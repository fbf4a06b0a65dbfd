import type { Clock } from '../../kit/clock.ts'
import type { EventBody } from '../schemas/sync.ts'
import type { EventStore } from '../store/index.ts'

export interface IngestContext {
  store: EventStore
  clock: Clock
}

/** Stores events of another service for delivery. Idempotent by `id`; drops events that have no subscribers left. */
export async function ingestEvents({ clock, store }: IngestContext, bodies: readonly EventBody[]): Promise<void> {
  const events = bodies.map(({ user_id, ...event }) => ({ ...event, userId: user_id.toLowerCase() }))
  await store.addEvents(events, clock.now())
}
