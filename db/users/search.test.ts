import { Database } from 'bun:sqlite'
import { afterAll, describe, expect, spyOn, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { foldForSearch } from '../../services/kit/schema/search-text.ts'
import { profileOf } from '../../services/kit/schema/user.ts'
import type { User } from '../../services/users/store.ts'
import { usersMigrations } from '../sqlite/migrations/users.ts'
import { openDatabase } from '../sqlite/open-database.ts'
import { runsOf } from './search.ts'
import { openUsersStore } from './store.ts'

const directory = mkdtempSync(join(tmpdir(), 'ch202-users-search-'))
afterAll(() => rmSync(directory, { recursive: true }))
let count = 0
const freshDataDir = () => join(directory, String(count++))
const fileIn = (dataDir: string) => join(dataDir, 'users.sqlite')

function userOf(n: number, fields: Partial<User> = {}): User {
  return {
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
    createdAt: 0,
    updatedAt: 0,
    ...fields,
  }
}

/** Lets FTS5 compare its index with the rows. @throws when they differ */
function compareIndex(path: string): void {
  const raw = new Database(path)
  raw.run("INSERT INTO users_search (users_search, rank) VALUES ('integrity-check', 1)")
  raw.close()
}

function textsIn(path: string): Record<string, string> {
  const raw = new Database(path, { readonly: true })
  const rows = raw.query<{ email: string; text: string }, []>('SELECT email, search_text AS text FROM users').all()
  raw.close()
  return Object.fromEntries(rows.map(({ email, text }) => [email, text]))
}

describe('R3: the cost of a search', () => {
  const MANY = 2100
  const PARTS = ['ж', '𐐔𐐇', 'Щедрый Покупатель ', 'Σοφός', '李小龍漢字王明', 'abc', '"', 'aA', 'ﬃ']
  const LENGTHS = [1, 2, 3, 18, 60, 200]
  const repeated = (part: string, length: number) => [...part.repeat(200)].slice(0, length).join('')

  test('a search runs a few statements, whose size does not depend on the search, in any script', async () => {
    const store = await openUsersStore({ dataDir: freshDataDir() })
    const users = Array.from({ length: MANY * PARTS.length }, (_, n) =>
      userOf(n, { name: repeated(PARTS[n % PARTS.length] ?? '', 200) }),
    )
    await store.addUsers(
      users.map((user) => ({ user, notices: [] })),
      Date.now(),
    )
    const prepared = spyOn(Database.prototype, 'prepare')
    try {
      for (const sort of ['created_at', '-created_at', 'email', '-email'] as const)
        for (const part of PARTS)
          for (const length of LENGTHS) {
            const search = repeated(part, length)
            prepared.mockClear()
            const { rows, total } = await store.listUsers({ sort, search }, { size: 10, page: 1 })
            const statements = prepared.mock.calls.map(([sql]) => sql).join('\n')
            const parameters = statements.split('?').length
            expect([search, rows.length, Number(total) >= MANY]).toEqual([search, 10, true])
            expect([search, prepared.mock.calls.length > 5, statements.length > 4000, parameters > 20]).toEqual([
              search,
              false,
              false,
              false,
            ])
          }
    } finally {
      prepared.mockRestore()
      await store.close()
    }
  })

  /** 200 different letters. */
  const DIFFERENT = Array.from({ length: 200 }, (_, n) => String.fromCodePoint(0x4e00 + n)).join('')

  test.each([...PARTS, DIFFERENT])(
    'a search for %s asks the index for at most 67 runs, each once, and covers every letter',
    (part) => {
      for (let length = 0; length <= 200; length++) {
        const search = repeated(part, length)
        const runs = runsOf(search)
        expect(runs.length).toBeLessThanOrEqual(67)
        expect(new Set(runs).size).toBe(runs.length)
        for (const run of runs) expect([[...run].length, search.includes(run)]).toEqual([3, true])
        expect(new Set(runs.join(''))).toEqual(new Set(length < 3 ? '' : search))
      }
    },
  )
})

describe('R3, R21: the text that a search covers', () => {
  const NAMES = ['Пётр Ёлкин', 'ΟΔΥΣΣΕΥΣ', 'Straße', null, '𐐔𐐇', 'Zoë'.normalize('NFD'), '"O\'Neil" 50%', '李小龍']
  const people = Array.from({ length: 2500 }, (_, n) =>
    userOf(n, {
      email: `User${n}@Example.org`,
      username: n % 3 ? `user_${n}` : null,
      name: NAMES[n % NAMES.length] ?? null,
    }),
  )
  const textOf = ({ email, name, username }: User) =>
    [email, username, name].flatMap((field) => (field === null ? [] : foldForSearch(field))).join('\n')
  const texts = (users: User[]) => Object.fromEntries(users.map((user) => [user.email, textOf(user)]))

  test('is added to older rows by the migration, and indexed', async () => {
    const dataDir = freshDataDir()
    const path = fileIn(dataDir)
    const { raw } = openDatabase(path, 'users', usersMigrations.slice(0, 3))
    const insert = raw.query(`INSERT INTO users (id, email, email_key, username, name, roles, is_admin, status,
      email_verified, password_hash, version, sessions_from, all_sessions_from, tokens_from, change, created_at, updated_at)
      VALUES (?, ?, ?, ?, ?, '["USER"]', 0, 'active', 0, 'hash', 1, 1, 1, 1, ?, 0, 0)`)
    raw.transaction(() => {
      for (const [n, { email, id, name, username }] of people.entries())
        insert.run(id, email, email.toLowerCase(), username, name, n)
    })()
    raw.close()
    const store = await openUsersStore({ dataDir })
    const totalOf = async (search: string) =>
      (await store.listUsers({ sort: 'email', search }, { size: 1, page: 1 })).total
    for (const [search, name] of [
      ['петр елкин', 'Пётр Ёлкин'],
      ['οδυσσευς', 'ΟΔΥΣΣΕΥΣ'],
      ['STRASSE', 'Straße'],
      ['ZOË', 'Zoë'.normalize('NFD')],
      ['龍', '李小龍'],
    ] as const)
      expect([search, await totalOf(search)]).toEqual([search, people.filter((user) => user.name === name).length])
    expect(await store.userById(people[0]?.id ?? '')).toEqual(people[0] ?? null)
    await store.close()
    expect(textsIn(path)).toEqual(texts(people))
    compareIndex(path)
  })

  test('follows each kind of change, and so does the index', async () => {
    const dataDir = freshDataDir()
    const path = fileIn(dataDir)
    const store = await openUsersStore({ dataDir })
    const [one, two, three, ...others] = people as [User, User, User, ...User[]]
    for (const user of [one, two, three]) expect(await store.addUser(user, [])).toBe('added')
    await store.addUsers(
      others.map((user) => ({ user, notices: [] })),
      Date.now(),
    )
    const renamed = { ...one, email: 'New@example.org', username: 'nova', name: 'ЁЖ', version: 2 }
    const rehashed = { ...two, passwordHash: 'another', version: 2 }
    expect(await store.replaceUser(renamed, [])).toBe('replaced')
    expect(await store.replaceUser(rehashed, [])).toBe('replaced')
    expect(await store.removeUser(three.id, [])).toBe('removed')
    compareIndex(path)
    while (await store.mergeSearch());
    await store.close()
    expect(textsIn(path)).toEqual(texts([renamed, rehashed, ...others]))
    compareIndex(path)
  })
})
