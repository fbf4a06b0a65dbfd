import { beforeAll, describe, expect, test } from 'bun:test'
import { createUser, registerUser } from '../support/actors.ts'
import { expectFields, expectProblem, FIELDS } from '../support/expectations.ts'
import { type Answer, as } from '../support/http.ts'
import { running } from '../support/running.ts'
import { inProcess } from '../support/system.ts'

/** A hash that is never used for a login: hashing a password for each user would be slow. */
const HASH = `$2b$04$${'a'.repeat(53)}`

const people = [
  { email: 'Zoe@list.example.org', username: 'zz.top', name: 'Zoë Ångström', roles: ['STAFF'] },
  { email: 'adam@list.example.org', username: 'adam_1', name: '50% "O\'Neil" \\ Ltd.', roles: ['STAFF', 'USER'] },
  { email: 'mia+tag@list.example.org', name: 'Mia', status: 'disabled' },
  { email: 'b@list.example.org', username: 'adamant', name: '李小龍', roles: ['STAFFER'] },
  { email: 'carl@list.example.org' },
]

describe('the list of users', () => {
  const here = running(inProcess)
  const { users } = here
  const list = (query = '') => users(`GET /users${query && '?'}${query}`, { headers: as.operator })
  const make = async (fields: object) => {
    const answer = await users('POST /users', { headers: as.operator, body: { password_hash: HASH, ...fields } })
    if (answer.status !== 201) throw new Error(answer.text)
    return answer.body
  }
  /** The local parts of the emails in an answer. */
  const fronts = ({ body }: Answer) => body.items.map(({ email }: { email: string }) => email.split('@')[0])

  beforeAll(async () => {
    for (const person of people) await make(person)
  })

  test.each<[string, string[]]>([
    ['', ['Zoe', 'adam', 'mia+tag', 'b', 'carl']],
    ['sort=created_at', ['Zoe', 'adam', 'mia+tag', 'b', 'carl']],
    ['sort=-created_at', ['carl', 'b', 'mia+tag', 'adam', 'Zoe']],
    ['sort=email', ['adam', 'b', 'carl', 'mia+tag', 'Zoe']],
    ['sort=-email', ['Zoe', 'mia+tag', 'carl', 'b', 'adam']],
    ['status=disabled', ['mia+tag']],
    ['status=active&sort=email', ['adam', 'b', 'carl', 'Zoe']],
    ['role=STAFF', ['Zoe', 'adam']],
    ['role=STAFFER', ['b']],
    ['role=USER', ['adam', 'mia+tag', 'carl']],
    ['role=USER&status=active', ['adam', 'carl']],
    ['role=NONE', []],
    ['search=', ['Zoe', 'adam', 'mia+tag', 'b', 'carl']],
    ['search=&role=STAFF&sort=-email', ['Zoe', 'adam']],
    ['search=ADAM', ['adam', 'b']],
    ['search=adam&role=STAFF', ['adam']],
    ['search=o%C3%AB%20%C3%A5ng', ['Zoe']],
    [`search=${encodeURIComponent('Zoë'.normalize('NFD'))}`, ['Zoe']],
    [`search=${encodeURIComponent('å')}`, ['Zoe']],
    [`search=${encodeURIComponent('李')}`, ['b']],
    ['search=z.', ['Zoe']],
    [`search=${encodeURIComponent('+tag')}`, ['mia+tag']],
    ['search=%25', ['adam']],
    ['search=50%25', ['adam']],
    ['search=_', ['adam']],
    [`search=${encodeURIComponent('"O\'Neil" \\')}`, ['adam']],
    ['search=*', []],
    ['search=mia*', []],
    [`search=${encodeURIComponent("' OR '1'='1")}`, []],
    [`search=${encodeURIComponent("'; DROP TABLE users; --")}`, []],
    ['search=name%3Amia', []],
    ['search=mia%20NOT%20zoe', []],
    // Hashes and ids are not searched.
    ['search=%242b%2404', []],
    ['search=0198', []],
  ])('%s', async (query, expected) => {
    const answer = await list(query)
    expect(answer.status).toBe(200)
    expectFields(answer.body, FIELDS.page)
    for (const item of answer.body.items) expectFields(item, FIELDS.user)
    expect(fronts(answer)).toEqual(expected)
    expect(answer.body).toMatchObject({ total: expected.length, page: 1, size: 50, next_cursor: null })
    expect(answer.body.pages).toBe(expected.length > 0 ? 1 : 0)
    expect(answer.text).not.toContain('$2')
  })

  test('R27: has the same cursor for an empty search as without a search', async () => {
    const fullList = await list('size=2')
    const empty = await list('search=&size=2')
    expect(empty.body).toEqual(fullList.body)
    const rest = await list(`size=2&cursor=${empty.body.next_cursor}`)
    expect(fronts(rest)).toEqual(['mia+tag', 'b'])
    expect((await list(`search=&size=2&cursor=${fullList.body.next_cursor}`)).body).toEqual(rest.body)
  })

  test('has each user as they are read by id', async () => {
    for (const item of (await list()).body.items)
      expect((await users(`GET /users/${item.id}`, { headers: as.operator })).body).toEqual(item)
  })

  test('has pages', async () => {
    const first = await list('size=2&sort=email')
    expect(first.body).toMatchObject({ total: 5, page: 1, size: 2, pages: 3 })
    expect(first.body.next_cursor).toBeString()
    expect(fronts(first)).toEqual(['adam', 'b'])
    const last = await list('size=2&page=3&sort=email')
    expect(last.body).toMatchObject({ total: 5, page: 3, size: 2, pages: 3, next_cursor: null })
    expect(fronts(last)).toEqual(['Zoe'])
    expect((await list('page=4&size=2')).body).toMatchObject({ items: [], total: 5, page: 4, next_cursor: null })
    expect((await list('size=200')).body).toMatchObject({ total: 5, size: 200, pages: 1 })
    const next = await list(`size=2&sort=email&cursor=${first.body.next_cursor}`)
    expect(next.body).toMatchObject({ total: null, page: null, pages: null, size: 2 })
    expect(fronts(next)).toEqual(['carl', 'mia+tag'])
  })

  test.each([
    'size=0',
    'size=201',
    'size=-1',
    'size=x',
    'size=1.5',
    'size=',
    'page=0',
    'page=x',
    'page=99999999999999999999',
    'sort=name',
    'sort=email;DROP',
    'sort=password_hash',
    'role=staff',
    'status=locked',
    `search=${'x'.repeat(201)}`,
    'search=a%00b',
    'cursor=',
    'cursor=x',
    `cursor=${'x'.repeat(1001)}`,
    'limit=1',
    'password_hash=x',
    '__proto__=x',
  ])('refuses %s, and names the parameter', async (query) => {
    const answer = await list(query)
    expectProblem(answer, 400, 'validation_failed')
    expect(answer.body.message[0]).toStartWith(`${query.split('=')[0]} `)
  })

  test('refuses the cursor of another list', async () => {
    const { next_cursor } = (await list('size=2&sort=email')).body
    for (const query of ['size=2', 'sort=-email', 'sort=email&role=STAFF', 'sort=email&search=a', 'sort=email&page=1'])
      expectProblem(await list(`${query}&cursor=${next_cursor}`), 400, 'validation_failed')
    const forged = JSON.parse(Buffer.from(next_cursor, 'base64url').toString())
    for (const place of ["' OR 1=1 --", '', 1e15, -1, 0]) {
      const cursor = Buffer.from(JSON.stringify([forged[0], place])).toString('base64url')
      // A cursor is only a position in a list.
      const answer = await list(`sort=email&cursor=${cursor}`)
      expect(answer.status).toBe(200)
      for (const item of answer.body.items) expectFields(item, FIELDS.user)
    }
    for (const places of [[], [null], [{}], [['a']]]) {
      const cursor = Buffer.from(JSON.stringify([forged[0], ...places])).toString('base64url')
      expectProblem(await list(`sort=email&cursor=${cursor}`), 400, 'validation_failed')
    }
  })

  test('is for operators', async () => {
    const ana = await registerUser(here.system)
    const admin = await createUser(here.system, { roles: ['ADMIN'] })
    const by = (headers: Record<string, string>, query = '') => users(`GET /users${query}`, { headers })
    expectProblem(await by({}), 401, 'missing_token')
    expectProblem(await by(as.bearer(ana.tokens.access_token)), 403, 'forbidden')
    expectProblem(await by(as.bearer(ana.tokens.access_token), `?search=${ana.email}`), 403, 'forbidden')
    // Credentials are checked before the query.
    expectProblem(await by(as.bearer(ana.tokens.access_token), '?size=0'), 403, 'forbidden')
    expectProblem(await by({}, '?size=0'), 401, 'missing_token')
    expectProblem(await by(as.internal), 403, 'forbidden')
    expect((await by(as.bearer(admin.tokens.access_token))).status).toBe(200)
  })

  describe.each(['created_at', '-created_at', 'email', '-email'])('a walk by cursor, by %s', (sort) => {
    test('lists each user once who exists throughout, while others come and go', async () => {
      const tag = `walk${sort.replace('-', 'down').replace('_', '')}`
      const ids = new Map<string, string>()
      const add = async (name: string) => {
        const { id } = await make({ email: `${name}@${tag}.example.org` })
        ids.set(name, id)
      }
      const names = Array.from({ length: 24 }, (_, i) => `u${(i * 7) % 24}`)
      for (const name of names) await add(name)
      const deletedNames = new Set<string>()
      const remove = async (name: string | undefined) => {
        if (name === undefined || deletedNames.has(name)) return
        deletedNames.add(name)
        await users(`DELETE /users/${ids.get(name)}`, { headers: as.operator })
      }
      const seen: string[] = []
      let cursor: string | null = ''
      for (let turn = 0; cursor !== null && turn < 40; turn++) {
        const page: Answer = await list(`search=${tag}&sort=${sort}&size=3${cursor && `&cursor=${cursor}`}`)
        expect(page.status).toBe(200)
        expect(page.body.total === null).toBe(cursor !== '')
        seen.push(...fronts(page))
        cursor = page.body.next_cursor
        if (turn > 5) continue
        // Deletes the user at the cursor, and one who is not listed yet.
        await remove(seen.at(-1))
        await remove(names.find((name) => !seen.includes(name) && !deletedNames.has(name)))
        await add(`a${turn}`)
        await add(`z${turn}`)
      }
      expect(cursor).toBeNull()
      expect(new Set(seen).size).toBe(seen.length)
      const throughout = names.filter((name) => !deletedNames.has(name))
      expect(throughout.length).toBeGreaterThan(8)
      for (const name of throughout) expect(seen).toContain(name)
    })
  })
})
