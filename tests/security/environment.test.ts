import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { addressSetting } from '../../services/kit/process/service-address.ts'
import { ofEachService, SERVICE_NAMES } from '../../services/registry.ts'
import { createUser, PASSWORD } from '../support/actors.ts'
import { openSignIn, SIGN_IN_ANSWERS } from '../support/browser/visitor.ts'
import { as, call } from '../support/http.ts'
import { RecordingProxy } from '../support/servers/recording-proxy.ts'
import { OPERATOR_KEY } from '../support/settings.ts'
import { openShell } from '../support/shell.ts'
import type { System } from '../support/system.ts'
import { launch, ownSettings, ROOT, type Running, temporary } from '../support/tool.ts'
import { WHOLE } from '../support/whole.ts'
import { openUnder } from './canaries.ts'
import { programsOfEachTest } from './started-programs.ts'

setDefaultTimeout(120_000)

const V1 = '/api/v1'
const folder = temporary('environment')
const proxy = new RecordingProxy()
const executable = join(folder.path, 'ch202')
const guard = join(folder.path, 'guarded.mjs')
beforeAll(async () => {
  const built = await launch([process.execPath, 'cli/main.ts', 'package', 'binary', '--out', executable]).ended
  expect([built.status, built.stdout]).toEqual([0, ''])
  await buildGuarded()
})
afterAll(() => {
  proxy.close()
  folder.remove()
})

const started = programsOfEachTest()
afterEach(() => proxy.forget())

interface HostileEnvironment {
  /** Variables beside addresses and keys; undefined removes a usual variable. */
  env: Record<string, string | undefined>
  /** A shell's commands before the program, such as `umask 000`. */
  first?: string
  cwd?: () => string
}

/** Each row combines several hostile environments. */
const ENVIRONMENTS: Record<string, HostileEnvironment> = {
  'proxies, an unusable HOME, no umask, Turkish, a narrow terminal, the date of tomorrow': {
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
    // Root cannot make a directory there either: Bun keeps what it compiled in the home directory.
    env: { ...proxy.environment, HOME: '/proc/nonexistent', TZ: '' },
    first: 'umask 007',
    cwd: () => '/proc',
  },
}

/** Runtimes of the guard: Bun, and Node if it is installed. */
const RUNTIMES = [process.execPath, Bun.which('node') ?? []].flat()
const CHECKOUT = [process.execPath, join(ROOT, 'cli/main.ts')]

