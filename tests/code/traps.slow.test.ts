import { Database } from 'bun:sqlite'
import { afterAll, beforeAll, expect, setDefaultTimeout, spyOn, test } from 'bun:test'
import { generateKeyPairSync } from 'node:crypto'
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { type AnyElysia, Elysia, t } from 'elysia'
import { jwtVerify, SignJWT } from 'jose'
import { text as statement } from '../../db/engine.ts'
import { openDatabase } from '../../db/sqlite/open-database.ts'
import { ClientAddress } from '../../services/kit/client-address.ts'
import { systemClock } from '../../services/kit/clock.ts'
import { serviceApp } from '../../services/kit/http/app.ts'
import { guard } from '../../services/kit/http/guard.ts'
import { completeUrl } from '../../services/kit/http/request-url.ts'
import type { LogEntry, LogFields } from '../../services/kit/log.ts'
import { PasswordHasher } from '../../services/kit/passwords/hasher.ts'
import { Problem } from '../../services/kit/problem.ts'
import { Metrics, MetricsRegistry } from '../../services/kit/process/metrics.ts'
import { systemRandom } from '../../services/kit/random.ts'
import { strict } from '../../services/kit/schema/schema.ts'
import { type Claims, signAccessToken } from '../../services/kit/tokens/access-token.ts'
import { LocalTokenCheck } from '../../services/kit/tokens/check.ts'
import { Revocations } from '../../services/kit/tokens/revocations.ts'
import { SERVICE_NAMES } from '../../services/registry.ts'
import { createUser, logIn, newEmail, PASSWORD, registerUser } from '../support/actors.ts'
import { eventually, PROMPT } from '../support/eventually.ts'
import { as, call } from '../support/http.ts'
import { processes } from '../support/processes.ts'
import { isPublic, samplePath, servedRoutes } from '../support/routes.ts'
import { INTERNAL_KEY, OPERATOR_KEY } from '../support/settings.ts'
import { exchange, request, sendChunked } from '../support/sockets.ts'
import type { System } from '../support/system.ts'
import { inProcess } from '../support/system.ts'
import { launch, ownSettings, processesWith, ROOT, runTool, temporary } from '../support/tool.ts'
import { WHOLE } from '../support/whole.ts'

/** The traps of the design, measured on the versions of our dependencies; a new version may bring one back. */
const CANARY = 'canary-3Lm8vKp1'

// Processes start slowly on a busy machine; tests that need speed measure it themselves.
setDefaultTimeout(120_000)

const folder = temporary('traps')
let system: System
beforeAll(async () => {
  system = await processes('apart')
})
afterAll(async () => {
  await system.stop()
  folder.remove()
})

const tokenCheck = { check: () => ({ valid: false as const, reason: 'malformed' as const }) }
const guardFor = (operatorKey: string) =>
  guard({
    tokens: tokenCheck,
    internalKeys: [INTERNAL_KEY],
    operatorKeys: [operatorKey],
    clientAddress: new ClientAddress([]),
    clock: systemClock,
  })

/** Builds an app with the test's routes, as the services do with theirs. */
function appOf(routes: AnyElysia, logged: LogFields[] = [], corsOrigins: string[] = []) {
  const write = (line: LogEntry) => void logged.push(typeof line === 'function' ? line() : line)
  const app = serviceApp(
    {
      log: { debug: write, info: write, warn: write, error: write },
      clock: systemClock,
      random: systemRandom,
      metrics: new Metrics('test', new MetricsRegistry()),
      corsOrigins,
    },
    { routes },
  )
  return async (line: string, init: RequestInit = {}) => {
    const [method = 'GET', path = '/'] = line.split(' ')
    const response = await app.handle(new Request(`http://localhost${path}`, { method, ...init }))
    const text = await response.text()
    return { status: response.status, text, body: text.startsWith('{') ? JSON.parse(text) : text }
  }
}

const open = { auth: ['anyone'] } as const

