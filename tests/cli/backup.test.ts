import { Database } from 'bun:sqlite'
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { createHash } from 'node:crypto'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { version } from '../../package.json'
import { SERVICES_WITH_DATABASE } from '../../services/registry.ts'
import { createUser, logIn, PASSWORD } from '../support/actors.ts'
import { eventually } from '../support/eventually.ts'
import { appWith, enrolApp, enrolPasskey, ORIGIN } from '../support/factors.ts'
import { as, call } from '../support/http.ts'
import { mails } from '../support/mails.ts'
import { createClient, tokenOf } from '../support/oauth/clients.ts'
import { processes } from '../support/processes.ts'
import type { System } from '../support/system.ts'
import { launch, ownSettings, ROOT, runTool, temporary } from '../support/tool.ts'
import { sliced, WHOLE } from '../support/whole.ts'

setDefaultTimeout(120_000)

const folder = temporary('backup')
let system: System
let env: Record<string, string>
/** A backup of an instance with a few users, for tests that change copies of it. */
let sample: string
beforeAll(async () => {
  system = await processes('together', { RATE_LIMIT: 'off' })
  env = ownSettings(system.dataDir, { AUTH_URL: system.url.auth, USERS_URL: system.url.users })
  await createUser(system)
  sample = (await created(env)).path
})
afterAll(async () => {
  await system.stop()
  folder.remove()
})

const run = (words: string, more: Record<string, string> = {}) =>
  runTool(words.split(' '), { env: { ...env, ...more } })

async function created(more: Record<string, string>, words = 'backup create') {
  const { status, stdout, stderr } = await run(`${words} -o json`, more)
  expect([status, stderr]).toEqual([0, ''])
  return JSON.parse(stdout)
}

const mode = (path: string) => statSync(path).mode & 0o777
const manifestOf = (backup: string) => JSON.parse(readFileSync(join(backup, 'manifest.json'), 'utf8'))

/** Runs one query on a database file. */
function rows<T>(path: string, sql: string): T[] {
  const raw = new Database(path, { readonly: true })
  try {
    return raw.query<T, []>(sql).all()
  } finally {
    raw.close()
  }
}

/** The services, or one of them, over a data directory that was restored. */
async function serving<T>(
  dataDir: string,
  service: string,
  work: (url: string) => Promise<T>,
  more: Record<string, string> = {},
): Promise<T> {
  const settings = ownSettings(dataDir, { RATE_LIMIT: 'off', ...more })
  const server = launch([process.execPath, 'cli/main.ts', 'serve', ...service.split(' ').filter(Boolean)], {
    env: settings,
  })
  try {
    await server.printed(/ ready at/)
    return await work((service === 'auth' ? settings.AUTH_URL : settings.CH202_URL) ?? '')
  } finally {
    server.signal('SIGTERM')
    await server.ended
  }
}

/** Changes a database of a backup, and the manifest with it, as someone who knows the format would. */
const inside = (name: string, harm: string | ((raw: Database) => void)) => (path: string) => {
  const file = join(path, `${name}.sqlite`)
  const raw = new Database(file)
  if (typeof harm === 'string') raw.run(harm)
  else harm(raw)
  raw.close()
  signed(path, name)
}
const signed = (path: string, name: string) => {
  const file = join(path, `${name}.sqlite`)
  const manifest = manifestOf(path)
  const sha256 = createHash('sha256').update(readFileSync(file)).digest('hex')
  Object.assign(manifest.services[name], { bytes: statSync(file).size, sha256 })
  writeFileSync(join(path, 'manifest.json'), JSON.stringify(manifest))
}
/** Changes the services in the manifest. */
const manifested = (change: (services: Record<string, unknown>) => void) => (path: string) => {
  const manifest = manifestOf(path)
  change(manifest.services)
  writeFileSync(join(path, 'manifest.json'), JSON.stringify(manifest))
}

