import { getTableName } from 'drizzle-orm'
import { type Audit, auditStore } from '../../db/auth/audit/audit.ts'
import { type Body, type Engine, type Transaction, text } from '../../db/engine.ts'
import { Postgres } from '../../db/postgres/engine.ts'
import { InspectedSchema } from '../../db/postgres/inspect/data.ts'
import { authMigrations } from '../../db/postgres/migrations/auth.ts'
import { CHAIN_HEAD, type ChainedRow, headText, linkOf, parseHead } from '../../db/schema/audit-chain.ts'
import * as authSchema from '../../db/schema/auth.ts'
import { unchainedAudit } from '../../db/schema/unchained-audit.ts'
import type { AuditEvent } from '../../services/kit/outbox/audit.ts'
import { PATIENCE } from '../support/eventually.ts'

const TABLES = new Set([...Object.values(authSchema), unchainedAudit].map((table) => getTableName(table)))

/** A node that writes to the audit of a database whose schema exists. */
export interface ChainingNode {
  engine: Engine
  audit: Audit
}

export function openNode(url: string): ChainingNode {
  const engine = new Postgres({ url, schema: 'auth', tables: TABLES, patience: PATIENCE })
  return { engine, audit: auditStore(engine) }
}

const killConnection = text({ sqlite: '', postgres: 'SELECT pg_terminate_backend(pg_backend_pid())' })

/**
 * Writes events in one transaction, whose commit comes some time later.
 * @param wait milliseconds
 * @param isKilled whether its connection ends before the commit
 * @throws DatabaseUnavailable if it ends
 */
export function writeSlowly(
  { audit, engine }: ChainingNode,
  events: readonly AuditEvent[],
  { isKilled = false, wait }: { wait: number; isKilled?: boolean },
): Promise<void> {
  return engine.write(function* (tx): Body<void> {
    yield* audit.writeEvents(tx, events)
    yield Bun.sleep(wait)
    if (isKilled) yield* tx.run(killConnection)
  })
}

const formerStatements = {
  end: text<{ head: string | null; lastSeq: number; ids: string }>(`
    WITH fact AS (SELECT value FROM facts WHERE name = '${CHAIN_HEAD}' FOR UPDATE)
    SELECT (SELECT value FROM fact) AS head, coalesce((SELECT max(seq) FROM audit), 0) AS "lastSeq",
      (SELECT coalesce(jsonb_agg(id), '[]')::text FROM audit
        WHERE id IN (SELECT jsonb_array_elements_text(CAST($ids AS text)::jsonb))) AS ids`),
  addAll: text(`
    WITH rows AS (
      INSERT INTO audit (seq, id, at, type, user_id, actor, ip, request_id, detail, prev_hash)
      SELECT CAST(value->>0 AS bigint), value->>1, CAST(value->>2 AS bigint), value->>3, value->>4, value->>5, value->>6,
        value->>7, value->>8, decode(value->>9, 'hex')
      FROM jsonb_array_elements(CAST($rows AS text)::jsonb))
    INSERT INTO facts (name, value) VALUES ('${CHAIN_HEAD}', $head)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value`),
}

/** Writes events as a node of the version before `0005_unchained` does: it chains them in their transaction. */
export function writeAsFormerNode({ engine }: ChainingNode, events: readonly AuditEvent[]): Promise<void> {
  return engine.write((tx) => chainAtOnce(tx, events))
}

function* chainAtOnce(tx: Transaction, events: readonly AuditEvent[]): Body<void> {
  const end = yield* tx.get(formerStatements.end, { ids: JSON.stringify(events.map(({ id }) => id)) })
  const stored = new Set<string>(JSON.parse(end?.ids ?? '[]'))
  const head = parseHead(end?.head ?? undefined)
  let seq = Math.max(head?.seq ?? 0, end?.lastSeq ?? 0)
  let hash = head?.hash ?? ''
  const rows: ChainedRow[] = []
  for (const { actor, at, detail, id, ip, requestId, type, userId } of events) {
    if (stored.has(id)) continue
    stored.add(id)
    const row: ChainedRow = [++seq, id, at, type, userId, actor, ip, requestId, JSON.stringify(detail), hash]
    rows.push(row)
    hash = linkOf(row, hash).hash
  }
  const values = { rows: JSON.stringify(rows), head: headText({ seq, hash }) }
  if (rows.length > 0) yield* tx.run(formerStatements.addAll, values)
}

/** Checks the chain, as the doctor does. */
export function examineChain(url: string) {
  return new InspectedSchema(url, { name: 'auth', postgres: authMigrations }).auditChain()
}

/** All ids of the audit, in the order of the chain. */
export async function idsOf({ audit }: ChainingNode): Promise<string[]> {
  const ids: string[] = []
  for (let page = 1; ; page++) {
    const { rows } = await audit.listAuditEvents({}, { size: 500, page }, 'oldest first')
    if (rows.length === 0) return ids
    ids.push(...rows.map(({ id }) => id))
  }
}
