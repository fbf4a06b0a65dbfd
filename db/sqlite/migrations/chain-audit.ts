import type { Database } from 'bun:sqlite'
import {
  CHAIN_HEAD,
  CHAINED_COLUMNS,
  type ChainedRow,
  type ChainLink,
  headText,
  linkOf,
  NO_HASH,
  UNSEALED_COLUMNS,
} from '../../schema/audit-chain.ts'

const PAGE = 1000

/** Every row of the audit, in the order of the chain. */
export function* auditRows(raw: Database): Generator<ChainedRow> {
  const isSealed = raw.query("SELECT 1 FROM pragma_table_info('audit') WHERE name = 'row_hash'").get() !== null
  const page = raw.query<unknown, [number]>(
    `SELECT ${isSealed ? CHAINED_COLUMNS : UNSEALED_COLUMNS} FROM audit WHERE seq > ? ORDER BY seq LIMIT ${PAGE}`,
  )
  // An altered file may hold any number.
  for (let after = Number.MIN_SAFE_INTEGER; ; ) {
    const rows = page.values(after) as ChainedRow[]
    yield* rows
    const last = rows.at(-1)
    if (last === undefined) return
    after = last[0]
  }
}

/** Chains the rows that were written before the chain was introduced: the end of a migration, in its transaction. */
export function chainAudit(raw: Database): void {
  const link = raw.query<unknown, [Uint8Array, number]>('UPDATE audit SET prev_hash = ? WHERE seq = ?')
  let head: ChainLink = { seq: 0, hash: NO_HASH }
  for (const row of auditRows(raw)) {
    link.run(Buffer.from(head.hash, 'hex'), row[0])
    head = linkOf(row, head.hash)
  }
  raw
    .query('INSERT INTO facts (name, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value')
    .run(CHAIN_HEAD, headText(head))
}