describe('backup create', () => {
  test('writes the three databases and a manifest, readable by their owner only', async () => {
    const backup = await created(env)
    expect(backup).toMatchObject({
      name: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d-\d{3}Z$/),
      path: join(system.dataDir, 'backups', backup.name),
      changed: true,
    })
    const files = readdirSync(backup.path).sort()
    expect(files).toEqual(['manifest.json', ...SERVICES_WITH_DATABASE.map((name) => `${name}.sqlite`)].sort())
    expect([mode(join(system.dataDir, 'backups')), mode(backup.path)]).toEqual([0o700, 0o700])
    for (const file of files) expect([file, mode(join(backup.path, file))]).toEqual([file, 0o600])
    const manifest = manifestOf(backup.path)
    expect(manifest).toMatchObject({ format: 1, name: backup.name, ch202_version: version })
    let bytes = 0
    for (const name of SERVICES_WITH_DATABASE) {
      const file = join(backup.path, `${name}.sqlite`)
      bytes += statSync(file).size
      expect(manifest.services[name]).toMatchObject({
        bytes: statSync(file).size,
        sha256: createHash('sha256').update(readFileSync(file)).digest('hex'),
        migrations: rows(file, 'SELECT name, checksum FROM schema_migrations ORDER BY name'),
      })
    }
    expect(backup.bytes).toBe(bytes)
    expect(manifest.services.users.rows.users).toBe(backup.users)
  })

  test('contains no secrets, and says so', async () => {
    const { path } = await created(env)
    const output = await run('backup create')
    expect([output.status, output.stderr]).toEqual([0, expect.stringContaining('CH202_SECRET')])
    const all = readdirSync(path).map((file) => readFileSync(join(path, file), 'latin1'))
    const secrets = [env.CH202_SECRET, env.OPERATOR_API_KEY, env.INTERNAL_API_KEY]
    for (const secret of secrets) for (const text of all) expect(text).not.toContain(secret ?? '')
  })

  test('check 37: under logins and writes, holds what was answered before it, and can be restored', async () => {
    let running = true
    const answered: string[] = []
    const hammer = async () => {
      while (running) {
        const { email, id } = await createUser(system)
        await call(system.url.users, `POST /users/${id}/set-password`, {
          headers: as.operator,
          body: { new_password: `${PASSWORD} again` },
        })
        answered.push(email)
      }
    }
    const hammers = [hammer(), hammer(), hammer(), hammer()]
    const out = folder.fresh()
    let before: string[] = []
    for (let round = 0; round < (WHOLE ? 3 : 1); round++) {
      await eventually(() => answered.length > before.length + 10 || undefined)
      before = [...answered]
      const { path } = await created(env, `backup create --out ${out}`)
      const emailsInBackup = rows<{ email: string }>(join(path, 'users.sqlite'), 'SELECT email FROM users').map(
        (row) => row.email,
      )
      expect(before.filter((email) => !emailsInBackup.includes(email))).toEqual([])
      const verified = await run(`backup verify ${path} -o json`)
      expect([verified.status, JSON.parse(verified.stdout).ok]).toEqual([0, true])
    }
    running = false
    await Promise.all(hammers)

    // Auth alone serves the logins of all, as users had them.
    const to = folder.fresh()
    expect((await run(`restore latest --to ${to}`, { CH202_DATA_DIR: dataDirWith(out) })).status).toBe(0)
    await serving(to, 'auth', async (url) => {
      for (const email of before.slice(-5)) {
        const body = { login: email, password: `${PASSWORD} again` }
        expect([email, (await call(url, 'POST /auth/login', { body })).status]).toEqual([email, 200])
      }
    })
    const accounts = 'SELECT count(*) AS n FROM accounts WHERE cached = 1'
    const { rows: counted } = manifestOf(join(out, readdirSync(out).sort().at(-1) ?? '')).services.users
    expect(rows(join(to, 'auth.sqlite'), accounts)).toEqual([{ n: counted.users }])
  })

  test('waits for a process that has locked a database', async () => {
    const to = folder.fresh()
    await run(`restore ${sample} --to ${to}`)
    const raw = new Database(join(to, 'users.sqlite'))
    raw.run('PRAGMA journal_mode = DELETE')
    raw.run('BEGIN EXCLUSIVE')
    const backup = created({ CH202_DATA_DIR: to })
    await Bun.sleep(400)
    raw.run('COMMIT')
    raw.close()
    expect(existsSync((await backup).path)).toBe(true)
  })

  test('works with the services down, and fails without anything to back up', async () => {
    const to = folder.fresh()
    await run(`restore ${sample} --to ${to}`)
    expect((await created({ CH202_DATA_DIR: to })).users).toBe(1)
    // As after `ch202 new service`, before the first start with it.
    rmSync(join(to, 'modules.sqlite'))
    const partly = await run('backup create', { CH202_DATA_DIR: to })
    expect([partly.status, partly.stderr]).toEqual([1, expect.stringContaining('ch202 migrate or the next start')])
    const nothing = folder.fresh()
    const { status, stdout, stderr } = await run('backup create', { CH202_DATA_DIR: nothing })
    expect([status, stdout]).toEqual([1, ''])
    expect(stderr).toContain('is not the data directory of an instance')
    expect(existsSync(nothing)).toBe(false)
  })

  test('on a full disk leaves nothing behind', async () => {
    const out = folder.fresh()
    const line = `ulimit -f 60; exec "${process.execPath}" cli/main.ts backup create --out "${out}"`
    const { status, stderr } = await launch(['sh', '-c', line], { env, cwd: ROOT }).ended
    expect([status, stderr]).toEqual([1, expect.stringContaining('the disk is full')])
    expect(readdirSync(out)).toEqual([])
  })

  test('leaves no backup when killed, and the next run removes the draft', async () => {
    const out = folder.fresh()
    // Two directories, an empty file for each database, what is flushed, the manifest, the name.
    const changes = 'mkdirSync,writeFileSync,renameSync'
    const calls = await fileCalls(changes, ['backup', 'create', '--out', folder.fresh()], env)
    expect(calls).toBe(4 + SERVICES_WITH_DATABASE.length)
    await inPairs(sliced([2, 5, calls], 2), async (at) => {
      const directory = join(out, String(at))
      expect((await killedAt(changes, at, ['backup', 'create', '--out', directory], env)).status).not.toBe(0)
      const { items } = JSON.parse((await run(`backup list --in ${directory} -o json`)).stdout)
      expect([at, items, readdirSync(directory).length]).toEqual([at, [], at === 2 ? 0 : 1])
      const { name } = await created(env, `backup create --out ${directory}`)
      expect([at, readdirSync(directory)]).toEqual([at, [name]])
    })
  })

  test('keeps the draft of another run that is still at work', async () => {
    const out = folder.fresh()
    const draft = join(out, '.draft-of-another')
    mkdirSync(draft, { recursive: true })
    const lock = new Database(join(draft, 'lock'))
    lock.run('BEGIN EXCLUSIVE')
    const { name } = await created(env, `backup create --out ${out}`)
    lock.close()
    expect(readdirSync(out).sort()).toEqual(['.draft-of-another', name].sort())
  })
})

