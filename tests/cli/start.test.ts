import { Database } from 'bun:sqlite'
import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { addressSetting } from '../../services/kit/process/service-address.ts'
import { SERVICE_NAMES } from '../../services/registry.ts'
import { KeepAlive } from '../faults/keep-alive.ts'
import { newEmail, PASSWORD } from '../support/actors.ts'
import { eventually, PROMPT } from '../support/eventually.ts'
import { arrived, as, call } from '../support/http.ts'
import { mails } from '../support/mails.ts'
import { INTERNAL_KEY, OPERATOR_KEY } from '../support/settings.ts'
import { type Ended, launch, ownSettings, processesWith, runTool, temporary } from '../support/tool.ts'
import { sliced } from '../support/whole.ts'

// Processes start slowly on a busy machine; what has to be quick is measured.
setDefaultTimeout(120_000)

const folder = temporary('start')
afterAll(folder.remove)

const SECRETS = ['INTERNAL_API_KEY', 'OPERATOR_API_KEY', 'CH202_SECRET'] as const
const LONG = { INTERNAL_API_KEY: 'i1'.repeat(20), OPERATOR_API_KEY: 'o2'.repeat(20), CH202_SECRET: 's3'.repeat(20) }

/** Expects a refusal to start: quickly, with one message on standard error, without a stack and secrets. */
function expectRefusal(ended: Ended, ...texts: (string | RegExp)[]) {
  expect([ended.status, ended.stdout]).toEqual([1, expect.not.stringContaining('ready')])
  for (const text of texts) expect(ended.stderr).toMatch(text)
  expect(ended.stderr.match(/^✗ /gm)).toHaveLength(1)
  expect(ended.stderr).not.toMatch(/^\s+at |\.ts:\d|SQLITE_|node:/m)
  expect(ended.took).toBeLessThan(PROMPT)
}

const serve = (env: Record<string, string>, ...names: string[]) =>
  launch([process.execPath, 'cli/main.ts', 'serve', ...names], { env })

async function served(env: Record<string, string>, ...names: string[]) {
  const running = serve(env, ...names)
  await running.printed(/ready at/)
  return running
}

/** A data directory of a stopped instance. */
async function usedDirectory(): Promise<string> {
  const dataDir = folder.fresh()
  const { status } = await runTool(['migrate'], { env: ownSettings(dataDir) })
  expect(status).toBe(0)
  return dataDir
}

describe('wrong settings', () => {
  test('are all reported at once, by their names and without their values', async () => {
    const dataDir = folder.fresh()
    const wrong = {
      JWT_EXPIRE: 'sooncanary',
      REFRESH_EXPIRE: '0s',
      REVOCATION_MAX_LAG: '5',
      PASSWORD_MIN_LENGTH: '0',
      PASSWORD_HASH: 'md5canary',
      BCRYPT_COST: '3',
      REGISTRATION: 'maybecanary',
      CORS_ORIGINS: '*',
      AUTH_URL: 'ftp://canary',
      SMTP_URL: 'http://user:canary@mail',
      RATE_LIMIT: 'canary',
      LOG_FORMAT: 'xmlcanary',
      TRUSTED_PROXIES: 'canary',
      OPERATOR_API_KEY: INTERNAL_KEY,
      METRICS_API_KEY: `canary,${INTERNAL_KEY}`,
    }
    const ended = await runTool(['serve'], { env: ownSettings(dataDir, wrong) })
    expectRefusal(ended, ...Object.keys(wrong))
    expect(ended.stderr).not.toContain('canary')
    expect(ended.stderr).not.toContain(INTERNAL_KEY)
    expect(ended.stderr.match(/^ {2}- /gm)?.length).toBeGreaterThanOrEqual(Object.keys(wrong).length)
    const started = await runTool(['start'], { env: ownSettings(dataDir, wrong) })
    expectRefusal(started, /JWT_EXPIRE/)
    expect(existsSync(join(dataDir, 'auth.sqlite'))).toBe(false)
  })

  const secretsThatStop: [what: string, secrets: Record<string, string>, text: string][] = [
    ['missing', Object.fromEntries(SECRETS.map((name) => [name, ''])), 'is missing'],
    ['short', { ...LONG, CH202_SECRET: 'k'.concat('9x'.repeat(15)) }, 'CH202_SECRET must have at least 32 characters'],
    [
      'a short one among several',
      { ...LONG, INTERNAL_API_KEY: `${LONG.INTERNAL_API_KEY},kurz` },
      'INTERNAL_API_KEY must have',
    ],
    [
      'a sample',
      { ...LONG, OPERATOR_API_KEY: 'your-operator-key-goes-here-please-set-it' },
      'OPERATOR_API_KEY is a sample',
    ],
    ['a short one for metrics', { ...LONG, METRICS_API_KEY: 'm4'.repeat(9) }, 'METRICS_API_KEY must have'],
    [
      'the same for metrics',
      { ...LONG, METRICS_API_KEY: `${'m4'.repeat(20)},${LONG.CH202_SECRET}` },
      'METRICS_API_KEY must differ from CH202_SECRET',
    ],
  ]
  test.each(sliced(secretsThatStop, 2))(
    'in production a secret that is %s stops the start',
    async (_, secrets, text) => {
      const dataDir = folder.fresh()
      const ended = await runTool(['serve'], { env: ownSettings(dataDir, { CH202_ENV: 'production', ...secrets }) })
      expectRefusal(ended, text)
      for (const value of Object.values(secrets)) if (value) expect(ended.stderr).not.toContain(value)
      expect(existsSync(join(dataDir, 'secrets.env'))).toBe(false)
      expect(existsSync(join(dataDir, 'auth.sqlite'))).toBe(false)
    },
  )

  test('an unknown service is a usage error', async () => {
    const ended = await runTool(['serve', 'mail'], { env: ownSettings(folder.fresh()) })
    expect([ended.status, ended.stdout]).toEqual([2, ''])
    expect(ended.stderr).toContain(`There is no service mail: the services are ${SERVICE_NAMES.join(', ')}`)
    const only = await runTool(['start', '--only', 'auth,mail'], { env: ownSettings(folder.fresh()) })
    expect([only.status, only.stderr]).toEqual([2, expect.stringContaining('The Procfile has no mail')])
  })
})

