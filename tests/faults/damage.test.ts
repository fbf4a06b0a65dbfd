import { Database } from 'bun:sqlite'
import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import {
  appendFileSync,
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { openDatabase } from '../../db/sqlite/open-database.ts'
import { databases } from '../../services/databases.ts'
import { newEmail, PASSWORD } from '../support/actors.ts'
import { eventually, PATIENCE } from '../support/eventually.ts'
import { expectProblem } from '../support/expectations.ts'
import { as, call } from '../support/http.ts'
import { INTERNAL_KEY, OPERATOR_KEY } from '../support/settings.ts'
import { launch, ownSettings, temporary } from '../support/tool.ts'
import { sliced } from '../support/whole.ts'
import { endAndRemove } from './left-behind.ts'

setDefaultTimeout(120_000)

const folder = temporary('damage')
afterAll(() => endAndRemove(folder))

const NAMES = ['auth', 'users', 'modules'] as const
const PAGE = 4096
const USERS = 40
const operator = { headers: as.operator }

const serve = (env: Record<string, string>, ...names: string[]) =>
  launch([process.execPath, 'cli/main.ts', 'serve', ...names], { env })

/** Starts a service that is expected to refuse, and kills it if it does not: then its status is null. */
async function refused(env: Record<string, string>, ...names: string[]) {
  const running = serve(env, ...names)
  const timer = setTimeout(() => running.signal('SIGKILL'), PATIENCE)
  const ended = await running.ended
  clearTimeout(timer)
  return ended
}

async function started(env: Record<string, string>) {
  const running = serve(env)
  await running.printed(/ready at/)
  return running
}

/** The files of an instance after an orderly stop, and after a kill with its writes still in the log. */
const instanceFiles = (async () => {
  const dataDir = folder.fresh()
  const [stopped, killed] = [folder.fresh(), folder.fresh()]
  const env = ownSettings(dataDir)
  const running = await started(env)
  const ids: string[] = []
  const make = async () => {
    const body = { email: newEmail(), password: PASSWORD, name: 'n'.repeat(190) }
    ids.push((await call(env.CH202_URL ?? '', 'POST /users', { ...operator, body })).body.id)
  }
  const module = { id: 'one', name: 'One', description: 'd'.repeat(150) }
  for (let n = 0; n < 20; n++)
    await call(env.CH202_URL ?? '', 'POST /modules', { ...operator, body: { ...module, id: `m${n}` } })
  await call(env.CH202_URL ?? '', 'POST /auth/register', { body: { email: newEmail(), password: PASSWORD } })
  for (let count = 0; count < USERS; count++) await make()
  // The files at this moment, as after SIGKILL.
  cpSync(dataDir, killed, { recursive: true })
  running.signal('SIGTERM')
  await running.ended
  cpSync(dataDir, stopped, { recursive: true })
  return { stopped, killed, ids }
})()

/** The files of a directory with their contents. */
function contents(directory: string): Record<string, string> {
  const names = readdirSync(directory, { recursive: true, encoding: 'utf8' })
  return Object.fromEntries(
    names
      .filter((name) => statSync(join(directory, name)).isFile() && !/^(logs|run)\/|-shm$/.test(name))
      .map((name) => [name, Bun.hash(readFileSync(join(directory, name))).toString(36)]),
  )
}

function change(path: string, at: number, bytes: Uint8Array): void {
  const content = readFileSync(path)
  content.set(bytes, at < 0 ? content.length + at : at)
  writeFileSync(path, content)
}

const garbage = (length: number) => Buffer.alloc(length, 0xa5)
const cut = (path: string, bytes: number) => writeFileSync(path, readFileSync(path).subarray(0, bytes))

interface Damage {
  what: string
  /** The files to damage: those of the kill, else those of the orderly stop. */
  of?: 'killed'
  /** @param path of the database */
  do(directory: string, path: string): void
  says: RegExp
}

const DATABASE: Damage[] = [
  { what: 'the first bytes', do: (_, path) => change(path, 0, garbage(16)), says: /is damaged.*Restore it/ },
  { what: 'the size of a page', do: (_, path) => change(path, 16, garbage(2)), says: /is damaged.*Restore it/ },
  {
    what: 'the kind of the first page',
    do: (_, path) => change(path, 100, garbage(8)),
    says: /is damaged.*Restore it/,
  },
  {
    what: 'a page in the middle',
    do: (_, path) => change(path, 4 * PAGE, garbage(PAGE)),
    says: /is damaged.*Restore it/,
  },
  { what: 'the head of a page', do: (_, path) => change(path, 5 * PAGE, garbage(12)), says: /is damaged.*Restore it/ },
  { what: 'without its last byte', do: (_, path) => cut(path, -1), says: /is damaged.*Restore it/ },
  { what: 'its first page alone', do: (_, path) => cut(path, PAGE), says: /is damaged.*Restore it/ },
  { what: 'nothing', do: (_, path) => cut(path, 0), says: /is damaged.*Restore it/ },
  { what: 'no file, and its log', of: 'killed', do: (_, path) => rmSync(path), says: /is missing.*restore it/ },
  {
    what: 'the file of another service beside its own log',
    of: 'killed',
    do: (directory, path) =>
      copyFileSync(join(directory, path.endsWith('auth.sqlite') ? 'users.sqlite' : 'auth.sqlite'), path),
    says: /is not the database of the .* Restore it/,
  },
  {
    what: 'a log of another make',
    of: 'killed',
    do: (_, path) => change(`${path}-wal`, 0, garbage(8)),
    says: /-wal is damaged.*Restore it/,
  },
  {
    what: 'other salts in the log',
    of: 'killed',
    do: (_, path) => change(`${path}-wal`, 16, garbage(8)),
    says: /-wal is damaged.*Restore it/,
  },
]

describe('check 35: at a start', () => {
  test.each(
    sliced(
      DATABASE.map((row, index) => ({ ...row, name: NAMES[index % 3] ?? 'auth' })),
      2,
    ),
  )('$what: the file is named, refused, and everything is left as it was', async ({ name, of, says, ...damage }) => {
    const { killed, stopped } = await instanceFiles
    const directory = folder.fresh()
    cpSync(of ? killed : stopped, directory, { recursive: true })
    const path = join(directory, `${name}.sqlite`)
    damage.do(directory, path)
    const before = contents(directory)
    const { status, stdout, stderr } = await refused(ownSettings(directory, { LOG_LEVEL: 'silent' }), name)
    expect([status, stdout]).toEqual([1, ''])
    expect(stderr).toStartWith(`✗ ${path}`)
    expect(stderr).toMatch(says)
    expect(stderr.trim().split('\n').length).toBeLessThanOrEqual(2)
    expect(contents(directory)).toEqual(before)
  })

  test('damage to any page of a database is found', async () => {
    const { stopped } = await instanceFiles
    let pages = 0
    for (const { migrations, name, path: file } of databases(stopped)) {
      const content = readFileSync(file)
      const path = join(folder.fresh(), `${name}.sqlite`)
      mkdirSync(join(path, '..'))
      const passed: string[] = []
      for (let at = 0; at < content.length; at += PAGE) {
        writeFileSync(path, content)
        change(path, at, garbage(PAGE))
        const damaged = readFileSync(path)
        try {
          openDatabase(path, name, migrations).close()
          passed.push(`${name}: page ${at / PAGE + 1}`)
        } catch (error) {
          expect(String(error)).toStartWith(`DatabaseError: ${path} is damaged: `)
        }
        expect(readFileSync(path).equals(damaged)).toBe(true)
        for (const end of ['-wal', '-shm']) rmSync(path + end, { force: true })
        pages++
      }
      // Undamaged files are opened. Damage to a free page does no harm.
      writeFileSync(path, content)
      const opened = openDatabase(path, name, migrations)
      const free = opened.raw.query<{ freelist_count: number }, []>('PRAGMA freelist_count').get()?.freelist_count
      opened.close()
      if (passed.length > (free ?? 0)) expect(passed).toEqual([])
    }
    expect(pages).toBeGreaterThan(60)
  })

  test('a file without read permission is named', async () => {
    const directory = folder.fresh()
    cpSync((await instanceFiles).stopped, directory, { recursive: true })
    const path = join(directory, 'users.sqlite')
    chmodSync(path, 0)
    // Root may read every file, unless it lacks these capabilities.
    const asUser = process.getuid?.() === 0 ? ['setpriv', '--bounding-set=-dac_override,-dac_read_search'] : []
    const command = [...asUser, process.execPath, 'cli/main.ts', 'serve']
    const { status, stderr } = await launch(command, { env: ownSettings(directory) }).ended
    expect(status).toBe(1)
    expect(stderr).toStartWith(`✗ ${path} cannot be opened`)
    chmodSync(path, 0o600)
  })
})

describe('a damaged write-ahead log', () => {
  const idsPresentIn = async (env: Record<string, string>, ids: string[]) => {
    const running = await started(env)
    const presentIds: string[] = []
    for (const id of ids)
      if ((await call(env.CH202_URL ?? '', `GET /users/${id}`, operator)).status === 200) presentIds.push(id)
    running.signal('SIGTERM')
    expect((await running.ended).status).toBe(0)
    return presentIds
  }
  const sound = (directory: string) =>
    NAMES.map((name) => {
      const database = new Database(join(directory, `${name}.sqlite`), { readonly: true })
      const result = database.query<{ integrity_check: string }, []>('PRAGMA integrity_check').get()?.integrity_check
      database.close()
      return result
    })

  test.each([
    [
      'with half a commit behind it',
      (log: string) => appendFileSync(log, readFileSync(log).subarray(32, 32 + 24 + 1000)),
    ],
    ['written back up to the first page, when the kill came', (log: string) => writeBackFirstPage(log)],
  ] as [string, (log: string) => void][])('%s: no acknowledged write is lost', async (_, damage) => {
    const { ids, killed } = await instanceFiles
    const directory = folder.fresh()
    cpSync(killed, directory, { recursive: true })
    for (const name of NAMES) damage(join(directory, `${name}.sqlite-wal`))
    expect(await idsPresentIn(ownSettings(directory), ids)).toEqual(ids)
    expect(sound(directory)).toEqual(['ok', 'ok', 'ok'])
  })

  test('cut: every write before the cut is kept, and no later one', async () => {
    const { ids, killed } = await instanceFiles
    const directory = folder.fresh()
    cpSync(killed, directory, { recursive: true })
    const log = join(directory, 'users.sqlite-wal')
    cut(log, Math.floor(statSync(log).size / 2))
    const presentIds = await idsPresentIn(ownSettings(directory), ids)
    expect(presentIds).toEqual(ids.slice(0, presentIds.length))
    expect(presentIds.length).toBeWithin(1, ids.length)
    expect(sound(directory)).toEqual(['ok', 'ok', 'ok'])
  })

  /** Writes the newest version of page 1 alone, which contains the number of pages. */
  function writeBackFirstPage(log: string): void {
    const bytes = readFileSync(log)
    const salts = bytes.subarray(16, 24)
    let newest: Buffer | undefined
    for (let at = 32; at + 24 + PAGE <= bytes.length; at += 24 + PAGE)
      if (bytes.readUInt32BE(at) === 1 && bytes.subarray(at + 8, at + 16).equals(salts))
        newest = bytes.subarray(at + 24, at + 24 + PAGE)
    if (newest) change(log.replace(/-wal$/, ''), 0, newest)
  }
})

describe('secrets.env beside existing signing keys', () => {
  const ROWS: [what: string, damage: (path: string) => void, says: RegExp][] = [
    [
      'missing',
      (path) => rmSync(path),
      /CH202_SECRET is missing, and only it can decrypt the signing keys in .*auth\.sqlite.*put .*secrets\.env back/s,
    ],
    ['empty', (path) => cut(path, 0), /CH202_SECRET is missing/],
    ['cut', (path) => cut(path, statSync(path).size - 30), /CH202_SECRET/],
    ['garbage', (path) => writeFileSync(path, garbage(200)), /CH202_SECRET is missing/],
    [
      'of another instance',
      (path) =>
        writeFileSync(path, readFileSync(path, 'utf8').replace(/(CH202_SECRET=).{20}/, '$1AAAAAAAAAAAAAAAAAAAA')),
      /CH202_SECRET does not open/,
    ],
    [
      'a directory',
      (path) => {
        rmSync(path)
        mkdirSync(path)
      },
      /secrets\.env/,
    ],
  ]

  const withSecretsFile = (async () => {
    const directory = folder.fresh()
    const { CH202_SECRET: _, INTERNAL_API_KEY: __, OPERATOR_API_KEY: ___, ...env } = ownSettings(directory)
    const running = await started(env)
    running.signal('SIGTERM')
    await running.ended
    return { directory, env }
  })()

  test.each(sliced(ROWS, 2))('%s: no service starts, and no new file is created', async (_, damage, says) => {
    const { directory, env } = await withSecretsFile
    const copy = folder.fresh()
    cpSync(directory, copy, { recursive: true })
    damage(join(copy, 'secrets.env'))
    const before = contents(copy)
    const settings = { ...env, CH202_DATA_DIR: copy, LOG_LEVEL: 'silent' }
    const { status, stdout, stderr } = await refused(settings)
    expect([status, stdout]).toEqual([1, ''])
    expect(stderr).toMatch(says)
    expect(stderr).not.toContain('AAAAAAAAAAAAAAAAAAAA')
    expect(contents(copy)).toEqual(before)
  })
})

test('a page that is damaged under a running service causes an error, no wrong data and no crash', async () => {
  const directory = folder.fresh()
  const { ids, stopped } = await instanceFiles
  cpSync(stopped, directory, { recursive: true })
  const env = ownSettings(directory, { LOG_FORMAT: 'json' })
  const base = env.CH202_URL ?? ''
  const running = await started(env)
  const path = join(directory, 'users.sqlite')
  const content = readFileSync(path)
  // A write of another process invalidates the service's page cache.
  const other = new Database(path)
  other.run('PRAGMA wal_checkpoint(TRUNCATE)')
  other.run('UPDATE schema_migrations SET applied_at = applied_at + 1')
  other.close()
  for (let at = PAGE; at < content.length; at += PAGE) change(path, at, garbage(PAGE))

  const requests = [
    [`GET /users/${ids[0]}`, operator],
    ['GET /users', operator],
    ['POST /users', { ...operator, body: { email: newEmail(), password: PASSWORD } }],
    [`PATCH /users/${ids[0]}`, { ...operator, body: { name: 'Another' } }],
    [`GET /users/${ids[0]}/password-hash`, { headers: as.internal }],
  ] as const
  for (const [request, options] of requests) {
    const answer = await call(base, request, options)
    expectProblem(answer, 503, 'database_unavailable')
    expect(answer.text).not.toMatch(/malformed|SQLITE|sqlite/)
  }
  expect((await call(base, 'GET /health')).status).toBe(200)
  expect((await call(base, 'GET /health/db')).status).toBe(503)
  // The other services have files of their own.
  expect((await call(base, 'GET /modules', operator)).status).toBe(200)
  await eventually(() => /"code":"SQLITE_CORRUPT/.test(running.stdout()) || undefined)
  running.signal('SIGKILL')
  await running.ended
  expect(existsSync(path)).toBe(true)
  expect([INTERNAL_KEY, OPERATOR_KEY].some((key) => running.stdout().includes(key))).toBe(false)
})
