import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SQL } from 'bun'
import { openUsersStore } from '../../db/users/store.ts'
import { profileOf } from '../../services/kit/schema/user.ts'
import type { User, UserFilter, UsersStore } from '../../services/users/store.ts'
import { migratedDatabaseConfig } from '../support/postgres/migrated.ts'
import { newDatabaseConfig, postgresTraits, sharedPostgres } from '../support/postgres/shared.ts'
import { sliced } from '../support/whole.ts'
import { usersStoreSuite } from './users-suite.ts'

const { adminUrl } = await sharedPostgres()
const isUnprivileged = postgresTraits().has('unprivileged')

const open = openUsersStore

/** Runs statements as the server's superuser. @returns the rows of the last */
async function run({ databaseUrl }: Database, ...statements: string[]): Promise<unknown[][]> {
  const sql = new SQL({ url: adminUrl(databaseUrl), max: 1 })
  try {
    let rows: unknown[][] = []
    for (const statement of statements) rows = [...(await sql.unsafe(statement).values())]
    return rows
  } finally {
    await sql.close()
  }
}

type Database = Awaited<ReturnType<typeof newDatabaseConfig>>

const userOf = (n: number, fields: Partial<User> = {}): User => ({
  id: `0198c0de-0000-7000-8000-${String(n).padStart(12, '0')}`,
  email: `user${n}@example.org`,
  username: null,
  name: null,
  roles: ['USER'],
  status: 'active',
  emailVerified: false,
  ...profileOf({}),
  passwordHash: 'hash',
  version: 1,
  sessionsFrom: 1,
  sessionKept: null,
  allSessionsFrom: 1,
  tokensFrom: 1,
  factorsFrom: 0,
  createdAt: n,
  updatedAt: n,
  ...fields,
})

/** Opens an empty store. */
const openEmpty = async (): Promise<UsersStore> => open(await migratedDatabaseConfig())

describe('the users store on PostgreSQL', () => {
  usersStoreSuite(openEmpty, { merges: false })
})

describe('a search on PostgreSQL finds the same users as on SQLite', () => {
  const NAMES = [
    'Пётр Ёлкин',
    'ΟΔΥΣΣΕΥΣ Σοφός',
    'Straße',
    'İstanbul Işık',
    '𐐔𐐇 Deseret',
    'Zoë'.normalize('NFD'),
    '"O\'Neil" 50%',
    '李小龍 漢字',
    'a_b%c\\d',
    '\\%_',
    'aaa aaaa aaaaa',
    '100%_sure "quoted" -- \'',
    null,
  ]
  const people = Array.from({ length: 400 }, (_, n) =>
    userOf(n, {
      email: `User.${n}+tag@${n % 2 ? 'Alpha' : 'beta'}.org`,
      username: n % 3 ? `user_${n}` : null,
      name: NAMES[n % NAMES.length] ?? null,
    }),
  )
  /** Every part of a name of up to five letters, and some more. */
  const parts = NAMES.flatMap((name) => {
    const letters = [...(name ?? '')]
    return letters.flatMap((_, start) => [1, 2, 3, 5].map((length) => letters.slice(start, start + length).join('')))
  })
  const searches = [
    ...new Set([
      ...sliced(parts, 4),
      'user_1',
      'USER.39',
      '%',
      '_',
      '\\',
      '\\\\',
      '%%%',
      '___',
      'a%b',
      'a_b',
      'r_3',
      'zzz',
      '  ',
    ]),
  ]

  const directory = mkdtempSync(join(tmpdir(), 'ch202-users-both-'))
  let sqlite: UsersStore
  beforeAll(async () => {
    sqlite = await openUsersStore({ dataDir: directory })
    await sqlite.addUsers(
      people.map((user) => ({ user, notices: [] })),
      Date.now(),
    )
  })
  afterAll(async () => {
    await sqlite.close()
    rmSync(directory, { recursive: true })
  })

  test.each<[string, 'indexed' | 'not indexed', string[]]>([
    ['with pg_trgm, which the migration creates', 'indexed', []],
    [
      'with pg_trgm in another schema',
      'indexed',
      ['CREATE SCHEMA "Extensions"', 'CREATE EXTENSION pg_trgm SCHEMA "Extensions"'],
    ],
    ['without pg_trgm, which cannot be created', 'not indexed', ['DROP SCHEMA public CASCADE']],
  ])('%s', async (_, index, preparation) => {
    const url = await newDatabaseConfig()
    await run(url, 'SELECT 1', ...preparation)
    const store = await open(url)
    try {
      const indexes = await run(url, "SELECT indexname FROM pg_indexes WHERE indexname = 'users_search'")
      expect(indexes).toHaveLength(index === 'indexed' && !isUnprivileged ? 1 : 0)
      await store.addUsers(
        people.map((user) => ({ user, notices: [] })),
        Date.now(),
      )
      const listed = (of: UsersStore, filter: UserFilter) => of.listUsers(filter, { size: 200, page: 1 })
      for (const [n, search] of searches.entries()) {
        const filter = { search, sort: (['created_at', '-email', 'email', '-created_at'] as const)[n % 4] ?? 'email' }
        const [expected, actual] = [await listed(sqlite, filter), await listed(store, filter)]
        expect([search, actual.total, actual.rows.map(({ id }) => id)]).toEqual([
          search,
          expected.total,
          expected.rows.map(({ id }) => id),
        ])
      }
    } finally {
      await store.close()
    }
  })

  test('by the index, whatever was searched before', async () => {
    const url = await newDatabaseConfig()
    const store = await open(url)
    try {
      const many = Array.from({ length: 20_000 }, (_, n) => userOf(n, { name: n === 15_000 ? 'Щедрый' : 'Common' }))
      for (let n = 0; n < many.length; n += 1000)
        await store.addUsers(
          many.slice(n, n + 1000).map((user) => ({ user, notices: [] })),
          Date.now(),
        )
      await run(url, 'VACUUM ANALYZE users.users')
      const scanned = async () => {
        const [[count] = ['0']] = await run(
          url,
          'SELECT pg_stat_clear_snapshot()',
          "SELECT coalesce(idx_scan, 0)::text FROM pg_stat_user_indexes WHERE indexrelname = 'users_search'",
        )
        return Number(count)
      }
      const scans = isUnprivileged ? 0 : 20
      // The index is of no use for the first search.
      for (const [search, matches] of [
        ['@@', 0],
        ['щедрый', 1],
      ] as const)
        for (let n = 0; n < 20; n++) {
          const { rows } = await store.listUsers({ search, sort: 'created_at' }, { size: 10, after: [0] })
          expect(rows).toHaveLength(matches)
        }
      await store.close()
      for (let tries = 0; (await scanned()) < scans && tries < 400; tries++) await Bun.sleep(50)
      expect(await scanned()).toBe(scans)
    } finally {
      await store.close()
    }
  })
})

