import { hash, randomBytes } from 'node:crypto'

/**
 * The rows of the audit form a chain: each holds the hash of the row before it, the first one 32 zero bytes, and a fact
 * names the last row and its hash. So nobody can alter, remove or insert a row without rewriting all rows after it.
 */

/** The columns from which a row's hash is computed, in this order. */
export const CHAINED_COLUMNS =
  'seq, id, at, type, user_id, actor, ip, request_id, detail, prev_hash, origin_seal, detail_seal, row_hash'
/** The columns of a database from before parts of a row could be erased. */
export const UNSEALED_COLUMNS = 'seq, id, at, type, user_id, actor, ip, request_id, detail, prev_hash'
/** The name of the fact that holds the head of the chain. */
export const CHAIN_HEAD = 'audit_head'
/** The name of the fact that holds the last row that may be removed. */
export const TRIMMED = 'audit_trimmed'
export const NO_HASH = '0'.repeat(64)

/** The chained columns of a row, as the database holds them. The last three are missing in a database without them. */
export type ChainedRow = [seq: number, id: string, at: number, ...(string | number | Uint8Array | null)[]]

export interface ChainLink {
  seq: number
  /** SHA-256, in hex. */
  hash: string
}

/**
 * Makes the link of a row: its number and its hash. Hashes the row as it is stored, not as it was written: a character
 * that the database drops would break the chain. The hash covers digests of the parts that can be erased. That of a row
 * without seals covers the parts themselves.
 */
export function linkOf(row: ChainedRow, prevHash = prevHashOf(row)): ChainLink {
  const [seq, id, at, type, userId, actor, ip, requestId, detail] = row
  const [originSeal, detailSeal, rowHash] = row.slice(10)
  if (rowHash instanceof Uint8Array) return { seq, hash: hexOf(rowHash) }
  if (!(originSeal instanceof Uint8Array && detailSeal instanceof Uint8Array))
    return { seq, hash: hash('sha256', JSON.stringify([...row.slice(0, 9), prevHash])) }
  const digests = [digestOf(originSeal, [ip, requestId]), digestOf(detailSeal, detail)]
  return { seq, hash: hash('sha256', JSON.stringify([seq, id, at, type, userId, actor, ...digests, prevHash])) }
}

export function prevHashOf(row: ChainedRow): string | null {
  const prevHash = row[9]
  return prevHash instanceof Uint8Array ? hexOf(prevHash) : null
}

/** The length of the seal of a part that is there, in bytes: enough that nobody can try all values of the part. */
const SALT_LENGTH = 16

/** Makes the seal of a part of a new row. */
export function newSeal(): Buffer {
  return randomBytes(SALT_LENGTH)
}

/** The digest of a part of a row: computed with the salt in its seal, or the seal itself if the part was erased. */
export function digestOf(seal: Uint8Array, part: unknown): string {
  return isSalt(seal) ? hash('sha256', JSON.stringify([hexOf(seal), part])) : hexOf(seal)
}

export function isSalt(seal: unknown): boolean {
  return seal instanceof Uint8Array && seal.length === SALT_LENGTH
}

export function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
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

/** Names a row in a report, by its id and its time. */
export function describeRow([, id, at]: ChainedRow): string {
  const time = new Date(at)
  return `the row ${id} of ${Number.isNaN(time.getTime()) ? at : time.toISOString()}`
}