test('trap 1: an async transaction does not compile, and a body that throws rolls back its own rows alone', async () => {
  const sqlite = openDatabase(folder.fresh(), 'users', [
    { name: '1', sql: 'CREATE TABLE t (x INTEGER NOT NULL) STRICT' },
  ])
  const insert = statement('INSERT INTO t VALUES ($x)')
  // @ts-expect-error an async body is refused: its rows would be committed even if its promise rejects
  const refused = () => sqlite.write(async (tx) => tx.run(insert, { x: 0 }))
  expect(refused).toBeFunction()

  const adding = (x: number | null) => sqlite.write((tx) => tx.run(insert, { x }))
  const failing = (x: number) =>
    sqlite.write(function* (tx) {
      yield* tx.run(insert, { x })
      throw new Error(`refused ${x}`)
    })
  await expect(failing(1)).rejects.toThrow('refused 1')
  const settled = await Promise.allSettled([adding(2), failing(3), adding(null), adding(4), failing(5)])
  expect(settled.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected', 'fulfilled', 'rejected'])
  expect(sqlite.raw.query('SELECT x FROM t ORDER BY x').values()).toEqual([[2], [4]])
  sqlite.close()
})

test("trap 2: neither the framework's 422 nor its 500 reaches the response or the log", async () => {
  const logged: LogFields[] = []
  const ask = appOf(
    new Elysia({ normalize: false })
      .use(guardFor(OPERATOR_KEY))
      .post('/strict', () => 'ok', {
        ...open,
        body: strict({ password: t.String({ minLength: 99 }) }),
        response: t.String(),
      })
      .get(
        '/thrown',
        (): string => {
          throw new Error(CANARY)
        },
        { ...open, response: t.String() },
      )
      .get(
        '/text',
        (): string => {
          throw CANARY
        },
        { ...open, response: t.String() },
      )
      .get('/rejected', () => Promise.reject<string>(new TypeError(CANARY)), { ...open, response: t.String() })
      .get('/answered', () => ({ ok: CANARY as unknown as boolean }), {
        ...open,
        response: strict({ ok: t.Boolean() }),
      }),
    logged,
  )
  const body = JSON.stringify({ password: CANARY })
  const wrong = await ask('POST /strict', { body, headers: { 'content-type': 'application/json' } })
  expect(wrong).toMatchObject({ status: 400, body: { code: 'validation_failed', message: ['password is not valid'] } })
  for (const path of ['/thrown', '/text', '/rejected', '/answered']) {
    const { status, text, body } = await ask(`GET ${path}`)
    expect([path, status, body.code]).toEqual([path, 500, 'internal_error'])
    expect(text).not.toContain(CANARY)
    expect(text).not.toMatch(/\.ts|at \//)
  }
  expect(logged.filter(({ event }) => event === 'request.failed')).toHaveLength(4)
  for (const service of ['auth', 'users'] as const) {
    const path = service === 'auth' ? '/auth/register' : '/users'
    const answer = await call(system.url[service], `POST ${path}`, {
      body: { email: 1, password: { [CANARY]: [CANARY] } },
    })
    expect([answer.status, answer.text.includes(CANARY)]).toEqual([400, false])
  }
  expect(system.output()).not.toContain(CANARY)
})

test('trap 3: a route that does not declare its callers is not served', async () => {
  const handler = () => 'ok'
  const unguarded: [string, AnyElysia][] = [
    ['no auth at all', new Elysia().get('/open', handler)],
    ['auth, but no guard', new Elysia().get('/open', handler, { auth: ['operator'] } as object)],
    ['a hook that is not the guard', new Elysia().get('/open', handler, { transform: () => undefined })],
    ['one beside others', new Elysia().use(guardFor(OPERATOR_KEY)).get('/good', handler, open).get('/open', handler)],
    ['in a child', new Elysia().use(new Elysia().get('/open', handler)).use(guardFor(OPERATOR_KEY))],
  ]
  for (const [, routes] of unguarded) expect(() => appOf(routes)).toThrow(/\/open does not name its callers/)

  const routes = await servedRoutes()
  const guarded = routes.filter((route) => !isPublic(route))
  expect(guarded.length).toBeGreaterThan(60)
  const answers = await Promise.all(
    guarded.map(async ({ service, method, path }) => {
      const { status } = await call(system.url[service], `${method} ${samplePath(path)}`)
      return `${method} ${path} ${status}`
    }),
  )
  expect(answers.filter((line) => !line.endsWith(' 401'))).toEqual([])
})

test('trap 4: errors in nested plugins get our format too', async () => {
  const refuse = (): string => {
    throw new Problem('last_admin')
  }
  const options = { ...open, response: t.String() }
  const grandchild = new Elysia().use(guardFor(OPERATOR_KEY)).get('/grandchild', refuse, options)
  const child = new Elysia().use(grandchild).use(guardFor(OPERATOR_KEY)).get('/child', refuse, options)
  const ask = appOf(new Elysia().use(child).group('/grouped', (app) => app.use(grandchild)))
  for (const path of ['/child', '/grandchild', '/grouped/grandchild', '/api/v1/child', '/api/v1/grouped/grandchild'])
    expect(await ask(`GET ${path}`)).toMatchObject({ status: 409, body: { code: 'last_admin', statusCode: 409 } })
})

test('trap 5: two guards in one app keep their own keys', async () => {
  const mine = new Elysia()
    .use(guardFor('first-key'))
    .get('/first', () => 'ok', { auth: ['operator'], response: t.String() })
  const yours = new Elysia()
    .use(guardFor('second-key'))
    .get('/second', () => 'ok', { auth: ['operator'], response: t.String() })
  const ask = appOf(new Elysia().use(mine).use(yours))
  const table = [
    ['/first', 'first-key', 200],
    ['/first', 'second-key', 401],
    ['/second', 'second-key', 200],
    ['/second', 'first-key', 401],
  ] as const
  for (const [path, key, status] of table)
    expect([path, key, (await ask(`GET ${path}`, { headers: { 'x-api-key': key } })).status]).toEqual([
      path,
      key,
      status,
    ])
})

test('trap 6: an unknown field is refused, and every route declares its responses and obeys the declaration', async () => {
  const email = newEmail()
  const body = { email, password: PASSWORD, nickname: 'x' }
  const answer = await call(system.url.users, 'POST /users', { body, headers: as.operator })
  expect([answer.status, answer.body.message]).toEqual([400, ['nickname should not exist']])
  const lookup = await call(system.url.users, `GET /users/by-email/${email}`, { headers: as.operator })
  expect(lookup.status).toBe(404)

  const silent = (await servedRoutes()).filter(({ response, path }) => !response && !path.includes('/swagger'))
  expect(silent.map(({ method, path }) => `${method} ${path}`)).toEqual([])

  const leak = () => ({ ok: true, password_hash: CANARY })
  const ask = appOf(
    new Elysia({ normalize: false })
      .use(guardFor(OPERATOR_KEY))
      .get('/leak', leak, { ...open, response: strict({ ok: t.Boolean() }) }),
  )
  expect(await ask('GET /leak')).toMatchObject({ status: 500, body: { code: 'internal_error' } })
})

test('trap 7: a host name of one letter is accepted', async () => {
  for (const host of ['x', 'ab', 'api', 'x:1', 'localhost', '[::1]', '']) {
    const { status, body } = await request(system.url.users, 'GET /health HTTP/1.1', [`Host: ${host}`])
    expect([host, status, body.service]).toEqual([host, 200, 'users'])
    const closed = await request(system.url.users, 'GET /users HTTP/1.1', [`Host: ${host}`])
    expect([host, closed.status]).toEqual([host, 401])
  }
  for (const host of ['evil/health', 'x/health?', '?', '#', 'a@b/health', '../health']) {
    const { status } = await request(system.url.users, 'GET /users HTTP/1.1', [`Host: ${host}`])
    expect([host, status]).toEqual([host, expect.any(Number)])
    expect(status).not.toBe(200)
  }
})

test('check 25: trap 8, deep and large bodies are refused quickly', async () => {
  const type = { 'content-type': 'application/json' }
  const post = async (body: string) => {
    // The best of three: a busy machine may be slow once, a body that stalls the service is slow every time.
    const tries: number[] = []
    let answer: Awaited<ReturnType<typeof call>> | undefined
    for (let n = 0; n < 3; n++) {
      const began = performance.now()
      answer = await call(system.url.auth, 'POST /auth/login', { body, headers: type })
      tries.push(performance.now() - began)
    }
    return { status: answer?.status, code: answer?.body.code, quick: Math.min(...tries) < 1000 }
  }
  const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`
  const at = (depth: number) => `{"login":"a","password":${nested(depth - 1)}}`
  const large = at(50_000).replace('[', `["${'x'.repeat(200_000)}",`)
  expect(large.length).toBeGreaterThan(300_000)
  expect(await post(large)).toEqual({ status: 413, code: 'body_too_large', quick: true })
  expect(await post(at(20_000))).toEqual({ status: 400, code: 'malformed_json', quick: true })
  expect(await post('{"a":'.repeat(12_000))).toEqual({ status: 400, code: 'malformed_json', quick: true })
  expect(await post(at(33))).toEqual({ status: 400, code: 'malformed_json', quick: true })
  // A depth of 32 is allowed: the field is refused, not the JSON.
  expect(await post(at(32))).toEqual({ status: 400, code: 'validation_failed', quick: true })
  const inText = JSON.stringify({ login: 'a', password: `${nested(100)}"\\{[{[` })
  expect(await post(inText)).toMatchObject({ status: 401, code: 'invalid_credentials' })

  const chunked = await sendChunked(
    system.url.auth,
    'POST /auth/login HTTP/1.1',
    ['Content-Type: application/json'],
    [large],
  )
  expect([chunked.status, chunked.body.code]).toEqual([413, 'body_too_large'])
})

test('trap 9: no origin is reflected, and a JSON route accepts only JSON', async () => {
  const origin = 'https://evil.example.org'
  const { headers } = await call(system.url.auth, 'GET /health', { headers: { origin } })
  expect([...headers.keys()].filter((name) => name.startsWith('access-control'))).toEqual([])
  const body = JSON.stringify({ login: 'a', password: 'b' })
  for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'text/json'])
    expect(
      (await call(system.url.auth, 'POST /auth/login', { body, headers: { 'content-type': type, origin } })).status,
    ).toBe(415)
})

test('trap 10: a request prepares no statement, and a token is checked once', async () => {
  // Without the mail of the registration, which is written in the background.
  const quiet = await inProcess({ EMAIL_VERIFICATION: 'off' })
  const prepared = spyOn(Database.prototype, 'prepare')
  try {
    const email = newEmail()
    const registration = await call(quiet.url.auth, 'POST /api/v1/auth/register', {
      body: { email, password: PASSWORD },
    })
    expect(registration.status).toBe(201)
    let tokens = registration.body.tokens
    const round = async () => {
      const headers = as.bearer(tokens.access_token)
      const login = await call(quiet.url.auth, 'POST /api/v1/auth/login', {
        body: { login: email, password: PASSWORD },
      })
      const { refresh_token } = tokens
      const answers = [
        login,
        await call(quiet.url.auth, 'POST /api/v1/auth/refresh', { body: { refresh_token } }),
        await call(quiet.url.auth, 'GET /auth/me', { headers }),
        await call(quiet.url.auth, `GET /users/${registration.body.id}`, { headers }),
        await call(quiet.url.auth, 'GET /modules/', { headers }),
        await call(quiet.url.auth, 'POST /auth/logout', { headers }),
      ]
      tokens = login.body
      return answers.map(({ status }) => status)
    }
    const good = [200, 200, 200, 200, 200, 204]
    expect(await round()).toEqual(good)
    prepared.mockClear()
    for (let n = 0; n < 3; n++) expect(await round()).toEqual(good)
    expect(prepared.mock.calls.map(([sql]) => sql)).toEqual([])
    // A search is built for each call: this proves that the spy works.
    await call(quiet.url.auth, 'GET /users?search=a', { headers: as.operator })
    expect(prepared.mock.calls.length).toBeGreaterThan(0)
  } finally {
    prepared.mockRestore()
    await quiet.stop()
  }

  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  let looked = 0
  const key = () => {
    looked++
    return publicKey
  }
  const now = Math.floor(Date.now() / 1000)
  const claims: Claims = {
    iss: 'i',
    sub: 'u',
    aud: 'a',
    exp: now + 60,
    iat: now,
    jti: 'j',
    sid: 's',
    email: 'e',
    roles: [],
    client_id: 'ch202',
    ver: 1,
  }
  let time = Date.now()
  const check = new LocalTokenCheck({ issuer: 'i', audience: 'a', key }, new Revocations(), {
    ...systemClock,
    now: () => time,
  })
  const token = signAccessToken(claims, { kid: 'k', alg: 'EdDSA', privateKey })
  for (let n = 0; n < 5; n++) expect(check.check(token)).toMatchObject({ valid: true })
  expect(looked).toBe(1)
  check.clearCache()
  expect([check.check(token).valid, looked]).toEqual([true, 2])
  time += 61_000
  expect(check.check(token)).toEqual({ valid: false, reason: 'expired' })
})

test('trap 11: every database has a busy timeout, is durable, enforces foreign keys, and can be copied while it is written', async () => {
  const path = folder.fresh()
  const sqlite = openDatabase(path, 'modules', [
    { name: '1', sql: 'CREATE TABLE t (a INTEGER NOT NULL, b INTEGER NOT NULL) STRICT' },
  ])
  const pragma = (name: string) =>
    Object.values(sqlite.raw.query<Record<string, unknown>, []>(`PRAGMA ${name}`).get() ?? {})[0]
  expect(['journal_mode', 'synchronous', 'foreign_keys', 'trusted_schema'].map(pragma)).toEqual(['wal', 2, 1, 0])
  expect(pragma('busy_timeout')).toBeGreaterThan(0)

  // Each write changes two columns alike; a copy in which they differ is not consistent.
  const insert = statement('INSERT INTO t VALUES ($n, $n)')
  const change = statement('UPDATE t SET a = a + 1')
  const changeToo = statement('UPDATE t SET b = b + 1')
  let writing = true
  await sqlite.write((tx) => tx.run(insert, { n: 0 }))
  const writer = (async () => {
    for (let n = 1; writing; n++)
      await sqlite.write(function* (tx) {
        yield* tx.run(insert, { n })
        yield* tx.run(change)
        yield* tx.run(changeToo)
      })
  })()
  const copies = [folder.fresh(), folder.fresh(), folder.fresh()]
  for (const copy of copies) {
    const script = `
      const database = new (require('bun:sqlite').Database)(${JSON.stringify(path)})
      database.run('PRAGMA busy_timeout = 2000')
      database.run("VACUUM INTO '${copy}'")`
    expect((await launch([process.execPath, '-e', script]).ended).stderr).toBe('')
  }
  writing = false
  await writer
  sqlite.close()
  for (const copy of copies) {
    const database = new Database(copy, { readonly: true })
    expect(database.query('PRAGMA integrity_check').values()).toEqual([['ok']])
    expect(database.query('SELECT count(*) > 0, count(*) FILTER (WHERE a <> b) FROM t').values()).toEqual([[1, 0]])
    database.close()
  }
})

test('trap 12: an empty password, a broken hash and a lone surrogate cause no 500 and no login', async () => {
  const hasher = new PasswordHasher({ passwordHash: 'bcrypt', bcryptCost: 4, hashQueue: 8 })
  for (const hash of [
    '',
    'x',
    '$2b$10$',
    '$2b$99$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',
    '$argon2id$v=19$m=1,t=0,p=0$x$y',
    PASSWORD,
  ])
    expect([hash, await hasher.verify(PASSWORD, hash)]).toEqual([hash, null])
  const user = await registerUser(system)
  for (const [path, service] of [
    ['/api/v1/auth/login', 'auth'],
    ['/login', 'auth'],
    ['/users/verify-credentials', 'users'],
  ] as const) {
    const empty = await call(system.url[service], `POST ${path}`, {
      headers: service === 'users' ? as.internal : {},
      body: { login: user.email, password: '' },
    })
    expect([path, empty.status, empty.body.code]).toEqual([path, 400, 'validation_failed'])
  }
  for (const field of ['email', 'password']) {
    const body = `{"email":"${newEmail()}","password":"${PASSWORD}","${field}":"${PASSWORD}\\ud800"}`
    const answer = await call(system.url.auth, 'POST /auth/register', {
      body,
      headers: { 'content-type': 'application/json' },
    })
    expect([field, answer.body.message]).toEqual([field, [`${field} must not contain lone surrogates`]])
  }
})

test('trap 13: the tool writes its whole output into a pipe, and prompts for nothing without a terminal', async () => {
  // An API whose answers, one success and one failure, are larger than the buffer of a pipe.
  const long = 'x'.repeat(3_000_000)
  const api = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    async fetch(incoming) {
      const { email } = (await incoming.json()) as { email: string }
      if (email.startsWith('taken'))
        return Response.json(
          { statusCode: 409, error: 'Conflict', message: long, code: 'email_taken', requestId: 'r' },
          { status: 409 },
        )
      return Response.json({ id: 'i', email, name: long })
    },
  })
  try {
    const env = ownSettings(folder.fresh(), { USERS_URL: `http://127.0.0.1:${api.port}` })
    const slowly = async (email: string) => {
      const command = `"${process.execPath}" cli/main.ts -o json users create ${email} --generate; echo "status $?" >&2`
      const ended = await launch(['sh', '-c', `(${command}) | (sleep 0.2; cat)`], { env }).ended
      return { whole: JSON.parse(ended.stdout), status: ended.stderr }
    }
    const [success, failure] = await Promise.all([slowly('a@example.org'), slowly('taken@example.org')])
    expect([success.whole.name.length, success.status]).toEqual([long.length, 'status 0\n'])
    expect([failure.whole.error.message, failure.status]).toEqual([`${long}: taken@example.org`, 'status 6\n'])
    const unasked = await runTool(['users', 'create', 'a@example.org'], { env })
    expect([unasked.status, unasked.stdout]).toEqual([2, ''])
    expect(unasked.stderr).toContain('--password-stdin')
  } finally {
    await api.stop(true)
  }
})