/** A data directory whose backups are in another directory. */
function dataDirWith(backups: string): string {
  const directory = folder.fresh()
  cpSync(backups, join(directory, 'backups'), { recursive: true })
  return directory
}

/** Ends the tool as a power cut would, before one of its changes to files. */
const KILLER = `
import { mock } from 'bun:test'
import * as fs from 'node:fs'
const real = { ...fs }
const at = Number(process.env.KILL_AT)
let calls = 0
const counted = (name) => (...given) => {
  if (++calls === at) process.kill(process.pid, 'SIGKILL')
  return real[name](...given)
}
const changes = process.env.KILL_ON.split(',')
mock.module('node:fs', () => ({ ...real, ...Object.fromEntries(changes.map((name) => [name, counted(name)])) }))
process.on('exit', () => at || real.writeSync(2, 'calls ' + calls))
`

/** @param changes the functions of `node:fs` whose call number `at` kills the process instead */
function killedAt(changes: string, at: number, words: string[], settings: Record<string, string>) {
  const killer = join(folder.path, 'killer.ts')
  writeFileSync(killer, KILLER)
  const command = [process.execPath, '--preload', killer, 'cli/main.ts', ...words]
  return launch(command, { env: { ...settings, KILL_ON: changes, KILL_AT: String(at) } }).ended
}

async function fileCalls(changes: string, words: string[], settings: Record<string, string>): Promise<number> {
  const { status, stderr } = await killedAt(changes, 0, words, settings)
  expect([status, stderr]).toEqual([0, expect.stringMatching(/calls \d+/)])
  return Number(/calls (\d+)/.exec(stderr)?.[1])
}

async function inPairs<T>(items: T[], work: (item: T) => Promise<void>): Promise<void> {
  const remaining = items.values()
  const worker = async () => {
    for (const item of remaining) await work(item)
  }
  await Promise.all([worker(), worker()])
}

describe('backup list', () => {
  test('has the newest first, whatever their names, and omits other directories', async () => {
    const root = folder.fresh()
    for (const [name, at] of [
      ['a', '2026-11-19T10:00:00.000Z'],
      ['b', '2026-11-20T10:00:00.000Z'],
      ['c', '2026-11-18T10:00:00.000Z'],
    ] as const) {
      cpSync(sample, join(root, name), { recursive: true })
      writeFileSync(join(root, name, 'manifest.json'), JSON.stringify({ ...manifestOf(sample), created_at: at }))
    }
    cpSync(sample, join(root, 'emptied'), { recursive: true })
    manifested((services) => {
      services.auth = null
    })(join(root, 'emptied'))
    mkdirSync(join(root, 'holidays'))
    mkdirSync(join(root, '.draft-x'))
    const { status, stdout, stderr } = await run(`backup list --in ${root}`)
    const none = (name: string) => `${name} is not a backup that this version can read`
    expect([status, stderr.trimEnd().split('\n').sort()]).toEqual([0, [none('emptied'), none('holidays')]])
    expect(stdout.split('\n').map((line) => line.split(/ +/)[0])).toEqual(['b', 'a', 'c', ''])
    const json = JSON.parse((await run(`backup list --in ${root} -o json`)).stdout)
    expect(json.items[0]).toMatchObject({ name: 'b', verified_at: null, age: expect.stringMatching(/^\d+[smhd]$/) })
  })

  test('without a backup says so', async () => {
    const empty = folder.fresh()
    const { status, stdout, stderr } = await run(`backup list --in ${empty}`)
    expect([status, stdout, stderr]).toEqual([0, '', `There is no backup in ${empty}\n→ ch202 backup create\n`])
    const asJson = await run(`backup list --in ${empty} -o json`)
    expect([asJson.status, asJson.stdout, asJson.stderr]).toEqual([0, '{"items":[]}\n', ''])
  })
})

test('two runs of backup create --keep at once: what one has removed does not fail the other', async () => {
  const root = folder.fresh()
  for (const day of ['02', '03', '04', '05']) {
    const path = join(root, `2026-01-${day}T00-00-00-000Z`)
    cpSync(sample, path, { recursive: true })
    writeFileSync(join(path, 'manifest.json'), JSON.stringify({ ...manifestOf(sample), created_at: `2026-01-${day}` }))
  }
  // The other run: it takes the first that this one wants to remove.
  const faster = join(folder.path, 'faster.ts')
  writeFileSync(
    faster,
    `import { mock } from 'bun:test'
import * as fs from 'node:fs'
const real = { ...fs }
const renameSync = (from, to) => {
  if (String(from).endsWith('2026-01-03T00-00-00-000Z')) real.rmSync(from, { recursive: true })
  return real.renameSync(from, to)
}
mock.module('node:fs', () => ({ ...real, renameSync }))`,
  )
  const words = ['backup', 'create', '--out', root, '--keep', '7d', '-o', 'json']
  const { status, stdout, stderr } = await launch([process.execPath, '--preload', faster, 'cli/main.ts', ...words], {
    env,
  }).ended
  expect([status, stderr]).toEqual([0, ''])
  expect(readdirSync(root)).toEqual([JSON.parse(stdout).name])
})

