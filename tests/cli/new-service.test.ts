import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Validator } from '@seriousme/openapi-schema-validator'
import { apply, type Change, undoKilledRun } from '../../cli/commands/new/changes.ts'
import { newEmail, PASSWORD } from '../support/actors.ts'
import { type Checkout, copyCheckout } from '../support/checkout.ts'
import { eventually } from '../support/eventually.ts'
import { as, call } from '../support/http.ts'
import { sharedPostgres } from '../support/postgres/shared.ts'
import { freePort } from '../support/servers/ports.ts'
import { type Ended, launch, ownSettings, ROOT, type Running, temporary } from '../support/tool.ts'
import { sliced, WHOLE } from '../support/whole.ts'

/**
 * The tool writes into a copy of this checkout, and the copy must pass the checks of this one. The expensive checks run
 * once, for several services beside each other.
 */
const folder = temporary('new-service')
const copy = folder.fresh()
/** The services that are written, in this order, with their options: a short name, an odd plural, a long name. */
/** Milliseconds: compilers and test runs of a copy take minutes on a busy machine. */
const SLOW = 600_000

const LONG = `a${'b'.repeat(29)}s`
const WRITTEN: [name: string, ...more: string[]][] = [['products'], ['people', '--item', 'person'], [LONG]]

const run = (words: string[], cwd = copy): Promise<Ended> =>
  launch([process.execPath, join(copy, 'cli/main.ts'), 'new', 'service', ...words], { cwd }).ended

let git: Checkout['git']
let tree: Checkout['tree']
let inCopy: Checkout['run']
let before: string
let runs: Ended[]
beforeAll(async () => {
  ;({ git, run: inCopy, tree } = copyCheckout(copy))
  before = tree()
  runs = []
  for (const words of WRITTEN) runs.push(await run([...words, '-o', 'json']))
}, SLOW)
afterAll(() => folder.remove())

test('lists each file that it wrote or changed, and touches no other', () => {
  for (const { status, stderr } of runs) expect([status, stderr]).toEqual([0, ''])
  const items = runs.flatMap(({ stdout }) => JSON.parse(stdout).items as { path: string; state: string }[])
  const listed = new Map(items.map(({ path, state }) => [path, state === 'written' ? 'A' : 'M']))
  const changed = git('diff-tree', '-r', '--name-status', before, tree()).split('\n')
  expect(changed.toSorted()).toEqual([...listed].map(([path, state]) => `${state}\t${path}`).toSorted())
})

describe('what is written', () => {
  const CHECKS: [what: string, words: string[]][] = [
    ['type-checks', ['x', 'tsc', '--noEmit']],
    ['has no unused code', ['x', 'knip']],
  ]
  // In the suite `tests/docs/adding-a-service.test.ts` makes these checks, of one service.
  test.each(WHOLE ? CHECKS : [])(
    '%s',
    async (_, words) => {
      const { status, stderr, stdout } = await inCopy(words)
      expect([status, status === 0 ? '' : stdout + stderr]).toEqual([0, ''])
    },
    SLOW,
  )

  test('lints', async () => {
    const paths = git('diff-tree', '-r', '--name-only', before, tree()).split('\n')
    const words = ['node_modules/@biomejs/biome/bin/biome', 'check', '--error-on-warnings', ...paths]
    const { status, stderr, stdout } = await inCopy(words)
    expect([status, status === 0 ? '' : stdout + stderr]).toEqual([0, ''])
  })

  const ROWS = `products|people|${LONG}`
  const TESTS: [what: string, words: string[], least: number][] = [
    [
      'who may call what, and the keys of each answer',
      [
        'tests/security/authorization.test.ts',
        'tests/security/answers.test.ts',
        '-t',
        `(/api/v1/(${ROWS})|exactly the)`,
      ],
      36,
    ],
    ['its own', ['services/products', 'services/people', 'tests/stores/products', 'tests/stores/people'], 50],
    [
      'imports, and the schema of the database',
      ['tests/code/imports.test.ts', 'tests/code/schema.test.ts', '-t', `every import|database of (${ROWS}) `],
      9,
    ],
    ['the document', ['tests/openapi/document.test.ts', '-t', `(${ROWS}|tag|of the contract)`], 20],
  ]
  // In the suite the own tests are those of another service: `tests/docs/adding-a-service.test.ts`.
  test.each(sliced(TESTS, 4))(
    'passes its tests: %s',
    async (_, words, least) => {
      // Every row of the tables, because few of them are about these services.
      const env = { CH202_ENV: 'test', CH202_TESTS: 'whole' }
      const { status, stderr } = await inCopy(['test', '--timeout=120000', ...words], env)
      expect([status, status === 0 ? '' : stderr]).toEqual([0, ''])
      expect(Number(/^ *(\d+) pass$/m.exec(stderr)?.[1])).toBeGreaterThan(least)
    },
    SLOW,
  )
})

