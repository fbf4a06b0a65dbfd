import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { PASSWORD, registerUser } from '../support/actors.ts'
import { as, call } from '../support/http.ts'
import type { Name } from '../support/settings.ts'
import { request } from '../support/sockets.ts'
import { inProcess, type System } from '../support/system.ts'
import { Databases } from './databases.ts'
import { newModule } from './operations.ts'

let system: System
let databases: Databases
beforeAll(async () => {
  system = await inProcess({ RATE_LIMIT: 'off' })
  databases = new Databases(system)
})
afterAll(async () => {
  databases?.close()
  await system?.stop()
})

/** Every list, with a key that may read it; the same list with other filters counts as another. */
const LISTS = (moduleId: string): [Name, string, Record<string, string>][] => [
  ['users', '/users?', as.operator],
  ['users', '/users?sort=-created_at&', as.operator],
  ['users', '/users?sort=email&', as.operator],
  ['users', '/users?sort=-email&', as.operator],
  ['users', '/users?search=e&role=USER&status=active&', as.operator],
  ['auth', '/auth/sessions?all=true&', as.operator],
  ['auth', '/admin/password-cache?', as.operator],
  ['auth', '/admin/audit?', as.operator],
  ['modules', `/modules/${moduleId}/users?`, as.operator],
]
const SQL = [
  "' OR '1'='1",
  "'; DROP TABLE users; --",
  '" OR ""="',
  '%',
  '_',
  '\\',
  '*',
  'NEAR(a b)',
  "x' UNION SELECT password_hash FROM users --",
  '?1',
  ':after',
  '$search',
]

describe('check 26: SQL', () => {
  let moduleId: string
  beforeAll(async () => {
    moduleId = await newModule(system)
    for (let count = 0; count < 3; count++) {
      const { tokens } = await registerUser(system)
      const headers = as.bearer(tokens.access_token)
      await call(system.url.modules, `POST /modules/${moduleId}/enable`, { headers })
    }
  })
  const ask = (service: Name, path: string, headers: Record<string, string>) =>
    call(system.url[service], `GET ${path}`, { headers })

  test('in a forged cursor is a position in the same list, or 400', async () => {
    for (const [service, path, headers] of LISTS(moduleId)) {
      const first = await ask(service, `${path}size=2`, headers)
      expect([path, first.status, typeof first.body.next_cursor]).toEqual([path, 200, 'string'])
      const [mark] = JSON.parse(Buffer.from(first.body.next_cursor, 'base64url').toString())
      const positions: unknown[][] = [
        ...SQL.map((text) => [text]),
        ...SQL.map((text) => [1, text]),
        [],
        [null],
        [true],
        [{}],
        [[1]],
        [1.5],
        [-1],
        [2 ** 53],
        [Number.MAX_SAFE_INTEGER],
        [1, 2, 3, 4, 5],
        [''],
        ['\ud800'],
        ['\0'],
        ['x'.repeat(500)],
      ]
      for (const position of positions) {
        const cursor = Buffer.from(JSON.stringify([mark, ...position])).toString('base64url')
        const { body, status } = await ask(service, `${path}size=2&cursor=${cursor}`, headers)
        expect([path, position, [200, 400].includes(status)]).toEqual([path, position, true])
        // At most a page of the same list: the cursor moves to some position, and shows nothing else.
        if (status === 200)
          for (const item of body.items) expect(Object.keys(item)).toEqual(Object.keys(first.body.items[0]))
        else expect(body.code).toBe('validation_failed')
      }
      for (const cursor of ['%00', 'AAAA', '*', "'%20OR%201=1", 'e30', 'bnVsbA', 'W10', '1'.repeat(1000)]) {
        const { body, status } = await ask(service, `${path}cursor=${cursor}`, headers)
        expect([path, cursor, status, body.code]).toEqual([path, cursor, 400, 'validation_failed'])
      }
    }
  })

  test('in a search, a filter or a sort is matched literally, or 400', async () => {
    const name = `100%_'";-- ${Bun.randomUUIDv7()}`
    const { id } = await registerUser(system, { name })
    const search = await ask('users', `/users?search=${encodeURIComponent(name)}`, as.operator)
    expect(search.body.items.map((item: { id: string }) => item.id)).toEqual([id])
    const count = databases.users()
    for (const text of SQL) {
      const value = encodeURIComponent(text)
      const literal = (fields: (string | null)[]) =>
        fields.some((field) => field?.toLowerCase().includes(text.toLowerCase()))
      const users = await ask('users', `/users?search=${value}`, as.operator)
      expect(
        users.body.items.filter(
          (one: Record<string, string>) => !literal([one.email ?? '', one.username ?? '', one.name ?? '']),
        ),
      ).toEqual([])
      const cache = await ask('auth', `/admin/password-cache?search=${value}`, as.operator)
      expect(
        cache.body.items.filter((one: Record<string, string>) => !literal([one.email ?? '', one.username ?? ''])),
      ).toEqual([])
      for (const [path, status] of [
        [`/admin/audit?type=${value}`, 200],
        [`/admin/audit?request_id=${value}`, 200],
        [`/admin/refused-logins?login=${value}`, 200],
        [`/admin/audit?user_id=${value}`, 400],
        [`/admin/audit?since=${value}`, 400],
        [`/admin/audit?after_id=${value}`, 400],
        [`/auth/sessions?user_id=${value}`, 400],
        [`/admin/login-limits?address=${value}`, 400],
      ] as const) {
        const answer = await ask('auth', path, as.operator)
        expect([path, answer.status]).toEqual([path, status])
        if (status === 200) expect([path, answer.body.items]).toEqual([path, []])
      }
      for (const field of ['sort', 'role', 'status', 'size', 'page'])
        expect((await ask('users', `/users?${field}=${value}`, as.operator)).status).toBe(400)
      for (const path of [
        `/users/${value}`,
        `/users/by-email/${value}`,
        `/users/by-username/${value}`,
        `/user/${value}`,
      ])
        expect([path, (await ask('users', path, as.operator)).status]).toEqual([path, 404])
      const after = await ask('users', `/users/password-hashes?after=${value}`, as.internal)
      expect([text, after.status]).toEqual([text, 400])
    }
    expect(databases.users()).toBe(count)
    expect((await ask('users', '/users?size=1', as.operator)).status).toBe(200)
  })
})

