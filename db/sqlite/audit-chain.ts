import type { Database } from 'bun:sqlite'
import { hash } from 'node:crypto'

/**
 * The rows of the audit are a chain: each bears the hash of the one before it, the first 32 zero bytes, and a fact says
 * which is the last and what its hash is. So no row can be altered, removed or put in between without the rest being
 * written anew.
 */

/** What a row's hash is of, in this order. */
const COLUMNS = 'seq, id, at, type, user_id, actor, ip, request_id, detail, prev_hash'
const HEAD = 'audit_head'
const NO_HASH = '0'.repeat(64)
const PAGE = 1000

/** The columns of a row, as they are stored. */
type Stored = [seq: number, id: string, at: number, ...(string | number | Uint8Array | null)[]]

interface Link {
  seq: number
  /** SHA-256, in hex. */
  hash: string
}

/** Of a row as it is stored, and not as it was given: a character that SQLite does not keep would break the chain. */
function linkOf(row: Stored, prevHash = prevHashOf(row)): Link {
  return { seq: row[0], hash: hash('sha256', JSON.stringify([...row.slice(0, -1), prevHash])) }
}

function prevHashOf(row: Stored): string | null {
  const stored = row.at(-1)
  return stored instanceof Uint8Array ? Buffer.from(stored).toString('hex') : null
}

/** A row that is to be added, in the order of its columns, without `seq` and `prev_hash`. */
export type NewRow = [
  id: string,
  at: number,
  type: string,
  userId: string | null,
  actor: string,
  ip: string | null,
  requestId: string | null,
  detail: string,
]

/**
 * @returns what adds a row at the end of the chain, and nothing where one of its id is there. To be called within a
 * transaction, each time: what is undone takes its link along, so nothing of the chain is remembered here. Where
 * someone has taken the head away, no chain begins anew: the row bears no hash, and stays the place of the break.
 */
export function chainWriter(raw: Database): (row: NewRow) => void {
  const insert = raw.query<unknown, NewRow>(`
    INSERT INTO audit (id, at, type, user_id, actor, ip, request_id, detail, prev_hash)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?,
      coalesce((SELECT unhex(substr(value, -64)) FROM facts WHERE name = '${HEAD}'), x''))
    ON CONFLICT DO NOTHING RETURNING ${COLUMNS}`)
  const writeHead = headWriter(raw)
  return (row) => {
    const [added] = insert.values(...row) as Stored[]
    if (added) writeHead(linkOf(added))
  }
}

function headWriter(raw: Database): (head: Link) => void {
  const put = raw.query<unknown, [string]>(
    `INSERT INTO facts (name, value) VALUES ('${HEAD}', ?) ON CONFLICT DO UPDATE SET value = excluded.value`,
  )
  return ({ hash, seq }) => {
    put.run(`${seq}:${hash}`)
  }
}

/** Every row, in the order of the chain. */
function* rowsOf(raw: Database): Generator<Stored> {
  const page = raw.query<unknown, [number]>(`SELECT ${COLUMNS} FROM audit WHERE seq > ? ORDER BY seq LIMIT ${PAGE}`)
  // Any number may stand in a file that someone has altered.
  for (let after = Number.MIN_SAFE_INTEGER; ; ) {
    const rows = page.values(after) as Stored[]
    yield* rows
    const last = rows.at(-1)
    if (last === undefined) return
    after = last[0]
  }
}

/** Makes a chain of the rows from before there was one. To be called within a transaction. */
export function chainAudit(raw: Database): void {
  const link = raw.query<unknown, [Uint8Array, number]>('UPDATE audit SET prev_hash = ? WHERE seq = ?')
  let head: Link = { seq: 0, hash: NO_HASH }
  for (const row of rowsOf(raw)) {
    link.run(Buffer.from(head.hash, 'hex'), row[0])
    head = linkOf(row, head.hash)
  }
  headWriter(raw)(head)
}

export interface Chain {
  rows: number
  /** The hash of the last row, in hex. */
  head: string
  /** Where it breaks, if it does. */
  fault?: string
}

/** Looks at the whole chain, in one transaction: others may write meanwhile. @throws SQLite's error of a file without one */
export function examineChain(raw: Database): Chain {
  raw.run('BEGIN')
  try {
    return walk(raw)
  } finally {
    if (raw.inTransaction) raw.run('COMMIT')
  }
}

function walk(raw: Database): Chain {
  const head = headOf(raw)
  let last: Link = { seq: 0, hash: NO_HASH }
  let row: Stored | undefined
  let rows = 0
  for (const next of rowsOf(raw)) {
    const broken = brokenAt(next, last, head)
    if (broken !== undefined) return { rows, head: last.hash, fault: broken }
    last = linkOf(next)
    row = next
    rows++
  }
  const fault = brokenAtEnd(row, last, head)
  return { rows, head: last.hash, ...(fault === undefined ? {} : { fault }) }
}

function headOf(raw: Database): Link | undefined {
  const value = raw.query<{ value: string }, []>(`SELECT value FROM facts WHERE name = '${HEAD}'`).get()?.value
  const [, seq, hash = ''] = /^(\d{1,15}):([0-9a-f]{64})$/.exec(value ?? '') ?? []
  return seq === undefined ? undefined : { seq: Number(seq), hash }
}

function brokenAt(row: Stored, last: Link, head: Link | undefined): string | undefined {
  if (prevHashOf(row) !== last.hash)
    return `The chain breaks at ${named(row)}: it, or what was written before it, was altered, removed or put there`
  if (head && row[0] > head.seq) return `The chain ends before ${named(row)}: it was put there, or the head was altered`
  return undefined
}

function brokenAtEnd(row: Stored | undefined, last: Link, head: Link | undefined): string | undefined {
  const at = row ? named(row) : 'its beginning'
  if (!head) return `The head of the chain, after ${at}, was removed or altered`
  if (head.seq > last.seq) return `The chain breaks off at ${at}: what was written after it was removed`
  if (head.hash !== last.hash) return `The chain breaks at ${at}, the last row: it, or the head, was altered`
  return undefined
}

function named([, id, at]: Stored): string {
  const time = new Date(at)
  return `the row ${id} of ${Number.isNaN(time.getTime()) ? at : time.toISOString()}`
}
