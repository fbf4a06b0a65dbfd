import { Database } from 'bun:sqlite'
import { afterAll, describe, expect, test } from 'bun:test'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { resetAfterRestore } from '../../db/auth/restored.ts'
import { openAuthStore } from '../../db/auth/store.ts'
import { ACCOUNT_SEARCH, authMigrations, EVENTS } from '../../db/sqlite/migrations/auth.ts'
import { openDatabase } from '../../db/sqlite/open-database.ts'
import { BATCH } from '../../db/write-in-batches.ts'
import { EVERY_VERSION } from '../../services/kit/tokens/revocations.ts'
import { authStoreSuite, event, NOW } from './auth-suite.ts'
import { clientStoreSuite } from './clients-suite.ts'
import { factorStoreSuite } from './factors-suite.ts'
import { addedCode, codeUse, consentTo, grantStoreSuite, signedIn } from './grants-suite.ts'
import { webhookStoreSuite } from './webhooks-suite.ts'

describe('the auth store on SQLite', () => {
  const folder = mkdtempSync(join(tmpdir(), 'ch202-auth-store-'))
  afterAll(() => rmSync(folder, { recursive: true, force: true }))
  authStoreSuite(() => openAuthStore({ dataDir: join(folder, 'auth') }))
  describe('events and webhooks', () => webhookStoreSuite(() => openAuthStore({ dataDir: join(folder, 'events') })))
  describe('second factors', () => factorStoreSuite(() => openAuthStore({ dataDir: join(folder, 'factors') })))
  describe('clients', () => clientStoreSuite(() => openAuthStore({ dataDir: join(folder, 'clients') })))
  describe('grants', () => grantStoreSuite(() => openAuthStore({ dataDir: join(folder, 'grants') })))

  test('more grants of a client than a batch are removed', async () => {
    const dataDir = join(folder, 'many-grants')
    const store = await openAuthStore({ dataDir })
    const signIn = await signedIn(store)
    const raw = new Database(join(dataDir, 'auth.sqlite'))
    const { client, session } = signIn
    raw
      .query(`WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n <= ${2 * BATCH})
        INSERT INTO grants SELECT 'grant ' || n, ?, ?, ?, '[]', NULL, 1, 1, n % 2 + 1, 0, 0, 0, 1 FROM numbers`)
      .run(session.userId, client.id, session.id)
    const count = () => raw.query<{ count: number }, []>('SELECT count(*) AS count FROM grants').get()?.count
    expect(count()).toBe(2 * BATCH + 1)
    await store.removeGrantsOf(client.id, 2)
    expect(count()).toBe(BATCH + 1)
    await store.removeGrantsOf(client.id, EVERY_VERSION)
    expect(count()).toBe(0)
    raw.close()
    await store.close()
  })

  test('a restore revives no code, no grant and no consent', async () => {
    const dataDir = join(folder, 'restored')
    const store = await openAuthStore({ dataDir })
    const signIn = await signedIn(store)
    const { client, session } = signIn
    await consentTo(store, signIn, ['openid'])
    const [used, pending] = [
      await addedCode(store, signIn, ['offline_access']),
      await addedCode(store, signIn, ['openid']),
    ]
    await store.useCode(codeUse(used))
    const [account, [grant]] = [await store.accountById(session.userId), await store.grantsOf(session.userId, NOW)]
    await store.close()
    const engine = openDatabase(join(dataDir, 'auth.sqlite'), 'auth', authMigrations)
    await resetAfterRestore(engine, account ? [account] : [], event())
    await engine.close()
    const after = await openAuthStore({ dataDir })
    expect((await after.client(client.id))?.id).toBe(client.id)
    expect((await after.accountById(session.userId))?.email).toBe(account?.email)
    expect([await after.code(pending), await after.code(used), await after.grant(grant?.id ?? '')]).toEqual([
      null,
      null,
      null,
    ])
    expect([await after.sessionById(grant?.id ?? ''), await after.consent(session.userId, client.id)]).toEqual([
      null,
      [],
    ])
    expect(await after.clientLogoutsDue(NOW)).toEqual([])
    await after.close()
  })

  test('the numbers of the feed continue after the migration for events, past deleted rows', async () => {
    const dataDir = join(folder, 'before')
    const path = join(dataDir, 'auth.sqlite')
    const before = authMigrations.slice(
      0,
      authMigrations.findIndex(({ name }) => name === EVENTS),
    )
    const old = openDatabase(path, 'auth', before)
    for (const subject of ['one', 'two', 'three'])
      old.raw.query("INSERT INTO revocations (kind, subject, version, until) VALUES ('session', ?, 0, 1)").run(subject)
    old.raw.run("DELETE FROM revocations WHERE subject <> 'one'")
    await old.close()
    const store = await openAuthStore({ dataDir })
    expect(await store.lastRevocation()).toBe(3)
    expect((await store.revocationsAfter(0, 10)).revocations.map(({ subject }) => subject)).toEqual(['one'])
    await store.close()
    // A message broker that is new has an entry in the feed.
    const [first, again] = [
      await openAuthStore({ dataDir }, { amqp: true }),
      await openAuthStore({ dataDir }, { amqp: true }),
    ]
    expect([first.subscribedTypes().size, await first.lastRevocation()]).toEqual([12, 4])
    expect([again.subscribedTypes().size, await again.lastRevocation()]).toEqual([12, 4])
    for (const store of [first, again]) await store.close()
  })

  test('R21: a search finds accounts that are older than the folded text', async () => {
    const dataDir = join(folder, 'unfolded')
    const path = join(dataDir, 'auth.sqlite')
    const before = authMigrations.findIndex(({ name }) => name === ACCOUNT_SEARCH)
    const old = openDatabase(path, 'auth', authMigrations.slice(0, before))
    const insert =
      old.raw.query(`INSERT INTO accounts (user_id, cached, deleted, email, email_key, username, roles, status,
      email_verified, created_at, updated_at, password_hash, version, sessions_from, tokens_from, synced_at)
      VALUES (?1, 1, 0, ?2, lower(?2), ?3, '[]', 'active', 0, 0, 0, 'x', 1, 1, 1, 0)`)
    old.raw.transaction(() => {
      for (let n = 0; n < 2500; n++) insert.run(`id-${n}`, `User${n}@Пётр.example`, n % 2 ? `name.${n}` : null)
    })()
    await old.close()
    const store = await openAuthStore({ dataDir })
    const totalOf = async (search: string) => (await store.listAccounts(search, { size: 1, page: 1 })).total
    expect([
      await totalOf('@ПЕТР.'),
      await totalOf('USER2499@'),
      await totalOf('name.'),
      await totalOf('null'),
    ]).toEqual([2500, 1, 1250, 0])
    await store.close()
  })

  test('accounts from before the profile keep their name and their times', async () => {
    const dataDir = join(folder, 'before-profile')
    mkdirSync(dataDir)
    const path = join(dataDir, 'auth.sqlite')
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
    await old.close()
    const store = await openAuthStore({ dataDir })
    for (const [id, name, created, updated] of rows)
      expect((await store.accountById(id))?.profile).toEqual({
        name,
        created_at: new Date(created).toISOString(),
        updated_at: new Date(updated).toISOString(),
      })
    await store.close()
  })

  test('deliveries of a webhook that was removed or disabled just before a kill do not stay pending', async () => {
    const dataDir = join(folder, 'interrupted')
    const path = join(dataDir, 'auth.sqlite')
    const store = await openAuthStore({ dataDir }, { amqp: true })
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
      const fields = { url: 'https://example.org', description: null, types: [], sealedSecret: new Uint8Array(8) }
      await store.addWebhook({ ...fields, id, status: 'active', createdAt: 1 }, 9, event())
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
    await store.close()
  })
})