describe.each(sliced(['SQLite', 'PostgreSQL'] as const, 2))('beside the others, by ch202 start, on %s', (databases) => {
  const env: Record<string, string> = {
    ...ownSettings(folder.fresh()),
    PRODUCTS_URL: `http://127.0.0.1:${freePort()}`,
    PEOPLE_URL: `http://127.0.0.1:${freePort()}`,
    // This one is not started: the others do not wait for a subscriber that is down.
    [`${LONG.toUpperCase()}_URL`]: `http://127.0.0.1:${freePort()}`,
  }
  const products = (request: string, options?: Parameters<typeof call>[2]) =>
    call(env.PRODUCTS_URL ?? '', request, options)
  let running: Running | undefined
  let ana: { id: string; headers: Record<string, string> }
  let ben: typeof ana
  const register = async () => {
    const body = { email: newEmail(), password: PASSWORD }
    const { body: user } = await call(env.AUTH_URL ?? '', 'POST /api/v1/auth/register', { body })
    return { id: user.id as string, headers: as.bearer(user.tokens.access_token) }
  }
  const create = async (who: typeof ana, name: string): Promise<string> =>
    (await products('POST /api/v1/products', { headers: who.headers, body: { name } })).body.id

  const stop = async () => {
    running?.signal('SIGTERM')
    await running?.ended
    running = undefined
  }
  const tool = async (...words: string[]) => {
    const { status, stderr, stdout } = await inCopy(['cli/main.ts', ...words, '-o', 'json'], env)
    return { status, stderr, body: JSON.parse(stdout) }
  }

  beforeAll(async () => {
    if (databases === 'PostgreSQL') env.DATABASE_URL = await (await sharedPostgres()).newDatabase()
    const migrated = await inCopy(['cli/main.ts', 'migrate', '-o', 'json'], env)
    const items = JSON.parse(migrated.stdout).items as { database: string; migrations: string[] }[]
    expect(items.find(({ database }) => database === 'products')?.migrations).toEqual(['0001_products'])
    const words = ['cli/main.ts', 'start', '--only', 'auth,users,modules,products,people']
    running = launch([process.execPath, ...words], { cwd: copy, env, group: true })
    await running.printed(/ready at/, 5)
    ana = await register()
    ben = await register()
  }, SLOW)
  afterAll(stop)

  test('a product is created, listed by page and by cursor, and hidden from other users', async () => {
    const ids = [await create(ana, 'a1'), await create(ana, 'a2'), await create(ana, 'a3'), await create(ben, 'b1')]
    const first = (await products('GET /products?size=2', { headers: ana.headers })).body
    expect([first.total, first.items.map(({ id }: { id: string }) => id)]).toEqual([3, ids.slice(0, 2)])
    const rest = (await products(`GET /products?size=2&cursor=${first.next_cursor}`, { headers: ana.headers })).body
    expect([rest.next_cursor, rest.items[0].name]).toEqual([null, 'a3'])
    const others = await products(`GET /products/${ids[0]}`, { headers: ben.headers })
    expect([others.status, others.body.code]).toEqual([404, 'product_not_found'])
    expect((await products(`GET /products?user_id=${ben.id}`, { headers: as.operator })).body.total).toBe(1)
    const people = await call(env.PEOPLE_URL ?? '', 'POST /people', { headers: ben.headers, body: { name: 'Cleo' } })
    expect(
      (await call(env.PEOPLE_URL ?? '', `GET /people/${people.body.id}`, { headers: ana.headers })).body.code,
    ).toBe('person_not_found')
  })

  test('a revoked token is refused at once', async () => {
    const cleo = await register()
    expect((await products('GET /products', { headers: cleo.headers })).status).toBe(200)
    const ended = await call(env.AUTH_URL ?? '', 'POST /api/v1/auth/logout-all', { headers: cleo.headers })
    expect(ended.status).toBe(200)
    expect((await products('GET /products', { headers: cleo.headers })).body.code).toBe('token_revoked')
  })

  test('the products of a deleted user are removed', async () => {
    const dora = await register()
    const id = await create(dora, 'd1')
    expect((await call(env.USERS_URL ?? '', `DELETE /users/${dora.id}`, { headers: as.operator })).status).toBe(204)
    const items = await eventually(async () => {
      const { body } = await products(`GET /products?user_id=${dora.id}`, { headers: as.operator })
      return body.total === 0 ? body.items : undefined
    })
    expect(items).toEqual([])
    expect((await products(`GET /products/${id}`, { headers: as.operator })).status).toBe(404)
  })

  test('serves health, metrics and its document', async () => {
    expect((await products('GET /health')).body).toMatchObject({ status: 'ok', service: 'products' })
    expect((await products('GET /health/db')).body.status).toBe('ok')
    expect((await products('GET /metrics', { headers: as.operator })).text).toContain('service="products"')
    expect((await products('GET /swagger')).text).toContain('<html')
    const { body } = await products('GET /swagger/json')
    expect((await new Validator().validate(body)).valid).toBeTrue()
    expect(Object.keys(body.paths)).toEqual(
      expect.arrayContaining(['/api/v1/products', '/api/v1/products/{product_id}']),
    )
    const metadata = await call(env.AUTH_URL ?? '', 'GET /.well-known/oauth-authorization-server')
    expect(metadata.body.ch202.products).toBe(env.PRODUCTS_URL)
  })

  if (databases === 'PostgreSQL') {
    test('the tool moves it to SQLite files with the others', async () => {
      const rows = (await products('GET /products', { headers: as.operator })).body.total
      expect(rows).toBeGreaterThan(0)
      await stop()
      const { body, status, stderr } = await tool('move', '--to', `sqlite:${folder.fresh()}/moved`)
      expect([status, stderr]).toEqual([0, ''])
      const moved = body.items.find(({ service }: { service: string }) => service === 'products')
      expect(moved.verified).toBeGreaterThan(rows)
    })
    return
  }

  test('the tool includes it in ps, health, api, doctor, caddy, and backup', async () => {
    const [ps, health, api, doctor] = await Promise.all([
      tool('ps'),
      tool('health'),
      tool('api', 'GET', '/products?size=1'),
      tool('doctor'),
    ])
    const productsIn = (items: { service: string }[]) => items.find(({ service }) => service === 'products')
    expect(productsIn(ps.body.items)).toMatchObject({ state: 'up', address: env.PRODUCTS_URL })
    expect(productsIn(health.body.items)).toMatchObject({ status: 'ok', address: env.PRODUCTS_URL })
    expect(api.body.total).toBeGreaterThan(0)
    expect(doctor.body.items.map(({ id }: { id: string }) => id)).toContain('db.products.file')
    const caddy = await inCopy(['cli/main.ts', 'package', 'caddy'], env)
    expect(caddy.stdout).toContain(`reverse_proxy ${env.PRODUCTS_URL} {`)
    expect(caddy.stdout).not.toContain('/products/sync')
    const backup = await tool('backup', 'create')
    expect([backup.status, backup.stderr]).toEqual([0, ''])
    const verified = await tool('backup', 'verify', backup.body.name)
    expect([verified.status, verified.body.checks.map(({ id }: { id: string }) => id)]).toEqual([
      0,
      expect.arrayContaining(['products.file', 'products.database']),
    ])
  })
})