describe('a cursor whose position has another type', () => {
  test.each<[UserFilter['sort'], string | number]>([
    ['created_at', 'abc'],
    ['-created_at', 'abc'],
    ['email', 5],
    ['-email', Number.MAX_SAFE_INTEGER],
    ['created_at', Number.MAX_SAFE_INTEGER],
    ['created_at', Number.MIN_SAFE_INTEGER],
  ])('by %s after %p is no failure', async (sort, position) => {
    const store = await openEmpty()
    await store.addUser(userOf(1), [])
    expect(await store.listUsers({ sort }, { size: 10, after: [position] })).toMatchObject({ total: null, next: null })
    await store.close()
  })
})

describe('two nodes with one database', () => {
  let nodes: [UsersStore, UsersStore]
  beforeAll(async () => {
    const url = await newDatabaseConfig()
    // Both create the tables.
    nodes = await Promise.all([open(url), open(url)])
  })
  afterAll(() => Promise.all(nodes.map((node) => node.close())))

  test('add a user once, and number every change once, in order', async () => {
    const outcomes = await Promise.all(
      Array.from({ length: 40 }, (_, n) => nodes[n % 2 ? 1 : 0].addUser(userOf(n, { email: `n${n >> 1}@b.org` }), [])),
    )
    expect(outcomes.toSorted()).toEqual([...Array(20).fill('added'), ...Array(20).fill('email_taken')])
    const read: string[] = []
    for (let after: number | null = 0; after !== null; ) {
      const page: Awaited<ReturnType<UsersStore['usersChangedAfter']>> = await nodes[0].usersChangedAfter(after, 7)
      read.push(...page.users.map(({ email }) => email))
      after = page.last
    }
    expect(read.toSorted()).toEqual(Array.from({ length: 20 }, (_, n) => `n${n}@b.org`).toSorted())
  })

  test('keep the last active user with ADMIN', async () => {
    const admins = [101, 102, 103, 104].map((n) => userOf(n, { roles: ['ADMIN'] }))
    for (const admin of admins) expect(await nodes[0].addUser(admin, [])).toBe('added')
    const outcomes = await Promise.all(admins.map(({ id }, n) => nodes[n % 2 ? 1 : 0].removeUser(id, [])))
    expect(outcomes.toSorted()).toEqual(['last_admin', 'removed', 'removed', 'removed'])
  })

  test('reserve an email before anyone else takes it', async () => {
    for (let n = 500; n < 520; n++) {
      const user = userOf(n, { emailVerified: true })
      await nodes[0].addUser(user, [])
      const changed = { ...user, email: `new${n}@b.org`, emailVerified: false, version: 2 }
      const others = [1, 0, 1, 1].map((node, other) =>
        nodes[node as 0 | 1].addUser(userOf(10 * n + other, { email: user.email }), []),
      )
      const outcomes = await Promise.all([nodes[0].replaceUser(changed, []), ...others])
      expect(outcomes).toEqual(['replaced', ...Array(4).fill('email_taken')])
    }
  })

  test('read what the other wrote at once', async () => {
    const user = userOf(200)
    await nodes[0].addUser(user, [])
    expect(await nodes[1].userById(user.id)).toEqual(user)
    expect(await nodes[1].replaceUser({ ...user, name: 'New', version: 2 }, [])).toBe('replaced')
    expect(await nodes[0].userById(user.id)).toMatchObject({ name: 'New' })
  })

  test('count what the other added, changed or removed at once', async () => {
    const totalAt = async (node: 0 | 1) =>
      (await nodes[node].listUsers({ sort: 'email', search: 'counted', status: 'active' }, { size: 1, page: 1 })).total
    const user = userOf(300, { email: 'counted@example.org' })
    const totals: unknown[] = [[await totalAt(0), await totalAt(1)]]
    await nodes[0].addUser(user, [])
    totals.push([await totalAt(0), await totalAt(1)])
    await nodes[1].replaceUser({ ...user, status: 'disabled', version: 2 }, [])
    totals.push([await totalAt(0), await totalAt(1)])
    await nodes[0].replaceUser({ ...user, version: 3 }, [])
    totals.push([await totalAt(0), await totalAt(1)])
    await nodes[1].removeUser(user.id, [])
    totals.push([await totalAt(0), await totalAt(1)])
    expect(totals).toEqual([0, 1, 0, 1, 0].map((count) => [count, count]))
  })
})
