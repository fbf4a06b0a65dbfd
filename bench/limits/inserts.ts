import { Database } from 'bun:sqlite'
import { usersMigrations } from '../../db/sqlite/migrations/users.ts'
import { searchTextOf } from '../../services/kit/schema/search-text.ts'
import { lineOf } from '../import.ts'

// The maximum rate of inserting users into SQLite: `bun bench/limits/inserts.ts <file> <users>`

/** Rows in one transaction, as many as an import writes. */
const ROWS = 500

const [path = ':memory:', count = '100000'] = process.argv.slice(2)
console.log(JSON.stringify({ rate: insertRate(path, Number(count)) }))

/** Measures the rate of bare inserts, in rows a second, into the same tables with the same indexes. */
function insertRate(path: string, users: number): number {
  const database = new Database(path, { create: true, strict: true })
  database.run('PRAGMA journal_mode = WAL')
  database.run('PRAGMA synchronous = FULL')
  for (const { sql } of usersMigrations) database.run(sql)
  const columns = `id, email, email_key, username, name, roles, is_admin, status, email_verified, password_hash, version,
    sessions_from, session_kept, all_sessions_from, tokens_from, change, created_at, updated_at, search_text`
  const insert = database.query(`INSERT INTO users (${columns})
    VALUES (?, ?, ?, ?, ?, '["USER"]', 0, 'active', 0, ?, 1, 1, NULL, 1, 1, ?, ?, ?, ?)`)
  const group = database.transaction((from: number, to: number) => {
    const now = Date.now()
    for (let n = from; n < to; n++) {
      const { email, name, password_hash, username } = lineOf(n)
      const text = searchTextOf(email, username, name)
      insert.run(Bun.randomUUIDv7(), email, email, username, name, password_hash, n + 1, now, now, text)
    }
  })
  const startedAt = performance.now()
  for (let n = 0; n < users; n += ROWS) group.immediate(n, Math.min(n + ROWS, users))
  const rate = users / ((performance.now() - startedAt) / 1000)
  database.close()
  return rate
}