describe('check 26: a line break in a value that is sent back in a header', () => {
  test('never adds a header', async () => {
    const breaks = [
      '%0d%0aset-cookie:%20a=b',
      '%0aset-cookie:%20a=b',
      '%E5%98%8A%E5%98%8Dset-cookie:%20a=b',
      '\rset-cookie: a=b',
    ]
    const rows: [Name, string, string[]][] = breaks.flatMap((line): [Name, string, string[]][] => [
      ['users', `POST /users${line} HTTP/1.1`, []],
      ['modules', `POST /modules/${line} HTTP/1.1`, []],
      ['auth', `GET /health?x=${line} HTTP/1.1`, []],
      ['auth', `DELETE /auth/login${line} HTTP/1.1`, []],
      ['auth', 'GET /health HTTP/1.1', [`x-request-id: ${decodeURIComponent(line)}`]],
      ['auth', 'GET /health HTTP/1.1', [`Origin: https://app.example.org${line}`]],
      ['auth', 'GET /auth/me HTTP/1.1', [`Authorization: Bearer x${line}`]],
    ])
    for (const [service, line, headers] of rows) {
      const answer = await request(system.url[service], line, ['Host: localhost', ...headers])
      expect([line, headers, answer.headers.has('set-cookie')]).toEqual([line, headers, false])
      expect([line, headers, answer.headers.get('x-request-id') ?? '']).not.toContain('cookie')
      expect(answer.status).toBeOneOf([0, 200, 400, 401, 404, 405, 505])
    }
  })

  test('in a body is refused, or does not reach the headers', async () => {
    const id = 'a\r\nset-cookie: a=b'
    const body = { id, name: 'x', description: '' }
    expect((await call(system.url.modules, 'POST /modules', { headers: as.operator, body })).status).toBe(400)
    const agent = 'x\u00e9'
    const { email } = await registerUser(system)
    const login = await call(system.url.auth, 'POST /api/v1/auth/login', {
      headers: { 'user-agent': agent },
      body: { login: email, password: PASSWORD },
    })
    expect([...login.headers.keys()].filter((name) => name.includes('cookie'))).toEqual([])
  })

  test('is not echoed by TRACE, at any path and with any credential', async () => {
    for (const [service, path] of [
      ['auth', '/auth/me'],
      ['auth', '/admin/keys'],
      ['users', '/users'],
      ['modules', '/modules'],
      ['modules', '/nowhere'],
    ] as const)
      for (const method of ['TRACE', 'TRACK', 'DEBUG', 'CONNECT']) {
        const key = as.operator['x-api-key']
        const { status, text } = await request(system.url[service], `${method} ${path} HTTP/1.1`, [
          'Host: localhost',
          `X-API-Key: ${key}`,
          'Cookie: a=canary',
        ])
        expect([method, path, status === 0 || (status >= 400 && status < 500)]).toEqual([method, path, true])
        expect(text).not.toContain(key)
        expect(text).not.toContain('canary')
      }
    expect((await call(system.url.auth, 'GET /health')).status).toBe(200)
  })
})