test('a context from before the service was added stays valid: the service is at the address of auth', async () => {
  const config = folder.fresh()
  const at = 'https://id.example.org'
  const session = { email: 'root@example.org', user_id: 'u', session_id: 's', access_token: 'a', refresh_token: 'r' }
  const stored = { auth: at, users: at, modules: at, ...session, access_until: 1, session_until: 1 }
  mkdirSync(join(config, 'ch202/contexts'), { recursive: true })
  writeFileSync(join(config, 'ch202/contexts/far.json'), JSON.stringify(stored))
  const { status, stdout } = await inCopy(['cli/main.ts', 'context', 'list', '-o', 'json'], { XDG_CONFIG_HOME: config })
  expect(status).toBe(0)
  expect(JSON.parse(stdout).items).toContainEqual(expect.objectContaining({ name: 'far', modules: at, products: at }))
})

const REFUSED: [why: string, words: string[], status: number, says: string][] = [
  ['a service that exists', ['modules'], 6, 'there is a service modules'],
  ['a service that was written before', ['products'], 6, 'there is a service products'],
  ['an item with a name that is taken', ['goods', '--item', 'product'], 6, 'there is a problem product_not_found'],
  ['a path of another service', ['whoami'], 6, 'a path /whoami of the service auth'],
  ['the name of a group of the API', ['discovery'], 6, 'a part discovery of the API'],
  ['the parameter of another service', ['hooks', '--item', 'webhook'], 6, 'a parameter webhook_id'],
  ['the removal of a service that was not written so', ['auth', '--remove'], 2, 'auth is a service of Ch202 itself'],
  ['the name of a setting', ['public'], 6, 'a setting PUBLIC_URL'],
  ['a reserved word', ['kit'], 2, 'is reserved'],
  ['a name that is not an identifier', ['my-shop'], 2, 'lower-case letters'],
  ['a capital letter', ['Products'], 2, 'lower-case letters'],
  ['a leading digit', ['2nd'], 2, 'lower-case letters'],
  ['a name that is too long', ['a'.repeat(32)], 2, 'lower-case letters'],
  ['a path', ['../x'], 2, 'lower-case letters'],
  ['a word of TypeScript', ['class'], 2, 'a keyword of TypeScript'],
  ['a keyword of SQL', ['references'], 2, 'a keyword of SQL'],
  ['a keyword of PostgreSQL alone', ['analyze'], 2, 'a keyword of SQL'],
  ['a name that the code uses', ['stores'], 2, '--item'],
  ['a plural without a singular', ['sheep'], 2, '--item'],
  ['an item that is a keyword', ['boxes', '--item', 'new'], 2, '--item'],
]
test.each(sliced(REFUSED, 4, ([, , status]) => status))(
  'refuses, and writes nothing: %s',
  async (_, words, status, says) => {
    const initial = tree()
    const refused = await run(words)
    expect([refused.status, refused.stdout, refused.stderr]).toEqual([status, '', expect.stringContaining(says)])
    expect(tree()).toBe(initial)
  },
  SLOW,
)

