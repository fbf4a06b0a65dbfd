import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { isBuiltin } from 'node:module'
import { join } from 'node:path'
import { freePort } from '../support/servers/ports.ts'
import { INTERNAL_KEY } from '../support/settings.ts'
import { inProcess, type System } from '../support/system.ts'
import { launch, ROOT, temporary } from '../support/tool.ts'
import { type Installed, install, pack, programsOfThePage } from './installed.ts'

setDefaultTimeout(120_000)

const page = programsOfThePage()
const directory = temporary('guard-package')
let plain: Installed
let withElysia: Installed
let system: System

beforeAll(async () => {
  const tarball = await pack(directory.fresh())
  plain = await install(tarball, directory.fresh(), ['hono', 'bun-types'])
  withElysia = await install(tarball, directory.fresh(), ['elysia', 'bun-types'])
  system = await inProcess({ LOG_LEVEL: 'silent' })
})
afterAll(async () => {
  await system?.stop()
  directory.remove()
})

test('the package contains the client and the guard, and nothing else of the program', () => {
  const ofClient = ['index.js', ...['create', 'error', 'index', 'types'].map((name) => `types/client/${name}.d.ts`)]
  const types = ['create', 'elysia', 'index', 'types'].map((name) => `dist/guard/types/guard/${name}.d.ts`)
  const documents = ['LICENSE', 'README.md', 'docs/browser.md', 'docs/integrate/guard.md', 'package.json']
  const code = [
    'dist/guard/elysia.js',
    'dist/guard/index.js',
    'dist/guard/types/services/kit/caller.d.ts',
    'dist/guard/types/services/kit/locale.d.ts',
  ]
  expect(plain.files).toEqual(
    [...documents, ...code, ...types, ...ofClient.map((file) => `dist/client/${file}`)].sort(),
  )
})

test.each([
  ['index', []],
  ['elysia', ['elysia']],
])('%s.js imports only modules of the runtime, and %j', async (entry, others) => {
  const code = await Bun.file(join(plain.path, `node_modules/ch202/dist/guard/${entry}.js`)).text()
  const imports = new Bun.Transpiler({ loader: 'js' }).scanImports(code).map(({ path }) => path)
  expect(imports.filter((path) => !isBuiltin(path))).toEqual(others)
  expect(code).not.toMatch(/\bBun\./)
})

