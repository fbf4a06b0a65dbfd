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
  /** Only rows before this time: milliseconds since the epoch. */
  until?: number
  requestId?: string
}

/** A row of the audit with its place in the chain. */
export interface ChainedEvent extends AuditEvent {
  seq: number
  /** The hash of the row before it, in hex; null in an altered row. */
  prevHash: string | null
  /** In hex: the salts of the digests of the origin and the detail, or the digests of parts that were erased. Null: no seal. */
  originSeal: string | null
  detailSeal: string | null
  /** The hash of a row without seals of which a part was erased, in hex. */
  rowHash: string | null
}

/** A part of the chain. */
export interface ChainPart {
  /** In the order of the chain. */
  rows: ChainedEvent[]
  /** The number of the last of the rows if more follow. */
  next: number | null
  /** The head of the chain at the moment when the rows were read: the number and the hash of its last row. */
  head: { seq: number; hash: string } | null
}

/** The rows at the beginning of the chain that are to be removed. */
export interface TrimmedRows {
  /** How many. */
  rows: number
  /** The number and the hash of the last of them. */
  seq: number
  hash: string
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
  /** Reads rows of the chain in its order. @param after the number after which it continues; null: from the beginning */
  auditChain(filter: AuditFilter, after: number | null, size: number): Promise<ChainPart>
  /**
   * Allows the rows at the beginning of the chain to be removed that are older than `before`, up to the first row that is
   * not. Adds the row that says so in the same transaction. Times are milliseconds since the epoch.
   * @param now a row of a later time counts as old: its clock was wrong
   * @returns false when there is no such row
   */
  trimAudit(before: number, now: number, event: (trimmed: TrimmedRows) => AuditEvent): Promise<boolean>
  /** Removes a batch of the rows that `trimAudit` allowed. @returns whether more of them are left */
  removeTrimmedAudit(): Promise<boolean>
  /** Returns the position after this event, in the order in which rows were written; null when there is no such row. */
  placeOfAuditEvent(id: string): Promise<Position | null>
}