test('refuses, and writes nothing: outside of the checkout, without a place for an entry, and on a failure', async () => {
  const initial = tree()
  const elsewhere = await run(['orders'], folder.path)
  expect([elsewhere.status, elsewhere.stderr]).toEqual([1, expect.stringContaining('Run this inside the checkout')])
  const registry = join(copy, 'services/registry.ts')
  const text = readFileSync(registry, 'utf8')
  writeFileSync(
    registry,
    text.replace('Record<string, ServiceDescriptor>', 'Readonly<Record<string, ServiceDescriptor>>'),
  )
  const misfit = await run(['orders'])
  expect([misfit.status, misfit.stderr]).toEqual([6, expect.stringContaining('services/registry.ts has no place')])
  writeFileSync(registry, text)
  // A directory at the place of the last temporary file.
  mkdirSync(join(copy, 'Procfile.ch202-new'))
  const stopped = await run(['orders'], join(copy, 'docs'))
  expect([stopped.status, stopped.stderr]).toEqual([1, expect.stringContaining('Nothing was written')])
  rmSync(join(copy, 'Procfile.ch202-new'), { recursive: true })
  expect(tree()).toBe(initial)
})

describe('changes', () => {
  const root = folder.fresh()
  const changes: Change[] = [
    { path: 'new/deep/file', before: null, after: 'new' },
    { path: 'changed', before: 'old', after: 'new' },
    { path: 'removed/file', before: 'old', after: null },
    { path: 'last', before: 'old', after: 'new' },
  ]
  const state = () => {
    const paths = [...new Bun.Glob('**/*').scanSync({ cwd: root, dot: true })].sort()
    return paths.map((path) => [path, readFileSync(join(root, path), 'utf8')])
  }
  const start = (last: string) => {
    rmSync(root, { recursive: true, force: true })
    mkdirSync(join(root, 'removed'), { recursive: true })
    for (const [path, text] of [
      ['changed', 'old'],
      ['removed/file', 'old'],
      ['last', last],
    ] as const)
      writeFileSync(join(root, path), text)
    return state()
  }

  test('are all made', () => {
    start('old')
    apply(root, changes)
    expect(state()).toEqual([
      ['changed', 'new'],
      ['last', 'new'],
      ['new/deep/file', 'new'],
    ])
  })

  test('or none of them, when the last one fails', () => {
    const initial = start('by someone else')
    expect(() => apply(root, changes)).toThrow('last was changed meanwhile')
    expect(state()).toEqual(initial)
  })

  /** Makes the changes in a process that gets a signal before a step on the disk. @returns whether it reached the step */
  const signalled = (signal: NodeJS.Signals, step: number) => {
    const script = `const fs = require('node:fs')
      let steps = ${step}
      for (const name of ['writeFileSync', 'renameSync', 'rmSync', 'mkdirSync']) {
        const real = fs[name]
        fs[name] = (...args) => {
          if (steps-- === 0) process.kill(process.pid, '${signal}')
          return real(...args)
        }
      }
      require(${JSON.stringify(join(ROOT, 'cli/commands/new/changes.ts'))}).apply(
        ${JSON.stringify(root)}, ${JSON.stringify(changes)})
      process.exit(steps < 0 ? 7 : 0)`
    const { exitCode, signalCode } = Bun.spawnSync([process.execPath, '-e', script])
    return signalCode === 'SIGKILL' || exitCode === 7
  }

  test('or are undone after a kill at any step', () => {
    const initial = start('old')
    const partialStates = new Set<string>()
    for (let step = 0; signalled('SIGKILL', step); step++) {
      partialStates.add(JSON.stringify(state()))
      undoKilledRun(root)
      expect([step, state()]).toEqual([step, initial])
    }
    expect(partialStates.size).toBeGreaterThan(6)
  })

  test.each(['SIGTERM', 'SIGINT'] as const)('and %s waits until they are complete', (signal) => {
    start('old')
    apply(root, changes)
    const complete = state()
    for (const step of [1, 4, 8]) {
      start('old')
      expect([step, signalled(signal, step), state()]).toEqual([step, true, complete])
    }
  })
})

