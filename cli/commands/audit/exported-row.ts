import { type ChainedRow, type ChainLink, linkOf } from '../../../db/schema/audit-chain.ts'

/** A row of the audit as the API lists it in the order of the chain. */
export interface ChainRow {
  seq: number
  id: string
  /** RFC 3339. */
  at: string
  type: string
  user_id: string | null
  actor: string
  ip: string | null
  request_id: string | null
  detail: unknown
  /** The hash of the row before it, in hex. */
  prev_hash: string | null
  /** In hex: the salts of the digests of the origin and the detail, or the digests of parts that were erased. */
  origin_seal: string | null
  detail_seal: string | null
  /** The hash of a row without seals of which a part was erased, in hex. */
  row_hash: string | null
}

/** A row of an export: with its own hash, which the next row has as `prev_hash`. */
export interface ExportedRow extends ChainRow {
  hash: string
}

/** The columns of an export as CSV. Those with which a reader verifies it are the last. */
export const EXPORTED_COLUMNS = [
  'at',
  'type',
  'user_id',
  'actor',
  'ip',
  'request_id',
  'detail',
  'id',
  'seq',
  'prev_hash',
  'origin_seal',
  'detail_seal',
  'row_hash',
  'hash',
] as const satisfies readonly (keyof ExportedRow)[]

/** The columns whose empty cell means null. */
export const NULLABLE = ['user_id', 'ip', 'request_id', 'prev_hash', 'origin_seal', 'detail_seal', 'row_hash']

/** A row as the chain covers it. */
export function chainedRow(row: ChainRow): ChainedRow {
  const { actor, at, detail, detail_seal, id, ip, origin_seal, prev_hash, request_id, row_hash, seq, type, user_id } =
    row
  const hashes = [prev_hash, origin_seal, detail_seal, row_hash].map((hex) => hex && Buffer.from(hex, 'hex'))
  return [seq, id, Date.parse(at), type, user_id, actor, ip, request_id, JSON.stringify(detail), ...hashes]
}

/** The link of a row: its number and its hash. */
export function linkOfRow(row: ChainRow): ChainLink {
  return linkOf(chainedRow(row))
}
