import { Database } from 'bun:sqlite'
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { SERVICE_NAMES, SERVICES_WITH_DATABASE, type ServiceName } from '../../services/registry.ts'
import { createUser, logIn, newEmail, type TestUser } from '../support/actors.ts'
import { as, call } from '../support/http.ts'
import { startPostgres } from '../support/postgres/server.ts'
import { type ProcessSystem, processes } from '../support/processes.ts'
import { freePort } from '../support/servers/ports.ts'
import { ownSettings, runTool, temporary } from '../support/tool.ts'

setDefaultTimeout(180_000)

const server = await startPostgres()
const folder = temporary('postgres')
let system: ProcessSystem
let url: string
let user: TestUser
let env: Record<string, string>
beforeAll(async () => {
  url = await server.newDatabase()
  system = await processes('together', { RATE_LIMIT: 'off', DATABASE_URL: url })
  user = await createUser(system, { roles: ['USER', 'ADMIN'] })
  env = ownSettings(system.dataDir, {
    DATABASE_URL: url,
    CH202_URL: system.url.auth,
    AUTH_URL: system.url.auth,
    USERS_URL: system.url.users,
    MODULES_URL: system.url.modules,
  })
})
afterAll(async () => {
  await system?.stop()
  await server.stop()
  folder.remove()
})

const run = (words: string, more: Record<string, string> = {}) =>
  runTool(words.split(' '), { env: { ...env, ...more } })

async function json(words: string, more: Record<string, string> = {}) {
  const { status, stdout } = await run(`${words} -o json`, more)
  return { ...JSON.parse(stdout), exit: status }
}

const databaseOf = (address: string) => new URL(address).pathname.slice(1)
const withPassword = (address: string) => address.replace('ch202@', 'ch202:hid@den@')

describe('migrate, with a DATABASE_URL,', () => {
  test('lists what it would apply, applies it, by several at once only once, and then nothing', async () => {
    const DATABASE_URL = await server.newDatabase()
    const names = (ended: { stdout: string }) => ended.stdout.split('\n').map((line) => line.split(/ {2,}/).slice(0, 2))
    const rows = (state: string) => [...['auth', 'users', 'modules'].map((name) => [name, state]), ['']]
    const plan = await run('migrate --plan', { DATABASE_URL })
    expect([plan.status, names(plan)]).toEqual([0, rows('to apply')])
    expect(await server.run(databaseOf(DATABASE_URL), "SELECT 1 FROM pg_namespace WHERE nspname = 'auth'")).toEqual([])
    const ends = await Promise.all([1, 2, 3].map(() => run('migrate', { DATABASE_URL })))
    expect(ends.map(({ status, stderr }) => [status, stderr])).toEqual([1, 2, 3].map(() => [0, '']))
    const applied = ends.flatMap(({ stdout }) => stdout.match(/ {2}applied /g) ?? [])
    expect(applied).toHaveLength(3)
    for (const words of ['migrate', 'migrate --plan'])
      expect(names(await run(words, { DATABASE_URL }))).toEqual(rows('up to date'))
    expect(readdirSync(system.dataDir).filter((name) => name.endsWith('.sqlite'))).toEqual([])
  })

  test('refuses a schema that is newer, or that another migration made', async () => {
    const DATABASE_URL = await server.newDatabase()
    expect((await run('migrate', { DATABASE_URL })).status).toBe(0)
    const change = (sql: string) => server.run(databaseOf(DATABASE_URL), sql)
    await change("UPDATE users.schema_migrations SET checksum = 'other' WHERE name <> ''")
    const more = { DATABASE_URL, CH202_URL: `http://127.0.0.1:${freePort()}` }
    for (const words of ['migrate', 'migrate --plan', 'serve'])
      expect(await run(words, more)).toMatchObject({
        status: 1,
        stderr: expect.stringMatching(/The schema users was made by another version of the migration/),
      })
    await change("INSERT INTO auth.schema_migrations VALUES ('9999_new', '', 0)")
    for (const words of ['migrate', 'migrate --plan', 'serve'])
      expect(await run(words, more)).toMatchObject({
        status: 1,
        stderr: expect.stringMatching(/The schema auth is newer than this program: it has the migration 9999_new/),
      })
  })
})