describe('--remove', () => {
  const CHANGED: [path: string, change: (text: string) => string][] = [
    ['services/products/products.ts', (text) => `${text}\n// Ours.\n`],
    ['Procfile', (text) => text.replace('serve products', 'serve products # ours')],
    ['services/registry.ts', (text) => text.replace('The products of users', 'Our products')],
    ['tests/services/products.ts', (text) => text.replace('POST   /products ', 'PUT    /products ')],
    ['db/products/own.ts', () => 'export {}\n'],
    ['db/sqlite/migrations/products/own.sql', () => 'SELECT 1;\n'],
    ['db/postgres/migrations/products/own.sql', () => 'SELECT 1;\n'],
  ]
  test.each(sliced(CHANGED, 2))('refuses when a file was changed since: %s', async (path, change) => {
    const file = join(copy, path)
    const text = path.includes('/own.') ? undefined : readFileSync(file, 'utf8')
    writeFileSync(file, change(text ?? ''))
    const initial = tree()
    const refused = await run(['products', '--remove'])
    expect([refused.status, refused.stderr]).toEqual([6, expect.stringContaining(`${path} was changed since`)])
    expect(tree()).toBe(initial)
    if (text === undefined) rmSync(file)
    else writeFileSync(file, text)
  })

  test('refuses a service that does not exist', async () => {
    expect((await run(['orders', '--remove'])).status).toBe(3)
  })

  test('removes one service after the other, and leaves the tree as it was before', async () => {
    let last = tree()
    for (const [name] of WRITTEN) {
      const removed = await run([name, '--remove', '-o', 'json'])
      expect([removed.status, removed.stderr]).toEqual([0, ''])
      expect(tree()).not.toBe(last)
      last = tree()
    }
    expect(tree()).toBe(before)
  })
})