test('trap 14: a stop leaves no process behind, and a crashed service is restarted', async () => {
  const dataDir = folder.fresh()
  const env = ownSettings(dataDir)
  const runner = launch(['bun', 'start'], { env })
  const all = SERVICE_NAMES.length
  await runner.printed(/ready at/, all)
  const serving = () =>
    processesWith(dataDir).filter(({ command }) => SERVICE_NAMES.some((name) => command.endsWith(`serve ${name}`)))
  expect(serving()).toHaveLength(all)

  const victim = serving().find(({ command }) => command.endsWith('users'))
  process.kill(victim?.pid ?? 0, 'SIGKILL')
  await runner.printed(/ready at/, all + 1)
  expect(runner.stdout()).toMatch(/^users +\| ended by SIGKILL/m)
  const health = await call(env.USERS_URL ?? '', 'GET /health')
  expect(health.body.service).toBe('users')
  expect(serving().map(({ pid }) => pid)).not.toContain(victim?.pid)
  expect(serving()).toHaveLength(all)

  runner.signal('SIGTERM')
  const { status, took } = await runner.ended
  expect(status).toBe(0)
  expect(took).toBeLessThan(PROMPT)
  expect(processesWith(dataDir)).toEqual([])
})

test('trap 14: a service that keeps crashing makes the runner stop all services and give up', async () => {
  const marker = `marker-${crypto.randomUUID()}`
  const script = `
    import { Runner } from './cli/runner/runner.ts'
    const lines = [{ name: 'bad', command: 'sh -c "echo tried; exit 3"' }, { name: 'good', command: 'sh -c "sleep 600 & wait"' }]
    console.log('failed:', await new Runner(lines, { color: false, firstPause: 1 }).run())`
  const { stdout, status } = await launch([process.execPath, '-e', script], { env: { MARKER: marker } }).ended
  expect(stdout.match(/^bad {2}\| tried$/gm)).toHaveLength(5)
  expect(stdout).toContain('bad  | ended with status 3')
  expect([stdout.trim().split('\n').at(-1), status]).toEqual(['failed: bad', 0])
  expect(processesWith(marker)).toEqual([])
})

