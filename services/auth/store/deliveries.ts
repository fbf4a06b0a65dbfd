import type { AuditEvent } from '../../kit/outbox/audit.ts'
import type { Event } from '../../kit/outbox/events.ts'
import type { PageRequest, Slice } from '../../kit/schema/page.ts'

/** The state of a delivery. `dead`, as the API calls it: the delivery failed for good. */
export type DeliveryStatus = 'pending' | 'delivered' | 'dead'

/** An event for one target. Times are milliseconds since the epoch. */
export interface Delivery {
  seq: number
  /** The id of a webhook, or `amqp`. */
  target: string
  status: DeliveryStatus
  event: Event
  tries: number
  /** When the event was stored, or last replayed: the retries count from then. */
  since: number
  /** When the next attempt of a pending delivery is due. */
  nextAt: number
  /** The HTTP status of the last attempt; null when there was no response. */
  lastStatus: number | null
  /** A code for why the last attempt failed, never the text of the receiver. */
  lastError: string | null
  finishedAt: number | null
}

/** The delivery that was attempted, as it was before the attempt: a replay during it sets another `since`. */
export type AttemptedDelivery = Pick<Delivery, 'seq' | 'since'> & {
  /** The lease of the node that made the attempt. If it was lost meanwhile, a failure is not recorded. */
  lease?: string
}

/** The result of an attempt, as the list of deliveries shows it (see `lastStatus` and `lastError`). */
export interface AttemptResult {
  status: number | null
  error: string | null
}

export interface DeliveryFilter {
  seq?: number
  target?: string
  status?: DeliveryStatus
  /** Only deliveries whose `since` is at or after this time. */
  since?: number
}

export interface DeliveryStore {
  /**
   * Returns deliveries that are due, the one that has waited longest first.
   * @param latest a delivery whose `nextAt` is later is due too: a clock that ran ahead set that time
   */
  deliveriesDue(target: string, now: number, latest: number, limit: number): Promise<Delivery[]>
  /** Returns pending deliveries, due or not, in the order in which their events were stored. */
  oldestDeliveries(target: string, limit: number): Promise<Delivery[]>
  /** Returns when the next delivery after `now` is due; null when none is pending. */
  nextDelivery(target: string, now: number): Promise<number | null>
  /** Returns those of the targets that have a delivery that is due. For databases that several nodes share. */
  targetsDue(targets: readonly string[], now: number): Promise<string[]>
  /**
   * Records the end of a delivery. When it was replayed or removed during the attempt, that change wins: a failure then
   * leaves it due, a success counts as delivered.
   */
  finishDelivery(
    attempted: AttemptedDelivery,
    status: 'delivered' | 'dead',
    tried: AttemptResult,
    now: number,
  ): Promise<void>
  /** Records a failed attempt, and when the next one is due. */
  postponeDelivery(attempted: AttemptedDelivery, nextAt: number, tried: AttemptResult): Promise<void>
  /** Gives up deliveries that have been pending since before `before`, even when nobody sends to `target`. */
  giveUpDeliveries(target: string, before: number, now: number): Promise<void>
  /** Completes the deletion or disabling of webhooks that a stop of the service interrupted. */
  settleDeliveries(now: number): Promise<void>
  /** Lists deliveries, newest first. */
  listDeliveries(filter: DeliveryFilter, request: PageRequest): Promise<Slice<Delivery>>
  /**
   * Sends delivered and failed deliveries again, and retries pending ones at once, when the filter names them by `seq` or
   * status. Returns how many.
   */
  replayDeliveries(filter: DeliveryFilter, now: number, event: (count: number) => AuditEvent): Promise<number>
  /** Deletes deliveries that were delivered or given up before these times, with their events. */
  forgetDeliveries(times: { delivered: number; dead: number }): Promise<void>
}