describe('a start fails with', () => {
  test('a port in use, and leaves the databases of the running instance unchanged', async () => {
    const dataDir = folder.fresh()
    const env = ownSettings(dataDir)
    const first = await served(env, 'users')
    const second = await runTool(['serve', 'users'], { env })
    expectRefusal(second, `${env.USERS_URL} is in use`)
    expect((await call(env.USERS_URL ?? '', 'GET /health/db')).status).toBe(200)
    first.signal('SIGTERM')
    expect((await first.ended).status).toBe(0)
  })

  test('a data directory that cannot be created', async () => {
    const file = folder.fresh()
    writeFileSync(file, 'a file')
    for (const words of [['serve'], ['serve', 'auth'], ['start'], ['migrate']]) {
      const ended = await runTool(words, { env: ownSettings(join(file, 'data')) })
      expect([words, ended.status]).toEqual([words, 1])
      expectRefusal(ended, file)
    }
    expect(readFileSync(file, 'utf8')).toBe('a file')
  })

  const template = usedDirectory()
  const damages: [what: string, damage: (path: string, other: string) => void, text: RegExp][] = [
    ['an empty file', (path) => writeFileSync(path, ''), /is damaged/],
    ['another file', (path) => writeFileSync(path, 'not a database at all\n'.repeat(100)), /is damaged/],
    ['a cut file', (path) => writeFileSync(path, readFileSync(path).subarray(0, 8192)), /is damaged/],
    ['half a header', (path) => writeFileSync(path, readFileSync(path).subarray(0, 50)), /is damaged/],
    ['a file of zeros', (path) => writeFileSync(path, Buffer.alloc(65536)), /is damaged/],
    [
      'a file with garbage where its pages were',
      (path) => {
        const bytes = readFileSync(path)
        writeFileSync(path, bytes.fill(0xa5, 100))
      },
      /./,
    ],
    ['the database of another service', (path, other) => copyFileSync(other, path), /is not the database of the/],
    [
      'the database of another program',
      (path) => change(path, 'PRAGMA application_id = 7'),
      /is not the database of the/,
    ],
    [
      'a database that is newer than the program',
      (path) => change(path, "INSERT INTO schema_migrations VALUES ('9999_future', 'x', 0)"),
      /is newer than this program/,
    ],
    [
      'a database that an edited migration made',
      (path) => change(path, "UPDATE schema_migrations SET checksum = 'edited'"),
      /was made by another version of the migration/,
    ],
    ['a directory', (path) => replaceByDirectory(path), /cannot be opened/],
  ]
  const services = ['auth', 'users', 'modules'] as const
  test.each(
    sliced(
      damages.map((row, index) => [...row, index] as const),
      2,
    ),
  )('%s, which it names and leaves unchanged', async (_, damage, text, index) => {
    const name = services[index % 3] ?? 'auth'
    const dataDir = folder.fresh()
    mkdirSync(dataDir)
    const databases = readdirSync(await template).filter((entry) => entry.endsWith('.sqlite'))
    for (const file of databases) copyFileSync(join(await template, file), join(dataDir, file))
    const path = join(dataDir, `${name}.sqlite`)
    damage(path, join(dataDir, `${services[(index + 1) % 3]}.sqlite`))
    const before = contentOf(path)
    const ended = await runTool(['serve', name], { env: ownSettings(dataDir) })
    expectRefusal(ended, path, text)
    expect(contentOf(path)).toBe(before)
    expect(readdirSync(dataDir).filter((entry) => entry.includes('.new'))).toEqual([])
  })

  test('one damaged database, and leaves the others unchanged', async () => {
    const dataDir = await usedDirectory()
    writeFileSync(join(dataDir, 'modules.sqlite'), '')
    expectRefusal(await runTool(['serve'], { env: ownSettings(dataDir) }), join(dataDir, 'modules.sqlite'))
    for (const name of ['auth', 'users']) {
      const database = new Database(join(dataDir, `${name}.sqlite`), { readonly: true })
      expect(database.query('PRAGMA integrity_check').values()).toEqual([['ok']])
      database.close()
    }
  })

  test('signing keys that CH202_SECRET cannot decrypt', async () => {
    const dataDir = folder.fresh()
    const first = await served(ownSettings(dataDir))
    first.signal('SIGTERM')
    await first.ended
    const other = 'another-secret-0123456789-0123456789-0123'
    const ended = await runTool(['serve'], { env: ownSettings(dataDir, { CH202_SECRET: other }) })
    expectRefusal(ended, /CH202_SECRET/)
    expect(ended.stderr).not.toContain(other)
  })
})

