import { eventNotice } from '../kit/outbox/events.ts'
import type { NewNotice } from '../kit/outbox/outbox.ts'
import type { EventType } from '../kit/schema/events.ts'
import type { ModulesContext } from './library.ts'

/**
 * That a module was turned on or off for a user, for the outside; nothing where no one listens to that.
 *
 * Only what was chosen for a user is told. A module that is made or deleted, or whose default changes, changes it for
 * users without number, most of whom this service does not know: that is no event of each of them.
 */
export function switchedEvent(
  { clock, random, wants }: ModulesContext,
  type: Extract<EventType, `module.${string}`>,
  userId: string,
  module: string,
): NewNotice[] {
  if (!wants(type)) return []
  return [eventNotice({ id: random.id(), type, at: clock.now(), userId, data: { module_id: module } })]
}
