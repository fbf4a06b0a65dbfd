import { Database } from 'bun:sqlite'
import { parseArgs } from 'node:util'

// The maximum rate of durable commits of one row on this disk: `bun bench/limits/commits.ts --file x --seconds 5`

const { values } = parseArgs({
  options: {
    file: { type: 'string', default: ':memory:' },
    seconds: { type: 'string', default: '5' },
    what: { type: 'string', default: 'update' },
  },
})
const database = new Database(values.file, { create: true, strict: true })
database.run('PRAGMA journal_mode = WAL')
database.run('PRAGMA synchronous = FULL')
database.run(
  'CREATE TABLE IF NOT EXISTS rows (id TEXT PRIMARY KEY, email TEXT UNIQUE, hash TEXT, at INTEGER) STRICT, WITHOUT ROWID',
)
const insert = database.query('INSERT INTO rows VALUES (?, ?, ?, ?)')
const update = database.query('UPDATE rows SET at = ? WHERE id = ?')
const HASH = '$2b$10$'.padEnd(60, 'a')
const add = () => {
  const id = Bun.randomUUIDv7()
  insert.run(id, `${id}@example.org`, HASH, Date.now())
  return id
}
const ids = database.transaction(() => Array.from({ length: 1000 }, add))()

const startedAt = performance.now()
const end = startedAt + Number(values.seconds) * 1000
let commits = 0
while (performance.now() < end) {
  if (values.what === 'insert') add()
  else update.run(Date.now(), ids[commits % ids.length] ?? '')
  commits++
}
console.log(JSON.stringify({ rate: commits / ((performance.now() - startedAt) / 1000) }))
database.close()
