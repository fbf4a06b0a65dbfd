import type { Event } from '../../kit/outbox/events.ts'
import type { EventType } from '../../kit/schema/events.ts'

/** Events for webhooks and the message broker. */
export interface EventStore {
  /** The event types that at least one webhook or the broker subscribes to. Kept in memory. */
  subscribedTypes(): ReadonlySet<EventType>
  /**
   * Writes events of every type while `areCurrent` returns false: another node may have subscribed to one. Those without a
   * subscriber are dropped in the same transaction.
   */
  trustSubscribedTypes(areCurrent: () => boolean): void
  /**
   * Reads the subscribed types again, because another node changed them.
   * @param seq the number of the change in the feed; null when the feed was set back, so that earlier numbers are void
   */
  reloadSubscribedTypes(seq: number | null): Promise<void>
  /**
   * Stores each event that has subscribers, with a delivery for each of them. Events that are stored already stay
   * unchanged.
   */
  addEvents(events: Event[], now: number): Promise<void>
  /** Registers `listener` in memory: it is called after each commit that added deliveries or made some due. */
  onDeliveries(listener: () => void): void
}
