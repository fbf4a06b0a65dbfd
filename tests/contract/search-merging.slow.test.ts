import { Database } from 'bun:sqlite'
import { expect, test } from 'bun:test'
import { join } from 'node:path'
import { eventually } from '../support/eventually.ts'
import { as, call, jsonLines } from '../support/http.ts'
import { databaseRows } from '../support/postgres/database-rows.ts'
import { inProcess } from '../support/system.ts'

/** Bodies of the import: each is one transaction, and adds one segment to the index. */
const BODIES = 30
const USERS = 100
const HASH = await Bun.password.hash('correct horse battery', { algorithm: 'bcrypt', cost: 4 })

test('after an import the segments of the search index are merged, and searches find the same users', async () => {
  const system = await inProcess()
  const countSegments = async () =>
    (await databaseRows(system, 'users', 'SELECT DISTINCT segid FROM users_search_idx')).length
  const searchResult = async (search: string) => {
    const { body } = await call(system.url.users, `GET /api/v1/users?search=${search}&size=200`, {
      headers: as.operator,
    })
    return [body.total, body.items.length, body.items[0]?.email]
  }
  try {
    for (let n = 0; n < BODIES; n++) {
      const lines = Array.from({ length: USERS }, (_, i) => ({
        email: `of.${n}.${i}.many@example.org`,
        name: `Ana ${n}`,
      }))
      const body = jsonLines(lines.map((line) => ({ ...line, password_hash: HASH })))
      const answer = await call(system.url.users, 'POST /api/v1/users/import', body)
      expect(answer.status).toBe(200)
    }
    // A long lock on the file does not stop the merging: it continues later.
    const other = new Database(join(system.dataDir, 'users.sqlite'))
    other.run('PRAGMA busy_timeout = 5000')
    other.run('BEGIN IMMEDIATE')
    const searches = ['many', 'of.7.', '29.99.many', 'nobody']
    const before = await Promise.all(searches.map(searchResult))
    expect(before).toEqual([
      [BODIES * USERS, 200, 'of.0.0.many@example.org'],
      [USERS, 100, 'of.7.0.many@example.org'],
      [1, 1, 'of.29.99.many@example.org'],
      [0, 0, undefined],
    ])
    await eventually(() => system.output().includes('search.merging_failed'))
    other.run('ROLLBACK')
    other.close()
    await eventually(async () => (await countSegments()) < 4)
    expect(await Promise.all(searches.map(searchResult))).toEqual(before)
  } finally {
    await system.stop()
  }
}, 120_000)