// In the suite `tests/cli/package/binary.test.ts` builds and runs such an executable.
if (WHOLE)
  test('trap 15: the tool compiles with bytecode, and runs without Bun', async () => {
    const tool = folder.fresh()
    const entries = ['cli/main.ts', 'services/kit/passwords/hash-worker.ts']
    const built = launch([process.execPath, 'build', '--compile', '--bytecode', ...entries, '--outfile', tool])
    expect((await built.ended).status).toBe(0)
    const env = ownSettings(folder.fresh(), { PATH: '/usr/bin:/bin' })
    const versionCommand = await launch([tool, 'version'], { env, cwd: folder.path }).ended
    expect([versionCommand.stdout, versionCommand.status]).toEqual([
      `${JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')).version}\n`,
      0,
    ])
    const served = launch([tool, 'serve'], { env, cwd: folder.path })
    await served.printed(/ready at/)
    expect((await call(env.CH202_URL ?? '', 'GET /health/db')).status).toBe(200)
    const body = { email: newEmail(), password: PASSWORD }
    expect((await call(env.CH202_URL ?? '', 'POST /api/v1/auth/register', { body })).status).toBe(201)
    served.signal('SIGTERM')
    expect((await served.ended).status).toBe(0)
  })

test("trap 16: wrong usage exits 2, help exits 0, and no code uses the desktop's keyring", async () => {
  const uses: [string[], number][] = [
    [['nope'], 2],
    [['version', 'extra'], 2],
    [['--nope'], 2],
    [['users', 'create'], 2],
    [['users', 'create', 'a@example.org', '--password', 'x'], 2],
    [['-o', 'xml', 'version'], 2],
    [['--help'], 0],
    [['users', 'create', '--help'], 0],
  ]
  const statuses = await Promise.all(uses.map(async ([words]) => (await runTool(words)).status))
  expect(statuses).toEqual(uses.map(([, status]) => status))
  const files = [...new Bun.Glob('{cli,services,db}/**/*.ts').scanSync(ROOT)].filter(
    (file) => !file.endsWith('.test.ts'),
  )
  expect(files.filter((file) => readFileSync(join(ROOT, file), 'utf8').includes('Bun.secrets'))).toEqual([])
})

