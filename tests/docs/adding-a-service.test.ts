import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { newEmail, PASSWORD } from '../support/actors.ts'
import { copyCheckout } from '../support/checkout.ts'
import { eventually } from '../support/eventually.ts'
import { as, call } from '../support/http.ts'
import { freePort } from '../support/servers/ports.ts'
import { openShell, type Shell } from '../support/shell.ts'
import { type Ended, ownSettings, ROOT, type Running, temporary } from '../support/tool.ts'
import { sliced } from '../support/whole.ts'

/** Milliseconds: compilers and test runs of a copy take minutes on a busy machine. */
const SLOW = 600_000

/** Builds the service of `docs/contribute/adding-a-service.md` block by block, in a copy of this checkout, and runs it. */
const page = readFileSync(join(ROOT, 'docs/contribute/adding-a-service.md'), 'utf8')

/** A block of the page. With a path it is a file or a change of one, without a path it is commands to run. */
interface Block {
  language: string
  path: string
  text: string
}

const blocksOf = (text: string): Block[] =>
  [...text.matchAll(/^```(\w+) ?(\S*)\n([\s\S]*?)^```$/gm)].map(([, language = '', path = '', body = '']) => ({
    language,
    path,
    text: body,
  }))
const chapter = (title: string) => page.split(/^## /m).find((text) => text.startsWith(`${title}\n`)) ?? ''
const linesToRun = (title: string) => blocksOf(chapter(title)).flatMap(({ path, text }) => (path ? [] : [text.trim()]))
const changes = blocksOf(page).filter(({ path }) => path !== '')

/** Applies or undoes a block. @throws Error with the path of the block when a place does not fit exactly once */
function changed(before: string, { path, text }: Block, direction: 'apply' | 'undo'): string {
  const [from, to] = direction === 'apply' ? ['-', '+'] : ['+', '-']
  return text.split('@@\n').reduce((content, place) => {
    const lines = place.replace(/\n$/, '').split('\n')
    const having = (mark = '') =>
      lines.flatMap((line) => (line === '' || line.startsWith(' ') || line.startsWith(mark) ? [line.slice(1)] : []))
    const [old, next, all] = [having(from), having(to), content.split('\n')]
    const places = all.flatMap((_, at) => (old.every((line, ahead) => all[at + ahead] === line) ? [at] : []))
    const [at, ...more] = places
    if (at === undefined || more.length > 0)
      throw new Error(`The change of ${path} fits ${places.length} places, instead of one:\n${place}`)
    return all.toSpliced(at, old.length, ...next).join('\n')
  }, before)
}

const folder = temporary('adding-a-service')
let copy: ReturnType<typeof copyCheckout>
let shell: Shell
let before: string
let generated: string
const INVOICES_URL = `http://127.0.0.1:${freePort()}`
const env: Record<string, string> = { ...ownSettings(folder.fresh()), INVOICES_URL }

beforeAll(async () => {
  copy = copyCheckout(folder.fresh())
  shell = openShell('adding-a-service-shell', env, copy.path)
  before = copy.tree()
  const [line = ''] = linesToRun('Generate it')
  const { status, stderr } = await shell.run(line, { cwd: copy.path })
  if (status !== 0) throw new Error(stderr)
  generated = copy.tree()
  for (const block of changes) {
    const file = join(copy.path, block.path)
    mkdirSync(dirname(file), { recursive: true })
    if (block.language !== 'diff') writeFileSync(file, block.text, { flag: 'wx' })
    else writeFileSync(file, changed(readFileSync(file, 'utf8'), block, 'apply'))
  }
}, SLOW)
afterAll(() => {
  shell?.close()
  folder.remove()
})

const expectSuccess = ({ status, stderr, stdout }: Ended) =>
  expect([status, status === 0 ? '' : stdout + stderr]).toEqual([0, ''])

test('the table names each file or folder that the command wrote or changed, and no other', () => {
  const rows = [...chapter('Generate it').matchAll(/^\| (`.*?) +\|/gm)].map(
    ([, cell = '']) => cell.match(/[^`, ]+/g) ?? [],
  )
  // A name without a directory is beside the first of its cell.
  const listed = rows.flatMap((cell) =>
    cell.map((path) => (/\/|^[A-Z]/.test(path) ? path : `${dirname(cell[0] ?? '')}/${path}`)),
  )
  const written = copy.git('diff-tree', '-r', '--name-only', before, generated).split('\n')
  const covers = (entry: string, path: string) => entry === path || (entry.endsWith('/') && path.startsWith(entry))
  expect(written.filter((path) => !listed.some((entry) => covers(entry, path)))).toEqual([])
  expect(listed.filter((entry) => !written.some((path) => covers(entry, path)))).toEqual([])
})

describe('the service of the page', () => {
  test('type-checks', async () => expectSuccess(await copy.run(['x', 'tsc', '--noEmit'])), SLOW)

  test(
    'lints, and has no unused code',
    async () => {
      const paths = copy.git('diff-tree', '-r', '--name-only', before, copy.tree()).split('\n')
      expectSuccess(await copy.run(['node_modules/@biomejs/biome/bin/biome', 'check', '--error-on-warnings', ...paths]))
      expectSuccess(await copy.run(['x', 'knip']))
    },
    SLOW,
  )

  const TESTS: [what: string, words: string[], least: number][] = [
    ['its own', ['services/invoices', 'tests/stores/invoices'], 31],
    [
      'imports, and the schema of the database',
      ['tests/code/imports.test.ts', 'tests/code/schema.test.ts', '-t', 'every import|database of invoices'],
      3,
    ],
    [
      'who may call what, and the keys of each answer',
      ['tests/security/authorization.test.ts', 'tests/security/answers.test.ts', '-t', '/api/v1/invoices|exactly the'],
      16,
    ],
    ['the document', ['tests/openapi/document.test.ts', '-t', '/api/v1/invoices|of the contract'], 30],
  ]
  // The files for all services run in `tests/cli/new-service.test.ts`, on others that the command writes.
  test.each(sliced(TESTS, 4))(
    'passes its tests: %s',
    async (_, words, least) => {
      // Every row of the tables, because few of them are about this service.
      const env = { CH202_ENV: 'test', CH202_TESTS: 'whole' }
      const ended = await copy.run(['test', '--timeout=120000', ...words], env)
      expectSuccess(ended)
      expect(Number(/^ *(\d+) pass$/m.exec(ended.stderr)?.[1])).toBeGreaterThan(least)
    },
    SLOW,
  )

  test(
    'is in the pages that repeat the code, after `bun run docs`',
    async () => {
      copy.tree()
      expectSuccess(await copy.run(['docs/generate.ts']))
      expect(readFileSync(join(copy.path, 'docs/operate/settings.md'), 'utf8')).toContain('`INVOICES_URL`')
      expectSuccess(await copy.run(['test', '--timeout=60000', 'tests/docs/generated.test.ts'], { CH202_ENV: 'test' }))
      // As in the index, where `tree` has put all files.
      copy.git('checkout', '--', 'docs')
    },
    SLOW,
  )
})

describe('run as the page says', () => {
  const invoices = (request: string, options?: Parameters<typeof call>[2]) => call(INVOICES_URL, request, options)
  let running: Running
  const register = async () => {
    const body = { email: newEmail(), password: PASSWORD }
    const { body: user } = await call(env.AUTH_URL ?? '', 'POST /api/v1/auth/register', { body })
    return { id: user.id as string, headers: as.bearer(user.tokens.access_token) }
  }
  const switched = (to: 'enable' | 'disable', user_id: string) =>
    call(env.MODULES_URL ?? '', `POST /modules/billing/${to}`, { headers: as.operator, body: { user_id } })

  beforeAll(async () => {
    const [start = ''] = linesToRun('Run it')
    running = shell.start(start, { cwd: copy.path, group: true })
    await running.printed(/ready at/, 4)
  }, SLOW)
  afterAll(async () => {
    running?.signal('SIGTERM')
    await running?.ended
  })

  test(
    'the commands do what the page says',
    async () => {
      const [, ...blocks] = linesToRun('Run it')
      const script = blocks
        .join("\nprintf '\\n--- next\\n'\n")
        .replace('http://127.0.0.1:3001', env.AUTH_URL ?? '')
        .replace('http://127.0.0.1:3004', INVOICES_URL)
        // The audit gets the payment by the outbox: on a busy machine the next command may come first.
        .replace(
          /^ch202 audit .*$/m,
          (line) => `for _ in $(seq 600); do ${line} | grep invoice.paid && break; sleep 0.1; done`,
        )
        .replaceAll(/^ANSWER=[\s\S]*?\)"?$/gm, (line) => `${line}\necho "$ANSWER"`)
      const ended = await shell.run(`set -e\n${script}`, { cwd: copy.path })
      expectSuccess(ended)
      const [refused = '', created = '', paid = '', operated = ''] = ended.stdout.split('\n--- next\n')
      expect(JSON.parse(refused)).toMatchObject({ statusCode: 403, code: 'module_not_available' })
      expect(created).toContain('"name":"March"')
      expect(created).toContain('"paid_at":null')
      expect(paid).toContain('{"email":"bea@example.org"}')
      expect(paid).toMatch(/"paid_at":"20/)
      expect(paid).toMatch(/ invoice\.paid .*"invoice":/)
      expect(operated).toContain('ch202_invoices_unpaid{service="invoices"} 0')
      expect(operated).toMatch(/invoices .*POST/)
    },
    SLOW,
  )

  test('turning the module on or off takes effect at the next request', async () => {
    const ana = await register()
    const create = () => invoices('POST /invoices', { headers: ana.headers, body: { name: 'One' } })
    for (let round = 0; round < 5; round++) {
      await switched('enable', ana.id)
      expect((await create()).status).toBe(201)
      await switched('disable', ana.id)
      const { body, status } = await create()
      expect([status, body.code]).toEqual([403, 'module_not_available'])
    }
  })

  test('no request asks the modules service', async () => {
    const { headers } = await register()
    const requestsToModules = async () => {
      const { text } = await call(env.MODULES_URL ?? '', 'GET /metrics', { headers: as.operator })
      const counts = text.matchAll(/^ch202_http_request_duration_seconds_count\{.*modules\/users\/:user_id.* (\d+)$/gm)
      return [...counts].reduce((sum, [, count]) => sum + Number(count), 0)
    }
    // On a machine that is too busy for the feed, a request may ask.
    await eventually(async () => {
      const before = await requestsToModules()
      expect((await invoices('GET /invoices', { headers })).body.code).toBe('module_not_available')
      return (await requestsToModules()) === before
    })
    await call(env.MODULES_URL ?? '', 'GET /modules/users/0198c0de-0000-7000-8000-00000000000a', {
      headers: as.operator,
    })
    expect(await requestsToModules()).toBeGreaterThan(0)
  })

  test('a payment is recorded once, in the audit and in the metrics', async () => {
    const cleo = await register()
    await switched('enable', cleo.id)
    const unpaid = async () => {
      const { text } = await invoices('GET /metrics', { headers: as.operator })
      return Number(/^ch202_invoices_unpaid\{service="invoices"\} (\d+)$/m.exec(text)?.[1])
    }
    const { body: invoice } = await invoices('POST /invoices', { headers: cleo.headers, body: { name: 'One' } })
    const unpaidBefore = await unpaid()
    const pay = () => invoices(`POST /invoices/${invoice.id}/pay`, { headers: as.operator })
    const outcomes = (await Promise.all([pay(), pay(), pay()])).map(({ body, status }) => [status, body.code])
    expect(outcomes.toSorted()).toEqual([
      [200, undefined],
      [409, 'invoice_paid'],
      [409, 'invoice_paid'],
    ])
    expect(await unpaid()).toBe(unpaidBefore - 1)
    const rows = await eventually(async () => {
      const { body } = await call(env.AUTH_URL ?? '', `GET /admin/audit?user_id=${cleo.id}&type=invoice.paid`, {
        headers: as.operator,
      })
      return body.items.length > 0 ? body.items : undefined
    })
    expect(rows).toEqual([expect.objectContaining({ actor: 'operator', detail: { invoice: invoice.id } })])
  })

  test('the invoices of a deleted user are removed', async () => {
    const dora = await register()
    await switched('enable', dora.id)
    const { body: invoice } = await invoices('POST /invoices', { headers: dora.headers, body: { name: 'One' } })
    const recipient = () => invoices(`GET /invoices/${invoice.id}/recipient`, { headers: as.operator })
    expect((await recipient()).status).toBe(200)
    expect((await call(env.USERS_URL ?? '', `DELETE /users/${dora.id}`, { headers: as.operator })).status).toBe(204)
    const code = await eventually(async () => {
      const { body } = await recipient()
      return body.code === 'invoice_not_found' ? body.code : undefined
    })
    expect(code).toBe('invoice_not_found')
    expect((await invoices(`GET /invoices?user_id=${dora.id}`, { headers: as.operator })).body.total).toBe(0)
  })

  test('serves its health', async () => {
    expect((await invoices('GET /health')).body).toMatchObject({ status: 'ok', service: 'invoices' })
    expect((await invoices('GET /health/db')).body.status).toBe('ok')
  })
})

test(
  'is removed as the page says, and the tree is as it was before',
  async () => {
    const [line = ''] = linesToRun('Remove it')
    const refused = await shell.run(line, { cwd: copy.path })
    expect([refused.status, refused.stderr]).toEqual([6, expect.stringContaining('was changed since')])
    for (const block of changes.toReversed()) {
      const file = join(copy.path, block.path)
      if (block.language !== 'diff') rmSync(file)
      else writeFileSync(file, changed(readFileSync(file, 'utf8'), block, 'undo'))
    }
    expect(copy.tree()).toBe(generated)
    expectSuccess(await shell.run(line, { cwd: copy.path }))
    expect(copy.tree()).toBe(before)
  },
  SLOW,
)

test('an error names the block that no longer fits', () => {
  const block = { language: 'diff', path: 'services/x.ts', text: ' one\n-two\n+three\n' }
  expect(changed('one\ntwo\n', block, 'apply')).toBe('one\nthree\n')
  for (const text of ['one\n', 'one\ntwo\none\ntwo\n', 'one\ntwofold\n'])
    expect(() => changed(text, block, 'apply')).toThrow('The change of services/x.ts fits')
})

test('every folder and file of the overview exists', () => {
  const rows = [...chapter('What a service builds on').matchAll(/^\| (`.*?) +\|/gm)]
  const paths = rows.flatMap(([, cell = '']) => {
    const [first = '', ...others] = cell.match(/[^`, ]+/g) ?? []
    return [first, ...others.map((name) => join(dirname(first), name))]
  })
  expect(paths.length).toBeGreaterThan(8)
  expect(paths.filter((path) => !existsSync(join(ROOT, path)))).toEqual([])
})