describe('a backup that was made while the clock was ahead', () => {
  const AHEAD = '2999-01-01T00:00:00.000Z'
  const AHEAD_NAME = '2999-01-01T00-00-00-000Z'
  /** Puts a backup of the sample into a directory, as one that was made at this time. */
  const madeAt = (root: string, name: string, created_at: string) => {
    cpSync(sample, join(root, name), { recursive: true })
    writeFileSync(join(root, name, 'manifest.json'), JSON.stringify({ ...manifestOf(sample), name, created_at }))
  }
  const minutes = (count: number) => new Date(Date.now() + count * 60_000).toISOString()

  test('is not the latest: neither to verify nor to restore', async () => {
    const root = folder.fresh()
    madeAt(root, AHEAD_NAME, AHEAD)
    madeAt(root, 'yesterday', minutes(-24 * 60))
    // Clocks of two machines differ a little.
    madeAt(root, 'now', minutes(3))
    const { status, stdout, stderr } = await run(`backup verify --in ${root} --quiet -o json`)
    expect([status, JSON.parse(stdout).path]).toEqual([0, join(root, 'now')])
    expect(stderr).toBe(
      `! ${AHEAD_NAME} is dated in the future, so it is not the latest: the clock was ahead, or is behind\n`,
    )
    const restored = await run(`restore latest --to ${folder.fresh()} -o json`, { CH202_DATA_DIR: dataDirWith(root) })
    expect([restored.status, JSON.parse(restored.stdout).name]).toEqual([0, 'now'])
  })

  test('is taken by its name, and if there are no others, latest is refused', async () => {
    const root = folder.fresh()
    madeAt(root, AHEAD_NAME, AHEAD)
    const { status, stdout, stderr } = await run(`backup verify --in ${root}`)
    expect([status, stdout]).toEqual([3, ''])
    expect(stderr).toContain(`${AHEAD_NAME} is dated in the future`)
    expect((await run(`backup verify ${AHEAD_NAME} --in ${root}`)).status).toBe(0)
  })

  test('does not cost the next one: create --keep removes neither', async () => {
    const root = folder.fresh()
    madeAt(root, AHEAD_NAME, AHEAD)
    const { name, removed } = await created(env, `backup create --out ${root} --keep 0s`)
    expect([removed, readdirSync(root).sort()]).toEqual([[], [AHEAD_NAME, name].sort()])
  })
})