test('trap 17: tokens are checked quickly while passwords are hashed', async () => {
  const busy = await processes('apart', { BCRYPT_COST: '10', RATE_LIMIT: 'off' })
  try {
    const user = await registerUser(busy)
    const bearer = as.bearer(user.tokens.access_token)
    let logins = 0
    let hashing = true
    const loggingIn = Array.from({ length: 8 }, async () => {
      while (hashing) {
        const { status } = await logIn(busy, user.email)
        if (status === 200) logins++
      }
    })
    await eventually(() => logins > 2 || undefined)
    const before = logins
    let checks = 0
    for (; logins - before < 20; checks++) {
      const validation = await call(busy.url.auth, 'POST /auth/validate-token', {
        body: { token: user.tokens.access_token },
      })
      const read = await call(busy.url.users, `GET /users/${user.id}`, { headers: bearer })
      expect([validation.body.valid, read.status]).toEqual([true, 200])
    }
    hashing = false
    await Promise.all(loggingIn)
    // A check queued behind the hashes would take as long as two logins. Counts do not depend on the machine's speed.
    expect(checks).toBeGreaterThan(40)
  } finally {
    await busy.stop()
  }
})

test('trap 18: callers without permission are refused before the body is read', async () => {
  const seen: string[] = []
  const routes = new Elysia({ normalize: false }).use(guardFor(OPERATOR_KEY)).post('/guarded', () => 'ok', {
    auth: ['operator'],
    body: t.Object({
      secret: t
        .Transform(t.String())
        .Decode((value) => {
          seen.push(value)
          return value
        })
        .Encode(String),
    }),
    response: t.String(),
  })
  const ask = appOf(routes)
  const headers = { 'content-type': 'application/json' }
  const wrong = { ...headers, 'x-api-key': 'wrong' }
  const internal = { ...headers, 'x-api-key': INTERNAL_KEY }
  const right = { ...headers, 'x-api-key': OPERATOR_KEY }
  for (const body of ['{', '{}', '{"secret":1}', '{"secret":"x"}', 'x'.repeat(70_000)]) {
    expect((await ask('POST /guarded', { body, headers })).status).toBe(401)
    expect((await ask('POST /guarded', { body, headers: wrong })).status).toBe(401)
    expect((await ask('POST /guarded', { body, headers: internal })).status).toBe(403)
  }
  expect(seen).toEqual([])
  expect((await ask('POST /guarded', { body: '{"secret":1}', headers: right })).status).toBe(400)
  expect((await ask('POST /guarded', { body: '{"secret":"x"}', headers: right })).status).toBe(200)
  expect(seen).toEqual(['x'])
})

