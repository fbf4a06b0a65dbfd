import { and, asc, desc, eq, getTableColumns, gt, gte, inArray, lt, sql } from 'drizzle-orm'
import type { AuditFilter, AuthStore, ChainedEvent, ChainPart } from '../../../services/auth/store/index.ts'
import { DatabaseUnavailable } from '../../../services/kit/database-unavailable.ts'
import type { AuditEvent } from '../../../services/kit/outbox/audit.ts'
import type { PageRequest, Slice } from '../../../services/kit/schema/page.ts'
import { COUNT, countOf } from '../../count.ts'
import { type Body, built, dynamic, type Engine, type Transaction, text } from '../../engine.ts'
import { pageBounds, sliceOf } from '../../page-bounds.ts'
import {
  CHAIN_HEAD,
  CHAINED_COLUMNS,
  type ChainedRow,
  headText,
  linkOf,
  newSeal,
  parseHead,
} from '../../schema/audit-chain.ts'
import { audit } from '../../schema/auth.ts'
import { addUnchained, auditChaining } from './chaining.ts'
import { auditTrimming } from './trimming.ts'

export type Audit = ReturnType<typeof auditStore>

const { detailSeal, originSeal, prevHash, rowHash, ...COLUMNS } = getTableColumns(audit)
const NAMES = CHAINED_COLUMNS.split(', ')

const statements = {
  /**
   * Adds a row to the end of the chain, on SQLite. It skips an event whose id is in the audit already, because other services
   * repeat an event until it is acknowledged. When someone has removed or altered the head, the row holds an empty hash,
   * which marks the place of the break.
   */
  add: text<Record<string, ChainedRow[number]>>(`
    INSERT INTO audit (id, at, type, user_id, actor, ip, request_id, detail, origin_seal, detail_seal, prev_hash)
    VALUES ($id, $at, $type, $userId, $actor, $ip, $requestId, $detail, $originSeal, $detailSeal,
      coalesce((SELECT unhex(substr(value, -64)) FROM facts WHERE name = '${CHAIN_HEAD}'), x''))
    ON CONFLICT DO NOTHING RETURNING ${CHAINED_COLUMNS}`),
  setHead: text(`
    INSERT INTO facts (name, value) VALUES ('${CHAIN_HEAD}', $head)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value`),
  head: text<{ value: string }>(`SELECT value FROM facts WHERE name = '${CHAIN_HEAD}'`),
  place: built((db) =>
    db
      .select({ seq: audit.seq })
      .from(audit)
      .where(eq(audit.id, sql.placeholder('id'))),
  ),
}

/** The result of a write, and its events. */
export interface Audited<Result> {
  result: Result
  events: readonly AuditEvent[]
}

/** The audit: rows are only added, never changed. */
export function auditStore(engine: Engine) {
  const writeEvents = engine.dialect === 'sqlite' ? chainEach : addUnchained
  const chainAudit = auditChaining(engine)
  /** Chains the rows that a reader must find. From a server that is read-only, a reader gets what is in the chain already. */
  const chainIfWritable = () =>
    chainAudit().catch((error) => {
      if (!(error instanceof DatabaseUnavailable && error.isReadOnly)) throw error
    })
  const add = engine.grouped(
    function* (tx, events: readonly AuditEvent[]) {
      yield* writeEvents(tx, events)
      return events.map(() => undefined)
    },
    ({ id }) => id,
  )
  return {
    /** Adds events to the audit. On PostgreSQL they are in the chain a moment later. */
    writeEvents,
    /**
     * Makes a write from the body of one call, which gives its result and its events. The bodies of calls that share a
     * transaction run together, and their events are written at its end.
     */
    grouped<Call, Result>(
      body: (tx: Transaction, call: Call) => Body<Audited<Result>>,
      keysOf: (call: Call) => string | readonly string[],
    ): (call: Call) => Promise<Result> {
      return engine.grouped<Call, Result>(
        function* (tx, calls) {
          const audited = yield* tx.together(calls.map((call) => body(tx, call)))
          yield* writeEvents(
            tx,
            audited.flatMap(({ events }) => events),
          )
          return audited.map(({ result }) => result)
        },
        keysOf,
        'for each',
      )
    },
    addAuditEvent: add,
    chainAudit,
    ...auditTrimming(engine, writeEvents),
    async listAuditEvents(
      filter: AuditFilter,
      request: PageRequest,
      order: 'newest first' | 'oldest first' = 'newest first',
    ): Promise<Slice<AuditEvent>> {
      const [beyond, sorted] = order === 'newest first' ? [lt, desc] : [gt, asc]
      const where = matching(filter)
      const from = 'after' in request ? beyond(audit.seq, Number(request.after[0])) : undefined
      const { limit, offset } = pageBounds(request)
      await chainIfWritable()
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
    async auditChain(filter: AuditFilter, after: number | null, size: number): Promise<ChainPart> {
      await chainIfWritable()
      const where = and(matching(filter), after === null ? undefined : gt(audit.seq, after))
      const part = dynamic((db) =>
        db
          .select()
          .from(audit)
          .where(where)
          .orderBy(asc(audit.seq))
          .limit(size + 1),
      )
      // In one moment: the last part of the chain ends at the head that comes with it.
      return await engine.read(function* (tx) {
        const rows = yield* tx.all(part)
        const head = parseHead((yield* tx.get(statements.head))?.value) ?? null
        const page = rows.slice(0, size)
        const next = rows.length > size ? (page.at(-1)?.seq ?? null) : null
        return { rows: page.map(chainedEvent), next, head }
      })
    },
    async placeOfAuditEvent(id: string) {
      await chainIfWritable()
      const row = await engine.get(statements.place, { id })
      return row ? [row.seq] : null
    },
  } satisfies Partial<AuthStore> & Record<string, unknown>
}

/** Adds events to the end of the chain, on SQLite. Reads the head for each event, because a rollback also rolls back the head. */
function* chainEach(tx: Transaction, events: readonly AuditEvent[]): Body<void> {
  for (const { actor, at, detail, id, ip, requestId, type, userId } of events) {
    const seals = { originSeal: newSeal(), detailSeal: newSeal() }
    const columns = { id, at, type, userId, actor, ip, requestId, detail: JSON.stringify(detail), ...seals }
    const row = yield* tx.get(statements.add, columns)
    if (row) yield* tx.run(statements.setHead, { head: headText(linkOf(NAMES.map((name) => row[name]) as ChainedRow)) })
  }
}

function chainedEvent({
  detailSeal,
  originSeal,
  prevHash,
  rowHash,
  ...event
}: typeof audit.$inferSelect): ChainedEvent {
  const hexOf = (bytes: Uint8Array | null) => bytes && Buffer.from(bytes).toString('hex')
  return {
    ...event,
    prevHash: hexOf(prevHash),
    originSeal: hexOf(originSeal),
    detailSeal: hexOf(detailSeal),
    rowHash: hexOf(rowHash),
  }
}

function matching({ requestId, since, type, types, until, userId }: AuditFilter) {
  return and(
    userId === undefined ? undefined : eq(audit.userId, userId),
    type === undefined ? undefined : eq(audit.type, type),
    types === undefined ? undefined : inArray(audit.type, [...types]),
    since === undefined ? undefined : gte(audit.at, since),
    until === undefined ? undefined : lt(audit.at, until),
    requestId === undefined ? undefined : eq(audit.requestId, requestId),
  )
}
