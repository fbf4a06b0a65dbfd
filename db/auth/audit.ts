import { and, asc, desc, eq, getTableColumns, gt, gte, lt, sql } from 'drizzle-orm'
import type { BunSQLiteDatabase } from 'drizzle-orm/bun-sqlite'
import type { AuditFilter, AuthStore } from '../../services/auth/store/index.ts'
import type { AuditEvent } from '../../services/kit/outbox/audit.ts'
import type { PageRequest, Slice } from '../../services/kit/schema/page.ts'
import { pageBounds, sliceOf } from '../page-bounds.ts'
import { audit } from '../schema/auth.ts'
import { chainWriter } from '../sqlite/audit-chain.ts'
import type { Sqlite } from '../sqlite/engine.ts'

export type Audit = ReturnType<typeof auditStore>

/** The audit: rows are added and never changed. */
export function auditStore(sqlite: Sqlite, db: BunSQLiteDatabase) {
  const add = chainWriter(sqlite.raw)
  /**
   * To be called within the transaction of the change. Another service tells an event again until it is acknowledged:
   * the second time it is here already.
   */
  const write = ({ id, at, type, userId, actor, ip, requestId, detail }: AuditEvent) =>
    add([id, at, type, userId, actor, ip, requestId, JSON.stringify(detail)])
  const { prevHash, ...columns } = getTableColumns(audit)

  return {
    writeEvent: write,
    async addEvent(event: AuditEvent) {
      await sqlite.write(() => write(event))
    },
    async listEvents(
      filter: AuditFilter,
      request: PageRequest,
      order: 'newest first' | 'oldest first' = 'newest first',
    ): Promise<Slice<AuditEvent>> {
      const [beyond, sorted] = order === 'newest first' ? [lt, desc] : [gt, asc]
      const where = and(
        filter.userId === undefined ? undefined : eq(audit.userId, filter.userId),
        filter.type === undefined ? undefined : eq(audit.type, filter.type),
        filter.since === undefined ? undefined : gte(audit.at, filter.since),
        filter.requestId === undefined ? undefined : eq(audit.requestId, filter.requestId),
      )
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
    async placeOfEvent(id: string) {
      const row = db.select({ seq: audit.seq }).from(audit).where(eq(audit.id, id)).get()
      return row ? [row.seq] : null
    },
  } satisfies Partial<AuthStore> & Record<string, unknown>
}

export const COUNT = { count: sql<number>`count(*)` }

export function countOf(row: { count: number } | undefined): number {
  return row?.count ?? 0
}
