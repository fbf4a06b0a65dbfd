import type { NewNotice, Notice, OutboxStore } from '../services/kit/outbox.ts'
import type { Sqlite } from './sqlite.ts'

interface Row {
  seq: number
  target: string
  kind: string
  subject: string
  payload: string
}

/** The table `outbox`, which every service that tells others something has. */
export function outboxStore(sqlite: Sqlite): OutboxStore & { addNotices(notices: NewNotice[]): void } {
  const insert = sqlite.raw.query('INSERT INTO outbox (target, kind, subject, payload) VALUES (?, ?, ?, ?)')
  const pending = sqlite.raw.query<Row, [string, string, number]>(`
    SELECT * FROM outbox WHERE target = ? AND subject NOT IN (SELECT value FROM json_each(?)) ORDER BY seq LIMIT ?`)
  const about = sqlite.raw.query('SELECT 1 FROM outbox WHERE target = ? AND subject = ? LIMIT 1')
  const remove = sqlite.raw.query('DELETE FROM outbox WHERE seq = ?')
  const count = sqlite.raw.query<{ count: number }, []>('SELECT count(*) AS count FROM outbox')
  return {
    /** To be called within the transaction of the change. */
    addNotices(notices) {
      for (const { target, kind, subject, payload } of notices)
        insert.run(target, kind, subject, JSON.stringify(payload))
    },
    async pendingNotices(target, limit, without = []) {
      return pending
        .all(target, JSON.stringify(without), limit)
        .map((row): Notice => ({ ...row, payload: JSON.parse(row.payload) }))
    },
    hasNotice: async (target, subject) => about.get(target, subject) !== null,
    async acknowledgeNotices(seqs) {
      await sqlite.write(() => {
        for (const seq of seqs) remove.run(seq)
      })
    },
    countNotices: async () => count.get()?.count ?? 0,
  }
}
