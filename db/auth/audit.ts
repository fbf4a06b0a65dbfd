import type { Database } from 'bun:sqlite'
import { and, asc, desc, eq, getTableColumns, gt, gte, lt } from 'drizzle-orm'
import type { BunSQLiteDatabase } from 'drizzle-orm/bun-sqlite'
import type { AuditFilter, AuthStore } from '../../services/auth/store/index.ts'
import type { AuditEvent } from '../../services/kit/outbox/audit.ts'
import type { PageRequest, Slice } from '../../services/kit/schema/page.ts'
import { pageBounds, sliceOf } from '../page-bounds.ts'
import { CHAIN_HEAD, CHAINED_COLUMNS, type ChainedRow, headText, linkOf } from '../schema/audit-chain.ts'
import { audit } from '../schema/auth.ts'
import type { Sqlite, Transaction } from '../sqlite/engine.ts'
import { COUNT, countOf } from './count.ts'

export type Audit = ReturnType<typeof auditStore>

/** The audit: rows are only added, never changed. */
export function auditStore(sqlite: Sqlite, db: BunSQLiteDatabase) {
  const writeEvent = chainWriter(sqlite.raw)
  const { prevHash, ...columns } = getTableColumns(audit)

  return {
    writeEvent,
    async addAuditEvent(event: AuditEvent) {
      await sqlite.write((tx) => writeEvent(tx, event))
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
      const rows = db
        .select(columns)
        .from(audit)
        .where(and(where, from))
        .orderBy(sorted(audit.seq))
        .limit(limit)
        .offset(offset)
        .all()
      const slice = sliceOf(
        rows,
        request,
        () => countOf(db.select(COUNT).from(audit).where(where).get()),
        (row) => [row.seq],
      )
      return { ...slice, rows: slice.rows.map(({ seq, ...event }) => event) }
    },
    async placeOfAuditEvent(id: string) {
      const row = db.select({ seq: audit.seq }).from(audit).where(eq(audit.id, id)).get()
      return row ? [row.seq] : null
    },
  } satisfies Partial<AuthStore> & Record<string, unknown>
}

function matching({ requestId, since, type, userId }: AuditFilter) {
  return and(
    userId === undefined ? undefined : eq(audit.userId, userId),
    type === undefined ? undefined : eq(audit.type, type),
    since === undefined ? undefined : gte(audit.at, since),
    requestId === undefined ? undefined : eq(audit.requestId, requestId),
  )
}

/**
 * Makes the function that adds a row to the end of the chain. It skips an event whose id is in the audit already, because
 * other services repeat an event until it is acknowledged. It reads the head each time, because a rollback also rolls
 * back the head. When someone has removed the head, the row holds an empty hash, which marks the place of the break.
 */
function chainWriter(raw: Database): (tx: Transaction, event: AuditEvent) => void {
  const insert = raw.query<Record<string, ChainedRow[number]>, Record<string, string | number | null>>(`
    INSERT INTO audit (id, at, type, user_id, actor, ip, request_id, detail, prev_hash)
    VALUES ($id, $at, $type, $userId, $actor, $ip, $requestId, $detail,
      coalesce((SELECT unhex(substr(value, -64)) FROM facts WHERE name = '${CHAIN_HEAD}'), x''))
    ON CONFLICT DO NOTHING RETURNING ${CHAINED_COLUMNS}`)
  const setHead = raw.query<unknown, { head: string }>(
    `INSERT INTO facts (name, value) VALUES ('${CHAIN_HEAD}', $head) ON CONFLICT DO UPDATE SET value = excluded.value`,
  )
  return (tx, { id, at, type, userId, actor, ip, requestId, detail }) => {
    const columns = { id, at, type, userId, actor, ip, requestId, detail: JSON.stringify(detail) }
    const row = tx.get(insert, columns)
    // The values are in the order of `RETURNING`.
    if (row !== null) tx.run(setHead, { head: headText(linkOf(Object.values(row) as ChainedRow)) })
  }
}
