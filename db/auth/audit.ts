import { and, asc, desc, eq, getTableColumns, gt, gte, lt, sql } from 'drizzle-orm'
import type { AuditFilter, AuthStore } from '../../services/auth/store/index.ts'
import type { AuditEvent } from '../../services/kit/outbox/audit.ts'
import type { PageRequest, Slice } from '../../services/kit/schema/page.ts'
import { type Body, built, dynamic, type Engine, type Transaction, text } from '../engine.ts'
import { pageBounds, sliceOf } from '../page-bounds.ts'
import { CHAIN_HEAD, CHAINED_COLUMNS, type ChainedRow, headText, linkOf } from '../schema/audit-chain.ts'
import { audit } from '../schema/auth.ts'
import { COUNT, countOf } from './count.ts'

export type Audit = ReturnType<typeof auditStore>

const { prevHash, ...COLUMNS } = getTableColumns(audit)
const NAMES = CHAINED_COLUMNS.split(', ')

const statements = {
  /**
   * Adds a row to the end of the chain. It skips an event whose id is in the audit already, because other services repeat
   * an event until it is acknowledged. When someone has removed or altered the head, the row holds an empty hash, which
   * marks the place of the break.
   */
  add: text<Record<string, ChainedRow[number]>>({
    sqlite: `
      INSERT INTO audit (id, at, type, user_id, actor, ip, request_id, detail, prev_hash)
      VALUES ($id, $at, $type, $userId, $actor, $ip, $requestId, $detail,
        coalesce((SELECT unhex(substr(value, -64)) FROM facts WHERE name = '${CHAIN_HEAD}'), x''))
      ON CONFLICT DO NOTHING RETURNING ${CHAINED_COLUMNS}`,
    // The lock of the head makes transactions on all nodes add their rows one after another. The number follows from the
    // head, because a reader of the audit in its order would miss rows that a sequence numbers.
    postgres: `
      WITH fact AS (SELECT value FROM facts WHERE name = '${CHAIN_HEAD}' FOR UPDATE),
        head AS (
          SELECT CAST(split_part(value, ':', 1) AS bigint) AS seq, decode(right(value, 64), 'hex') AS hash FROM fact
          WHERE value ~ '^[0-9]{1,15}:[0-9a-f]{64}$')
      INSERT INTO audit (seq, id, at, type, user_id, actor, ip, request_id, detail, prev_hash)
      VALUES (greatest((SELECT seq FROM head), (SELECT max(seq) FROM audit), 0) + 1,
        $id, $at, $type, $userId, $actor, $ip, $requestId, $detail, coalesce((SELECT hash FROM head), ''))
      ON CONFLICT (id) DO NOTHING RETURNING ${CHAINED_COLUMNS}`,
  }),
  setHead: text(`
    INSERT INTO facts (name, value) VALUES ('${CHAIN_HEAD}', $head)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value`),
  place: built((db) =>
    db
      .select({ seq: audit.seq })
      .from(audit)
      .where(eq(audit.id, sql.placeholder('id'))),
  ),
}

/** The audit: rows are only added, never changed. */
export function auditStore(engine: Engine) {
  return {
    writeEvent,
    async addAuditEvent(event: AuditEvent) {
      await engine.write((tx) => writeEvent(tx, event))
    },
    async listAuditEvents(
      filter: AuditFilter,
      request: PageRequest,
      order: 'newest first' | 'oldest first' = 'newest first',
    ): Promise<Slice<AuditEvent>> {
      const [beyond, sorted] = order === 'newest first' ? [lt, desc] : [gt, asc]
      const where = matching(filter)
      const from = 'after' in request ? beyond(audit.seq, Number(request.after[0])) : undefined
      const { limit, offset } = pageBounds(request)
      const page = dynamic((db) =>
        db.select(COLUMNS).from(audit).where(and(where, from)).orderBy(sorted(audit.seq)).limit(limit).offset(offset),
      )
      const slice = await sliceOf(
        await engine.all(page),
        request,
        async () => countOf(await engine.get(dynamic((db) => db.select(COUNT).from(audit).where(where)))),
        (row) => [row.seq],
      )
      return { ...slice, rows: slice.rows.map(({ seq, ...event }) => event) }
    },
    async placeOfAuditEvent(id: string) {
      const row = await engine.get(statements.place, { id })
      return row ? [row.seq] : null
    },
  } satisfies Partial<AuthStore> & Record<string, unknown>
}

/**
 * Adds an event to the end of the chain. It reads the head each time, because a rollback also rolls back the head.
 * Transactions write their audit last: on PostgreSQL it locks the head, for which all others wait.
 */
function* writeEvent(tx: Transaction, event: AuditEvent): Body<void> {
  const { actor, at, detail, id, ip, requestId, type, userId } = event
  const columns = { id, at, type, userId, actor, ip, requestId, detail: JSON.stringify(detail) }
  const row = yield* tx.get(statements.add, columns)
  if (row) yield* tx.run(statements.setHead, { head: headText(linkOf(NAMES.map((name) => row[name]) as ChainedRow)) })
}

function matching({ requestId, since, type, userId }: AuditFilter) {
  return and(
    userId === undefined ? undefined : eq(audit.userId, userId),
    type === undefined ? undefined : eq(audit.type, type),
    since === undefined ? undefined : gte(audit.at, since),
    requestId === undefined ? undefined : eq(audit.requestId, requestId),
  )
}
