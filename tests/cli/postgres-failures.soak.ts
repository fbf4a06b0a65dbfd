import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { chownSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { SQL } from 'bun'
import { eventually } from '../support/eventually.ts'
import { isRoot, NOBODY } from '../support/postgres/programs.ts'
import { type PostgresServer, startPostgres } from '../support/postgres/server.ts'
import { processes } from '../support/processes.ts'
import { CERTIFICATE, CERTIFICATE_KEY } from '../support/servers/certificate.ts'
import { freePort } from '../support/servers/ports.ts'
import { ownSettings, runTool, temporary } from '../support/tool.ts'

/** The messages for operators when the address, the server or the account is wrong. None may quote a password. */

setDefaultTimeout(180_000)

const folder = temporary('postgres-failures')
let server: PostgresServer
/** A file with the authority that signed the certificate of the server. */
const authority = join(folder.path, 'authority.pem')
beforeAll(async () => {
  const key = join(folder.path, 'key.pem')
  writeFileSync(authority, CERTIFICATE, { mode: 0o644 })
  writeFileSync(key, CERTIFICATE_KEY, { mode: 0o600 })
  if (isRoot) for (const path of [folder.path, authority, key]) chownSync(path, NOBODY, NOBODY)
  server = await startPostgres({ ssl: 'on', ssl_cert_file: authority, ssl_key_file: key })
  await server.run(
    'postgres',
    "CREATE ROLE guarded LOGIN PASSWORD 'p@ss%w/rd'",
    'CREATE ROLE plain LOGIN',
    'CREATE ROLE sleeper NOLOGIN',
    "CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0",
  )
  const [[path]] = (await server.run('postgres', "SELECT current_setting('hba_file')")) as [[string]]
  const lines = ['host all guarded 127.0.0.1/32 scram-sha-256', 'host all all 127.0.0.1/32 trust']
  await server.run(
    'postgres',
    `COPY (SELECT unnest(ARRAY['${lines.join("','")}'])) TO '${path}'`,
    'SELECT pg_reload_conf()',
  )
  await eventually(async () => {
    const [[rules]] = (await server.run('postgres', 'SELECT count(*) FROM pg_hba_file_rules')) as [[unknown]]
    return String(rules) === '2' || undefined
  })
})
afterAll(async () => {
  await server?.stop()
  folder.remove()
})

const databaseOf = (address: string) => new URL(address).pathname.slice(1)
const at = (account: string, database: string, host = `127.0.0.1:${server.port}`) =>
  `postgres://${account}@${host}/${database}`
const run = (words: string, DATABASE_URL: string, more: Record<string, string> = {}) =>
  runTool(words.split(' '), { env: ownSettings(folder.fresh(), { DATABASE_URL, ...more }) })

async function failure(words: string, DATABASE_URL: string, more: Record<string, string> = {}) {
  const { status, stderr, stdout } = await run(`${words} -o json`, DATABASE_URL, more)
  expect(stdout + stderr).not.toMatch(/hidden|p@ss|p%40ss/)
  const { error } = JSON.parse(stdout)
  return { exit: status, ...error }
}

describe('an address that is not valid is refused, with exit status 2 and what to write instead:', () => {
  const WRONG = [
    ['without a database', 'postgres://ch202:hidden@127.0.0.1:5432', /must end with the name of the database, as in/],
    ['of several hosts', 'postgres://ch202:hidden@a:1,b:2/ch202', /must be one address such as/],
    ['of another kind', 'pg://ch202:hidden@127.0.0.1/ch202', /must begin with postgres:/],
    ['of a socket', 'postgres://ch202:hidden@/ch202?host=/run/postgresql', /must be one address such as/],
    ['with / in a password', 'postgres://ch202:hidd/en@127.0.0.1/ch202', /write @ as %40, \/ as %2F/],
    ['with % in a password', 'postgres://ch202:hidden%w@127.0.0.1/ch202', /% as %25/],
    ['with an unknown word', 'postgres://ch202:hidden@127.0.0.1/ch202?sslmode=on', /sslmode that is one of disable, /],
    ['with an unknown option', 'postgres://ch202:hidden@127.0.0.1/ch202?connect_timeout=3', /must have no options but/],
  ] as const
  test.each(WRONG)('%s', async (_, address, text) => {
    for (const words of ['migrate', 'migrate --plan', 'ps', `move --to sqlite:${folder.fresh()}`])
      expect(await failure(words, address)).toMatchObject({
        exit: 2,
        code: 'usage',
        message: expect.stringMatching(text),
      })
    for (const words of [`move --to ${address}`, `backup verify --from ${address}`])
      expect(await failure(words, '')).toMatchObject({ exit: 2, code: 'usage', message: expect.stringMatching(text) })
    const { stdout, stderr } = await run('doctor --only settings.valid,database,db,audit -o json', address)
    expect(stdout + stderr).not.toContain('hidden')
    const { items }: { items: { id: string; status: string; message: string }[] } = JSON.parse(stdout)
    expect(items.find(({ id }) => id === 'settings.valid')?.message).toMatch(text)
    for (const { id, message, status } of items)
      if (id !== 'settings.valid')
        expect([id, status, message]).toEqual([
          id,
          id === 'database.reachable' ? 'failed' : 'skipped',
          expect.stringMatching(/see settings.valid|see database.reachable/),
        ])
  })
})

describe('migrate, serve and move say why a server does not do', () => {
  const CASES: [string, () => string, number, RegExp][] = [
    [
      'nothing answers',
      () => at('ch202:hidden', 'none', '127.0.0.1:9'),
      7,
      /cannot be reached at 127\.0\.0\.1:9: nothing/,
    ],
    [
      'a wrong password',
      () => at('guarded:hidden', 'postgres'),
      1,
      /refuses this user or password\. In an address, @ in/,
    ],
    [
      'a user without a login',
      () => at('sleeper', 'postgres'),
      1,
      /refuses this user: it does not exist, may not log in/,
    ],
    ['no such database', () => at('guarded:p%40ss%25w%2Frd', 'none'), 1, /no database of this name at .*: createdb/],
    ['an account without rights', () => at('plain', 'postgres'), 1, /lacks a right that this needs: it must own/],
    [
      'an unknown authority',
      () => at('plain', 'postgres?sslmode=verify-full'),
      1,
      /cannot be verified: NODE_EXTRA_CA_CERTS/,
    ],
  ]
  test.each(CASES)('%s', async (_, address, exit, text) => {
    const code = exit === 7 ? 'database_unavailable' : 'database_refused'
    expect(await failure('migrate', address())).toMatchObject({
      exit,
      code,
      message: expect.stringMatching(text),
      retryable: exit === 7,
      suggestion: 'ch202 doctor --only database',
    })
    const served = await run('serve', address(), { CH202_URL: `http://127.0.0.1:${freePort()}` })
    expect([served.status, served.stderr]).toEqual([1, expect.stringMatching(text)])
    expect(served.stderr).not.toMatch(/hidden|p%40ss/)
  })

  test('verify-full checks the name as well, and works with the authority', async () => {
    const address = (host: string) => at('ch202', 'postgres?sslmode=verify-full', `${host}:${server.port}`)
    const more = { NODE_EXTRA_CA_CERTS: authority }
    expect(await failure('migrate --plan', address('127.0.0.1'), more)).toMatchObject({
      exit: 1,
      message: expect.stringContaining('is for another name'),
    })
    expect(await run('migrate --plan', address('localhost'), more)).toMatchObject({ status: 0, stderr: '' })
    expect((await run('migrate --plan', address('localhost'))).status).toBe(1)
  })

  test('a target that cannot be reached is to be examined by its own address', async () => {
    const files = folder.fresh()
    expect((await run('migrate', '', { CH202_DATA_DIR: files })).status).toBe(0)
    const target = at('ch202:hidden', 'none', '127.0.0.1:9')
    expect(await failure(`move --to ${target}`, '', { CH202_DATA_DIR: files })).toMatchObject({
      exit: 7,
      suggestion: 'DATABASE_URL="$TARGET" ch202 doctor --only database',
    })
  })

  test('a database of another encoding is refused before anything is created in it', async () => {
    for (const words of ['migrate', 'migrate --plan', 'serve'])
      expect(await run(words, at('ch202', 'latin'))).toMatchObject({
        status: 1,
        stderr: expect.stringMatching(/has the encoding LATIN1.* createdb --encoding UTF8/),
      })
    expect(await server.run('latin', "SELECT 1 FROM pg_namespace WHERE nspname = 'auth'")).toEqual([])
  })
})

test('limits and isolation that an account has do not end migrations that wait for each other', async () => {
  const address = await server.newDatabase()
  const name = databaseOf(address)
  const limits = ['statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout']
  await server.run(
    name,
    ...limits.map((limit) => `ALTER DATABASE ${name} SET ${limit} = '500ms'`),
    `ALTER DATABASE ${name} SET default_transaction_isolation = serializable`,
  )
  const ends = await Promise.all([1, 2, 3].map(() => run('migrate', address)))
  expect(ends.map(({ status, stderr }) => [status, stderr])).toEqual([1, 2, 3].map(() => [0, '']))
  expect(ends.flatMap(({ stdout }) => stdout.match(/ {2}applied /g) ?? [])).toHaveLength(3)

  const sql = new SQL({ url: address, max: 1 })
  try {
    let hasEnded = false
    const migration = await sql.begin(async (other) => {
      await other.unsafe('SET LOCAL idle_in_transaction_session_timeout = 0')
      await other.unsafe("SELECT FROM users.schema_migrations WHERE name = '' FOR UPDATE")
      const running = run('migrate', address).finally(() => {
        hasEnded = true
      })
      // Longer than the limits, with the lock held.
      await eventually(async () => {
        const waiting = await server.run(
          name,
          `SELECT 1 FROM pg_stat_activity WHERE datname = '${name}' AND wait_event_type = 'Lock'
           AND clock_timestamp() - query_start > interval '800 ms'`,
        )
        return waiting.length > 0 || hasEnded || undefined
      })
      return { running }
    })
    expect(await migration.running).toMatchObject({ status: 0, stderr: '' })
  } finally {
    await sql.close()
  }
})

test('a role that is locked out while services run is 503, and everything works again after it', async () => {
  const address = await server.newDatabase()
  await server.run('postgres', 'CREATE ROLE tenant LOGIN', `ALTER DATABASE ${databaseOf(address)} OWNER TO tenant`)
  const system = await processes('together', { DATABASE_URL: at('tenant', databaseOf(address)), RATE_LIMIT: 'off' })
  try {
    const statusOf = async () => (await fetch(`${system.url.auth}/health/db`)).status
    expect(await statusOf()).toBe(200)
    await server.run(
      'postgres',
      'ALTER ROLE tenant NOLOGIN',
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'tenant'",
    )
    const answers = await Promise.all(
      Array.from({ length: 5 }, () =>
        fetch(`${system.url.auth}/api/v1/auth/login`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ login: 'nobody@example.org', password: 'correct horse battery' }),
        }).then(async (answer) => [answer.status, ((await answer.json()) as { code: string }).code]),
      ),
    )
    expect(answers).toEqual(answers.map(() => [503, 'database_unavailable']))
    expect(await statusOf()).toBe(503)
    await server.run('postgres', 'ALTER ROLE tenant LOGIN')
    await eventually(async () => (await statusOf()) === 200 || undefined)
  } finally {
    await system.stop()
  }
})
