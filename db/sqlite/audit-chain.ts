import type { Database } from 'bun:sqlite'
import {
  CHAIN_HEAD,
  type ChainedRow,
  type ChainLink,
  linkOf,
  NO_HASH,
  parseHead,
  prevHashOf,
} from '../schema/audit-chain.ts'
import { auditRows } from './migrations/chain-audit.ts'

export interface ChainReport {
  rows: number
  /** The hash of the last row, in hex. */
  head: string
  /** A sentence about the first break of the chain; absent when the chain is intact. */
  fault?: string
}

/**
 * Checks every link of the audit's chain in one transaction, so that others may write meanwhile.
 * @throws SQLite's error when the file has no audit
 */
export function examineChain(raw: Database): ChainReport {
  raw.run('BEGIN')
  try {
    return walkChain(raw)
  } finally {
    if (raw.inTransaction) raw.run('COMMIT')
  }
}

function walkChain(raw: Database): ChainReport {
  const head = readHead(raw)
  let last: ChainLink = { seq: 0, hash: NO_HASH }
  let lastRow: ChainedRow | undefined
  let rows = 0
  for (const row of auditRows(raw)) {
    const fault = faultAt(row, last, head)
    if (fault !== undefined) return { rows, head: last.hash, fault }
    last = linkOf(row)
    lastRow = row
    rows++
  }
  const fault = faultAtEnd(lastRow, last, head)
  return { rows, head: last.hash, ...(fault === undefined ? {} : { fault }) }
}

function readHead(raw: Database): ChainLink | undefined {
  const fact = raw.query<{ value: string }, [string]>('SELECT value FROM facts WHERE name = ?').get(CHAIN_HEAD)
  return parseHead(fact?.value)
}

function faultAt(row: ChainedRow, last: ChainLink, head: ChainLink | undefined): string | undefined {
  if (prevHashOf(row) !== last.hash)
    return `The chain breaks at ${describeRow(row)}: this row or one before it was altered, removed or inserted`
  if (head && row[0] > head.seq)
    return `The chain ends before ${describeRow(row)}: this row was inserted, or the head was altered`
  return undefined
}

function faultAtEnd(row: ChainedRow | undefined, last: ChainLink, head: ChainLink | undefined): string | undefined {
  const end = row ? describeRow(row) : 'its beginning'
  if (!head) return `The head of the chain, after ${end}, was removed or altered`
  if (head.seq > last.seq) return `The chain ends too early, at ${end}: the rows after it were removed`
  if (head.hash !== last.hash) return `The chain breaks at ${end}, the last row: this row or the head was altered`
  return undefined
}

function describeRow([, id, at]: ChainedRow): string {
  const time = new Date(at)
  return `the row ${id} of ${Number.isNaN(time.getTime()) ? at : time.toISOString()}`
}