test('the page lists exactly the options that exist', async () => {
  const types = await Bun.file(join(ROOT, 'guard/types.ts')).text()
  const options = types.slice(types.indexOf('interface GuardOptions'))
  const optionNames = [...options.matchAll(/^ {2}(\w+)\??:/gm)].map((match) => match[1])
  const table = (await Bun.file(join(ROOT, 'docs/integrate/guard.md')).text())
    .split(/^## /m)
    .find((part) => part.startsWith('Options'))
  const rowNames = [...(table ?? '').matchAll(/^\| `(\w+)`/gm)].map((match) => match[1])
  expect(rowNames.toSorted()).toEqual(optionNames.toSorted())
})

describe('the types of the package', () => {
  test('compile the programs of the page, strictly, without elysia installed', async () => {
    const programs = ['hono.ts', 'serve.ts']
    for (const program of programs) plain.write(program, page[program] ?? '')
    expect(await plain.faults('typescript', programs)).toEqual([])
  })

  test('compile with TypeScript 5 and the types of a browser', async () => {
    plain.write('dom.ts', `import { createGuard } from 'ch202/guard'\nexport const make = createGuard\n`)
    const options = { lib: ['ESNext', 'DOM'], types: [] }
    expect(await plain.faults('typescript-5', ['dom.ts'], options)).toEqual([])
  })

  test('compile with elysia, whose own declarations alone are not strict', async () => {
    withElysia.write('elysia.ts', page['elysia.ts'] ?? '')
    expect(await withElysia.faults('typescript', ['elysia.ts'], { skipLibCheck: true })).toEqual([])
    const faults = await withElysia.faults('typescript', ['elysia.ts'])
    expect(faults.filter((line) => !line.includes('node_modules/elysia/'))).toEqual([])
  })

  const wrong: [name: string, code: string][] = [
    ['a name of no one', `guard.require({ auth: 'nobody' })`],
    ['no word on who may', 'guard.require({})'],
    ['a caller without a look at the refusal', `(await guard.check(request, { auth: 'user' })).caller.userId`],
    ['no client and no key', `createGuard({ url: 'http://127.0.0.1:3001' })`],
    ['a client and a key', `createGuard({ url: 'x', internalKey: 'x', client: { id: 'x', secret: 'x' } })`],
    [
      'a client with a secret and a key',
      `createGuard({ url: 'x', client: { id: 'x', secret: 'x', privateKey: 'x' } })`,
    ],
  ]
  test('refuse an empty rule, and a caller without fields', async () => {
    const head = `import { createGuard } from 'ch202/guard'
      declare const request: Request
      export const guard = createGuard({ url: 'http://127.0.0.1:3001', internalKey: 'x' })\n`
    const names = wrong.map(([name, code]) => {
      const file = `${name.replaceAll(' ', '-')}.ts`
      plain.write(file, `${head}export const it = ${code}\n`)
      return file
    })
    const faults = await plain.faults('typescript', names)
    expect(faults.map((line) => line.split('(')[0]).sort()).toEqual(names.sort())
  })

  test('trap 3: refuse auth on a route of an app without the plugin', async () => {
    withElysia.write('open.ts', `import { Elysia } from 'elysia'\nnew Elysia().get('/', () => 'x', { auth: 'user' })`)
    const faults = await withElysia.faults('typescript', ['open.ts'], { skipLibCheck: true })
    expect(faults).toEqual([expect.stringMatching(/^open\.ts.*'auth'/)])
  })
})

const node = Bun.which('node')
const RUNTIMES: [name: string, command: string[]][] = [
  ['Bun', [process.execPath, '--no-install']],
  // Tested only if Node is installed.
  ...(node ? ([['Node', [node]]] as [string, string[]][]) : []),
]

describe.each(RUNTIMES)('a process of %s', (_, command) => {
  const run = (url: string) => {
    plain.write(
      'once.mjs',
      `import { createGuard } from 'ch202/guard'
      const guard = createGuard({ url: process.env.AUTH_URL, internalKey: process.env.INTERNAL_API_KEY })
      const ready = await guard.ready()
      const check = async (headers, auth) => {
        const { caller, response } = await guard.check(new Request('http://localhost/', { headers }), { auth })
        return caller?.actor ?? [response.status, (await response.json()).code]
      }
      const results = [
        await check({}, 'user'),
        await check({ authorization: 'Bearer x.y.z' }, 'user'),
        await check({ 'x-api-key': process.env.INTERNAL_API_KEY }, 'internal'),
      ]
      await guard.close()
      console.log(JSON.stringify({ ready, results }))`,
    )
    const env = { AUTH_URL: url, INTERNAL_API_KEY: INTERNAL_KEY }
    return launch([...command, 'once.mjs'], { cwd: plain.path, env }).ended
  }

  test('identifies callers, and ends when the guard is closed', async () => {
    const { status, stderr, stdout } = await run(system.url.auth)
    const results = [[401, 'missing_token'], [401, 'invalid_token'], 'internal']
    expect({ status, stderr, ...JSON.parse(stdout) }).toEqual({ status: 0, stderr: '', ready: true, results })
  })

  test('accepts no token when auth was never reachable, logs that once, and still ends', async () => {
    const { status, stderr, stdout } = await run(`http://127.0.0.1:${freePort()}`)
    const results = [[401, 'missing_token'], [503, 'auth_unavailable'], 'internal']
    expect({ status, ...JSON.parse(stdout) }).toEqual({ status: 0, ready: false, results })
    const line = {
      event: 'feed.lost',
      target: 'auth',
      reason: expect.stringMatching(/E?CONN_?REFUSED|ConnectionRefused/),
    }
    expect(JSON.parse(stderr)).toEqual(line)
  })
})