test('trap 19: only one encoding of a signature is valid', async () => {
  const { id, tokens } = await registerUser(system)
  const token = tokens.access_token
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const signature = (of: string) => Buffer.from(of.slice(of.lastIndexOf('.') + 1), 'base64url').toString('hex')
  const others = [...alphabet].map((character) => token.slice(0, -1) + character).filter((other) => other !== token)
  const stray = others.filter((other) => signature(other) === signature(token))
  expect(stray).toHaveLength(15)
  const spelled = [...stray, `${token}=`, `${token}==`, token.replaceAll('-', '+').replaceAll('_', '/')].filter(
    (other) => other !== token,
  )
  for (const other of spelled) {
    const headers = as.bearer(other)
    const answers = await Promise.all([
      call(system.url.auth, 'GET /auth/me', { headers }),
      call(system.url.users, `GET /users/${id}`, { headers }),
      call(system.url.modules, 'GET /modules/', { headers }),
    ])
    expect(answers.map(({ status, body }) => `${status} ${body.code}`)).toEqual(Array(3).fill('401 invalid_token'))
    const validation = await call(system.url.auth, 'POST /auth/validate-token', { body: { token: other } })
    expect(validation.body).toEqual({ valid: false, reason: 'malformed' })
  }
})

test('trap 20: within one second a change of roles revokes the older token, and not the newer', async () => {
  const issued = (token: string) => JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()).iat
  let same = 0
  for (let round = 0; round < 8 && same < 3; round++) {
    const { id, tokens } = await createUser(system)
    const changed = await call(system.url.users, `PATCH /users/${id}`, {
      headers: as.operator,
      body: { roles: ['USER', 'EDITOR'] },
    })
    expect(changed.status).toBe(200)
    const { refresh_token } = tokens
    // Auth is notified a moment later; until then it issues no token with the new roles.
    const newer = await eventually(async () => {
      const answer = await call(system.url.auth, 'POST /api/v1/auth/refresh', { body: { refresh_token } })
      return JSON.parse(Buffer.from(answer.body.access_token.split('.')[1], 'base64url').toString()).roles.length === 2
        ? answer.body.access_token
        : undefined
    })
    if (issued(newer) === issued(tokens.access_token)) same++
    for (const [token, status, code] of [
      [tokens.access_token, 401, 'token_revoked'],
      [newer, 200, undefined],
    ] as const)
      for (const [base, path] of [
        [system.url.auth, '/auth/me'],
        [system.url.users, `/users/${id}`],
        [system.url.modules, '/modules/'],
      ] as const) {
        const answer = await call(base, `GET ${path}`, { headers: as.bearer(token) })
        expect([path, answer.status, answer.body.code]).toEqual([path, status, code])
      }
  }
  expect(same).toBeGreaterThan(0)
})

