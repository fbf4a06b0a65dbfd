import { Database } from 'bun:sqlite'
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { cpSync, existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { SQL } from 'bun'
import { writeStub } from '../../db/sqlite/backup/interrupted.ts'
import { SERVICES_WITH_DATABASE } from '../../services/registry.ts'
import { createUser, logIn, newEmail, type TestUser } from '../support/actors.ts'
import type { Authenticator } from '../support/browser/authenticator.ts'
import { eventually } from '../support/eventually.ts'
import { enrolApp, enrolPasskey } from '../support/factors.ts'
import { as, byOperator, call } from '../support/http.ts'
import { createClient, type OAuthClient, tokenOf } from '../support/oauth/clients.ts'
import { startPostgres } from '../support/postgres/server.ts'
import { processes } from '../support/processes.ts'
import type { System } from '../support/system.ts'
import { launch, ownSettings, runTool, temporary } from '../support/tool.ts'

setDefaultTimeout(180_000)

const server = await startPostgres()
const folder = temporary('move')
afterAll(async () => {
  await server.stop()
  folder.remove()
})

/** The files of a stopped installation with users, sessions, choices, an audit and rows that are gone. */
const original = join(folder.path, 'original')
let [yulia, deleted] = [] as unknown as [TestUser, TestUser]
let [client, clientToken] = [] as unknown as [OAuthClient, string]
/** A user with an app, a passkey and recovery codes, and what they log in with. */
let [petra, factors] = [] as unknown as [TestUser, { recoveryCodes: string[]; passkey: Authenticator }]
beforeAll(async () => {
  const system = await processes('together', { RATE_LIMIT: 'off' })
  try {
    const profile = { name: 'Юлия', username: 'yulia', metadata: { theme: 'тёмная', n: [1, 2.5] } }
    yulia = await createUser(system, { ...profile, email_verified: true })
    // The earlier email stays reserved.
    yulia.email = newEmail()
    const { email } = yulia
    expect((await call(system.url.users, `PATCH /users/${yulia.id}`, byOperator({ email }))).status).toBe(200)
    const hook = { url: 'https://127.0.0.1:9/hook', types: ['user.created'] }
    expect((await call(system.url.auth, 'POST /admin/webhooks', byOperator(hook))).status).toBe(201)
    for (const id of ['map', 'chat']) {
      const body = { id, name: id, description: '', version: '1', requires: [] }
      expect((await call(system.url.modules, 'POST /modules', byOperator(body))).status).toBe(201)
    }
    const bearer = { headers: as.bearer(yulia.tokens.access_token) }
    expect((await call(system.url.modules, 'POST /modules/map/enable', bearer)).status).toBe(200)
    const form = new URLSearchParams({ username: yulia.email, password: 'correct horse battery' })
    await call(system.url.auth, 'POST /token', {
      body: String(form),
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    })
    petra = await createUser(system, { email_verified: true })
    const { recoveryCodes } = await enrolApp(system, petra.tokens.access_token, Date.now())
    factors = { recoveryCodes, passkey: await enrolPasskey(system, petra.tokens.access_token) }
    client = await createClient(system, { scopes: ['introspect'], resources: ['https://orders.example.org'] })
    clientToken = await tokenOf(system, client)
    deleted = await createUser(system)
    expect((await call(system.url.users, `DELETE /users/${deleted.id}`, { headers: as.operator })).status).toBe(204)
    // The notices have arrived: no row is about to go.
    await eventually(async () => {
      const waiting = rowsOf(join(system.dataDir, 'users.sqlite'), 'SELECT 1 FROM outbox')
      return waiting.length === 0 || undefined
    })
    await system.terminate('auth')
    cpSync(system.dataDir, original, { recursive: true })
  } finally {
    await system.stop()
  }
})

/** The client gets tokens by its secret, and the one that it has stays valid. */
async function expectClient({ url }: System): Promise<void> {
  const bearers = [clientToken, await tokenOf({ url }, client)]
  for (const bearer of bearers)
    expect((await call(url.auth, 'GET /admin/keys', { headers: as.bearer(bearer) })).body.code).toBe(
      'insufficient_scope',
    )
}

/** Logs Petra in by each of her factors. */
async function expectFactors(system: System): Promise<void> {
  const post = (path: string, body: object) => call(system.url.auth, `POST /api/v1/auth/${path}`, { body })
  const login = await logIn(system, petra.email)
  expect([login.body.code, login.body.methods]).toEqual([
    'second_factor_required',
    ['totp', 'recovery_code', 'passkey'],
  ])
  const code = factors.recoveryCodes.pop()
  expect((await post('second-factor', { challenge_id: login.body.challenge_id, code })).status).toBe(200)
  const options = await post('passkeys/login-options', {})
  expect((await post('passkeys/login', { credential: factors.passkey.get(options.body) })).status).toBe(200)
}

function rowsOf(path: string, sql: string): unknown[][] {
  const raw = new Database(path, { readonly: true })
  try {
    return raw.query(sql).values()
  } finally {
    raw.close()
  }
}

const change = (path: string, sql: string) => {
  const raw = new Database(path, { readwrite: true, create: false })
  raw.run(sql)
  raw.close()
}

/** Everything that the files of an installation hold, without the times of migrations and the index of searches. */
function contents(directory: string) {
  return SERVICES_WITH_DATABASE.map((name) => {
    const path = join(directory, `${name}.sqlite`)
    const tables = rowsOf(
      path,
      "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'schema_mig%' AND name NOT LIKE 'sqlite_s%' OR name = 'sqlite_sequence' ORDER BY 1",
    ).flat()
    return tables.map((table) => [table, rowsOf(path, `SELECT * FROM ${table}`).map(String).sort()])
  })
}

/** A copy of the installation, for a test that changes it. */
function copy(): string {
  const directory = folder.fresh()
  cpSync(original, directory, { recursive: true })
  return directory
}

const move = (directory: string, to: string, more: Record<string, string> = {}) =>
  runTool(['move', '--to', to, '-o', 'json'], { env: ownSettings(directory, more) })

async function refused(ended: ReturnType<typeof move>) {
  const { status, stdout } = await ended
  const { error } = JSON.parse(stdout)
  return [status, error.code, error.message]
}

const databaseOf = (url: string) => new URL(url).pathname.slice(1)

/** Whether a database has nothing but what migrations write. */
async function isEmpty(url: string): Promise<boolean> {
  const rows = await server.run(
    databaseOf(url),
    'SELECT (SELECT count(*) FROM users.users) + (SELECT count(*) FROM auth.accounts) + (SELECT count(*) FROM modules.modules)',
  )
  return String(rows) === '0'
}

test('move copies an installation to PostgreSQL and back: every row, and the numbers that were ever used', async () => {
  const url = await server.newDatabase()
  const source = copy()
  const forth = await runTool(['move', '--to', url], { env: ownSettings(source) })
  expect([forth.status, forth.stdout]).toEqual([
    0,
    expect.stringMatching(/^auth +27 +(\d+) +\1\nusers +6 +(\d+) +\2\n/),
  ])
  expect(forth.stderr).toContain('The source is unchanged')
  expect(contents(source)).toEqual(contents(original))

  const back = folder.fresh()
  const { status, stdout, stderr } = await move(folder.fresh(), `sqlite:${back}`, { DATABASE_URL: url })
  expect([status, stderr]).toEqual([0, ''])
  const { items } = JSON.parse(stdout)
  expect(items.map(({ service }: { service: string }) => service)).toEqual([...SERVICES_WITH_DATABASE])
  for (const { rows, verified } of items) expect([rows > 0, verified]).toEqual([true, rows])
  expect(readdirSync(back).sort()).toEqual(['auth.sqlite', 'modules.sqlite', 'users.sqlite'])
  expect(contents(back)).toEqual(contents(original))
})

test('rows of the audit that a killed node has left unchained are at the end of the chain after a move to files', async () => {
  const url = await server.newDatabase()
  expect((await move(original, url)).status).toBe(0)
  const run = (...statements: string[]) => server.run(databaseOf(url), ...statements)
  await run(
    `INSERT INTO auth.unchained_audit (id, at, type, actor, detail)
     SELECT 'left-' || n, n, 'test.left', 'anyone', '{}' FROM generate_series(1, 3) AS n`,
  )
  const toFiles = async () => {
    const directory = folder.fresh()
    return { directory, ...(await move(folder.fresh(), `sqlite:${directory}`, { DATABASE_URL: url })) }
  }
  // A move that fails leaves them as they were.
  await run("UPDATE auth.audit SET actor = 'nobody' WHERE seq = 1")
  expect((await toFiles()).stdout).toContain('not_verified')
  expect(String(await run('SELECT count(*) FROM auth.unchained_audit'))).toBe('3')
  const [[actor]] = rowsOf(join(original, 'auth.sqlite'), 'SELECT actor FROM audit WHERE seq = 1') as [[string]]
  await run(`UPDATE auth.audit SET actor = '${actor}' WHERE seq = 1`)

  const { directory, status, stderr } = await toFiles()
  expect([status, stderr]).toEqual([0, ''])
  const ids = rowsOf(join(directory, 'auth.sqlite'), 'SELECT id FROM audit ORDER BY seq').flat()
  const before = rowsOf(join(original, 'auth.sqlite'), 'SELECT id FROM audit ORDER BY seq').flat()
  expect(ids).toEqual([...before, 'left-1', 'left-2', 'left-3'])
  const doctor = await runTool(['doctor', '--only', 'audit.chain'], { env: ownSettings(directory) })
  expect([doctor.status, doctor.stdout]).toEqual([0, expect.stringContaining(`${ids.length} rows, head `)])
})

test('after a move the installation goes on: passwords, sessions, keys, choices, searches, numbers', async () => {
  const url = await server.newDatabase()
  expect((await move(original, url)).status).toBe(0)
  const use = async (env: Record<string, string>) => {
    const system = await processes('together', { RATE_LIMIT: 'off', ...env })
    try {
      const bearer = { headers: as.bearer(yulia.tokens.access_token) }
      expect((await call(system.url.auth, 'GET /auth/me', bearer)).body).toMatchObject({ name: 'Юлия' })
      expect((await call(system.url.modules, 'GET /modules/', bearer)).text).toContain('"map"')
      expect((await logIn(system, 'yulia')).status).toBe(200)
      await expectFactors(system)
      await expectClient(system)
      const ended = { headers: as.bearer(deleted.tokens.access_token) }
      expect((await call(system.url.auth, 'GET /auth/me', ended)).status).toBe(401)
      const matches = await call(system.url.users, `GET /users?search=${encodeURIComponent('юли')}`, byOperator())
      expect(matches.body.items).toMatchObject([{ id: yulia.id, metadata: { theme: 'тёмная', n: [1, 2.5] } }])
      return (await createUser(system)).id
    } finally {
      await system.terminate('auth')
      if (env.DATABASE_URL === undefined) rmSync(system.dataDir, { recursive: true, force: true })
      await system.stop()
    }
  }
  const id = await use({ DATABASE_URL: url })
  // The number of the deleted user is not used again.
  const numbers = await server.run(databaseOf(url), 'SELECT id, seq FROM users.users ORDER BY seq')
  expect(numbers.map(([user, seq]) => [user, Number(seq)])).toEqual([
    [yulia.id, 1],
    [petra.id, 2],
    [id, 4],
  ])
  const back = folder.fresh()
  expect((await move(folder.fresh(), `sqlite:${back}`, { DATABASE_URL: url })).status).toBe(0)
  await use({ CH202_DATA_DIR: back })
})

test('move says that it cannot see every node behind a pooler', async () => {
  const url = `${await server.newDatabase()}?prepare=false`
  const seen = async (to: string, env: Record<string, string>) => {
    const { status, stderr } = await runTool(['move', '--to', to], { env })
    return [status, stderr]
  }
  const expected = [0, expect.stringContaining('not every node can be seen')]
  expect(await seen(url, ownSettings(original))).toEqual(expected)
  expect(await seen(`sqlite:${folder.fresh()}`, ownSettings(folder.fresh(), { DATABASE_URL: url }))).toEqual(expected)
})

/** Tables of PostgreSQL alone, for what a process with files has in its memory. */
const OF_RUNNING_NODES: unknown[] = ['leases', 'login_attempts', 'nodes', 'refused_logins', 'subscribers']
/** Tables of PostgreSQL alone that a move empties into others first. */
const EMPTIED: unknown[] = ['unchained_audit']
/** Tables that only nodes of the version before use: a later release removes them. */
const FORMER: unknown[] = ['password_resets']

test('both kinds of database have the same tables: a table that only one has would not be moved', async () => {
  const url = await server.newDatabase()
  expect((await runTool(['migrate'], { env: ownSettings(folder.fresh(), { DATABASE_URL: url }) })).status).toBe(0)
  for (const name of SERVICES_WITH_DATABASE) {
    const tables = rowsOf(
      join(original, `${name}.sqlite`),
      "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY 1",
    )
    const sql = `SELECT table_name FROM information_schema.tables WHERE table_schema = '${name}' ORDER BY table_name COLLATE "C"`
    const moved = (await server.run(databaseOf(url), sql))
      .flat()
      .filter((table) => ![...OF_RUNNING_NODES, ...EMPTIED, ...FORMER].includes(table))
    expect([name, moved]).toEqual([name, tables.flat()])
  }
})

describe('move refuses', () => {
  test('a running installation, by its processes, by its open files, and by its connections', async () => {
    const url = await server.newDatabase()
    const source = copy()
    const running = await processes('together', { CH202_DATA_DIR: source })
    try {
      expect(await refused(move(source, url))).toEqual([6, 'in_use', expect.stringMatching(/auth \(process \d+\)/)])
      rmSync(join(source, 'run'), { recursive: true })
      expect(await refused(move(source, url))).toEqual([6, 'in_use', expect.stringContaining('auth.sqlite is in use')])
    } finally {
      await running.stop()
    }
    rmSync(source, { recursive: true, force: true })

    expect((await move(original, url)).status).toBe(0)
    const node = await processes('together', { DATABASE_URL: url })
    try {
      const target = folder.fresh()
      expect(await refused(move(folder.fresh(), `sqlite:${target}`, { DATABASE_URL: url }))).toEqual([
        6,
        'in_use',
        expect.stringMatching(/Nodes are connected to the database: \S+:\d+ \(from 127\.0\.0\.1\)/),
      ])
    } finally {
      await node.stop()
    }
  })

  test('to finish a copy that a node may have outdated: one that started in the moment before the lock', async () => {
    const url = await server.newDatabase()
    expect((await move(original, url)).status).toBe(0)
    const target = folder.fresh()
    const [other, node] = [1, 2].map(() => new SQL({ url, max: 1 })) as [SQL, SQL]
    try {
      const copying = await other.begin(async (tx) => {
        await tx.unsafe('LOCK TABLE modules.choices IN ACCESS EXCLUSIVE MODE')
        let hasEnded = false
        const running = refused(move(folder.fresh(), `sqlite:${target}`, { DATABASE_URL: url })).finally(() => {
          hasEnded = true
        })
        await eventually(async () => {
          const waiting = await tx.unsafe(
            "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'modules.choices'::regclass",
          )
          return waiting.length > 0 || hasEnded || undefined
        })
        await node.unsafe("SET application_name = 'ch202 late:1'")
        return { running }
      })
      expect(await copying.running).toEqual([
        6,
        'in_use',
        expect.stringMatching(/^Nodes have started during the move: late:1 /),
      ])
      expect(readdirSync(target)).toEqual([])
    } finally {
      await Promise.all([other.close(), node.close()])
    }
  })

  test('a target that has data, or tables of others, and leaves it as it is', async () => {
    const url = await server.newDatabase()
    expect((await move(original, url)).status).toBe(0)
    expect(await refused(move(copy(), url))).toEqual([6, 'target_not_empty', expect.stringContaining('rows in auth.')])
    // The same database as source and target.
    expect((await refused(move(original, url, { DATABASE_URL: url }))).slice(0, 2)).toEqual([6, 'target_not_empty'])
    const files = copy()
    const before = contents(files)
    expect(await refused(move(folder.fresh(), `sqlite:${files}`, { DATABASE_URL: url }))).toEqual([
      6,
      'target_not_empty',
      expect.stringContaining(files),
    ])
    expect(contents(files)).toEqual(before)

    const foreign = await server.newDatabase()
    await server.run(databaseOf(foreign), 'CREATE SCHEMA users', 'CREATE TABLE users.people (id int)')
    expect((await refused(move(original, foreign))).slice(0, 2)).toEqual([6, 'target_not_empty'])
  })

  test('a source that is missing, of an earlier version, or of a newer one', async () => {
    const url = await server.newDatabase()
    const empty = await move(folder.fresh(), url)
    expect([empty.status, JSON.parse(empty.stdout).error]).toEqual([
      3,
      expect.objectContaining({ code: 'source_missing', suggestion: 'ch202 config show --origin' }),
    ])
    expect(
      (await refused(move(folder.fresh(), `sqlite:${folder.fresh()}`, { DATABASE_URL: url }))).slice(0, 2),
    ).toEqual([3, 'source_missing'])
    const earlier = copy()
    change(join(earlier, 'users.sqlite'), "DELETE FROM schema_migrations WHERE name LIKE '0006%'")
    expect((await refused(move(earlier, url))).slice(0, 2)).toEqual([1, 'schema_version'])
    const newer = copy()
    change(join(newer, 'users.sqlite'), "INSERT INTO schema_migrations VALUES ('9999_new', '', 0)")
    expect(await refused(move(newer, url))).toEqual([1, 'failed', expect.stringContaining('newer than this program')])
    const [[schemas]] = (await server.run(
      databaseOf(url),
      "SELECT count(*) FROM information_schema.schemata WHERE schema_name IN ('auth', 'users', 'modules')",
    )) as [[unknown]]
    expect(String(schemas)).toBe('0')
  })

  test('a place that is neither, with exit status 2, and never prints a password', async () => {
    for (const to of ['mysql://a:hidden@h/d', 'sqlite:', 'postgres://a:hidden@', './data']) {
      const ended = await runTool(['move', '--to', to], { env: ownSettings(original) })
      expect([to, ended.status, ended.stdout]).toEqual([to, 2, ''])
      expect(ended.stderr).not.toContain('hidden')
    }
    const both = await runTool(['move', '--to', `sqlite:${folder.fresh()}`], { env: ownSettings(original) })
    expect([both.status, both.stderr]).toEqual([2, expect.stringContaining('→ ch202 backup create')])
  })

  test('a database that cannot be reached, with exit status 7', async () => {
    expect(await refused(move(original, 'postgres://ch202:hidden@127.0.0.1:9/none'))).toEqual([
      7,
      'database_unavailable',
      expect.not.stringContaining('hidden'),
    ])
  })
})

describe('a move that fails leaves nothing', () => {
  test('when a copy differs from its original: a trigger at the target changes a name', async () => {
    const url = await server.newDatabase()
    expect((await runTool(['migrate'], { env: ownSettings(folder.fresh(), { DATABASE_URL: url }) })).status).toBe(0)
    await server.run(
      databaseOf(url),
      "CREATE FUNCTION public.spoil() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.name := 'Julia'; RETURN NEW; END$$",
      'CREATE TRIGGER spoil BEFORE INSERT ON users.users FOR EACH ROW EXECUTE FUNCTION public.spoil()',
    )
    expect(await refused(move(original, url))).toEqual([
      10,
      'not_verified',
      expect.stringMatching(/^The copy of the row 1 of users \(users\) differs/),
    ])
    expect(await isEmpty(url)).toBe(true)
    await server.run(databaseOf(url), 'DROP TRIGGER spoil ON users.users')
    expect((await move(original, url)).status).toBe(0)
  })

  test('when the audit was altered, or a text cannot be stored', async () => {
    const url = await server.newDatabase()
    const altered = copy()
    change(
      join(altered, 'auth.sqlite'),
      "DROP TRIGGER audit_unchanged; UPDATE audit SET actor = 'nobody' WHERE seq = 2",
    )
    expect(await refused(move(altered, url))).toEqual([10, 'not_verified', expect.stringContaining('The chain breaks')])
    expect(await isEmpty(url)).toBe(true)
    const unstorable = copy()
    change(join(unstorable, 'users.sqlite'), "UPDATE users SET name = 'a' || char(0) || 'b'")
    expect(await refused(move(unstorable, url))).toEqual([
      1,
      'not_storable',
      expect.stringMatching(/^The column name of the row \d+ of users \(users\) has the character U\+0000/),
    ])
    expect(await isEmpty(url)).toBe(true)
  })

  test('when it is killed: the files are all there, or none; the same move again completes it', async () => {
    const url = await server.newDatabase()
    expect((await move(original, url)).status).toBe(0)
    const target = folder.fresh()
    mkdirSync(target)
    const env = ownSettings(folder.fresh(), { DATABASE_URL: url })
    const moving = launch([process.execPath, 'cli/main.ts', 'move', '--to', `sqlite:${target}`], { env })
    await eventually(() => readdirSync(target).some((name) => name.startsWith('.move-draft-')) || undefined)
    moving.signal('SIGKILL')
    await moving.ended
    const files = () => SERVICES_WITH_DATABASE.filter((name) => existsSync(join(target, `${name}.sqlite`)))
    expect([0, SERVICES_WITH_DATABASE.length]).toContain(files().length)
    if (files().length === 0)
      expect((await move(folder.fresh(), `sqlite:${target}`, { DATABASE_URL: url })).status).toBe(0)
    expect(contents(target)).toEqual(contents(original))
    expect(readdirSync(target)).toHaveLength(SERVICES_WITH_DATABASE.length)
  })

  test('when it is interrupted while the files get their names: no service starts, the same move completes it', async () => {
    const url = await server.newDatabase()
    expect((await move(original, url)).status).toBe(0)
    const target = copy()
    for (const name of ['users', 'modules']) {
      rmSync(join(target, `${name}.sqlite`))
      writeStub(join(target, `${name}.sqlite`), { backup: 'ch202 move', aside: null })
    }
    const { status } = await runTool(['serve'], { env: ownSettings(target) })
    expect(status).toBe(1)
    expect((await move(folder.fresh(), `sqlite:${target}`, { DATABASE_URL: url })).status).toBe(0)
    expect(contents(target)).toEqual(contents(original))
  })
})