function change(path: string, sql: string): void {
  const database = new Database(path)
  database.run(sql)
  database.run('PRAGMA wal_checkpoint(TRUNCATE)')
  database.close()
}

function replaceByDirectory(path: string): void {
  const bytes = readFileSync(path)
  expect(bytes.length).toBeGreaterThan(0)
  Bun.spawnSync(['rm', path])
  mkdirSync(path)
}

function contentOf(path: string): string {
  return statSync(path).isDirectory() ? readdirSync(path).join() : Bun.hash(readFileSync(path)).toString(36)
}

describe('a start', () => {
  test('creates files that only their owner can read, whatever the umask', async () => {
    const dataDir = folder.fresh()
    const { INTERNAL_API_KEY: _, OPERATOR_API_KEY: __, CH202_SECRET: ___, ...env } = ownSettings(dataDir)
    const running = launch(['sh', '-c', `umask 000 && exec "${process.execPath}" cli/main.ts serve`], { env })
    await running.printed(/ready at/)
    const user = await call(env.CH202_URL ?? '', 'POST /auth/register', {
      body: { email: newEmail(), password: PASSWORD },
    })
    await call(env.CH202_URL ?? '', 'POST /auth/password-reset-request', { body: { email: user.body.email } })
    await eventually(() => mails({ dataDir }).length > 0)
    const modes = (directory: string): string[] =>
      readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
        const path = join(directory, entry.name)
        const mode = (statSync(path).mode & 0o777).toString(8)
        const line = `${path.slice(dataDir.length + 1)} ${mode}`
        return entry.isDirectory() ? [line, ...modes(path)] : [line]
      })
    const all = modes(dataDir)
    expect(all.length).toBeGreaterThan(8)
    for (const name of ['auth.sqlite', 'users.sqlite-wal', 'modules.sqlite-shm', 'secrets.env', 'run/auth.json'])
      expect(all).toContain(`${name} 600`)
    expect(all.filter((line) => !/ (600|700)$/.test(line))).toEqual([])
    expect(statSync(dataDir).mode & 0o777).toBe(0o700)
    running.signal('SIGTERM')
    await running.ended
  })

  test('R8: succeeds while another service creates the secrets and the first key', async () => {
    const dataDir = folder.fresh()
    const { INTERNAL_API_KEY: _, OPERATOR_API_KEY: __, CH202_SECRET: ___, ...env } = ownSettings(dataDir)
    const preload = ['--preload', './tests/faults/another-starts-first.ts']
    const running = launch([process.execPath, ...preload, 'cli/main.ts', 'serve', 'users'], { env })
    await running.printed(/users ready at/)
    // Auth did start meanwhile.
    expect(existsSync(join(dataDir, 'auth.sqlite'))).toBe(true)
    running.signal('SIGTERM')
    expect(await running.ended).toMatchObject({ status: 0, stderr: '' })
    // Both have the same secrets, and auth decrypts its key with them.
    const auth = await served(env, 'auth')
    auth.signal('SIGTERM')
    expect((await auth.ended).status).toBe(0)
  })

  test('of one service prints one line, and the service accepts requests', async () => {
    const env = ownSettings(folder.fresh())
    const rows = [
      ['auth', env.AUTH_URL],
      ['users', env.USERS_URL],
      ['modules', env.MODULES_URL],
    ] as const
    await Promise.all(
      rows.map(async ([name, url]) => {
        const running = await served(env, name)
        expect(running.stdout().match(/^.* ready at .*$/gm)).toEqual([`${name} ready at ${url}`])
        expect((await call(url ?? '', 'GET /health')).body).toMatchObject({ status: 'ok', service: name })
        running.signal('SIGTERM')
        expect((await running.ended).status).toBe(0)
      }),
    )
  })

  test('of the Procfile prefixes every line, and reports when each service is ready', async () => {
    const dataDir = folder.fresh()
    const env = ownSettings(dataDir)
    const running = launch(['bun', 'start'], { env, group: true })
    const width = Math.max(...SERVICE_NAMES.map(({ length }) => length))
    await running.printed(/ready at/, SERVICE_NAMES.length)
    for (const name of SERVICE_NAMES)
      expect(running.stdout()).toContain(`${name.padEnd(width)} | ${name} ready at ${env[addressSetting(name)]}\n`)
    // A Ctrl-C reaches the whole group, and `bun run` passes it on once more: it must still be an orderly stop.
    running.signal('SIGINT')
    const { status, stdout, took } = await running.ended
    expect(status).toBe(0)
    expect(took).toBeLessThan(PROMPT)
    const prefixes = SERVICE_NAMES.map((name) => `${name.padEnd(width)} | `)
    const others = stdout.split('\n').filter((line) => !prefixes.some((prefix) => line.startsWith(prefix)))
    expect(others).toEqual([''])
    expect(processesWith(dataDir)).toEqual([])
    expect(readdirSync(join(dataDir, 'run'))).toEqual([])
  })

  test('of some services of the Procfile ends with its terminal', async () => {
    const env = ownSettings(folder.fresh())
    const running = launch([process.execPath, 'cli/main.ts', 'start', '--only', 'users, modules'], { env })
    await running.printed(/ready at/, 2)
    expect(running.stdout()).not.toContain('auth ready')
    // The signal of a terminal that is closed.
    running.signal('SIGHUP')
    expect((await running.ended).status).toBe(0)
  })

  test('with the same files has the same data', async () => {
    const dataDir = folder.fresh()
    const env = ownSettings(dataDir)
    const base = env.CH202_URL ?? ''
    const first = await served(env)
    const email = newEmail()
    const registration = await call(base, 'POST /api/v1/auth/register', { body: { email, password: PASSWORD } })
    await call(base, 'POST /modules', { headers: as.operator, body: { id: 'billing', name: 'B', description: 'd' } })
    const bearer = as.bearer(registration.body.tokens.access_token)
    await call(base, 'POST /modules/billing/enable', { headers: bearer })
    const keys = (await call(base, 'GET /.well-known/jwks.json')).body
    first.signal('SIGTERM')
    expect((await first.ended).status).toBe(0)
    expect(readdirSync(dataDir).filter((name) => /-(wal|shm)$/.test(name))).toEqual([])

    const again = await served(env)
    expect((await call(base, 'GET /auth/me', { headers: bearer })).body).toMatchObject({ email })
    expect((await call(base, 'GET /modules/billing', { headers: bearer })).body).toMatchObject({ enabled: true })
    expect((await call(base, 'GET /.well-known/jwks.json')).body).toEqual(keys)
    const { refresh_token } = registration.body.tokens
    expect((await call(base, 'POST /api/v1/auth/refresh', { body: { refresh_token } })).status).toBe(200)
    expect((await call(base, 'POST /auth/login', { body: { email, password: PASSWORD } })).status).toBe(200)
    again.signal('SIGTERM')
    await again.ended
  })
})

