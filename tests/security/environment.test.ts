import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { chmodSync, chownSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { addressSetting, SERVICE_NAMES } from '../../services/kit/services.ts'
import { copyCheckout } from '../checkout.ts'
import { as, call, createUser, INTERNAL_KEY, newEmail, OPERATOR_KEY, PASSWORD, type System } from '../harness.ts'
import { launch, ownSettings, ROOT, type Running, temporary } from '../processes.ts'
import { RecordingProxy } from '../recording-proxy.ts'
import { openUnder } from './canaries.ts'

setDefaultTimeout(120_000)

const V1 = '/api/v1'
const folder = temporary('environment')
const proxy = new RecordingProxy()
/** Plays whoever has written a file into the directory that the tool is called in. */
const thief = new RecordingProxy()
const executable = join(folder.path, 'ch202')
const guard = join(folder.path, 'guarded.mjs')
beforeAll(async () => {
  const built = await launch([process.execPath, 'cli/main.ts', 'package', 'binary', '--out', executable]).ended
  expect([built.status, built.stdout]).toEqual([0, ''])
  await buildGuarded()
})
afterAll(() => {
  proxy.close()
  thief.close()
  folder.remove()
})

/** What a test that failed has left running. */
const left = new Set<Running>()
afterEach(async () => {
  for (const running of left) running.signal('SIGKILL')
  await Promise.all([...left].map(({ ended }) => ended))
  left.clear()
  proxy.forget()
  thief.forget()
})

interface World {
  /** What is set, beside the addresses and keys; undefined: what is usually there is not. */
  env: Record<string, string | undefined>
  /** A shell's commands before the program, such as `umask 000`. */
  first?: string
  cwd?: () => string
}

/** Each is several hostile environments at once. */
const WORLDS: Record<string, World> = {
  'proxies, a HOME that is none, no umask, Turkish, a narrow terminal, the date of tomorrow': {
    env: {
      ...proxy.environment,
      HOME: '/proc',
      LANG: 'tr_TR.UTF-8',
      LC_ALL: 'tr_TR.UTF-8',
      TZ: 'Pacific/Kiritimati',
      COLUMNS: '1',
      LINES: '1',
      TERM: 'dumb',
    },
    first: 'umask 000',
  },
  'no HOME, a umask of everything, the locale C, no time zone, nothing on the PATH': {
    env: {
      HOME: undefined,
      XDG_CONFIG_HOME: undefined,
      LC_ALL: 'C',
      TZ: 'Nowhere/AtAll',
      COLUMNS: '0',
      PATH: '/nowhere',
    },
    first: 'umask 777',
  },
  'a HOME that is a file, in the root directory, an unknown locale and terminal': {
    env: {
      HOME: '/dev/null',
      XDG_CONFIG_HOME: undefined,
      LANG: 'xx_YY@zz',
      TERM: 'nothing',
      COLUMNS: '-20',
      NO_COLOR: undefined,
    },
    cwd: () => '/',
  },
  'proxies, in a directory where nothing can be made': {
    env: { ...proxy.environment, HOME: '/nonexistent', TZ: '' },
    first: 'umask 007',
    cwd: () => '/proc',
  },
}

const CHECKOUT = [process.execPath, join(ROOT, 'cli/main.ts')]

describe.each(Object.entries(WORLDS))('hostile: %s', (_, world) => {
  test.each([
    ['start', CHECKOUT],
    ['serve', CHECKOUT],
    ['start', [executable]],
    ['serve', [executable]],
  ])('%s works the same, by %p', async (command, program) => {
    const here = stageOf(world, command === 'start' ? [] : APART)
    const running = here.run(program, command)
    await running.printed(/ready at/, command === 'start' ? SERVICE_NAMES.length : 1)
    const { AUTH_URL, CH202_URL, MODULES_URL, USERS_URL } = here.settings
    const url = command === 'start' ? { auth: AUTH_URL, users: USERS_URL, modules: MODULES_URL } : ofAll(CH202_URL)
    await lifeOf({ url } as System)
    expect(await here.guarded(url.auth ?? '')).toMatchObject({ status: 0, stdout: 'true 401\n', stderr: '' })
    for (const line of TOOL) {
      const { status, stderr, stdout } = await here.run(program, ...line.words).ended
      expect({ words: line.words, status, stderr }).toEqual({ words: line.words, status: 0, stderr: '' })
      expect(stdout).toMatch(line.says)
    }
    running.signal('SIGTERM')
    const { status, stderr } = await running.ended
    expect([status, stderr]).toEqual([0, ''])
    expect(proxy.received).toEqual([])
    expect(openUnder(here.dataDir)).toEqual([])
    expect(here.litter()).toEqual([])
  })
})

/** Where the services are one process, these would name other addresses. */
const APART = SERVICE_NAMES.map(addressSetting)
const ofAll = (url: string | undefined) => ({ auth: url, users: url, modules: url })

/** Commands that only look, and one that writes: each form of what is printed is of its own making. */
const TOOL: { words: string[]; says: RegExp }[] = [
  { words: ['users', 'list', '--role', 'ADMIN'], says: /@example\.org/ },
  { words: ['sessions', 'list', '-o', 'json'], says: /"items"/ },
  { words: ['ps'], says: /^auth +up/m },
  { words: ['context', 'list'], says: /^local/m },
  { words: ['config', 'validate', '-q'], says: /^/ },
]

/** What is under way: a data directory, a place to stand, and what is asked of both afterwards. */
function stageOf({ cwd, env, first }: World, without: readonly string[] = []) {
  const dataDir = folder.fresh()
  const [temp, work] = [folder.fresh(), folder.fresh()]
  mkdirSync(temp)
  mkdirSync(work)
  const place = cwd?.() ?? work
  const settings = ownSettings(dataDir, { TMPDIR: temp })
  const variables = Object.entries({ ...settings, ...env }).flatMap(([name, value]) =>
    value === undefined || without.includes(name) ? [] : [`${name}=${value}`],
  )
  const before = new Set(readdirSync('/'))
  const run = (program: readonly string[], ...words: string[]) => {
    const script = `${first ?? ':'}; cd "$0" && exec "$@"`
    const command = ['env', '-i', ...variables, '/bin/sh', '-c', script, place, ...program, ...words]
    const running = launch(command, { cwd: ROOT })
    left.add(running)
    running.ended.then(() => left.delete(running))
    return running
  }
  return {
    dataDir,
    settings,
    run,
    guarded: (url: string) => run([process.execPath, guard], url).ended,
    /** What was left where nothing should be. */
    litter: () => [...readdirSync(temp), ...readdirSync(work), ...readdirSync('/').filter((name) => !before.has(name))],
  }
}

/** A user who comes, works and leaves. */
async function lifeOf(system: System): Promise<void> {
  const { auth, modules, users } = system.url
  const admin = await createUser(system, { name: 'INGRID Iğdır', roles: ['USER', 'ADMIN'] })
  const bearer = { headers: as.bearer(admin.tokens.access_token) }
  const found = await call(users, `GET ${V1}/users?search=ingrid`, bearer)
  expect([found.status, found.body.items.length]).toEqual([200, 1])
  expect(found.body.items[0].created_at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
  expect((await call(auth, `POST ${V1}/auth/password-reset-request`, { body: { email: admin.email } })).status).toBe(
    202,
  )
  expect((await call(auth, `POST ${V1}/auth/logout`, bearer)).status).toBe(204)
  expect((await call(modules, `GET ${V1}/modules/`, bearer)).body.code).toBe('token_revoked')
}

/** A service of someone else with a guard: says whether it has heard of auth, and refuses whoever shows nothing. */
async function buildGuarded(): Promise<void> {
  const source = join(folder.path, 'guarded.ts')
  writeFileSync(
    source,
    `import { createGuard } from '${join(ROOT, 'guard/index.ts')}'
    const guard = createGuard({ url: process.argv[2], internalKey: process.env.INTERNAL_API_KEY })
    const ready = await guard.ready()
    const { response } = await guard.check(new Request('http://localhost/'), { auth: 'user' })
    console.log(ready, response.status)
    await guard.close()
    `,
  )
  const { outputs } = await Bun.build({ entrypoints: [source], target: 'node' })
  writeFileSync(guard, await (outputs[0] as Blob).text())
}

describe('R2: a directory that someone else has written into', () => {
  const trap = join(folder.path, 'sprung')
  const springs = `require('node:fs').writeFileSync(${JSON.stringify(trap)}, '')`
  const stolen = () => [
    `USERS_URL=${thief.url}`,
    `AUTH_URL=${thief.url}`,
    `CH202_URL=${thief.url}`,
    `HTTP_PROXY=${thief.url}`,
    `CH202_DATA_DIR=${join(folder.path, 'stolen')}`,
    'CH202_TOKEN=a-token-of-theirs',
    'NODE_TLS_REJECT_UNAUTHORIZED=0',
    `BUN_OPTIONS=--preload=${join(folder.path, 'trap.ts')}`,
  ]
  const modes = ['', '.local', '.development', '.development.local', '.production', '.production.local', '.test']
  const dotenvs = () => Object.fromEntries(modes.map((mode) => [`.env${mode}`, stolen().join('\n')]))
  const code = {
    'bunfig.toml': 'preload = ["./trap.ts"]\nenv = true\n[run]\npreload = ["./trap.ts"]',
    'trap.ts': springs,
    'tsconfig.json': '{ "compilerOptions": { "paths": { "*": ["./trap.ts"] } } }',
    'package.json':
      '{ "imports": { "#*": "./trap.ts" }, "main": "./trap.ts", "scripts": { "ch202": "bun ./trap.ts" } }',
    'node_modules/pino-pretty/index.js': springs,
    'node_modules/elysia/index.js': springs,
  }
  /** A directory with these files, and nothing set but the keys: the tool finds out for itself whom to talk to. */
  const madeOf = (files: Record<string, string>) => {
    const cwd = folder.fresh()
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(join(cwd, name, '..'), { recursive: true })
      writeFileSync(join(cwd, name), text)
    }
    return cwd
  }
  const keys = { OPERATOR_API_KEY: OPERATOR_KEY, INTERNAL_API_KEY: INTERNAL_KEY, CH202_SECRET: 'a secret of the tests' }
  const inside = (cwd: string, program: readonly string[], words: string[], env: Record<string, string> = {}) => {
    const variables = Object.entries({ ...keys, NO_COLOR: '1', ...env }).map(([name, value]) => `${name}=${value}`)
    const running = launch(['env', '-i', ...variables, ...program, ...words], { cwd })
    left.add(running)
    running.ended.then(() => left.delete(running))
    return running
  }
  const unharmed = () =>
    expect({ stolen: thief.received, trap: [...new Bun.Glob('{sprung,stolen}').scanSync(folder.path)] }).toEqual({
      stolen: [],
      trap: [],
    })

  const commands: [words: string[], says: RegExp][] = [
    [['users', 'list'], /does not answer at http:\/\/127\.0\.0\.1:9/],
    [['health', '-q'], /127\.0\.0\.1:9/],
    [['api', 'GET', '/users'], /does not answer/],
    [['config', 'show', '--origin'], /^(?![\s\S]*\.env)[\s\S]*environment/],
  ]
  describe.each([
    ['the executable', [executable], () => ({ ...dotenvs(), ...code })],
    // What a bunfig.toml preloads has run before the tool begins: that is the page's to say.
    ['a checkout called from there', CHECKOUT, dotenvs],
  ] as const)('%s', (_, program, files) => {
    test.each(commands)('sends no key to whoever has written it: %j', async (words, says) => {
      const { stderr, stdout } = await inside(madeOf(files()), program, words, { USERS_URL: 'http://127.0.0.1:9' })
        .ended
      expect(stdout + stderr).toMatch(says)
      unharmed()
    })

    test.each(['', 'production', 'development', 'test'])(
      'serves as it does elsewhere, with NODE_ENV=%s',
      async (mode) => {
        const { CH202_DATA_DIR, CH202_URL } = ownSettings(folder.fresh()) as {
          CH202_DATA_DIR: string
          CH202_URL: string
        }
        const running = inside(madeOf(files()), program, ['serve'], {
          CH202_DATA_DIR,
          CH202_URL,
          BCRYPT_COST: '4',
          NODE_ENV: mode,
        })
        await running.printed(/ready at/)
        const body = { email: newEmail(), password: PASSWORD }
        expect((await call(CH202_URL, 'POST /api/v1/auth/register', { body })).status).toBe(201)
        running.signal('SIGTERM')
        expect((await running.ended).status).toBe(0)
        unharmed()
      },
    )
  })

  test('a checkout reads its own .env where it is called in it, and elsewhere one that bun is given by name', async () => {
    const checkout = copyCheckout(folder.fresh())
    writeFileSync(join(checkout.path, '.env'), 'AUDIENCE=of-the-checkout')
    const given = join(folder.path, 'given.env')
    writeFileSync(given, 'AUDIENCE=given-by-name')
    const elsewhere = madeOf({ '.env': 'AUDIENCE=of-elsewhere' })
    const [bun = ''] = CHECKOUT
    const main = join(checkout.path, 'cli/main.ts')
    const shown = async (cwd: string, ...program: string[]) => {
      const { stdout } = await inside(cwd, program, ['config', 'show', '-o', 'json']).ended
      return JSON.parse(stdout).items.find(({ name }: { name: string }) => name === 'AUDIENCE').value
    }
    expect(await shown(checkout.path, bun, 'cli/main.ts')).toBe('of-the-checkout')
    expect(await shown(checkout.path, bun, 'ch202')).toBe('of-the-checkout')
    expect(await shown(join(checkout.path, 'docs'), bun, 'ch202')).toBe('of-the-checkout')
    expect(await shown(elsewhere, bun, `--env-file=${given}`, main)).toBe('given-by-name')
    expect(await shown(elsewhere, bun, main)).toBe('ch202')
  })

  /** Makes others able to write a file or directory: a mode for it, and where that can be done another owner. */
  const byOthers: [how: string, give: (path: string) => void][] = [
    ['others may write', (path) => chmodSync(path, 0o777)],
    ...(process.getuid?.() === 0
      ? ([['another user owns', (path) => chownSync(path, 12_345, 12_345)]] as (typeof byOthers)[number][])
      : []),
  ]
  const programs: [name: string, program: readonly string[]][] = [
    ['the executable', [executable]],
    ['a checkout called from there', CHECKOUT],
  ]
  const rows = byOthers.flatMap(([how, give]) => programs.map(([name, program]) => ({ how, give, name, program })))
  test.each(rows)('the data directory that $how is not taken by default, by $name', async ({ give, program }) => {
    const note = { url: thief.url, pid: process.pid, started_at: '2026-11-01T00:00:00.000Z' }
    const notes = SERVICE_NAMES.map((service) => [`data/run/${service}.json`, JSON.stringify({ service, ...note })])
    const theirs = ['OPERATOR_API_KEY', 'INTERNAL_API_KEY', 'CH202_SECRET'].map((name) => `${name}=known-to-them`)
    const cwd = madeOf({ ...Object.fromEntries(notes), 'data/secrets.env': theirs.join('\n') })
    give(join(cwd, 'data'))
    for (const words of [['users', 'list'], ['serve'], ['start'], ['ps'], ['doctor']]) {
      const { status, stderr, stdout } = await inside(cwd, program, words).ended
      expect({ words, status, stdout, stderr }).toEqual({
        words,
        status: 1,
        stdout: '',
        stderr: expect.stringMatching(/^✗ \.\/data belongs to another user.*\n→ CH202_DATA_DIR=\/.*\/data\n$/),
      })
    }
    // Named, it is meant.
    const named = await inside(cwd, program, ['ps', '-o', 'json'], { CH202_DATA_DIR: 'data' }).ended
    expect([named.status, JSON.parse(named.stdout).items.length]).toEqual([0, SERVICE_NAMES.length])
    thief.forget()
    unharmed()
  })

  test.each(byOthers)('the executable runs no Procfile that %s', async (_, give) => {
    const cwd = madeOf({ Procfile: `auth: env > ${JSON.stringify(trap)}\n` })
    give(join(cwd, 'Procfile'))
    const { CH202_DATA_DIR = '' } = ownSettings(folder.fresh())
    const { status, stderr } = await inside(cwd, [executable], ['start'], { CH202_DATA_DIR }).ended
    expect([status, stderr]).toEqual([1, expect.stringContaining('(foreign_procfile)')])
    unharmed()
  })
})

test('a working directory that is gone: a checkout works, the executable says so', async () => {
  const gone = ['/bin/sh', '-c', 'cd "$0" && rmdir "$0" && exec "$@"']
  const run = (program: readonly string[]) => {
    const cwd = folder.fresh()
    mkdirSync(cwd)
    return launch([...gone, cwd, ...program, 'config', 'validate', '-q'], { cwd, env: ownSettings(folder.fresh()) })
      .ended
  }
  expect(await run(CHECKOUT)).toMatchObject({ status: 0, stderr: '' })
  expect(await run([executable])).toMatchObject({ status: 1, stderr: expect.stringContaining('directory was deleted') })
})

test('a clock that is an hour off: the tool finds its session valid, or renews it', async () => {
  const clock = join(folder.path, 'clock.ts')
  writeFileSync(clock, 'const now = Date.now\nDate.now = () => now() + Number(process.env.OFF)\n')
  const here = stageOf({ env: {} }, APART)
  const running = here.run(CHECKOUT, 'serve')
  await running.printed(/ready at/)
  const url = here.settings.CH202_URL ?? ''
  const { email } = await createUser({ url: ofAll(url) } as System, { roles: ['USER', 'ADMIN'] })
  const [bun = '', main = ''] = CHECKOUT
  const home = { HOME: folder.fresh(), CH202_ENV: 'test' }
  const tool = (hours: number, words: string[], stdin = '') => {
    const env = { ...home, XDG_CONFIG_HOME: '', OFF: String(hours * 3_600_000) }
    return launch([bun, '--preload', clock, main, ...words], { env, stdin, cwd: folder.path }).ended
  }
  const login = await tool(0, ['login', url, '--email', email, '--password-stdin'], PASSWORD)
  expect([login.status, login.stderr]).toEqual([0, ''])
  for (const hours of [1, -1, 0, 26])
    expect(await tool(hours, ['users', 'list', '-o', 'ids'])).toMatchObject({ status: 0, stderr: '' })
  running.signal('SIGTERM')
  await running.ended
})