describe.each(Object.entries(ENVIRONMENTS))('hostile: %s', (name, environment) => {
  const programs: [command: string, program: string[]][] = [
    ['start', CHECKOUT],
    ['serve', CHECKOUT],
    ['start', [executable]],
    ['serve', [executable]],
  ]
  // In the suite another one in each environment.
  const turn = Object.keys(ENVIRONMENTS).indexOf(name) % programs.length
  test.each(WHOLE ? programs : programs.slice(turn, turn + 1))('%s works as usual, by %p', async (command, program) => {
    const here = prepareRun(environment, command === 'start' ? [] : APART)
    const running = here.run(program, command)
    await running.printed(/ready at/, command === 'start' ? SERVICE_NAMES.length : 1)
    const url =
      command === 'start' ? ofEachService((name) => here.settings[VARIABLES[name]]) : ofAll(here.settings.CH202_URL)
    await lifeOf({ url } as System)
    for (const runtime of RUNTIMES)
      expect(await here.run([runtime, guard], url.auth ?? '').ended).toMatchObject({
        status: 0,
        stdout: 'true 401\n',
        stderr: '',
      })
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

/** Address settings to leave out if all services run in one process. */
const VARIABLES = ofEachService(addressSetting)
const APART = Object.values(VARIABLES)
const ofAll = (url: string | undefined) => ofEachService(() => url)

/** Commands that read, and one that writes, each with its expected output. */
const TOOL: { words: string[]; says: RegExp }[] = [
  { words: ['users', 'list', '--role', 'ADMIN'], says: /@example\.org/ },
  { words: ['sessions', 'list', '-o', 'json'], says: /"items"/ },
  { words: ['ps'], says: /^auth +up/m },
  { words: ['context', 'list'], says: /^local/m },
  { words: ['config', 'validate', '-q'], says: /^/ },
]

/** Prepares a run: a data directory, a working directory, and checks of both afterwards. */
function prepareRun({ cwd, env, first }: HostileEnvironment, without: readonly string[] = []) {
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
    return started.add(launch(command, { cwd: ROOT }))
  }
  return {
    dataDir,
    settings,
    run,
    /** Files left in directories that should be empty. */
    litter: () => [...readdirSync(temp), ...readdirSync(work), ...readdirSync('/').filter((name) => !before.has(name))],
  }
}

/** Calls of a user from registration to logout. */
async function lifeOf(system: System): Promise<void> {
  const { auth, modules, users, web } = system.url
  expect((await openSignIn(web)).answers).toEqual(SIGN_IN_ANSWERS as string[])
  const admin = await createUser(system, { name: 'INGRID Iğdır', roles: ['USER', 'ADMIN'] })
  const bearer = { headers: as.bearer(admin.tokens.access_token) }
  const search = await call(users, `GET ${V1}/users?search=ingrid`, bearer)
  expect([search.status, search.body.items.length]).toEqual([200, 1])
  expect(search.body.items[0].created_at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
  expect((await call(auth, `POST ${V1}/auth/password-reset-request`, { body: { email: admin.email } })).status).toBe(
    202,
  )
  expect((await call(auth, `POST ${V1}/auth/logout`, bearer)).status).toBe(204)
  expect((await call(modules, `GET ${V1}/modules/`, bearer)).body.code).toBe('token_revoked')
}

/** A foreign service with a guard: prints whether the guard is ready, and refuses a request without credentials. */
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

test('in a deleted working directory a checkout works, and the executable reports the error', async () => {
  const inDeletedDirectory = ['/bin/sh', '-c', 'cd "$0" && rmdir "$0" && exec "$@"']
  const run = (program: readonly string[]) => {
    const cwd = folder.fresh()
    mkdirSync(cwd)
    return launch([...inDeletedDirectory, cwd, ...program, 'config', 'validate', '-q'], {
      cwd,
      env: ownSettings(folder.fresh()),
    }).ended
  }
  expect(await run(CHECKOUT)).toMatchObject({ status: 0, stderr: '' })
  expect(await run([executable])).toMatchObject({ status: 1, stderr: expect.stringContaining('directory was deleted') })
})

describe('with an instance', () => {
  const here = prepareRun({ env: {} }, APART)
  const url = here.settings.CH202_URL ?? ''
  let running: Running
  let email: string
  beforeAll(async () => {
    running = here.run(CHECKOUT, 'serve')
    started.keep(running)
    await running.printed(/ready at/)
    email = (await createUser({ url: ofAll(url) } as System, { roles: ['USER', 'ADMIN'] })).email
  })
  afterAll(async () => {
    running.signal('SIGTERM')
    await running.ended
  })
  const [bun = '', main = ''] = CHECKOUT

  test('the tool finds its session valid, or renews it, when its clock is an hour off', async () => {
    const clock = join(folder.path, 'clock.ts')
    writeFileSync(clock, 'const now = Date.now\nDate.now = () => now() + Number(process.env.OFF)\n')
    const home = { HOME: folder.fresh(), CH202_ENV: 'test' }
    const tool = (hours: number, words: string[], stdin = '') => {
      const env = { ...home, XDG_CONFIG_HOME: '', OFF: String(hours * 3_600_000) }
      return launch([bun, '--preload', clock, main, ...words], { env, stdin, cwd: folder.path }).ended
    }
    const login = await tool(0, ['login', url, '--email', email, '--password-stdin'], PASSWORD)
    expect([login.status, login.stderr]).toEqual([0, ''])
    for (const hours of [1, -1, 0, 26])
      expect(await tool(hours, ['users', 'list', '-o', 'ids'])).toMatchObject({ status: 0, stderr: '' })
  })

  test('a login with a read-only HOME reports it, and leaves no session open', async () => {
    const headers = as.operator
    const sessions = async () => (await call(url, `GET ${V1}/auth/sessions?all=true`, { headers })).body.items.length
    const before = await sessions()
    for (const HOME of ['/proc', '/dev/null']) {
      const words = ['login', url, '--email', email, '--password-stdin']
      const { status, stderr } = await launch([bun, main, ...words], {
        env: { HOME, XDG_CONFIG_HOME: '' },
        stdin: PASSWORD,
        cwd: folder.path,
      }).ended
      expect([status, stderr]).toEqual([
        1,
        expect.stringMatching(new RegExp(`^✗ ${HOME}/\\.config.* cannot be created: `)),
      ])
    }
    expect(await sessions()).toBe(before)
  })

  test.each([1, 20])('a table is shown in a terminal of %d columns', async (cols) => {
    const shell = openShell(`narrow-${cols}`, { CH202_URL: url, OPERATOR_API_KEY: OPERATOR_KEY })
    const { screen, status } = await shell.inTerminal('ch202 users list', { cols, env: { TERM: 'dumb', COLUMNS: '1' } })
      .ended
    shell.close()
    expect(status).toBe(0)
    expect(screen).toMatch(/^ID\b[\s\S]*user/)
  })
})