describe('a stop', () => {
  const isRefused = (base: string) =>
    call(base, 'GET /health').then(
      () => false,
      () => true,
    )

  test.each(sliced(['SIGTERM', 'SIGINT'] as const, 2))(
    'by %s answers the requests under way, and exits 0 soon',
    async (signal) => {
      const env = ownSettings(folder.fresh())
      const base = env.CH202_URL ?? ''
      const running = await served(env)
      const email = newEmail()
      const body = JSON.stringify({ email, password: PASSWORD })
      const bytes = KeepAlive.bytes({ method: 'POST', path: '/api/v1/auth/register', body })
      const client = new KeepAlive(base)
      await client.open()
      // The request is under way when the signal comes: the end of its body follows later.
      client.send(bytes.slice(0, -10))
      await arrived(base)
      running.signal(signal)
      await eventually(() => isRefused(base))
      client.send(bytes.slice(-10))
      const { kind, status: answered, text } = await client.answer()
      expect([kind, answered, JSON.parse(text).email]).toEqual(['answered', 201, email])
      const { status, took, stderr } = await running.ended
      expect([status, stderr]).toEqual([0, ''])
      expect(took).toBeLessThan(PROMPT)
      expect(await isRefused(base)).toBe(true)
    },
  )

  test('by a second, later signal is immediate', async () => {
    const env = ownSettings(folder.fresh(), { BCRYPT_COST: '17' })
    const running = await served(env)
    const register = call(env.CH202_URL ?? '', 'POST /auth/register', {
      body: { email: newEmail(), password: PASSWORD },
    })
    const cut = register.then(
      () => 'answered',
      () => 'cut',
    )
    await arrived(env.CH202_URL ?? '')
    running.signal('SIGINT')
    await eventually(() => isRefused(env.CH202_URL ?? ''))
    // Longer than the time in which a second signal counts as an echo of the first.
    await Bun.sleep(2000)
    running.signal('SIGINT')
    expect((await running.ended).status).toBe(130)
    expect(await cut).toBe('cut')
  })
})

