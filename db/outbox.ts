import type { NewNotice, Notice, OutboxStore } from '../services/kit/outbox/outbox.ts'
import { COUNTED_MOST } from '../services/kit/outbox/waiting.ts'
import { type Body, type Engine, type Transaction, text } from './engine.ts'
import { takeOver, takeOverStatements } from './nodes.ts'

interface Row {
  seq: number
  target: string
  kind: string
  subject: string
  payload: string
}

/** The condition that this node delivers a notice, and that no older one of the same subject is another node's. */
const OWN = `owner = $node AND NOT EXISTS (
  SELECT 1 FROM outbox AS older
  WHERE older.target = outbox.target AND older.subject = outbox.subject AND older.seq < outbox.seq AND older.owner <> $node)`

/**
 * The condition that this node delivers a notice that somebody waits for. Those of a change or a deletion need not wait for
 * another node, which may have died or stand still: they bring the state that the user has when they are sent, which has a
 * version.
 */
const OWN_AWAITED = `(${OWN} OR (owner = $node AND kind IN ('changed', 'deleted')))`

function waiting(order: string): string {
  return `
    SELECT count, (SELECT payload FROM outbox WHERE seq = oldest) AS payload FROM (
      SELECT count(*) AS count, min(seq) AS oldest FROM (
        SELECT seq FROM outbox WHERE target = $target ORDER BY ${order} LIMIT ${COUNTED_MOST}) AS part) AS counted`
}

const statements = {
  insert: text({
    sqlite: `
      INSERT INTO outbox (target, kind, subject, payload)
      SELECT value->>0, value->>1, value->>2, value->>3 FROM json_each($rows) ORDER BY key`,
    postgres: `
      INSERT INTO outbox (target, kind, subject, payload, owner)
      SELECT value->>0, value->>1, value->>2, value->>3, $node
      FROM jsonb_array_elements(CAST($rows AS text)::jsonb) WITH ORDINALITY AS list (value, key) ORDER BY key`,
  }),
  pending: text<Row>({
    sqlite: `
      SELECT * FROM outbox WHERE target = $target AND subject NOT IN (SELECT value FROM json_each($without))
      ORDER BY seq LIMIT $limit`,
    postgres: `
      SELECT seq, target, kind, subject, payload FROM outbox
      WHERE target = $target AND subject NOT IN (SELECT jsonb_array_elements_text(CAST($without AS text)::jsonb))
        AND ${OWN}
      ORDER BY seq LIMIT $limit`,
  }),
  hasState: text<{ one: 1 }>(`
    SELECT 1 AS one FROM outbox
    WHERE target = $target AND subject = $subject AND owner = $node AND kind IN ('changed', 'deleted') LIMIT 1`),
  exists: text<{ one: 1 }>('SELECT 1 AS one FROM outbox WHERE target = $target AND subject = $subject LIMIT 1'),
  about: text<Row>({
    sqlite: `
      SELECT * FROM outbox WHERE target = $target AND subject IN (SELECT value FROM json_each($subjects))
      ORDER BY seq LIMIT $limit`,
    postgres: `
      SELECT seq, target, kind, subject, payload FROM outbox
      WHERE target = $target AND subject IN (SELECT jsonb_array_elements_text(CAST($subjects AS text)::jsonb))
        AND ${OWN_AWAITED}
      ORDER BY seq LIMIT $limit`,
  }),
  /** Finds a notice of any node. */
  existsWithout: text<{ one: 1 }>({
    sqlite: `
      SELECT 1 AS one FROM outbox WHERE target = $target AND subject NOT IN (SELECT value FROM json_each($without))
      LIMIT 1`,
    postgres: `
      SELECT 1 AS one FROM outbox
      WHERE target = $target AND subject NOT IN (SELECT jsonb_array_elements_text(CAST($without AS text)::jsonb))
      LIMIT 1`,
  }),
  waits: text<{ one: 1 }>({
    sqlite: '',
    postgres: `
      SELECT 1 AS one FROM outbox
      WHERE target = $target AND owner = $node
        AND subject NOT IN (SELECT jsonb_array_elements_text(CAST($without AS text)::jsonb))
      LIMIT 1`,
  }),
  remove: text({
    sqlite: 'DELETE FROM outbox WHERE seq IN (SELECT value FROM json_each($seqs))',
    postgres: 'DELETE FROM outbox WHERE seq IN (SELECT jsonb_array_elements_text(CAST($seqs AS text)::jsonb)::bigint)',
  }),
  /** Counts in the order of an index, and reads the oldest of those: notices of one owner are in the order of their time. */
  waiting: text<{ count: number; payload: string | null }>({
    sqlite: waiting('seq'),
    postgres: waiting('owner, seq'),
  }),
}

const TAKE_OVER = takeOverStatements({ name: 'outbox', key: 'seq', order: 'seq' }, 'target = $target')

/** The table `outbox`: notices from one service to others. Each service that sends notices has this table. */
export function outboxStore(
  engine: Engine,
): OutboxStore & { addNotices(tx: Transaction, notices: readonly NewNotice[]): Body<void> } {
  const node = () => engine.node?.current ?? ''
  const acknowledge = engine.grouped(
    function* (tx, calls: readonly number[][]) {
      yield* tx.run(statements.remove, { seqs: JSON.stringify(calls.flat()) })
      return calls.map(() => undefined)
    },
    // Any calls may share a transaction.
    () => [],
  )
  return {
    *addNotices(tx, notices) {
      if (notices.length === 0) return
      const rows = notices.map(({ target, kind, subject, payload }) => [target, kind, subject, JSON.stringify(payload)])
      yield* tx.run(statements.insert, { rows: JSON.stringify(rows), node: node() })
    },
    async pendingNotices(target, limit, without = []) {
      return (
        await engine.all(statements.pending, { target, node: node(), without: JSON.stringify(without), limit })
      ).map(noticeOf)
    },
    async noticesAbout(target, subjects, limit) {
      return (
        await engine.all(statements.about, { target, node: node(), subjects: JSON.stringify(subjects), limit })
      ).map(noticeOf)
    },
    hasNotice: async (target, subject) => (await engine.get(statements.exists, { target, subject })) !== undefined,
    hasState: async (target, subject) =>
      engine.node !== null && (await engine.get(statements.hasState, { target, subject, node: node() })) !== undefined,
    hasNotices: async (target, without) =>
      (await engine.get(statements.existsWithout, { target, without: JSON.stringify(without) })) !== undefined,
    async ownsNotices(target, without) {
      const values = { target, node: node(), without: JSON.stringify(without) }
      return engine.node !== null && (await engine.get(statements.waits, values)) !== undefined
    },
    takeOverNotices: (target) => takeOver(engine, TAKE_OVER, { target }),
    acknowledgeNotices: (seqs) => acknowledge(seqs),
    async waitingNotices(target) {
      const { count = 0, payload = null } = (await engine.get(statements.waiting, { target })) ?? {}
      // A notice of an earlier version may have no time.
      const notice: { at?: number } = payload === null ? {} : JSON.parse(payload)
      return { count, oldest: notice.at ?? null }
    },
  }
}

function noticeOf(row: Row): Notice {
  return { ...row, payload: JSON.parse(row.payload) }
}
