import type { AuditEvent } from '../../../services/kit/outbox/audit.ts'
import { type Body, type Engine, type Transaction, text } from '../../engine.ts'
import { CHAIN_HEAD, type ChainedRow, headText, linkOf, newSeal, parseHead } from '../../schema/audit-chain.ts'
import { storableText } from '../../storable-text.ts'
import { BATCH } from '../../write-in-batches.ts'

/** Makes a statement for PostgreSQL alone: rows of a file are chained in their transaction. */
function shared<Row = never>(postgres: string) {
  return text<Row>({ sqlite: '', postgres })
}

interface UnchainedRow {
  place: number
  id: string
  at: number
  type: string
  userId: string | null
  actor: string
  ip: string | null
  requestId: string | null
  detail: string
  /** The number of the row with this id in the chain; null: the chain has no such row. */
  chained: number | null
  /** The highest number in the chain. */
  lastSeq: number
}

const statements = {
  add: shared(`
    INSERT INTO unchained_audit (id, at, type, user_id, actor, ip, request_id, detail)
    SELECT value->>0, CAST(value->>1 AS bigint), value->>2, value->>3, value->>4, value->>5, value->>6, value->>7
    FROM jsonb_array_elements(CAST($rows AS text)::jsonb)`),
  /** Every row that is in the table now has this place or an earlier one. */
  last: shared<{ place: number | null }>('SELECT max(place) AS place FROM unchained_audit'),
  lockHead: shared<{ value: string }>(`SELECT value FROM facts WHERE name = '${CHAIN_HEAD}' FOR UPDATE`),
  addHead: shared(`INSERT INTO facts (name, value) VALUES ('${CHAIN_HEAD}', '') ON CONFLICT (name) DO NOTHING`),
  batch: shared<UnchainedRow>(`
    SELECT place, id, at, type, user_id AS "userId", actor, ip, request_id AS "requestId", detail,
      (SELECT seq FROM audit WHERE audit.id = unchained_audit.id) AS chained,
      (SELECT coalesce(max(seq), 0) FROM audit) AS "lastSeq"
    FROM unchained_audit ORDER BY place LIMIT ${BATCH}`),
  /** Moves rows to the end of the chain, and removes those without a number. */
  chain: shared<{ moved: number }>(`
    WITH list AS MATERIALIZED (
      SELECT CAST(value->>0 AS bigint) AS place, CAST(value->>1 AS bigint) AS seq, decode(value->>2, 'hex') AS prev_hash,
        decode(value->>3, 'hex') AS origin_seal, decode(value->>4, 'hex') AS detail_seal
      FROM jsonb_array_elements(CAST($links AS text)::jsonb)),
    removed AS (
      DELETE FROM unchained_audit USING list WHERE unchained_audit.place = list.place
      RETURNING list.seq, id, at, type, user_id, actor, ip, request_id, detail, list.prev_hash, list.origin_seal,
        list.detail_seal),
    added AS (
      INSERT INTO audit
        (seq, id, at, type, user_id, actor, ip, request_id, detail, prev_hash, origin_seal, detail_seal)
      SELECT seq, id, at, type, user_id, actor, ip, request_id, detail, prev_hash, origin_seal, detail_seal
      FROM removed WHERE seq IS NOT NULL
      RETURNING 1),
    head AS (UPDATE facts SET value = $head WHERE name = '${CHAIN_HEAD}')
    SELECT count(*) AS moved FROM added`),
}

/** Adds rows, on PostgreSQL, which `chainBatch` numbers and chains later. No other transaction waits for this one. */
export function* addUnchained(tx: Transaction, events: readonly AuditEvent[]): Body<void> {
  if (events.length === 0) return
  const rows = events.map(({ actor, at, detail, id, ip, requestId, type, userId }) => {
    const texts = [type, userId, actor, ip, requestId, JSON.stringify(detail)]
    return [storableText(id), at, ...texts.map((value) => value && storableText(value))]
  })
  yield* tx.run(statements.add, { rows: JSON.stringify(rows) })
}

/**
 * Moves rows to the end of the chain, in the order in which their transactions wrote them, on PostgreSQL. The lock of the
 * head makes nodes do that one after another, also one of the previous version, which chains its rows itself. Rows of a
 * transaction that has not committed yet are for a later batch. It skips a row whose id is in the chain already, because
 * other services repeat an event until it is acknowledged.
 * @returns the place of the last of `BATCH` rows that it took; null when it took every row that was there
 */
export function* chainBatch(tx: Transaction): Body<number | null> {
  let end = yield* tx.get(statements.lockHead)
  if (!end) {
    // Someone has removed the head. The next row holds an empty hash, which marks the place of the break.
    yield* tx.run(statements.addHead)
    end = yield* tx.get(statements.lockHead)
  }
  // A later statement than the lock: it sees the rows of whoever had the lock before.
  const rows = yield* tx.all(statements.batch)
  if (rows.length === 0) return null
  const { head, links } = linksOf(rows, end?.value)
  const chain = yield* tx.get(statements.chain, { links: JSON.stringify(links), head })
  if (chain?.moved !== links.filter(([, seq]) => seq !== null).length)
    throw new Error('A row of the audit was removed before it was chained')
  return rows.length < BATCH ? null : (rows.at(-1)?.place ?? null)
}

/** Gives each row its number and the hash of the row before it; a null as the number of one that is in the chain already. */
function linksOf(rows: readonly UnchainedRow[], end: string | undefined) {
  const last = parseHead(end)
  let seq = Math.max(last?.seq ?? 0, rows[0]?.lastSeq ?? 0)
  let hash = last?.hash ?? ''
  const ids = new Set<string>()
  const links: [place: number, seq: number | null, prevHash: string, originSeal: string, detailSeal: string][] = []
  for (const { actor, at, chained, detail, id, ip, place, requestId, type, userId } of rows) {
    if (chained !== null || ids.has(id)) {
      links.push([place, null, '', '', ''])
      continue
    }
    ids.add(id)
    const seals = [newSeal(), newSeal()] as const
    links.push([place, ++seq, hash, seals[0].toString('hex'), seals[1].toString('hex')])
    const row: ChainedRow = [seq, id, at, type, userId, actor, ip, requestId, detail, hash, ...seals]
    hash = linkOf(row, hash).hash
  }
  // Without a new row the head stays, also an altered one.
  return { links, head: ids.size > 0 ? headText({ seq, hash }) : (end ?? '') }
}

/**
 * Makes the function that chains every row whose transaction has committed before the call. Calls that arrive while one
 * runs share the next: the one that runs may have read before.
 */
export function auditChaining(engine: Pick<Engine, 'dialect' | 'get' | 'writeInTurn'>): () => Promise<void> {
  if (engine.dialect === 'sqlite') return async () => undefined
  let running: Promise<void> = Promise.resolve()
  let next: Promise<void> | undefined
  const chainAll = async () => {
    const last = (await engine.get(statements.last))?.place ?? null
    if (last === null) return
    // Rows that are written meanwhile may come as quickly as they are chained.
    for (let place: number | null = 0; place !== null && place < last; ) place = await engine.writeInTurn(chainBatch)
  }
  return () => {
    next ??= running
      .catch(() => undefined)
      .then(() => {
        next = undefined
        return chainAll()
      })
    running = next
    return next
  }
}