describe('the log', () => {
  const canaries = {
    password: 'canary-password-1f9a',
    wrong: 'canary-wrong-77b2',
    header: 'canary-header-c3d4',
    query: 'canary-query-e5f6',
  }

  const exercise = async (env: Record<string, string>) => {
    const running = await served(env)
    const base = env.CH202_URL ?? ''
    const email = newEmail()
    const body = { email, password: canaries.password }
    const registration = await call(base, 'POST /api/v1/auth/register', { body })
    expect(registration.status).toBe(201)
    const { access_token, refresh_token } = registration.body.tokens
    const bearer = as.bearer(access_token)
    const v0 = await call(base, 'POST /auth/login', { body })
    const refreshed = await call(base, 'POST /api/v1/auth/refresh', { body: { refresh_token } })
    const hash = await call(base, `GET /users/${registration.body.id}/password-hash`, { headers: as.internal })
    await call(base, 'POST /auth/login', { body: { login: email, password: canaries.wrong } })
    await call(base, `GET /users?search=${canaries.query}`, { headers: as.operator })
    await call(base, `GET /${canaries.query}?token=${canaries.query}`, {
      headers: {
        'x-api-key': canaries.header,
        cookie: canaries.header,
        authorization: canaries.header,
        'user-agent': canaries.header,
      },
    })
    await call(base, 'POST /auth/login', {
      body: `{"password":"${canaries.wrong}`,
      headers: { 'content-type': 'application/json' },
    })
    await call(base, 'POST /auth/password-reset-request', { body: { email } })
    const written = () => mails({ dataDir: env.CH202_DATA_DIR ?? '' })
    await eventually(() => written().length > 0)
    const mail = written().join('').replaceAll('=\r\n', '').replaceAll('=3D', '=')
    const reset = /reset-password\?token=([\w.-]+)/.exec(mail)?.[1] ?? 'no reset token was found'
    await call(base, 'POST /auth/password-reset-confirm', {
      body: { token: reset, new_password: `${canaries.password}-2` },
    })
    await call(base, 'GET /auth/me', { headers: bearer })
    await call(base, 'POST /admin/keys/rotate', { headers: as.operator })
    running.signal('SIGTERM')
    const { stdout, stderr } = await running.ended
    const secret = [
      ...Object.values(canaries),
      access_token,
      refresh_token,
      refreshed.body.refresh_token,
      v0.body.refreshToken.token,
      hash.body.password_hash,
      reset,
      INTERNAL_KEY,
      OPERATOR_KEY,
      env.CH202_SECRET ?? '',
      email,
    ]
    expect(secret.every((value) => typeof value === 'string' && value.length > 8)).toBe(true)
    for (const value of secret) expect((stdout + stderr).includes(value)).toBe(false)
    expect(stdout + stderr).not.toMatch(/\$2[aby]\$|BEGIN (PRIVATE|PUBLIC)|eyJ/)
    expect(stderr).toBe('')
    return stdout
  }

  test('as JSON has an event and a time in every line, and no secret', async () => {
    const stdout = await exercise(ownSettings(folder.fresh(), { LOG_FORMAT: 'json', LOG_LEVEL: 'debug' }))
    const lines = stdout
      .trim()
      .split('\n')
      .filter((line) => !line.includes(' ready at '))
    expect(lines.length).toBeGreaterThan(10)
    for (const line of lines) {
      const entry = JSON.parse(line)
      expect(entry).toMatchObject({
        level: expect.any(String),
        time: expect.stringMatching(/Z$/),
        service: expect.any(String),
        event: expect.any(String),
      })
      const {
        level,
        time,
        service,
        event,
        request_id,
        method,
        route,
        status,
        ms,
        code,
        user_id,
        target,
        file,
        url,
        count,
        seq,
        message,
        msg,
        err,
        ip,
        ...rest
      } = entry
      expect(rest).toEqual({})
    }
    const logins = lines.map((line) => JSON.parse(line)).filter(({ route }) => route === '/auth/login')
    expect(logins).toContainEqual(
      expect.objectContaining({ status: 401, code: 'invalid_credentials', request_id: expect.any(String) }),
    )
  })

  test('as text has no secret', async () => {
    const stdout = await exercise(ownSettings(folder.fresh(), { LOG_FORMAT: 'pretty', LOG_LEVEL: 'trace' }))
    expect(stdout).toMatch(/INFO/)
    expect(stdout).toContain('invalid_credentials')
    expect(stdout.split('\n').filter((line) => line.startsWith('{'))).toEqual([])
  })

  test('can be turned off', async () => {
    const env = ownSettings(folder.fresh(), { LOG_LEVEL: 'silent' })
    const running = await served(env)
    await call(env.CH202_URL ?? '', 'GET /nope')
    running.signal('SIGTERM')
    expect((await running.ended).stdout).toBe(`${SERVICE_NAMES.join(', ')} ready at ${env.CH202_URL}\n`)
  })
})