test('trap 21: four services that start together on an empty directory share the same secrets', async () => {
  const dataDir = folder.fresh()
  const { INTERNAL_API_KEY: _, OPERATOR_API_KEY: __, CH202_SECRET: ___, ...env } = ownSettings(dataDir)
  const running = SERVICE_NAMES.map((name) => launch([process.execPath, 'cli/main.ts', 'serve', name], { env }))
  await Promise.all(running.map((one) => one.printed(/ready at/)))
  const file = join(dataDir, 'secrets.env')
  const secrets = readFileSync(file, 'utf8')
  expect(secrets.match(/^[A-Z0-9_]+=[A-Za-z0-9_-]{43}$/gm)).toHaveLength(3)
  expect(statSync(file).mode & 0o777).toBe(0o600)
  // A registration succeeds, and reaches modules, only when all have the same internal key.
  const registration = await call(env.AUTH_URL ?? '', 'POST /api/v1/auth/register', {
    body: { email: newEmail(), password: PASSWORD },
  })
  expect(registration.status).toBe(201)
  const headers = as.bearer(registration.body.tokens.access_token)
  expect((await call(env.MODULES_URL ?? '', 'GET /modules/', { headers })).status).toBe(200)
  const operator = { 'x-api-key': /^OPERATOR_API_KEY=(.*)$/m.exec(secrets)?.[1] ?? '' }
  for (const [base, path] of [
    [env.AUTH_URL, '/admin/keys'],
    [env.USERS_URL, '/users'],
    [env.MODULES_URL, '/modules/'],
  ])
    expect((await call(base ?? '', `GET ${path}`, { headers: operator })).status).toBe(200)
  for (const one of running) one.signal('SIGTERM')
  await Promise.all(running.map((one) => one.ended))
  expect([...new Bun.Glob('secrets.env*').scanSync({ cwd: dataDir, dot: true })]).toEqual(['secrets.env'])
  const output = running.map((one) => one.stdout() + one.stderr()).join('')
  for (const [, secret] of secrets.matchAll(/=(.+)$/gm)) expect(output).not.toContain(secret ?? '')
})

