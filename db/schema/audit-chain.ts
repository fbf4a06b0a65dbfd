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
