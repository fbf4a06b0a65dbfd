import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { chmodSync, chownSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { SERVICE_NAMES } from '../../services/registry.ts'
import { newEmail, PASSWORD } from '../support/actors.ts'
import { openSignIn, SIGN_IN_ANSWERS } from '../support/browser/visitor.ts'
import { copyCheckout } from '../support/checkout.ts'
import { call } from '../support/http.ts'
import { RecordingProxy } from '../support/servers/recording-proxy.ts'
import { INTERNAL_KEY, OPERATOR_KEY } from '../support/settings.ts'
import { launch, ownSettings, ROOT, temporary } from '../support/tool.ts'
import { sliced } from '../support/whole.ts'
import { programsOfEachTest } from './started-programs.ts'

setDefaultTimeout(120_000)

const folder = temporary('foreign-directory')
/** Plays an attacker who has written a file into the working directory of the tool. */
const thief = new RecordingProxy()
const executable = join(folder.path, 'ch202')
const CHECKOUT = [process.execPath, join(ROOT, 'cli/main.ts')]
beforeAll(async () => {
  const built = await launch([process.execPath, 'cli/main.ts', 'package', 'binary', '--out', executable]).ended
  expect([built.status, built.stdout]).toEqual([0, ''])
})
afterAll(() => {
  thief.close()
  folder.remove()
})

const started = programsOfEachTest()
afterEach(() => thief.forget())

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
    // The executable starts a thread with the program of this name, for the first hash.
    'services/kit/passwords/hash-worker.js': springs,
    'services/kit/passwords/hash-worker.ts': springs,
  }
  // Bun compiles the pages of a checkout by the tsconfig.json of the working directory, unless they say how.
  const jsx = {
    'tsconfig.json': JSON.stringify({
      compilerOptions: { jsx: 'react', jsxFactory: 'trap', jsxFragmentFactory: 'trap', jsxImportSource: 'evil' },
    }),
    'node_modules/evil/index.js': springs,
    'node_modules/evil/jsx-runtime.js': springs,
    'node_modules/evil/jsx-dev-runtime.js': springs,
    'node_modules/react/index.js': springs,
  }
  /** A directory with these files. Only the keys are set: the tool finds the instance by itself. */
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
    return started.add(launch(['env', '-i', ...variables, ...program, ...words], { cwd }))
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
    // Code that a bunfig.toml preloads runs before the tool begins: the documentation warns of it.
    ['a checkout called from there', CHECKOUT, () => ({ ...dotenvs(), ...jsx })],
  ] as const)('%s', (_, program, files) => {
    test.each(commands)('sends no key to the attacker: %j', async (words, says) => {
      const { stderr, stdout } = await inside(madeOf(files()), program, words, { USERS_URL: 'http://127.0.0.1:9' })
        .ended
      expect(stdout + stderr).toMatch(says)
      unharmed()
    })

    test.each(sliced(['', 'production', 'development', 'test'], 3))(
      'serves as usual, with NODE_ENV=%s',
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
        expect((await openSignIn(CH202_URL)).answers).toEqual(SIGN_IN_ANSWERS as string[])
        running.signal('SIGTERM')
        expect((await running.ended).status).toBe(0)
        unharmed()
      },
    )
  })

  test('each page says how it is compiled, whatever the tsconfig.json of the working directory says', () => {
    const files = [...new Bun.Glob('services/**/*.tsx').scanSync(ROOT)]
    expect(files.length).toBeGreaterThan(15)
    const pragma = '/** @jsxRuntime automatic @jsxImportSource preact */\n'
    expect(files.filter((path) => !readFileSync(join(ROOT, path), 'utf8').startsWith(pragma))).toEqual([])
  })

  test('a checkout reads .env in its own directory only, and elsewhere a file passed to bun', async () => {
    const checkout = copyCheckout(folder.fresh())
    writeFileSync(join(checkout.path, '.env'), 'AUDIENCE=of-the-checkout')
    const envFile = join(folder.path, 'given.env')
    writeFileSync(envFile, 'AUDIENCE=given-by-name')
    const elsewhere = madeOf({ '.env': 'AUDIENCE=of-elsewhere' })
    const [bun = ''] = CHECKOUT
    const main = join(checkout.path, 'cli/main.ts')
    const readAudience = async (cwd: string, ...program: string[]) => {
      const { stdout } = await inside(cwd, program, ['config', 'show', '-o', 'json']).ended
      return JSON.parse(stdout).items.find(({ name }: { name: string }) => name === 'AUDIENCE').value
    }
    expect(await readAudience(checkout.path, bun, 'cli/main.ts')).toBe('of-the-checkout')
    expect(await readAudience(checkout.path, bun, 'ch202')).toBe('of-the-checkout')
    expect(await readAudience(join(checkout.path, 'docs'), bun, 'ch202')).toBe('of-the-checkout')
    expect(await readAudience(elsewhere, bun, `--env-file=${envFile}`, main)).toBe('given-by-name')
    expect(await readAudience(elsewhere, bun, main)).toBe('ch202')
  })

  /** Ways to let others write a file or directory: a mode, and another owner if the test may set it. */
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
  test.each(sliced(rows, 3))(
    'a data directory that $how is not used by default, by $name',
    async ({ give, program }) => {
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
      // An explicit data directory is used.
      const listing = await inside(cwd, program, ['ps', '-o', 'json'], { CH202_DATA_DIR: 'data' }).ended
      expect([listing.status, JSON.parse(listing.stdout).items.length]).toEqual([0, SERVICE_NAMES.length])
      thief.forget()
      unharmed()
    },
  )

  test.each(byOthers)('the executable runs no Procfile that %s', async (_, give) => {
    const cwd = madeOf({ Procfile: `auth: env > ${JSON.stringify(trap)}\n` })
    give(join(cwd, 'Procfile'))
    const { CH202_DATA_DIR = '' } = ownSettings(folder.fresh())
    const { status, stderr } = await inside(cwd, [executable], ['start'], { CH202_DATA_DIR }).ended
    expect([status, stderr]).toEqual([1, expect.stringContaining('(foreign_procfile)')])
    unharmed()
  })
})
