import type { AuditEvent } from '../../kit/outbox/audit.ts'
import type { PageRequest, Position, Slice } from '../../kit/schema/page.ts'

/** Selects rows of the audit. */
export interface AuditFilter {
  userId?: string
  type?: string
  /** Any of these types. */
  types?: readonly string[]
  /** Milliseconds since the epoch. */
  since?: number
  requestId?: string
}

/** The rows of the audit. Lists have every row that was written before they were asked for. Events for other systems are in `EventStore`. */
export interface AuditStore {
  /** Adds a row. Does nothing when a row with this id exists. */
  addAuditEvent(event: AuditEvent): Promise<void>
  /**
   * Puts every row that was written before the call into the chain. Where several nodes may run, rows are written without a
   * place in it.
   */
  chainAudit(): Promise<void>
  listAuditEvents(
    filter: AuditFilter,
    request: PageRequest,
    order?: 'newest first' | 'oldest first',
  ): Promise<Slice<AuditEvent>>
  /** Returns the position after this event, in the order in which rows were written; null when there is no such row. */
  placeOfAuditEvent(id: string): Promise<Position | null>
}
