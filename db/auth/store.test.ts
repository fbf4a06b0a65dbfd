import { afterAll, describe, expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { authStoreSuite } from '../../services/auth/store-suite.ts'
import { openDatabase } from '../sqlite.ts'
import { authMigrations, EVENTS } from './migrations.ts'
import { openAuthStore } from './store.ts'

describe('the auth store on SQLite', () => {
  const folder = mkdtempSync(join(tmpdir(), 'ch202-auth-store-'))
  afterAll(() => rmSync(folder, { recursive: true, force: true }))
  authStoreSuite(() => openAuthStore(join(folder, 'auth.sqlite')))

  test('the numbers of the feed go on where they were before the events, beyond rows that are gone', async () => {
    const path = join(folder, 'before.sqlite')
    const before = authMigrations.slice(
      0,
      authMigrations.findIndex(({ name }) => name === EVENTS),
    )
    const old = openDatabase(path, 'auth', before)
    for (const subject of ['one', 'two', 'three'])
      old.raw.query("INSERT INTO revocations (kind, subject, version, until) VALUES ('session', ?, 0, 1)").run(subject)
    old.raw.run("DELETE FROM revocations WHERE subject <> 'one'")
    old.close()
    const store = openAuthStore(path)
    expect(await store.lastRevocation()).toBe(3)
    expect((await store.revocationsAfter(0, 10)).revocations.map(({ subject }) => subject)).toEqual(['one'])
    store.close()
    // Where a broker is there from now on, whoever follows is told.
    const [first, again] = [openAuthStore(path, { amqp: true }), openAuthStore(path, { amqp: true })]
    expect([first.wanted().size, await first.lastRevocation()]).toEqual([8, 4])
    expect([again.wanted().size, await again.lastRevocation()]).toEqual([8, 4])
    for (const one of [first, again]) one.close()
  })
})
