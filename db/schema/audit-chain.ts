import { hash } from 'node:crypto'

/**
 * The rows of the audit form a chain: each holds the hash of the row before it, the first one 32 zero bytes, and a fact
 * names the last row and its hash. So nobody can alter, remove or insert a row without rewriting all rows after it.
 */

/** The columns that a row's hash covers, in this order. */
export const CHAINED_COLUMNS = 'seq, id, at, type, user_id, actor, ip, request_id, detail, prev_hash'
/** The name of the fact that holds the head of the chain. */
export const CHAIN_HEAD = 'audit_head'
/** The name of the fact that holds the last row that may be removed. */
export const TRIMMED = 'audit_trimmed'
/** The type of the row that says which rows at the beginning of the chain were removed. */
const TRIMMING = 'audit.trimmed'
export const NO_HASH = '0'.repeat(64)

/** The chained columns of a row, as the database holds them. */
export type ChainedRow = [seq: number, id: string, at: number, ...(string | number | Uint8Array | null)[]]

export interface ChainLink {
  seq: number
  /** SHA-256, in hex. */
  hash: string
}

/**
 * Makes the link of a row: its number and its hash. Hashes the row as it is stored, not as it was written: a character
 * that the database drops would break the chain.
 */
export function linkOf(row: ChainedRow, prevHash = prevHashOf(row)): ChainLink {
  return { seq: row[0], hash: hash('sha256', JSON.stringify([...row.slice(0, -1), prevHash])) }
}

export function prevHashOf(row: ChainedRow): string | null {
  const prevHash = row.at(-1)
  return prevHash instanceof Uint8Array ? Buffer.from(prevHash).toString('hex') : null
}

/** The text of the fact that holds the head. */
export function headText({ hash, seq }: ChainLink): string {
  return `${seq}:${hash}`
}

/** @returns undefined when the text is missing or altered */
export function parseHead(text: string | undefined): ChainLink | undefined {
  const [, seq, hash = ''] = /^(\d{1,15}):([0-9a-f]{64})$/.exec(text ?? '') ?? []
  return seq === undefined ? undefined : { seq: Number(seq), hash }
}

/**
 * Explains a chain that does not begin with its first row: AUDIT_RETENTION has removed the rows before. A later row of the
 * chain says up to which row, with its hash.
 */
export class TrimmedBeginning {
  private first: ChainedRow | undefined
  private removed: ChainLink | undefined

  /** Reads the next row of the chain. */
  add(row: ChainedRow): void {
    this.first ??= row
    if (row[3] === TRIMMING) this.removed = trimmedIn(row[8]) ?? this.removed
  }

  /** Whether no row is missing before the first one, or each that is was removed by AUDIT_RETENTION. */
  get isExplained(): boolean {
    const { first, removed } = this
    if (!first || prevHashOf(first) === NO_HASH) return true
    // While rows are still being removed, the first one is one of those.
    return removed !== undefined && (first[0] <= removed.seq || prevHashOf(first) === removed.hash)
  }
}

function trimmedIn(detail: unknown): ChainLink | undefined {
  try {
    const { hash, seq } = JSON.parse(String(detail))
    return parseHead(`${seq}:${hash}`)
  } catch {
    return undefined
  }
}

export interface ChainReport {
  rows: number
  /** The time of the first row, in milliseconds since the epoch. Absent without a row. */
  oldest?: number
  /** The hash of the last row, in hex. */
  head: string
  /** A sentence about the first break of the chain; absent when the chain is intact. */
  fault?: string
}

/** Checks every link of the chain, row by row, on any kind of database. */
export class ChainCheck {
  private last: ChainLink = { seq: 0, hash: NO_HASH }
  private firstRow: ChainedRow | undefined
  private lastRow: ChainedRow | undefined
  private rows = 0
  private readonly beginning = new TrimmedBeginning()

  /** @param head what the fact says; undefined when it is missing or altered, or when `end` gets it */
  constructor(private readonly head?: ChainLink) {}

  /** Checks the next row in the order of the chain. @returns the report when the chain breaks here */
  add(row: ChainedRow): ChainReport | undefined {
    const fault = this.faultAt(row)
    if (fault !== undefined) return this.report(fault)
    this.last = linkOf(row)
    this.beginning.add(row)
    this.firstRow ??= row
    this.lastRow = row
    this.rows++
    return undefined
  }

  /** Checks, after the last row, that the head is its. @param head for a reader who learns of it with the last rows */
  end(head = this.head): ChainReport {
    return this.report(this.faultAtEnd(head))
  }

  private report(fault: string | undefined): ChainReport {
    const oldest = this.firstRow?.[2]
    return {
      rows: this.rows,
      head: this.last.hash,
      ...(oldest === undefined ? {} : { oldest }),
      ...(fault === undefined ? {} : { fault }),
    }
  }

  private faultAt(row: ChainedRow): string | undefined {
    // Whether the rows before the first one may be missing shows only at the end.
    const isFirst = this.firstRow === undefined && prevHashOf(row) !== null
    if (!isFirst && prevHashOf(row) !== this.last.hash)
      return `The chain breaks at ${describeRow(row)}: this row or one before it was altered, removed or inserted`
    if (this.head && row[0] > this.head.seq)
      return `The chain ends before ${describeRow(row)}: this row was inserted, or the head was altered`
    return undefined
  }

  private faultAtEnd(head: ChainLink | undefined): string | undefined {
    const { beginning, firstRow, last, lastRow } = this
    if (firstRow && !beginning.isExplained)
      return `The chain breaks at ${describeRow(firstRow)}, the first row: this row or one before it was altered, removed or inserted`
    const end = lastRow ? describeRow(lastRow) : 'its beginning'
    if (!head) return `The head of the chain, after ${end}, was removed or altered`
    if (head.seq > last.seq) return `The chain ends too early, at ${end}: the rows after it were removed`
    if (head.hash !== last.hash) return `The chain breaks at ${end}, the last row: this row or the head was altered`
    return undefined
  }
}

/** Names a row in a report, by its id and its time. */
export function describeRow([, id, at]: ChainedRow): string {
  const time = new Date(at)
  return `the row ${id} of ${Number.isNaN(time.getTime()) ? at : time.toISOString()}`
}
