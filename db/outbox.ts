import type { NewNotice, Notice, OutboxStore } from '../services/kit/outbox/outbox.ts'
import { type Body, type Engine, type Transaction, text } from './engine.ts'

interface Row {
  seq: number
  target: string
  kind: string
  subject: string
  payload: string
}

const statements = {
  insert: text({
    sqlite: `
      INSERT INTO outbox (target, kind, subject, payload)
      SELECT value->>0, value->>1, value->>2, value->>3 FROM json_each($rows) ORDER BY key`,
    postgres: `
      INSERT INTO outbox (target, kind, subject, payload)
      SELECT value->>0, value->>1, value->>2, value->>3
      FROM jsonb_array_elements(CAST($rows AS text)::jsonb) WITH ORDINALITY AS list (value, key) ORDER BY key`,
  }),
  pending: text<Row>({
    sqlite: `
      SELECT * FROM outbox WHERE target = $target AND subject NOT IN (SELECT value FROM json_each($without))
      ORDER BY seq LIMIT $limit`,
    postgres: `
      SELECT * FROM outbox
      WHERE target = $target AND subject NOT IN (SELECT jsonb_array_elements_text(CAST($without AS text)::jsonb))
      ORDER BY seq LIMIT $limit`,
  }),
  exists: text<{ one: 1 }>('SELECT 1 AS one FROM outbox WHERE target = $target AND subject = $subject LIMIT 1'),
  about: text<Row>({
    sqlite: `
      SELECT * FROM outbox WHERE target = $target AND subject IN (SELECT value FROM json_each($subjects))
      ORDER BY seq LIMIT $limit`,
    postgres: `
      SELECT * FROM outbox
      WHERE target = $target AND subject IN (SELECT jsonb_array_elements_text(CAST($subjects AS text)::jsonb))
      ORDER BY seq LIMIT $limit`,
  }),
  remove: text({
    sqlite: 'DELETE FROM outbox WHERE seq IN (SELECT value FROM json_each($seqs))',
    postgres: 'DELETE FROM outbox WHERE seq IN (SELECT jsonb_array_elements_text(CAST($seqs AS text)::jsonb)::bigint)',
  }),
  count: text<{ count: number }>('SELECT count(*) AS count FROM outbox'),
}

/** The table `outbox`: notices from one service to others. Each service that sends notices has this table. */
export function outboxStore(
  engine: Engine,
): OutboxStore & { addNotices(tx: Transaction, notices: readonly NewNotice[]): Body<void> } {
  return {
    *addNotices(tx, notices) {
      if (notices.length === 0) return
      const rows = notices.map(({ target, kind, subject, payload }) => [target, kind, subject, JSON.stringify(payload)])
      yield* tx.run(statements.insert, { rows: JSON.stringify(rows) })
    },
    async pendingNotices(target, limit, without = []) {
      return (await engine.all(statements.pending, { target, without: JSON.stringify(without), limit })).map(noticeOf)
    },
    async noticesAbout(target, subjects, limit) {
      return (await engine.all(statements.about, { target, subjects: JSON.stringify(subjects), limit })).map(noticeOf)
    },
    hasNotice: async (target, subject) => (await engine.get(statements.exists, { target, subject })) !== undefined,
    async acknowledgeNotices(seqs) {
      await engine.write((tx) => tx.run(statements.remove, { seqs: JSON.stringify(seqs) }))
    },
    countNotices: async () => (await engine.get(statements.count))?.count ?? 0,
  }
}

function noticeOf(row: Row): Notice {
  return { ...row, payload: JSON.parse(row.payload) }
}