describe('backup verify', () => {
  test('of a valid backup is recorded, until the backup changes', async () => {
    const out = folder.fresh()
    const { name, path } = await created(env, `backup create --out ${out}`)
    const { status, stdout } = await run(`backup verify --in ${out} -o json`)
    const report = JSON.parse(stdout)
    expect([status, report.ok, report.path]).toEqual([0, true, path])
    expect(report.checks.map(({ id }: { id: string }) => id)).toEqual([
      'manifest',
      'files',
      'auth.file',
      'auth.database',
      'signing_key',
      ...SERVICES_WITH_DATABASE.slice(1).flatMap((name) => [`${name}.file`, `${name}.database`]),
      'restore',
      'audit',
    ])
    expect(readdirSync(out)).toEqual([name])
    const list = async () => JSON.parse((await run(`backup list --in ${out} -o json`)).stdout).items
    expect(await list()).toEqual([expect.objectContaining({ name, verified_at: report.verified_at })])
    writeFileSync(join(path, 'manifest.json'), readFileSync(join(path, 'manifest.json'), 'utf8').trimEnd())
    expect(await list()).toEqual([expect.objectContaining({ name, verified_at: null })])
  })

  const bytes = (path: string, change: (bytes: Buffer) => Buffer) => writeFileSync(path, change(readFileSync(path)))

  const broken: [what: string, harm: (path: string) => void, said: RegExp, more?: Record<string, string>][] = [
    [
      'one changed byte',
      (path) =>
        bytes(join(path, 'users.sqlite'), (all) => {
          all.writeUInt8(all.readUInt8(9000) ^ 1, 9000)
          return all
        }),
      /users\.file .*users\.sqlite was changed after the backup/,
    ],
    [
      'a cut file',
      (path) => bytes(join(path, 'auth.sqlite'), (all) => all.subarray(0, 8192)),
      /auth\.file .*has 8192 bytes/,
    ],
    ['a missing file', (path) => rmSync(join(path, 'modules.sqlite')), /modules\.file .*modules\.sqlite is missing/],
    ['a foreign file', (path) => writeFileSync(join(path, 'x.txt'), ''), /files .*not part of the backup: x\.txt/],
    [
      'another database in its place',
      (path) => {
        cpSync(join(path, 'modules.sqlite'), join(path, 'users.sqlite'))
        signed(path, 'users')
      },
      /users\.database .*users\.sqlite is not the database of the users service/,
    ],
    [
      'a newer schema',
      inside('users', "INSERT INTO schema_migrations VALUES ('0099_later', 'x', 1)"),
      /users\.database .*newer than this program: it has the migration 0099_later/,
    ],
    [
      'an edited migration',
      inside('users', "UPDATE schema_migrations SET checksum = 'x' WHERE name = '0001_users'"),
      /users\.database .*another version of the migration 0001_users/,
    ],
    [
      'a schema that no migration made',
      inside('auth', 'DROP INDEX accounts_email'),
      /auth\.database .*another schema.*accounts_email/,
    ],
    [
      'a trigger on a table of Litestream',
      inside('auth', (raw) => {
        raw.run('CREATE TABLE _litestream_lock (id INTEGER)')
        raw.run('CREATE TRIGGER _litestream_seq AFTER INSERT ON _litestream_lock BEGIN SELECT 1; END')
      }),
      /auth\.database .*another schema.*_litestream_seq/,
    ],
    [
      'a trigger of the name of an index',
      inside('users', (raw) => {
        const sql = raw
          .query<{ sql: string }, []>("SELECT sql FROM sqlite_schema WHERE name = 'users_admins'")
          .get()?.sql
        raw.run('DROP INDEX users_admins')
        raw.run('CREATE TRIGGER users_admins AFTER INSERT ON users BEGIN SELECT 1; END')
        raw.run(sql ?? '')
      }),
      /users\.database .*another schema.*users_admins/,
    ],
    [
      'a trigger with a name that SQLite reserves',
      (path) => {
        inside('users', 'CREATE TRIGGER evilte_x AFTER INSERT ON users BEGIN SELECT 1; END')(path)
        const renamed = (all: Buffer) =>
          Buffer.from(all.toString('latin1').replaceAll('evilte_x', 'sqlite_x'), 'latin1')
        bytes(join(path, 'users.sqlite'), renamed)
        signed(path, 'users')
      },
      /users\.database .*another schema.*sqlite_x/,
    ],
    [
      'a pipe in the place of a file',
      (path) => {
        rmSync(join(path, 'auth.sqlite'))
        Bun.spawnSync(['mkfifo', join(path, 'auth.sqlite')])
      },
      /auth\.file .*auth\.sqlite is not a file/,
    ],
    [
      'a manifest without one of the databases',
      manifested((services) => {
        services.modules = null
      }),
      /manifest .*incomplete/,
    ],
    [
      'a manifest with one database more',
      manifested((services) => {
        services.orders = services.modules
      }),
      /manifest .*with a service orders, which this version does not have/,
    ],
    [
      'a row without its parent',
      inside('auth', "INSERT INTO refresh_hashes VALUES (x'00', 'no session', 1)"),
      /auth\.database .*row of refresh_hashes without its row of sessions/,
    ],
    [
      'a damaged page',
      (path) => {
        const pages = statSync(join(path, 'users.sqlite')).size / 4096
        bytes(join(path, 'users.sqlite'), (all) => all.fill(0xab, (pages - 2) * 4096))
        signed(path, 'users')
      },
      /users\.database .*(damaged|malformed)/,
    ],
    ['an invalid manifest', (path) => writeFileSync(join(path, 'manifest.json'), '{'), /manifest .*cannot be read/],
    [
      'a manifest that leads out of the backup',
      (path) =>
        bytes(join(path, 'manifest.json'), (all) => Buffer.from(all.toString().replace('users.sqlite', '../x'))),
      /manifest .*incomplete/,
    ],
    [
      'a later format',
      (path) =>
        bytes(join(path, 'manifest.json'), (all) => Buffer.from(all.toString().replace('"format": 1', '"format": 2'))),
      /manifest .*made by a newer Ch202/,
    ],
    [
      'another secret',
      () => undefined,
      /signing_key .*CH202_SECRET does not decrypt/,
      { CH202_SECRET: 'another-secret-0123456789-0123456789-abc' },
    ],
  ]

  /** The check that fails, of whichever service. */
  const kindOf = ([, , pattern]: (typeof broken)[number]) => pattern.source.replace(/^[a-z]+\\\./, '').split(' ')[0]

  test('accepts the tables that Litestream adds to a file that it replicates', async () => {
    const path = join(folder.fresh(), 'replicated')
    cpSync(sample, path, { recursive: true })
    inside('users', (raw) => {
      raw.run('CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER)')
      raw.run('CREATE TABLE _litestream_lock (id INTEGER)')
    })(path)
    const { status, stdout } = await run(`backup verify ${path}`)
    expect([status, stdout]).toEqual([0, expect.stringMatching(/^ok .*users\.database/m)])
  })

  test('reports each fault in a sentence, and exits 10', async () => {
    await inPairs(sliced(broken, 8, kindOf), async ([what, harm, expected, more]) => {
      const path = join(folder.fresh(), 'a-backup')
      cpSync(sample, path, { recursive: true })
      harm(path)
      const { status, stdout, stderr } = await run(`backup verify ${path}`, more)
      const failed = stdout.split('\n').filter((line) => line.startsWith('failed'))
      expect([what, status, failed, stderr]).toEqual([what, 10, [expect.stringMatching(expected)], ''])
      expect(stdout).not.toContain('.draft-')
      expect([what, existsSync(join(path, 'verified.json'))]).toEqual([what, false])
      if (!what.startsWith('another')) return
      const json = JSON.parse((await run(`backup verify ${path} -o json`, more)).stdout)
      expect([what, json.ok, json.verified_at, json.error.code]).toEqual([what, false, null, 'backup_damaged'])
      // A restore refuses the same backups, and writes nothing.
      const to = folder.fresh()
      const restored = await run(`restore ${path} --to ${to}`, more)
      expect([what, restored.status, readdirSync(to)]).toEqual([what, 10, []])
    })
  })

  test('exits 3 if the backup does not exist', async () => {
    for (const words of [
      'backup verify nope',
      `backup verify ${folder.path}`,
      'restore nope',
      'restore ../backups/x',
    ]) {
      const { status, stdout } = await run(words)
      expect([words, status, stdout]).toEqual([words, 3, ''])
    }
  })
})

