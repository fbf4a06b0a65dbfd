import { Database } from 'bun:sqlite'
import { afterAll, describe, expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openAuthStore } from '../../db/auth/store.ts'
import { openDatabase } from '../../db/sqlite/engine.ts'
import { ACCOUNT_SEARCH, authMigrations, EVENTS } from '../../db/sqlite/migrations/auth.ts'
import { authStoreSuite } from './auth-suite.ts'
import { outsideStoreSuite } from './webhooks-suite.ts'

describe('the auth store on SQLite', () => {
  const folder = mkdtempSync(join(tmpdir(), 'ch202-auth-store-'))
  afterAll(() => rmSync(folder, { recursive: true, force: true }))
  authStoreSuite(() => openAuthStore(join(folder, 'auth.sqlite')))
  describe('events for the outside', () => outsideStoreSuite(() => openAuthStore(join(folder, 'outside.sqlite'))))

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
    expect([first.subscribedTypes().size, await first.lastRevocation()]).toEqual([8, 4])
    expect([again.subscribedTypes().size, await again.lastRevocation()]).toEqual([8, 4])
    for (const one of [first, again]) one.close()
  })

  test('R21: accounts from before searches looked into a folded text are found by one', async () => {
    const path = join(folder, 'unfolded.sqlite')
    const before = authMigrations.findIndex(({ name }) => name === ACCOUNT_SEARCH)
    const old = openDatabase(path, 'auth', authMigrations.slice(0, before))
    const insert =
      old.raw.query(`INSERT INTO accounts (user_id, cached, deleted, email, email_key, username, roles, status,
      email_verified, created_at, updated_at, password_hash, version, sessions_from, tokens_from, synced_at)
      VALUES (?1, 1, 0, ?2, lower(?2), ?3, '[]', 'active', 0, 0, 0, 'x', 1, 1, 1, 0)`)
    old.raw.transaction(() => {
      for (let n = 0; n < 2500; n++) insert.run(`id-${n}`, `User${n}@Пётр.example`, n % 2 ? `name.${n}` : null)
    })()
    old.close()
    const store = openAuthStore(path)
    const totalOf = async (search: string) => (await store.listAccounts(search, { size: 1, page: 1 })).total
    expect([
      await totalOf('@ПЕТР.'),
      await totalOf('USER2499@'),
      await totalOf('name.'),
      await totalOf('null'),
    ]).toEqual([2500, 1, 1250, 0])
    store.close()
  })

  test('accounts from before the profile keep their name and their times', async () => {
    const path = join(folder, 'before-profile.sqlite')
    const before = authMigrations.findIndex(({ name }) => name === '0007_profile')
    const old = openDatabase(path, 'auth', authMigrations.slice(0, before))
    const insert = old.raw.query(`INSERT INTO accounts (user_id, cached, deleted, email, email_key, name, roles, status,
      email_verified, created_at, updated_at, password_hash, version, sessions_from, tokens_from, synced_at)
      VALUES (?1, 1, 0, ?1, ?1, ?2, '[]', 'active', 0, ?3, ?4, 'x', 1, 1, 1, 0)`)
    const rows: [id: string, name: string | null, created: number, updated: number][] = [
      ['a', 'Ána "1"', 0, 1_795_168_800_123],
      ['b', null, Date.parse('0000-01-01T00:00:00.001Z'), Date.parse('9999-12-31T23:59:59.999Z')],
    ]
    for (const row of rows) insert.run(...row)
    old.close()
    const store = openAuthStore(path)
    for (const [id, name, created, updated] of rows)
      expect((await store.accountById(id))?.profile).toEqual({
        name,
        created_at: new Date(created).toISOString(),
        updated_at: new Date(updated).toISOString(),
      })
    store.close()
  })

  test('what was for a webhook that is gone, or disabled, does not wait for ever where a service ended meanwhile', async () => {
    const path = join(folder, 'ended.sqlite')
    const store = openAuthStore(path, { amqp: true })
    const event = () => ({
      id: Bun.randomUUIDv7(),
      at: 1,
      type: 'test.done',
      userId: null,
      actor: 'operator',
      ip: null,
      requestId: null,
      detail: {},
    })
    for (const id of ['active', 'disabled', 'gone']) {
      const more = { url: 'https://example.org', description: null, types: [], sealedSecret: new Uint8Array(8) }
      await store.addWebhook({ ...more, id, status: 'active', createdAt: 1 }, 9, event())
    }
    const users = ['one', 'two']
    await store.addEvents(
      users.map((userId) => ({ id: userId, type: 'user.deleted', at: 1, userId, data: {} })),
      1,
    )
    const other = new Database(path)
    other.run("DELETE FROM webhooks WHERE id = 'gone'")
    other.run("UPDATE webhooks SET status = 'disabled' WHERE id = 'disabled'")
    other.close()
    await store.settleDeliveries(2)
    const { rows } = await store.listDeliveries({}, { size: 99, page: 1 })
    expect(rows.map(({ event, status, target }) => [event.id, target, status]).toSorted()).toEqual(
      users.flatMap((id) => [
        [id, 'active', 'pending'],
        [id, 'amqp', 'pending'],
        [id, 'disabled', 'dead'],
      ]),
    )
    store.close()
  })
})
