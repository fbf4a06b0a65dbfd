import type { NewNotice, Notice, OutboxStore } from '../services/kit/outbox/outbox.ts'
import type { Sqlite, Transaction } from './sqlite/engine.ts'

interface Row {
  seq: number
  target: string
  kind: string
  subject: string
  payload: string
}

/** The table `outbox`: notices from one service to others. Each service that sends notices has this table. */
export function outboxStore(
  sqlite: Sqlite,
): OutboxStore & { addNotices(tx: Transaction, notices: readonly NewNotice[]): void } {
  const insert = sqlite.raw.query<unknown, { rows: string }>(`
    INSERT INTO outbox (target, kind, subject, payload)
    SELECT value->>0, value->>1, value->>2, value->>3 FROM json_each($rows) ORDER BY key`)
  const pending = sqlite.raw.query<Row, [string, string, number]>(`
    SELECT * FROM outbox WHERE target = ? AND subject NOT IN (SELECT value FROM json_each(?)) ORDER BY seq LIMIT ?`)
  const exists = sqlite.raw.query('SELECT 1 FROM outbox WHERE target = ? AND subject = ? LIMIT 1')
  const about = sqlite.raw.query<Row, [string, string, number]>(`
    SELECT * FROM outbox WHERE target = ? AND subject IN (SELECT value FROM json_each(?)) ORDER BY seq LIMIT ?`)
  const remove = sqlite.raw.query<unknown, { seqs: string }>(
    'DELETE FROM outbox WHERE seq IN (SELECT value FROM json_each($seqs))',
  )
  const count = sqlite.raw.query<{ count: number }, []>('SELECT count(*) AS count FROM outbox')
  return {
    addNotices(tx, notices) {
      if (notices.length === 0) return
      const rows = notices.map(({ target, kind, subject, payload }) => [target, kind, subject, JSON.stringify(payload)])
      tx.run(insert, { rows: JSON.stringify(rows) })
    },
    async pendingNotices(target, limit, without = []) {
      return pending.all(target, JSON.stringify(without), limit).map(noticeOf)
    },
    async noticesAbout(target, subjects, limit) {
      return about.all(target, JSON.stringify(subjects), limit).map(noticeOf)
    },
    hasNotice: async (target, subject) => exists.get(target, subject) !== null,
    async acknowledgeNotices(seqs) {
      await sqlite.write((tx) => tx.run(remove, { seqs: JSON.stringify(seqs) }))
    },
    countNotices: async () => count.get()?.count ?? 0,
  }
}

function noticeOf(row: Row): Notice {
  return { ...row, payload: JSON.parse(row.payload) }
}