describe('backups, with a DATABASE_URL,', () => {
  test.each([
    ['backup create', 'umask 077; pg_dump --format=custom --file=ch202.dump service=ch202'],
    ['backup list', 'umask 077; pg_dump --format=custom --file=ch202.dump service=ch202'],
    ['restore latest', 'pg_restore --no-owner --dbname=service=ch202_copy ch202.dump'],
    // The shell's own printf: what it expands is in no list of processes.
    ['backup verify', 'printf %s "$RESTORED_URL" | ch202 backup verify --from -'],
  ])('%s is refused, and names what takes its place', async (words, command) => {
    const { error, exit } = await json(words)
    expect([exit, error.code]).toEqual([2, 'not_for_postgres'])
    expect(error.message).toContain('The data is in the database of DATABASE_URL')
    expect(error.suggestion).toBe(command)
    expect(existsSync(join(system.dataDir, 'backups'))).toBe(false)
  })

  test('backup verify --from checks a restored copy, and changes nothing in it', async () => {
    const copy = await server.newDatabase()
    const name = databaseOf(copy)
    // What pg_dump and pg_restore do, while the nodes run on the original.
    await system.terminate('auth')
    await server.run('postgres', `DROP DATABASE ${name}`, `CREATE DATABASE ${name} TEMPLATE ${databaseOf(url)}`)
    await system.start('auth')
    // Not in the environment of the nodes: the copy is elsewhere.
    const verify = (more: Record<string, string> = {}) => json(`backup verify --from ${copy}`, more)
    const sound = await verify()
    expect([sound.exit, sound.ok]).toEqual([0, true])
    expect(sound.path).toBe(`127.0.0.1:${server.port}/${name}`)
    const statuses = (checks: { id: string; status: string }[]) =>
      Object.fromEntries(checks.map(({ id, status }) => [id, status]))
    expect(statuses(sound.checks)).toEqual({
      database: 'ok',
      'auth.schema': 'ok',
      'auth.references': 'ok',
      'auth.rows': 'ok',
      signing_key: 'ok',
      audit: 'ok',
      'users.schema': 'ok',
      'users.references': 'ok',
      'users.rows': 'ok',
      'modules.schema': 'ok',
      'modules.references': 'ok',
      'modules.rows': 'ok',
    })
    expect(sound.checks.find(({ id }: { id: string }) => id === 'users.rows').message).toBe('users: 1, outbox: 0')

    const leave = (writtenAt: string) =>
      server.run(
        name,
        `INSERT INTO auth.unchained_audit (id, at, type, actor, detail, written_at)
         VALUES (gen_random_uuid(), 0, 'test.left', 'anyone', '{}', ${writtenAt})`,
      )
    const doctor = async () => (await json('doctor --only audit.chain', { DATABASE_URL: copy })).items[0]
    const chain = (await doctor()).message
    await leave('DEFAULT')
    expect(await doctor()).toMatchObject({ status: 'ok', message: `${chain}; 1 row not chained yet` })
    await leave("CAST(date_part('epoch', now()) * 1000 AS bigint) - 600000")
    const late = await doctor()
    expect([late.status, late.message]).toEqual([
      'warning',
      expect.stringMatching(/; 2 rows not chained yet, for 6\d\d s$/),
    ])
    const { checks } = await verify()
    expect(checks.find(({ id }: { id: string }) => id === 'audit')).toMatchObject({
      status: 'ok',
      message: expect.stringMatching(/^The audit's chain of \d+ rows is intact; the next start chains 2 more$/),
    })

    const failing = async (more: Record<string, string> = {}) => {
      const { checks, error, exit } = await verify(more)
      expect([exit, error.code]).toEqual([10, 'backup_damaged'])
      return checks.filter((check: { status: string }) => check.status !== 'ok').map(({ id }: { id: string }) => id)
    }
    expect(await failing({ CH202_SECRET: 'another-secret-0123456789-0123456789-abcdef' })).toEqual(['signing_key'])
    await server.run(name, "UPDATE auth.audit SET actor = 'nobody' WHERE seq = 1")
    expect(await failing()).toEqual(['audit'])
    await server.run(
      name,
      'ALTER TABLE auth.refresh_hashes DROP CONSTRAINT refresh_hashes_session_id_fkey',
      "INSERT INTO auth.refresh_hashes VALUES ('\\x00', 'none', 1)",
      'ALTER TABLE auth.refresh_hashes ADD CONSTRAINT f FOREIGN KEY (session_id) REFERENCES auth.sessions (id) NOT VALID',
      "DELETE FROM users.schema_migrations WHERE name <> ''",
      'DROP SCHEMA modules CASCADE',
    )
    expect(await failing()).toEqual(['auth.references', 'audit', 'users.schema', 'modules.schema'])
  })

  test('backup verify --from reports a copy that is away, and refuses an address, without its password', async () => {
    const away = await json(`backup verify --from postgres://ch202:hidden@127.0.0.1:9/none`)
    expect([away.exit, away.checks.map(({ id }: { id: string }) => id)]).toEqual([10, ['database']])
    expect(JSON.stringify(away)).not.toContain('hidden')
    const wrong = await run('backup verify --from mysql://a:hidden@h/d')
    expect([wrong.status, wrong.stdout + wrong.stderr]).toEqual([2, expect.not.stringContaining('hidden')])
  })

  const AWAY = 'postgres://ch202:hidden@127.0.0.1:9/none'
  const typed: [words: string, stdin: string, status: number, says: RegExp][] = [
    ['backup verify --from -', AWAY, 10, /127\.0\.0\.1:9/],
    ['backup verify --from -', `${AWAY}\n`, 10, /127\.0\.0\.1:9/],
    ['backup verify --from -', 'mysql://a:hidden@h/d', 2, /--from must be/],
    ['backup verify --from -', '', 2, /Standard input has no address[\s\S]*→ printf/],
    ['move --to -', AWAY, 3, /auth\.sqlite is missing/],
  ]
  test.each(typed)(
    '%s takes the address from standard input, in no list of processes: %j',
    async (words, stdin, status, says) => {
      const more: Record<string, string> = words.startsWith('move')
        ? { DATABASE_URL: '', CH202_DATA_DIR: folder.fresh() }
        : {}
      const ended = await runTool(words.split(' '), { env: { ...env, ...more }, stdin })
      expect([ended.status, ended.stdout + ended.stderr]).toEqual([status, expect.stringMatching(says)])
      expect(ended.stdout + ended.stderr).not.toContain('hidden')
    },
  )
})

describe('doctor, with a DATABASE_URL,', () => {
  interface Item {
    id: string
    status: string
    message: string
    suggestion: string | null
  }
  const examine = async (more: Record<string, string> = {}, words = '') => {
    const { items, exit } = await json(`doctor${words}`, more)
    const all: Item[] = items
    return { status: exit, items: all, of: (id: string) => all.find((item) => item.id === id) }
  }

  test('checks the database in place of the files, and its contents', async () => {
    const { items, status } = await examine()
    expect(items.filter((item) => item.status === 'failed')).toEqual([])
    expect(status).toBe(0)
    const statuses = Object.fromEntries(items.map((item) => [item.id, item.status]))
    for (const id of [
      ...['reachable', 'version', 'encoding', 'collation', 'search', 'replication', 'connections', 'clock'].map(
        (name) => `database.${name}`,
      ),
      ...['db.auth.schema', 'db.users.schema', 'db.modules.schema', 'keys.open', 'keys.age', 'audit.chain'],
      ...['cache.drift', 'outbox.users', 'outbox.modules', 'mail.waiting', 'deliveries.waiting', 'clock.rows'],
      ...[
        'settings.issuer',
        'passkeys.relying_party',
        'factors.administrators',
        'clients.addresses',
        'clients.logouts',
      ],
    ])
      expect([id, statuses[id]]).toEqual([id, 'ok'])
    expect(items.map(({ id }) => id).filter((id) => /^(db\..*\.(file|integrity|wal)|backup)/.test(id))).toEqual([])
  })

  test('reports a column of another collation, a missing index, an altered audit, a drift, and a full server', async () => {
    const DATABASE_URL = await server.newDatabase()
    const name = databaseOf(DATABASE_URL)
    await system.terminate('auth')
    await server.run('postgres', `DROP DATABASE ${name}`, `CREATE DATABASE ${name} TEMPLATE ${databaseOf(url)}`)
    await system.start('auth')
    await server.run(
      name,
      'ALTER TABLE users.users ALTER COLUMN locale TYPE text COLLATE "default"',
      'DROP INDEX users.users_search',
      "UPDATE auth.audit SET actor = 'nobody' WHERE seq = 1",
      'UPDATE users.users SET version = version + 1',
      "INSERT INTO users.schema_migrations VALUES ('9999_new', '', 0)",
      `ALTER DATABASE ${name} SET synchronous_commit = off`,
    )
    const { of, status } = await examine({ DATABASE_URL, CH202_DATA_DIR: folder.fresh() })
    expect(status).toBe(10)
    expect(of('database.collation')).toMatchObject({
      status: 'failed',
      message: expect.stringContaining('users.users.locale'),
    })
    expect(of('database.search')).toMatchObject({
      status: 'warning',
      suggestion: expect.stringContaining('CREATE INDEX'),
    })
    expect(of('database.replication')).toMatchObject({
      status: 'warning',
      message: expect.stringContaining('synchronous_commit is off'),
    })
    expect(of('audit.chain')).toMatchObject({ status: 'failed', suggestion: 'ch202 backup verify --from …' })
    expect(of('cache.drift')).toMatchObject({ status: 'failed', message: expect.stringContaining('1 older') })
    expect(of('db.users.schema')).toMatchObject({ status: 'failed', message: expect.stringContaining('9999_new') })
    await server.run(name, `ALTER DATABASE ${name} SET default_transaction_read_only = on`)
    expect((await examine({ DATABASE_URL }, ' --only database.replication')).items).toMatchObject([
      { status: 'failed', message: 'The database is read-only' },
    ])
  })

  test('reports a database that is away, refuses its user, or does not exist; all other checks of it are skipped', async () => {
    for (const [DATABASE_URL, message] of [
      ['postgres://ch202:hidden@127.0.0.1:9/none', 'cannot be reached'],
      [`postgres://nobody:hidden@127.0.0.1:${server.port}/postgres`, 'refuses this user'],
      [`postgres://ch202:hidden@127.0.0.1:${server.port}/none`, 'no database of this name'],
    ] as const) {
      const { items, of, status } = await examine({ DATABASE_URL }, ' --only database,db,keys,audit,cache,outbox')
      expect(status).toBe(10)
      expect(of('database.reachable')).toMatchObject({ status: 'failed', message: expect.stringContaining(message) })
      for (const item of items)
        if (item.id !== 'database.reachable') expect([item.id, item.status]).toEqual([item.id, 'skipped'])
      expect(JSON.stringify(items)).not.toContain('hidden')
    }
  })

  test('of a database without an installation skips what the first start creates', async () => {
    const DATABASE_URL = await server.newDatabase()
    const { items } = await examine(
      { DATABASE_URL, CH202_DATA_DIR: folder.fresh() },
      ' --only database,db,keys,audit,cache',
    )
    expect(items.filter((item) => item.status === 'failed')).toEqual([])
    expect(items.find(({ id }) => id === 'db.auth.schema')?.message).toContain('The schema auth does not exist yet')
    // An extension of the server's own packages: the index belongs to a table that the first start creates.
    await server.run(databaseOf(DATABASE_URL), 'CREATE EXTENSION pg_trgm')
    const { of } = await examine({ DATABASE_URL }, ' --only database.search')
    expect(of('database.search')).toMatchObject({ status: 'ok', message: expect.stringContaining('the first start') })
  })

  test('says that no start creates secrets', async () => {
    const { INTERNAL_API_KEY: _, OPERATOR_API_KEY: __, CH202_SECRET: ___, ...rest } = env
    const { stdout } = await runTool(['doctor', '--only', 'secrets', '-o', 'json'], {
      env: { ...rest, CH202_DATA_DIR: folder.fresh() },
    })
    const [strength, mode] = JSON.parse(stdout).items
    expect(strength).toMatchObject({
      status: 'failed',
      message: expect.stringContaining('no start creates them'),
      suggestion: 'openssl rand -base64 32',
    })
    expect(mode.message).toBe('There is no secrets.env: the secrets come from the environment')
  })

  test('without a DATABASE_URL knows no check of it', async () => {
    const { DATABASE_URL: _, ...files } = env
    const ended = await runTool(['doctor', '--only', 'database'], { env: files })
    expect([ended.status, ended.stderr]).toEqual([2, expect.stringContaining('There is no check database')])
  })
})

describe('recover, with a DATABASE_URL,', () => {
  test('gives an administrator a new password in the database, at once', async () => {
    const { created, exit, in_effect, password } = await json(`recover ${user.email} --generate`)
    expect([exit, created, in_effect]).toEqual([0, false, true])
    expect((await logIn(system, user.email, password)).status).toBe(200)
    expect((await logIn(system, user.email)).status).toBe(401)
    const email = newEmail()
    expect(await json(`recover ${email} --create --generate`)).toMatchObject({ exit: 0, created: true, email })
    expect(existsSync(join(system.dataDir, 'users.sqlite'))).toBe(false)
  })

  test('creates nothing in a database without an instance', async () => {
    const DATABASE_URL = await server.newDatabase()
    const { error, exit } = await json('recover a@example.org --create --generate', { DATABASE_URL })
    expect([exit, error.message]).toEqual([1, expect.stringContaining('has no instance')])
    expect(await server.run(databaseOf(DATABASE_URL), "SELECT 1 FROM pg_namespace WHERE nspname = 'users'")).toEqual([])
  })

  test('says that the database is away', async () => {
    const DATABASE_URL = 'postgres://ch202:hidden@127.0.0.1:9/none'
    const { error, exit } = await json('recover a@example.org --create --generate', { DATABASE_URL })
    expect([exit, error.message]).toEqual([1, expect.stringContaining('cannot be reached')])
    expect(JSON.stringify(error)).not.toContain('hidden')
  })
})

describe('the settings, with a DATABASE_URL,', () => {
  test('config show hides its password, and config validate its value', async () => {
    for (const words of ['config show', 'config show --origin -o json']) {
      const { status, stdout } = await run(words, { DATABASE_URL: withPassword(url) })
      expect([status, stdout]).toEqual([0, expect.stringContaining(`postgres://***@127.0.0.1:${server.port}/`)])
      expect(stdout).not.toMatch(/hid|den@/)
    }
    const wrong = await json('config validate', { DATABASE_URL: 'postgres://ch202:hidden@127.0.0.1/' })
    expect([wrong.exit, wrong.ok]).toEqual([10, false])
    expect(wrong.faults).toEqual([expect.stringMatching(/^DATABASE_URL must end with the name of the database/)])
    expect(JSON.stringify(wrong)).not.toContain('hidden')
    expect(await json('config validate')).toMatchObject({ exit: 0, ok: true })
  })

  test.each(['serve', 'start'])(
    '%s makes no secrets: it names those that are missing, beside other faults',
    async (word) => {
      const { INTERNAL_API_KEY: _, CH202_SECRET: __, ...rest } = env
      const directory = folder.fresh()
      const { status, stderr } = await runTool([word], {
        env: { ...rest, CH202_DATA_DIR: directory, BCRYPT_COST: 'x' },
      })
      expect(status).toBe(1)
      for (const text of ['INTERNAL_API_KEY is missing', 'BCRYPT_COST', 'set INTERNAL_API_KEY, CH202_SECRET, each'])
        expect(stderr).toContain(text)
      expect(existsSync(join(directory, 'secrets.env'))).toBe(false)
    },
  )

  test('serve says that the database is away, and ends', async () => {
    const more = { DATABASE_URL: 'postgres://ch202:hidden@127.0.0.1:9/none', CH202_DATA_DIR: folder.fresh() }
    const { status, stderr } = await run('serve', { ...more, CH202_URL: `http://127.0.0.1:${freePort()}` })
    expect([status, stderr]).toEqual([1, expect.stringContaining('PostgreSQL cannot be reached')])
    expect(stderr).not.toContain('hidden')
  })

  test('package systemd writes units without a directory for data; package caddy balances between machines', async () => {
    const { status, stdout } = await run('package systemd', { DATABASE_URL: withPassword(url) })
    expect(status).toBe(0)
    for (const line of [
      'After=network-online.target postgresql.service',
      'Environment=CH202_DATA_DIR=/run/ch202',
      'RuntimeDirectory=ch202',
      'RuntimeDirectoryPreserve=yes',
      'EnvironmentFile=/etc/ch202/ch202.env',
    ])
      expect(stdout).toContain(`\n${line}\n`)
    expect(stdout).not.toMatch(/StateDirectory|ReadWritePaths|hid/)
    const { DATABASE_URL: _, ...files } = env
    const alone = await runTool(['package', 'caddy', '--hosts', '10.0.0.1,10.0.0.2'], { env: files })
    expect([alone.status, alone.stderr]).toEqual([2, expect.stringContaining('set DATABASE_URL')])
    const caddy = await run('package caddy --hosts 10.0.0.1,10.0.0.2')
    const { port } = new URL(system.url.auth)
    expect(caddy.stdout).toContain(`reverse_proxy http://10.0.0.1:${port} http://10.0.0.2:${port} {\n`)
    expect((await run('package caddy --hosts 10.0.0.1;x')).status).toBe(2)
  })
})

test('ps lists the services of this machine and the nodes of others, and says when they are not known', async () => {
  // Another machine is another name of the node.
  const other = await processes('together', { DATABASE_URL: `${url}?application_name=node-b` })
  try {
    const { items, exit } = await json('ps')
    expect(exit).toBe(0)
    // A service without a database is in no list of nodes.
    const times = (service: ServiceName) => (SERVICES_WITH_DATABASE.includes(service) ? 2 : 1)
    expect(items.map(({ service, state }: Record<string, unknown>) => [service, state])).toEqual(
      SERVICE_NAMES.flatMap((service) => Array.from({ length: times(service) }, () => [service, 'up'])),
    )
    const names: string[] = items.map(({ node }: { node: string }) => node)
    expect(names.filter((node) => node === 'node-b')).toHaveLength(SERVICES_WITH_DATABASE.length)
    expect(names.filter((node) => /^\S+:\d+$/.test(node))).toHaveLength(SERVICE_NAMES.length)
  } finally {
    await other.stop()
  }
  const away = await run('ps', { DATABASE_URL: 'postgres://ch202@127.0.0.1:9/none' })
  expect([away.status, away.stderr]).toEqual([0, expect.stringContaining('Other nodes are not known')])
})

test('reads and writes of a running installation work as with files', async () => {
  const { items } = await json('users list')
  expect(items.map(({ id }: { id: string }) => id)).toContain(user.id)
  expect((await run('audit list')).status).toBe(0)
  expect(await json('keys list')).toMatchObject({ items: [{ status: 'active' }] })
  const created = await json(`users create ${newEmail()} --generate`)
  expect(created.exit).toBe(0)
  expect((await call(system.url.users, `GET /users/${created.id}`, { headers: as.operator })).status).toBe(200)
})

test('commands for files still find them without the setting', async () => {
  const { DATABASE_URL: _, ...rest } = ownSettings(folder.fresh())
  expect((await runTool(['migrate'], { env: rest })).status).toBe(0)
  const raw = new Database(join(rest.CH202_DATA_DIR ?? '', 'auth.sqlite'), { readonly: true })
  raw.close()
  expect((await runTool(['backup', 'create'], { env: rest })).status).toBe(0)
})
