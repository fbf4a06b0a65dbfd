import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { startPostgres } from '../tests/support/postgres/server.ts'
import { createUsers, startCh202 } from './ch202.ts'
import { columnsOf } from './columns.ts'

// Measures how many bytes a user, a session and a row of the audit take in PostgreSQL, with their indexes:
//   bun bench/rows.ts [--users 200000]
// One of each is made by requests; the others are copies with ids, emails and names of their own.

/** An id as Ch202 makes them: a UUID of version 7, later than that of the number before. */
const ID = `(SELECT substr(hex, 1, 8) || '-' || substr(hex, 9) || '-7' || substr(md5(n::text), 1, 3) || '-8' ||
  substr(md5(n::text), 4, 3) || '-' || substr(md5(n::text), 7, 12) FROM lpad(to_hex(1790000000000 + n), 12, '0') AS hex)`
const EMAIL = `substr(md5(n::text), 1, 7) || '.' || n || '@example.org'`
const USERNAME = `'u' || n || '.' || substr(md5(n::text), 8, 6)`
const NAME = `'Ana ' || substr(md5(n::text), 1, 13) || ' de Vries'`
const SEARCHED = `${EMAIL} || chr(10) || ${USERNAME} || chr(10) || lower(${NAME})`
const PERSON = { email: EMAIL, email_key: EMAIL, username: USERNAME, search_text: SEARCHED }

/** The columns of each table in which the copies differ. */
const TABLES: Record<string, Record<string, string>> = {
  'users.users': { ...PERSON, seq: 'n + 1000', id: ID, name: NAME, change: 'n + 1000' },
  'auth.accounts': { ...PERSON, user_id: ID },
  'auth.sessions': { id: ID, user_id: ID },
  'auth.audit': {
    seq: 'n + 1000',
    id: ID,
    user_id: ID,
    actor: ID,
    request_id: ID,
    prev_hash: `decode(md5(n::text) || md5(n::text), 'hex')`,
  },
}

const { values } = parseArgs({ options: { users: { type: 'string', default: '200000' } } })
const folder = mkdtempSync(join(tmpdir(), 'ch202-rows-'))
const server = await startPostgres({ maintenance_work_mem: '256MB' })
try {
  const databaseUrl = await server.newDatabase()
  const database = new URL(databaseUrl).pathname.slice(1)
  const ch202 = await startCh202(folder, { DATABASE_URL: databaseUrl })
  try {
    await createUsers(ch202.url, 1)
  } finally {
    await ch202.stop()
  }
  for (const [table, changes] of Object.entries(TABLES)) {
    const names = await columnsOf(server, database, table)
    await server.run(
      database,
      `INSERT INTO ${table} (${names.join(', ')})
       SELECT ${names.map((column) => changes[column] ?? column).join(', ')}
       FROM (SELECT * FROM ${table} ORDER BY 1 DESC LIMIT 1) AS row, generate_series(1, ${Number(values.users)}) AS n`,
      `VACUUM ANALYZE ${table}`,
    )
    const [[rows, bytes, indexes] = []] = (await server.run(
      database,
      `SELECT count(*), pg_total_relation_size('${table}'), pg_indexes_size('${table}') FROM ${table}`,
    )) as [string, string, string][]
    const each = (size: string | undefined) => Math.round(Number(size) / Number(rows))
    console.log(`${table}: ${rows} rows, ${each(bytes)} bytes each, ${each(indexes)} of them in indexes`)
  }
} finally {
  await server.stop()
  rmSync(folder, { recursive: true, force: true })
}
