import { Database } from 'bun:sqlite'
import { usersMigrations } from '../db/sqlite/migrations/users.ts'
import { searchTextOf } from '../services/kit/schema/search-text.ts'
import { PASSWORD } from '../tests/support/actors.ts'
import { call } from '../tests/support/http.ts'
import { operator } from './ch202.ts'

const BODY_MAX = 1024 * 1024
/** Rows in one transaction, on both sides. */
const ROWS = 500
/** Requests at the same time. */
const CONCURRENCY = 2
/** The hash of `PASSWORD` at the default cost, so that imported users can log in. */
const HASH = await Bun.password.hash(PASSWORD, { algorithm: 'bcrypt', cost: 10 })

interface Line {
  email: string
  username: string
  name: string
  password_hash: string
}

/** A name with letters that only one user has. */
const RARE = { n: 7, name: 'Žofie Ťáková' }

/** A user as in an export. Every field is unique. */
export function lineOf(n: number): Line {
  const hash = Bun.hash(String(n)).toString(36).padStart(13, '0')
  return {
    email: `${hash.slice(0, 7)}.${n}@example.org`,
    username: `u${n}.${hash.slice(7)}`,
    name: n === RARE.n ? RARE.name : `Ana ${hash} de Vries`,
    password_hash: HASH,
  }
}

/** Bodies of just under 1 MiB, with their numbers of lines. */
function* bodies(from: number, to: number): Generator<{ body: string; lines: number }> {
  let text: string[] = []
  let size = 0
  for (let n = from; n < to; n++) {
    const line = `${JSON.stringify(lineOf(n))}\n`
    if (size + line.length > BODY_MAX) {
      yield { body: text.join(''), lines: text.length }
      text = []
      size = 0
    }
    text.push(line)
    size += line.length
  }
  yield { body: text.join(''), lines: text.length }
}

/** Imports the users `from`, `from` + 1, … by `POST /users/import`. */
export async function importUsers(url: string, count: number, from = 0): Promise<void> {
  const remaining = bodies(from, from + count)
  const worker = async () => {
    for (const { body, lines } of remaining) {
      const answer = await fetch(`${url}/api/v1/users/import?on_conflict=skip`, {
        method: 'POST',
        headers: { ...operator, 'content-type': 'application/x-ndjson' },
        body,
      })
      const created = (await answer.text()).split('"status":"created"').length - 1
      if (created !== lines) throw new Error(`${created} of ${lines} were created: ${answer.status}`)
    }
  }
  await Promise.all(Array.from({ length: CONCURRENCY }, worker))
}

/** Waits until users has delivered all its notices to auth. */
export async function waitForAuth(url: string): Promise<void> {
  for (;;) {
    const { text } = await call(url, 'GET /metrics', { headers: operator })
    if (/outbox_pending\{service="users"\} 0$/m.test(text)) return
    await Bun.sleep(500)
  }
}

/** The rate of bare inserts (rows a second) into the same tables with the same indexes. */
export function insertRate(path: string, users: number): number {
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