test('check 24: trap 22, no unusual spelling of a path bypasses the credential check', async () => {
  const tricks: [keyof System['url'], string][] = [
    ['users', '//users'],
    ['users', '///users'],
    ['users', '/./users'],
    ['users', '/x/../users'],
    ['users', '/health/../users'],
    ['users', '/health/..;/users'],
    ['users', '/%2e/users'],
    ['users', '/health/%2e%2e/users'],
    ['users', '/%75sers'],
    ['users', '/users%2f'],
    ['users', '/users%00'],
    ['users', '/users;x'],
    ['users', '/users?'],
    ['users', '/users#x'],
    ['users', '/USERS'],
    ['users', '/Users'],
    ['users', '/api/v1//users'],
    ['users', '/api//v1/users'],
    ['users', '/API/V1/users'],
    ['users', '/api%2fv1/users'],
    ['users', '/users//password-hashes'],
    ['users', '/users/%70assword-hashes'],
    ['users', '/users/password-hashes/'],
    ['users', '/users/Password-Hashes'],
    ['users', '/users/x/..%2fpassword-hashes'],
    ['users', '\\users'],
    ['users', '/\\users'],
    ['users', 'http://localhost/users'],
    ['users', 'http://evil.example.org//users'],
    ['auth', '//admin/keys'],
    ['auth', '/admin//keys'],
    ['auth', '/admin/./keys'],
    ['auth', '/%61dmin/keys'],
    ['auth', '/admin%2fkeys'],
    ['auth', '/ADMIN/KEYS'],
    ['auth', '/.well-known/../admin/keys'],
    ['auth', '/.well-known/jwks.json/../../admin/keys'],
    ['auth', '/auth/me/../sync/password'],
    ['auth', '/metrics/'],
    ['auth', '//metrics'],
    ['auth', '/health/../metrics'],
    ['modules', '/modules/%75sers/01900000-0000-7000-8000-000000000000'],
    ['modules', '/modules//users/01900000-0000-7000-8000-000000000000'],
    ['modules', '/./modules/'],
    ['modules', '//metrics'],
  ]
  for (const [service, path] of tricks)
    for (const headers of [
      [],
      [
        'X-Original-URL: /health',
        'X-Rewrite-URL: /health',
        'X-HTTP-Method-Override: GET',
        'X-Forwarded-Prefix: /health',
      ],
    ]) {
      const { status, body } = await request(system.url[service], `GET ${path} HTTP/1.1`, [
        'Host: localhost',
        ...headers,
      ])
      const codes: Record<number, unknown> = {
        // Bun answers this itself, before any of our code runs.
        400: undefined,
        401: expect.stringMatching(/^(missing_token|invalid_api_key)$/),
        404: 'not_found',
        405: 'method_not_allowed',
      }
      expect([path, Object.keys(codes)]).toEqual([path, expect.arrayContaining([String(status)])])
      expect([path, body.code]).toEqual([path, codes[status]])
    }
  // A key for other routes does not work either, however the path is spelled.
  for (const [key, path] of [
    [OPERATOR_KEY, '/users/%70assword-hashes'],
    [OPERATOR_KEY, '/users/x/../password-hashes'],
    [OPERATOR_KEY, '//users/password-hashes'],
    [INTERNAL_KEY, '/users/../users'],
    [INTERNAL_KEY, '//users'],
  ] as const) {
    const { status } = await request(system.url.users, `GET ${path} HTTP/1.1`, ['Host: localhost', `X-API-Key: ${key}`])
    expect([path, [403, 404].includes(status)]).toEqual([path, true])
  }
  // Two requests on one connection: the second needs its own credential.
  const smuggled = await exchange(
    system.url.users,
    `POST /users HTTP/1.1\r\nHost: localhost\r\nX-API-Key: ${OPERATOR_KEY}\r\nContent-Length: 0\r\n\r\nGET /users HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`,
  )
  expect(smuggled.text).not.toContain('"items"')
  const both = await exchange(
    system.url.users,
    'POST /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\nGET /users HTTP/1.1\r\nHost: x\r\n\r\n',
  )
  expect(both.status).not.toBe(200)
  expect(both.text).not.toContain('"items"')
})

test('trap 23: WebCrypto, file reads and lazy imports do not wait for hashes', async () => {
  const cores = availableParallelism()
  const hasher = new PasswordHasher({ passwordHash: 'bcrypt', bcryptCost: 10, hashQueue: 2 * cores })
  const hash = await hasher.hash(PASSWORD)
  const secret = crypto.getRandomValues(new Uint8Array(32))
  const token = await new SignJWT({}).setProtectedHeader({ alg: 'HS256' }).sign(secret)
  const source = folder.fresh()
  mkdirSync(source)
  let modules = 0
  const kinds: Record<string, () => Promise<unknown>> = {
    'a check of jose': () => jwtVerify(token, secret),
    'a file read by Bun': () => Bun.file(import.meta.path).text(),
    'a file read by node:fs': () => readFile(import.meta.path),
    'a lazy import': () => {
      const path = join(source, `${modules++}.ts`)
      writeFileSync(path, `export const number: number = ${modules}`)
      return import(path)
    },
  }
  for (const [kind, work] of Object.entries(kinds)) {
    let isOver = false
    let hashes = 0
    // All cores hash until the last one of the works is done.
    const all = Array.from({ length: 2 * cores }, async () => {
      for (; !isOver; hashes++) await hasher.verify(PASSWORD, hash)
    })
    let times = 0
    for (; hashes < 2 * cores; times++) await work()
    isOver = true
    await Promise.all(all)
    // Work that shares threads with the hashes is done about once while one is computed. Counts do not depend on the
    // machine's speed.
    expect([kind, times > 10 * cores]).toEqual([kind, true])
  }
})

test('trap 25: a request without a Host header gets a complete URL before the app sees it', async () => {
  const urls: string[] = []
  const bare = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    fetch: (incoming) => {
      const [before, { address }] = [incoming.url, bare.requestIP(incoming) ?? { address: '' }]
      completeUrl(incoming)
      // The request object is the same: the server still knows its address.
      urls.push(before, incoming.url, String(bare.requestIP(incoming)?.address === address))
      return new Response()
    },
  })
  const targets = ['/a/b?c=d', '//users', '/../x', 'http://id.example.org/a']
  for (const target of targets) await request(String(bare.url), `GET ${target} HTTP/1.0`, [])
  await request(String(bare.url), 'GET /a HTTP/1.1', ['Host: [::1'])
  await request(String(bare.url), 'GET /a HTTP/1.1', ['Host: id.example.org'])
  await bare.stop(true)
  expect(urls).toEqual([
    ...['/a/b?c=d', 'http://localhost/a/b?c=d', 'true'],
    ...['//users', 'http://localhost//users', 'true'],
    ...['/../x', 'http://localhost/x', 'true'],
    ...['/a', 'http://localhost/a', 'true'],
    ...['http://[::1/a', 'http://localhost/a', 'true'],
    ...['http://id.example.org/a', 'http://id.example.org/a', 'true'],
  ])
  expect(URL.canParse('/a/b?c=d')).toBe(false)
})
