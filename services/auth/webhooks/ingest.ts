import type { AuthContext } from '../context.ts'
import type { EventBody } from '../schemas/sync.ts'

/**
 * Takes in what another service tells the outside. A second time it is there already; what no one listens to any more is
 * dropped.
 */
export async function ingestEvents({ clock, store }: AuthContext, bodies: readonly EventBody[]): Promise<void> {
  const events = bodies.map(({ user_id, ...event }) => ({ ...event, userId: user_id.toLowerCase() }))
  await store.addEvents(events, clock.now())
}
