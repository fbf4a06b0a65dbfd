import type { AuthStore, TrimmedRows } from '../../../services/auth/store/index.ts'
import type { AuditEvent } from '../../../services/kit/outbox/audit.ts'
import { type Body, type Engine, type Transaction, text } from '../../engine.ts'
import { CHAIN_HEAD, headText, parseHead, TRIMMED } from '../../schema/audit-chain.ts'
import { BATCH } from '../../write-in-batches.ts'

const statements = {
  /** The first row that stays. */
  first: text<{ seq: number; prevHash: Uint8Array | null }>(`
    SELECT seq, prev_hash AS "prevHash" FROM audit WHERE at >= $before AND at <= $now ORDER BY seq LIMIT 1`),
  fact: text<{ value: string }>('SELECT value FROM facts WHERE name = $name'),
  count: text<{ rows: number; last: number | null }>(
    'SELECT count(*) AS rows, max(seq) AS last FROM audit WHERE seq < $end',
  ),
  allow: text(`
    INSERT INTO facts (name, value) VALUES ('${TRIMMED}', $value)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value`),
  remove: text(`
    DELETE FROM audit WHERE seq IN (SELECT seq FROM audit WHERE seq <= $last ORDER BY seq LIMIT ${BATCH})`),
}

type WriteEvents = (tx: Transaction, events: readonly AuditEvent[]) => Body<void>

/** Removes the oldest rows of the audit, which leaves a chain whose beginning a later row explains. */
export function auditTrimming(engine: Engine, writeEvents: WriteEvents) {
  return {
    trimAudit: (before: number, now: number, event: (trimmed: TrimmedRows) => AuditEvent) =>
      engine.write(function* (tx): Body<boolean> {
        const end = yield* endOfRemoval(tx, before, now)
        const { last, rows } = (end && (yield* tx.get(statements.count, { end: end.seq }))) ?? { rows: 0, last: null }
        if (!end || last === null) return false
        yield* tx.run(statements.allow, { value: headText({ seq: last, hash: end.hash }) })
        yield* writeEvents(tx, [event({ rows, seq: last, hash: end.hash })])
        return true
      }),
    removeTrimmedAudit: () =>
      engine.write(function* (tx): Body<boolean> {
        const last = parseHead((yield* tx.get(statements.fact, { name: TRIMMED }))?.value)?.seq ?? 0
        return last > 0 && (yield* tx.run(statements.remove, { last })) >= BATCH
      }),
  } satisfies Partial<AuthStore>
}

/** Finds the number before which rows are removed, and the hash of the last of them; undefined when the chain is broken there. */
function* endOfRemoval(tx: Transaction, before: number, now: number): Body<{ seq: number; hash: string } | undefined> {
  const first = yield* tx.get(statements.first, { before, now })
  if (first) return first.prevHash ? { seq: first.seq, hash: Buffer.from(first.prevHash).toString('hex') } : undefined
  const head = parseHead((yield* tx.get(statements.fact, { name: CHAIN_HEAD }))?.value)
  return head && { seq: head.seq + 1, hash: head.hash }
}
