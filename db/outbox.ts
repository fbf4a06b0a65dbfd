import type { NewNotice, Notice, OutboxStore } from '../services/kit/outbox/outbox.ts'
import type { Sqlite } from './sqlite/engine.ts'

interface Row {
  seq: number
  target: string
  kind: string
  subject: string
  payload: string
}

/** The table `outbox`, which every service that tells others something has. */
export function outboxStore(sqlite: Sqlite): OutboxStore & { addNotices(notices: NewNotice[]): void } {
  const insert = sqlite.raw.query(`
    INSERT INTO outbox (target, kind, subject, payload)
    SELECT value->>0, value->>1, value->>2, value->>3 FROM json_each(?) ORDER BY key`)
  const pending = sqlite.raw.query<Row, [string, string, number]>(`
    SELECT * FROM outbox WHERE target = ? AND subject NOT IN (SELECT value FROM json_each(?)) ORDER BY seq LIMIT ?`)
  const about = sqlite.raw.query('SELECT 1 FROM outbox WHERE target = ? AND subject = ? LIMIT 1')
  const allAbout = sqlite.raw.query<Row, [string, string, number]>(`
    SELECT * FROM outbox WHERE target = ? AND subject IN (SELECT value FROM json_each(?)) ORDER BY seq LIMIT ?`)
  const remove = sqlite.raw.query('DELETE FROM outbox WHERE seq IN (SELECT value FROM json_each(?))')
  const count = sqlite.raw.query<{ count: number }, []>('SELECT count(*) AS count FROM outbox')
  return {
    /** To be called within the transaction of the change. */
    addNotices(notices) {
      if (notices.length === 0) return
      const rows = notices.map(({ target, kind, subject, payload }) => [target, kind, subject, JSON.stringify(payload)])
      insert.run(JSON.stringify(rows))
    },
    async pendingNotices(target, limit, without = []) {
      return pending.all(target, JSON.stringify(without), limit).map(noticeOf)
    },
    async noticesAbout(target, subjects, limit) {
      return allAbout.all(target, JSON.stringify(subjects), limit).map(noticeOf)
    },
    hasNotice: async (target, subject) => about.get(target, subject) !== null,
    async acknowledgeNotices(seqs) {
      await sqlite.write(() => remove.run(JSON.stringify(seqs)))
    },
    countNotices: async () => count.get()?.count ?? 0,
  }
}

function noticeOf(row: Row): Notice {
  return { ...row, payload: JSON.parse(row.payload) }
}
