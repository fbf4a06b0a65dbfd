import { DAY } from '../../services/kit/clock.ts'
import { type ChainedRow, type ChainLink, describeRow, linkOf, NO_HASH, parseHead, prevHashOf } from './audit-chain.ts'
import { ErasedRows } from './audit-erasure.ts'

/** The type of the row that says which rows at the beginning of the chain were removed. */
const TRIMMING = 'audit.trimmed'

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

  /** Whether rows are missing before the first one. */
  get isTrimmed(): boolean {
    return this.first !== undefined && prevHashOf(this.first) !== NO_HASH
  }

  /** Whether no row is missing before the first one, or each that is was removed by AUDIT_RETENTION. */
  get isExplained(): boolean {
    const { first, removed } = this
    if (!first || !this.isTrimmed) return true
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

/** Milliseconds after an erasure within which rows about the user that arrive late are erased. */
const LATE = 2 * DAY

export interface ChainReport {
  rows: number
  /** The time of the first row, in milliseconds since the epoch. Absent without a row. */
  oldest?: number
  /** The hash of the last row, in hex. */
  head: string
  /** How many rows have parts that were erased. Absent: none. */
  erased?: number
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
  private readonly erased = new ErasedRows()

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
      ...(this.erased.count === 0 ? {} : { erased: this.erased.count }),
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
    if (this.erased.add(row) === 'unsound')
      return `The chain does not cover ${describeRow(row)}: a part of it was erased, and then altered`
    return undefined
  }

  private faultAtEnd(head: ChainLink | undefined): string | undefined {
    const { beginning, firstRow, last, lastRow } = this
    if (firstRow && !beginning.isExplained)
      return `The chain breaks at ${describeRow(firstRow)}, the first row: this row or one before it was altered, removed or inserted`
    const unexplained = this.erased.unexplained(beginning.isTrimmed ? (firstRow?.[2] ?? 0) + LATE : 0)
    if (unexplained) return `A part of ${describeRow(unexplained)} was erased or altered, and no row records that`
    const end = lastRow ? describeRow(lastRow) : 'its beginning'
    if (!head) return `The head of the chain, after ${end}, was removed or altered`
    if (head.seq > last.seq) return `The chain ends too early, at ${end}: the rows after it were removed`
    if (head.hash !== last.hash) return `The chain breaks at ${end}, the last row: this row or the head was altered`
    return undefined
  }
}
