import type { Clock } from '../kit/clock.ts'
import { eventNotice } from '../kit/outbox/events.ts'
import type { NewNotice } from '../kit/outbox/outbox.ts'
import type { Random } from '../kit/random.ts'
import type { EventType } from '../kit/schema/events.ts'

export interface EventContext {
  clock: Clock
  random: Random
  /** Whether a webhook or the message broker subscribes to events of this type. */
  isSubscribed(type: EventType): boolean
}

/**
 * The notices for webhooks and the message broker when a module was turned on or off for a user; none when nobody
 * subscribes.
 *
 * Only a choice for a single user is an event. Creating or deleting a module, or changing its default, concerns any
 * number of users, most of whom this service does not know.
 */
export function activationNotices(
  { clock, isSubscribed, random }: EventContext,
  { module, type, userId }: { type: Extract<EventType, `module.${string}`>; userId: string; module: string },
): NewNotice[] {
  if (!isSubscribed(type)) return []
  return [eventNotice({ id: random.id(), type, at: clock.now(), userId, data: { module_id: module } })]
}