test('the files contain no secret of a user or an operator in plain text', async () => {
  const dataDir = folder.fresh()
  const env = ownSettings(dataDir)
  const base = env.CH202_URL ?? ''
  const running = await served(env)
  const email = newEmail()
  const registration = await call(base, 'POST /api/v1/auth/register', {
    body: { email, password: 'canary-password-9c1d' },
  })
  const v0 = await call(base, 'POST /auth/login', { body: { email, password: 'canary-password-9c1d' } })
  await call(base, 'POST /admin/keys/rotate', { headers: as.operator })
  const { access_token, refresh_token } = registration.body.tokens
  const trusted = [
    'canary-password-9c1d',
    access_token,
    refresh_token,
    v0.body.refreshToken.token,
    INTERNAL_KEY,
    OPERATOR_KEY,
    env.CH202_SECRET ?? '',
    'PRIVATE KEY',
    '"d":"',
  ]
  const clear = () =>
    readdirSync(dataDir)
      .filter((name) => name.includes('.sqlite'))
      .flatMap((name) => {
        const bytes = readFileSync(join(dataDir, name))
        return trusted.filter((text) => bytes.includes(text)).map((text) => `${name}: ${text}`)
      })
  // Both the files of the running instance, with the write-ahead log, and those after a stop.
  expect(clear()).toEqual([])
  expect(readFileSync(join(dataDir, 'users.sqlite-wal')).includes(email)).toBe(true)
  running.signal('SIGTERM')
  await running.ended
  expect(clear()).toEqual([])
})
