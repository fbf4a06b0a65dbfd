import type { AuditEvent } from '../../kit/outbox/audit.ts'
import type { EventType } from '../../kit/schema/events.ts'

/** An address that receives events. */
export interface Webhook {
  id: string
  url: string
  description: string | null
  /** Empty: all types, future ones included. */
  types: EventType[]
  sealedSecret: Uint8Array
  /** `disabled`: no deliveries are stored or sent until it is enabled again. */
  status: 'active' | 'disabled'
  /** Milliseconds since the epoch. */
  createdAt: number
}

/** The result of enabling or disabling a webhook. `seq` is the number of the change in the feed. */
export type WebhookStatusChange =
  | { outcome: 'changed'; seq: number }
  | { outcome: 'unchanged' }
  | { outcome: 'not_found' }

/** Webhooks. Each change has a number in the revocation feed: the other services store only events that have subscribers. */
export interface WebhookStore {
  webhooks(): Promise<Webhook[]>
  /**
   * Adds a webhook.
   * @param most how many webhooks there may be
   * @returns the number of the change in the feed; null when there are `most` already
   */
  addWebhook(webhook: Webhook, most: number, event: AuditEvent): Promise<number | null>
  /** Enables or disables a webhook. Disabling gives up its pending deliveries. */
  setWebhookStatus(id: string, status: Webhook['status'], now: number, event: AuditEvent): Promise<WebhookStatusChange>
  /** Removes a webhook and its deliveries. @returns the number of the change in the feed; null: not found */
  removeWebhook(id: string, now: number, event: AuditEvent): Promise<number | null>
  /** Replaces the sealed form of a secret: the same secret, sealed with another CH202_SECRET. */
  resealWebhook(id: string, sealedSecret: Uint8Array): Promise<void>
}