describe('restore', () => {
  test('check 37: begins with every earlier session ended, and takes back what was changed since', async () => {
    const ownSystem = await processes('together', { RATE_LIMIT: 'off' })
    try {
      const settings = ownSettings(ownSystem.dataDir)
      const [changed, deleted, idle] = await Promise.all([
        createUser(ownSystem),
        createUser(ownSystem),
        createUser(ownSystem),
      ])
      const module = { id: 'billing', name: 'Billing', description: 'Bills' }
      await call(ownSystem.url.modules, 'POST /modules', { headers: as.operator, body: module })
      const on = { headers: as.operator, body: { user_id: deleted.id } }
      await call(ownSystem.url.modules, 'POST /modules/billing/enable', on)
      await call(ownSystem.url.auth, 'POST /auth/password-reset-request', { body: { email: idle.email } })
      const link = await eventually(() => /token=([\w-]+)/.exec(mails(ownSystem).at(-1) ?? '')?.[1])
      const { name, path } = await created(settings)

      const set = (new_password: string) =>
        call(ownSystem.url.users, `POST /users/${changed.id}/set-password`, {
          headers: as.operator,
          body: { new_password },
        })
      for (const password of ['a later password', 'the latest password']) expect((await set(password)).status).toBe(204)
      await call(ownSystem.url.users, `DELETE /users/${deleted.id}`, { headers: as.operator })
      const late = await createUser(ownSystem)
      const afterBackup = (await logIn(ownSystem, idle.email)).body
      await call(ownSystem.url.auth, 'POST /admin/keys/rotate?now=true', { headers: as.operator })
      const afterRotation = (await logIn(ownSystem, idle.email)).body
      const epoch = async () =>
        (await call(ownSystem.url.auth, 'GET /auth/revocations?follower=t&after=0&epoch=x', { headers: as.internal }))
          .body.epoch
      const oldEpoch = await epoch()

      const running = await run(`restore ${name} --yes`, settings)
      expect([running.status, running.stderr]).toEqual([6, expect.stringMatching(/running on.*auth.*Stop them first/)])
      // A crash, so that there is a WAL, which must not be combined with the restored database.
      await ownSystem.kill('auth')
      const unsure = await run(`restore ${name}`, settings)
      expect([unsure.status, unsure.stdout, unsure.stderr]).toEqual([
        2,
        '',
        expect.stringMatching(/--yes or --confirm/),
      ])
      expect((await run(`restore ${name} --confirm another`, settings)).status).toBe(2)
      const done = await run(`restore ${name} --confirm ${name} -o json`, settings)
      expect(done.status).toBe(0)
      const { aside } = JSON.parse(done.stdout)
      expect(JSON.parse(done.stdout)).toMatchObject({ ok: true, name, path: ownSystem.dataDir, changed: true })
      for (const service of SERVICES_WITH_DATABASE)
        expect(mode(join(ownSystem.dataDir, `${service}.sqlite`))).toBe(0o600)
      expect(readdirSync(ownSystem.dataDir).filter((file) => /-(wal|shm|journal)$|draft/.test(file))).toEqual([])
      // The files put aside are complete, with the last write before the crash.
      const emailsAside = rows<{ email: string }>(join(aside, 'users.sqlite'), 'SELECT email FROM users')
      expect(emailsAside.map(({ email }) => email).sort()).toEqual([changed.email, idle.email, late.email].sort())

      await ownSystem.start('auth')
      for (const tokens of [changed.tokens, idle.tokens, deleted.tokens, late.tokens, afterBackup, afterRotation]) {
        const bearer = { headers: as.bearer(tokens.access_token) }
        for (const place of SERVICES_WITH_DATABASE)
          expect(
            (await call(ownSystem.url[place], place === 'modules' ? 'GET /modules/' : 'GET /auth/me', bearer)).status,
          ).toBe(401)
        const refreshed = await call(ownSystem.url.auth, 'POST /auth/refresh', {
          body: { refresh_token: tokens.refresh_token },
        })
        expect(refreshed.body.code).toBe('invalid_refresh_token')
      }
      const reset = { body: { token: link, new_password: 'by an old link of a mail' } }
      expect((await call(ownSystem.url.auth, 'POST /auth/password-reset-confirm', reset)).body.code).toBe(
        'invalid_reset_token',
      )
      expect(await epoch()).not.toBe(oldEpoch)
      for (const { email } of [changed, deleted, idle])
        expect([email, (await logIn(ownSystem, email)).status]).toEqual([email, 200])
      expect((await logIn(ownSystem, late.email)).status).toBe(401)
      expect((await logIn(ownSystem, changed.email, 'the latest password')).status).toBe(401)
      const modules = await call(ownSystem.url.modules, `GET /modules/users/${deleted.id}`, { headers: as.internal })
      expect(modules.body.modules).toEqual(['billing'])

      // The versions of the user's record began again below those that auth had received.
      expect((await set('after the restore')).status).toBe(204)
      expect((await logIn(ownSystem, changed.email)).status).toBe(401)
      expect((await logIn(ownSystem, changed.email, 'after the restore')).status).toBe(200)
      expect((await call(ownSystem.url.users, `DELETE /users/${deleted.id}`, { headers: as.operator })).status).toBe(
        204,
      )
      expect((await logIn(ownSystem, deleted.email)).status).toBe(401)

      const audit = await call(ownSystem.url.auth, 'GET /admin/audit?type=instance.restored', { headers: as.operator })
      expect(audit.body.items).toEqual([
        expect.objectContaining({ actor: 'cli', detail: expect.objectContaining({ backup: name }) }),
      ])
      expect(existsSync(path)).toBe(true)
    } finally {
      await ownSystem.stop()
    }
  })

  test('refuses a data directory that a process has open, whatever the files in run/ say', async () => {
    const to = folder.fresh()
    expect((await run(`restore ${sample} --to ${to}`)).status).toBe(0)
    mkdirSync(join(to, 'run'))
    // The file of a service that has ended; another program has its process id by now.
    const note = { service: 'auth', url: 'http://127.0.0.1:1', pid: process.pid, started_at: '' }
    writeFileSync(join(to, 'run', 'auth.json'), JSON.stringify(note))
    const raw = new Database(join(to, 'users.sqlite'))
    raw.run('PRAGMA journal_mode = WAL')
    raw.query('SELECT count(*) FROM users').get()
    const { status, stderr } = await run(`restore ${sample} --to ${to} --yes`)
    raw.close()
    expect([status, stderr]).toEqual([6, expect.stringContaining('users.sqlite is in use')])
    expect(readdirSync(to).filter((file) => file.startsWith('before-restore') || file.startsWith('.'))).toEqual([])
    expect((await run(`restore ${sample} --to ${to} --yes`)).status).toBe(0)
  })

  test('with another secret requires a flag, and then everyone can log in again', async () => {
    const to = folder.fresh()
    const other = { CH202_SECRET: 'another-secret-0123456789-0123456789-abc' }
    const refused = await run(`restore ${sample} --to ${to} -o json`, other)
    expect([refused.status, JSON.parse(refused.stdout).error.code]).toEqual([10, 'wrong_secret'])
    expect((await run(`restore ${sample} --to ${to} --new-secret`, other)).status).toBe(0)
    const [user] = rows<{ email: string }>(join(to, 'users.sqlite'), 'SELECT email FROM users')
    await serving(to, '', async (url) => {
      const body = { login: user?.email, password: PASSWORD }
      expect((await call(url, 'POST /auth/login', { body })).status).toBe(200)
    })
  })

  test('keeps second factors; without the secret the codes of apps are lost, and recovery codes work', async () => {
    const { id, email } = await createUser(system, { email_verified: true })
    const secret = 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ'
    const token = (await logIn(system, email)).body.access_token
    const { recoveryCodes } = await enrolApp(system, token, Date.now())
    const path = `POST /api/v1/admin/users/${id}/factors`
    const imported = await call(system.url.auth, path, { headers: as.operator, body: { secret } })
    const app = appWith({ id: imported.body.id, secret })
    const passkey = await enrolPasskey(system, token)
    const { path: backup } = await created(env)

    const [same, other] = [folder.fresh(), folder.fresh()]
    const newSecret = { CH202_SECRET: 'another-secret-0123456789-0123456789-abc' }
    expect((await run(`restore ${backup} --to ${same}`)).status).toBe(0)
    expect((await run(`restore ${backup} --to ${other} --new-secret`, newSecret)).status).toBe(0)
    for (const [to, more] of [[same, {}] as const, [other, newSecret] as const])
      await serving(
        to,
        '',
        async (url) => {
          const restored = { url: { auth: url } }
          const complete = async (code: string) => {
            const login = await logIn(restored, email)
            expect(login.body.code).toBe('second_factor_required')
            const body = { challenge_id: login.body.challenge_id, code }
            return (await call(url, 'POST /api/v1/auth/second-factor', { body })).status
          }
          expect(await complete(app.codeAt(Date.now()))).toBe(to === same ? 200 : 401)
          expect(await complete(recoveryCodes[0] ?? '')).toBe(200)
          expect(await complete(recoveryCodes[0] ?? '')).toBe(401)
          const options = await call(url, 'POST /api/v1/auth/passkeys/login-options', { body: {} })
          const body = { credential: passkey.get(options.body) }
          expect((await call(url, 'POST /api/v1/auth/passkeys/login', { body })).status).toBe(200)
        },
        { PUBLIC_URL: ORIGIN, ...more },
      )
  })

  test('keeps clients and their secrets, which the backup has as digests, and ends their tokens', async () => {
    const client = await createClient(system, { scopes: ['introspect'] })
    const deleted = await createClient(system)
    expect((await call(system.url.auth, `DELETE /admin/clients/${deleted.id}`, { headers: as.operator })).status).toBe(
      204,
    )
    const token = await tokenOf(system, client)
    const { path: backup } = await created(env)
    for (const file of readdirSync(backup))
      expect(readFileSync(join(backup, file)).includes(client.client_secret)).toBe(false)
    const to = folder.fresh()
    expect((await run(`restore ${backup} --to ${to}`)).status).toBe(0)
    await serving(to, '', async (url) => {
      const restored = { url: { ...system.url, auth: url } }
      expect((await call(url, 'GET /admin/keys', { headers: as.bearer(token) })).body.code).toBe('invalid_token')
      const fresh = await tokenOf(restored, client)
      expect((await call(url, 'GET /admin/keys', { headers: as.bearer(fresh) })).body.code).toBe('insufficient_scope')
      const read = await call(url, 'GET /admin/clients', { headers: as.operator })
      const ids = read.body.items.map((item: { id: string }) => item.id)
      expect([ids.includes(client.id), ids.includes(deleted.id)]).toEqual([true, false])
    })
  })

  test('check 36: brings an older backup up to date', async () => {
    const path = join(folder.fresh(), 'older')
    cpSync(sample, path, { recursive: true })
    inside('users', "DELETE FROM schema_migrations WHERE name = '0002_deleted_ids'; DROP TABLE deleted_ids")(path)
    const to = folder.fresh()
    expect((await run(`restore ${path} --to ${to}`)).status).toBe(0)
    expect(rows(join(to, 'users.sqlite'), 'SELECT * FROM deleted_ids')).toEqual([])
  })

  test('reconciles copies made at different moments', async () => {
    const path = join(folder.fresh(), 'moments')
    cpSync(sample, path, { recursive: true })
    const deletedId = crypto.randomUUID()
    // Copied before the user was deleted, after it was, and when auth had received later changes and another user.
    inside('modules', "INSERT INTO modules VALUES ('billing', 'B', '', '1', '[]', '[]', 0, 1)")(path)
    inside('modules', `INSERT INTO choices VALUES ('${deletedId}', 'billing', 1, 1)`)(path)
    inside('users', `INSERT INTO deleted_ids VALUES ('${deletedId}')`)(path)
    inside('auth', 'UPDATE accounts SET version = 99, deleted = 1, cached = 0')(path)
    inside(
      'auth',
      `INSERT INTO accounts SELECT '${deletedId}', 1, 0, 'gone@example.org', 'gone@example.org', NULL, roles, status, 0, 'x', 1, 1, 1, 1, '', '{}', 0
        FROM accounts`,
    )(path)
    const to = folder.fresh()
    expect((await run(`restore ${path} --to ${to}`)).status).toBe(0)
    expect(rows(join(to, 'modules.sqlite'), 'SELECT user_id FROM choices')).toEqual([])
    const [user] = rows(join(to, 'users.sqlite'), 'SELECT id, email, version, password_hash FROM users')
    const cachedAccounts =
      'SELECT user_id AS id, email, version, password_hash FROM accounts WHERE cached = 1 OR deleted = 1'
    expect(rows(join(to, 'auth.sqlite'), cachedAccounts)).toEqual([user])
    const [stored] = rows<{ profile: string }>(join(to, 'auth.sqlite'), 'SELECT profile FROM accounts WHERE cached = 1')
    const fields = ['name', 'locale', 'metadata', 'app_metadata', 'created_at', 'updated_at']
    expect(Object.keys(JSON.parse(stored?.profile ?? '')).sort()).toEqual(fields.sort())
  })

  test('leaves the old data, or data that refuses to start, when killed, and completes when repeated', async () => {
    const original = folder.fresh()
    await run(`restore ${sample} --to ${original}`)
    for (const service of SERVICES_WITH_DATABASE) {
      const raw = new Database(join(original, `${service}.sqlite`))
      raw.run('PRAGMA user_version = 7')
      raw.close()
    }
    const states = (directory: string) =>
      SERVICES_WITH_DATABASE.map((service) => {
        const file = join(directory, `${service}.sqlite`)
        if (!existsSync(file)) return 'missing'
        if (!readFileSync(file).toString('latin1', 0, 15).startsWith('SQLite format 3')) return 'closed'
        return rows<{ user_version: number }>(file, 'PRAGMA user_version')[0]?.user_version === 7 ? 'old' : 'new'
      })
    const copy = () => {
      const directory = folder.fresh()
      cpSync(original, directory, { recursive: true })
      return directory
    }
    const words = (to: string) => ['restore', sample, '--to', to, '--yes']
    // All copies are written first; then all old files are put aside and closed, and all copies moved into place.
    const each = SERVICES_WITH_DATABASE.length
    const changes = 'linkSync,renameSync'
    expect(await fileCalls(changes, words(copy()), env)).toBe(4 * each)
    const seen = new Set<string>()
    await inPairs([each + 2, 2 * each + 1, 3 * each + 1, 4 * each - 1, 4 * each], async (at) => {
      const to = copy()
      await killedAt(changes, at, words(to), env)
      const statesAfterKill = states(to)
      seen.add([...new Set(statesAfterKill)].sort().join(' '))
      expect([
        at,
        statesAfterKill.includes('missing'),
        statesAfterKill.includes('old') && statesAfterKill.includes('new'),
      ]).toEqual([at, false, false])
      const again = await run(`restore ${sample} --to ${to} --yes`)
      expect([at, again.status]).toEqual([at, 0])
      expect([at, readdirSync(to).filter((file) => /^\.|-(wal|shm|journal)$/.test(file))]).toEqual([at, []])
      expect([at, states(to)]).toEqual([at, SERVICES_WITH_DATABASE.map(() => 'new')])
      // The old data is kept in one of the directories.
      const asides = readdirSync(to).filter((file) => file.startsWith('before-restore-'))
      for (const service of SERVICES_WITH_DATABASE) {
        const asidesWithOld = asides.filter(
          (aside) => states(join(to, aside))[SERVICES_WITH_DATABASE.indexOf(service)] === 'old',
        )
        expect([at, service, asidesWithOld.length > 0]).toEqual([at, service, true])
      }
    })
    expect([...seen].sort()).toEqual(['closed', 'closed new', 'closed old', 'old'])
  })

  test('keeps the services from starting when interrupted, and can be repeated without a question', async () => {
    const to = folder.fresh()
    const words = ['restore', sample, '--to', to]
    // Between the first and the second of the databases.
    await killedAt('renameSync', SERVICES_WITH_DATABASE.length + 2, words, env)
    const closed = SERVICES_WITH_DATABASE.filter((name) =>
      readFileSync(join(to, `${name}.sqlite`), 'latin1').startsWith('Ch202 restore'),
    )
    expect(closed.length).toBe(SERVICES_WITH_DATABASE.length - 1)
    const { status, stderr } = await launch([process.execPath, 'cli/main.ts', 'serve'], { env: ownSettings(to) }).ended
    expect([status, stderr]).toEqual([1, expect.stringContaining('Restore it from a backup')])
    const backup = await run('backup create', { CH202_DATA_DIR: to })
    expect([backup.status, backup.stderr]).toEqual([1, expect.stringContaining('was interrupted: finish it with')])
    const again = await run(words.join(' '))
    expect([again.status, again.stderr]).toEqual([0, expect.stringContaining('was interrupted here')])
  })
})
