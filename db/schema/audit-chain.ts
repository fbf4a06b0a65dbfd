import { hash } from 'node:crypto'

/**
 * The rows of the audit form a chain: each holds the hash of the row before it, the first one 32 zero bytes, and a fact
 * names the last row and its hash. So nobody can alter, remove or insert a row without rewriting all rows after it.
 */

/** The columns that a row's hash covers, in this order. */
export const CHAINED_COLUMNS = 'seq, id, at, type, user_id, actor, ip, request_id, detail, prev_hash'
/** The name of the fact that holds the head of the chain. */
export const CHAIN_HEAD = 'audit_head'
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

export interface ChainReport {
  rows: number
  /** The hash of the last row, in hex. */
  head: string
  /** A sentence about the first break of the chain; absent when the chain is intact. */
  fault?: string
}

/** Checks every link of the chain, row by row, on any kind of database. */
export class ChainCheck {
  private last: ChainLink = { seq: 0, hash: NO_HASH }
  private lastRow: ChainedRow | undefined
  private rows = 0

  /** @param head what the fact says; undefined when it is missing or altered, or when `end` gets it */
  constructor(private readonly head?: ChainLink) {}

  /** Checks the next row in the order of the chain. @returns the report when the chain breaks here */
  add(row: ChainedRow): ChainReport | undefined {
    const fault = this.faultAt(row)
    if (fault !== undefined) return this.report(fault)
    this.last = linkOf(row)
    this.lastRow = row
    this.rows++
    return undefined
  }

  /** Checks, after the last row, that the head is its. @param head for a reader who learns of it with the last rows */
  end(head = this.head): ChainReport {
    return this.report(this.faultAtEnd(head))
  }

  private report(fault: string | undefined): ChainReport {
    return { rows: this.rows, head: this.last.hash, ...(fault === undefined ? {} : { fault }) }
  }

  private faultAt(row: ChainedRow): string | undefined {
    if (prevHashOf(row) !== this.last.hash)
      return `The chain breaks at ${describeRow(row)}: this row or one before it was altered, removed or inserted`
    if (this.head && row[0] > this.head.seq)
      return `The chain ends before ${describeRow(row)}: this row was inserted, or the head was altered`
    return undefined
  }

  private faultAtEnd(head: ChainLink | undefined): string | undefined {
    const { last, lastRow } = this
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
