import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { openAuthStore } from '../db/auth/store.ts'
import { startPostgres } from '../tests/support/postgres.ts'
import { startCh202 } from './ch202.ts'
import { importUsers, waitForAuth } from './import.ts'
import { event, newSession } from './sessions.ts'

// Measures how many bytes a user, a session and a row of the audit take in PostgreSQL, with their indexes:
//   bun bench/rows.ts [--users 200000]

/** Sessions that are opened at once. */
const BATCH = 200
/** Tables that grow with the users or their logins. */
const TABLES = ['users.users', 'auth.accounts', 'auth.sessions', 'auth.audit']

const { values } = parseArgs({ options: { users: { type: 'string', default: '200000' } } })
const count = Number(values.users)
const folder = mkdtempSync(join(tmpdir(), 'ch202-rows-'))
const server = await startPostgres({ maintenance_work_mem: '256MB' })
try {
  const databaseUrl = await server.newDatabase()
  const database = new URL(databaseUrl).pathname.slice(1)
  const ch202 = await startCh202(folder, { DATABASE_URL: databaseUrl })
  await importUsers(ch202.url, count)
  await waitForAuth(ch202.url)
  await ch202.stop()
  const store = await openAuthStore({ dataDir: '', databaseUrl })
  const ids = (await server.run(database, 'SELECT user_id, version FROM auth.accounts')) as [string, string][]
  for (let from = 0; from < ids.length; from += BATCH)
    await Promise.all(
      ids.slice(from, from + BATCH).map(([userId, version]) => {
        const session = { ...newSession(userId), version: Number(version) }
        return store.openSession(session, event('session.created', userId))
      }),
    )
  await store.close()
  await server.run(database, 'VACUUM ANALYZE')
  for (const table of TABLES) {
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
