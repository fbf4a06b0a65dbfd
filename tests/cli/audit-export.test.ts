import { Database } from 'bun:sqlite'
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openAuthStore } from '../../db/auth/store.ts'
import { logIn, registerUser } from '../support/actors.ts'
import { as, call } from '../support/http.ts'
import { openInstance } from '../support/shell.ts'
import { temporary } from '../support/tool.ts'

setDefaultTimeout(120_000)

const folder = temporary('audit-export')
afterAll(() => folder.remove())

let instance: Awaited<ReturnType<typeof openInstance>>
beforeAll(async () => {
  instance = await openInstance('audit-export')
})
afterAll(() => instance?.close())

const run = (line: string, options?: Parameters<typeof instance.shell.run>[1]) =>
  instance.shell.run(`ch202 ${line}`, options)

interface ExportedRow {
  seq: number
  id: string
  type: string
  prev_hash: string
  hash: string
}

async function exported(options = ''): Promise<{ text: string; rows: ExportedRow[] }> {
  const { status, stderr, stdout } = await run(`audit export ${options}`)
  expect([status, stderr]).toEqual([0, ''])
  return {
    text: stdout,
    rows: stdout
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line)),
  }
}

function fileWith(text: string): string {
  const directory = folder.fresh()
  mkdirSync(directory)
  writeFileSync(join(directory, 'audit'), text)
  return join(directory, 'audit')
}

/** Verifies a text as an exported file. @returns the exit status, and the answer or the failure */
async function verify(text: string, flags = '') {
  const path = fileWith(text)
  const { status, stdout } = await run(`audit verify ${path} ${flags} -o json`)
  const { error, ...answer } = JSON.parse(stdout)
  return { status, ...answer, code: error?.code, message: error?.message ?? '' }
}

/** Adds rows, as another service does. */
async function written(type: string, count: number, more: object = {}): Promise<void> {
  const rows = Array.from({ length: count }, () => ({
    id: Bun.randomUUIDv7(),
    at: Date.now(),
    type,
    user_id: null,
    actor: 'internal',
    ip: null,
    request_id: null,
    detail: {},
    ...more,
  }))
  for (const body of rows)
    expect((await call(instance.system.url.auth, 'POST /auth/audit', { headers: as.internal, body })).status).toBe(204)
}

describe('audit export', () => {
  test('writes every row once, in the order of the chain, over several pages', async () => {
    await written('test.pages', 450)
    const { rows } = await exported()
    expect(rows.filter(({ type }) => type === 'test.pages').length).toBe(450)
    const seqs = rows.map(({ seq }) => seq)
    expect(seqs).toEqual(seqs.toSorted((a, b) => a - b))
    expect(new Set(rows.map(({ id }) => id)).size).toBe(rows.length)
    for (const [index, row] of rows.entries())
      expect(row.prev_hash).toBe(index === 0 ? '0'.repeat(64) : (rows[index - 1]?.hash ?? ''))
  })

  test('its last hash is the head of the chain that the doctor reports', async () => {
    const { rows } = await exported()
    const doctor = await run('doctor --only audit.chain')
    expect(doctor.stdout).toContain(`head ${rows.at(-1)?.hash.slice(0, 32)}`)
  })

  test('selects by user, type, since and until', async () => {
    const user = await registerUser(instance.system)
    const between = new Date().toISOString()
    await logIn(instance.system, user.email, 'wrong')
    const types = async (options: string) => (await exported(options)).rows.map(({ type }) => type)
    const all = await types(`--user ${user.email}`)
    expect(all).toContain('user.created')
    expect(await types(`--user ${user.email} --type login.failed`)).toEqual(['login.failed'])
    expect(await types(`--user ${user.email} --since ${between}`)).toEqual(['login.failed'])
    expect(await types(`--user ${user.email} --until ${between}`)).toEqual(all.slice(0, -1))
    for (const flags of ['--until soon', '--format xml', '--format jsonl --bom'])
      expect([flags, (await run(`audit export ${flags}`)).status]).toEqual([flags, 2])
  })

  test('as CSV, nothing that others chose runs as a formula, and it verifies', async () => {
    const values = ['=1+1', '+1', '-1', '@SUM(A1)', "'=1", 'a,b', '"']
    for (const request_id of values)
      await written('test.formula', 1, { request_id, ip: request_id, detail: { x: '=1' } })
    const { stdout } = await run('audit export --format csv')
    const cells = stdout.split('\n').flatMap((line) => line.split(','))
    expect(cells.filter((cell) => /^"?[=+\-@\t\r]/.test(cell))).toEqual([])
    expect(stdout).toContain(",'=1+1,'=1+1,")
    const count = stdout.trim().split('\n').length - 1
    expect(await verify(stdout)).toMatchObject({ status: 0, ok: true, rows: count, from_beginning: true })
    const marked = await run('audit export --format csv --bom')
    expect(await verify(marked.stdout)).toMatchObject({ status: 0, rows: count })
  })

  test('is one JSON value with -o json, and ids with -o ids', async () => {
    await written('test.forms', 2)
    const { stdout } = await run('audit export --type test.forms -o json')
    const { items } = JSON.parse(stdout)
    expect(items.map(({ type }: ExportedRow) => type)).toEqual(['test.forms', 'test.forms'])
    const ids = await run('audit export --type test.forms -o ids')
    expect(ids.stdout.trim().split('\n')).toEqual(items.map(({ id }: ExportedRow) => id))
  })
})

describe('audit verify, of a file', () => {
  const lines = (text: string) => text.trimEnd().split('\n')
  const changed = (text: string, at: number, change: (line: string) => string[]) =>
    lines(text)
      .flatMap((line, index) => (index === at ? change(line) : [line]))
      .join('\n')
  const withField = (name: string, value: unknown) => (line: string) => [
    JSON.stringify({ ...JSON.parse(line), [name]: value }),
  ]

  test('an untouched one is intact, also through standard input', async () => {
    const { rows, text } = await exported()
    expect(await verify(text)).toMatchObject({
      status: 0,
      ok: true,
      rows: rows.length,
      head: rows.at(-1)?.hash,
      from_beginning: true,
    })
    const piped = await run('audit verify - -o json', { stdin: text })
    expect(JSON.parse(piped.stdout)).toMatchObject({ ok: true, rows: rows.length })
  })

  test('one without a row is not intact: an export that failed wrote it', async () => {
    const { stdout: header } = await run('audit export --format csv --type test.none')
    expect(header.trim().split('\n').length).toBe(1)
    for (const text of ['', '\n', '\ufeff', header, `\ufeff${header}`])
      for (const flags of ['', '--filtered']) {
        const { code, message, ok, status } = await verify(text, flags)
        expect([text, flags, status, ok, code]).toEqual([text, flags, 10, false, 'empty_export'])
        expect([flags, message.includes('filters')]).toEqual([flags, flags !== ''])
      }
    const failed = await run('audit export --url http://127.0.0.1:9')
    expect([failed.status, failed.stdout]).toEqual([expect.any(Number), ''])
    const piped = await run('audit verify -', { stdin: failed.stdout })
    expect([piped.status, piped.stderr]).toEqual([10, expect.stringContaining('has no row')])
  })

  test('a change of any column, a missing, an added and a moved row are found, and the row is named', async () => {
    const { rows, text } = await exported()
    const at = 5
    const id = rows[at]?.id ?? ''
    const next = rows[at + 1]?.id ?? ''
    const other = lines(text)[at + 3] ?? ''
    const cases: [string, (line: string) => string[], string][] = [
      ['at', withField('at', '2020-01-01T00:00:00.000Z'), id],
      ['type', withField('type', 'x.y'), id],
      ['user_id', withField('user_id', Bun.randomUUIDv7()), id],
      ['actor', withField('actor', 'operator'), id],
      ['ip', withField('ip', '198.51.100.1'), id],
      ['request_id', withField('request_id', 'another'), id],
      ['detail', withField('detail', { reason: 'another' }), id],
      ['seq', withField('seq', 5000), id],
      ['prev_hash', withField('prev_hash', '0'.repeat(64)), id],
      ['hash', withField('hash', 'f'.repeat(64)), id],
      ['missing', () => [], next],
      ['added', (line) => [line, other], JSON.parse(other).id],
      ['twice', (line) => [line, line], id],
    ]
    for (const [what, change, rowId] of cases) {
      const result = await verify(changed(text, at, change))
      expect([what, result.status, result.ok, result.code]).toEqual([what, 10, false, 'audit_broken'])
      expect([what, result.message]).toEqual([what, expect.stringContaining(rowId)])
    }
  })

  test('rows at the end that are missing are found by a head that was recorded', async () => {
    const { rows, text } = await exported()
    const head = rows.at(-1)?.hash ?? ''
    const shorter = lines(text).slice(0, -1).join('\n')
    expect(await verify(text, `--head ${head.slice(0, 32)}`)).toMatchObject({ status: 0 })
    expect(await verify(shorter)).toMatchObject({ status: 0, rows: rows.length - 1 })
    expect(await verify(shorter, `--head ${head.slice(0, 32)}`)).toMatchObject({ status: 10, code: 'audit_broken' })
    expect((await run('audit verify --head abc')).status).toBe(2)
  })

  test('an export with filters has gaps, which --filtered permits; its rows are checked all the same', async () => {
    await written('test.filtered', 2)
    await written('test.unrelated', 1)
    await written('test.filtered', 1)
    const { rows, text } = await exported('--type test.filtered')
    expect(await verify(text)).toMatchObject({ status: 10, code: 'audit_broken' })
    expect(await verify(text, '--filtered')).toMatchObject({
      status: 0,
      rows: rows.length,
      gaps: 1,
      from_beginning: false,
    })
    expect(await verify(changed(text, 1, withField('actor', 'operator')), '--filtered')).toMatchObject({ status: 10 })
  })

  test('what is no export is refused, naming the line', async () => {
    const { text } = await exported()
    for (const wrong of [
      '{}\n',
      'a,b\n1,2\n',
      '{"seq":\n',
      `${lines(text)[0]}\n{"seq":"1"}\n`,
      `${lines(text)[0]}\nnothing\n`,
    ]) {
      const { code, message, status } = await verify(wrong)
      expect([wrong, status, code]).toEqual([wrong, 10, 'not_an_export'])
      expect(message).toMatch(/^Line \d+ is not a row/)
    }
    const none = await run(`audit verify ${join(folder.fresh(), 'none')}`)
    expect(none.status).toBe(2)
  })
})

describe('audit verify, of the installation', () => {
  test('an intact chain is intact, and has the head that was recorded before', async () => {
    const before = JSON.parse((await run('audit verify -o json')).stdout)
    await written('test.later', 3)
    const after = JSON.parse((await run(`audit verify --head ${before.head} -o json`)).stdout)
    expect(after).toMatchObject({ ok: true, rows: before.rows + 3 })
    const { status } = await run(`audit verify --head ${'0'.repeat(64)}`)
    expect(status).toBe(10)
  })

  test('a row that was altered behind its back is found', async () => {
    await written('test.altered', 3)
    const raw = new Database(join(instance.system.dataDir, 'auth.sqlite'))
    const row = raw
      .query<{ id: string; seq: number; sql: string }, []>(
        `SELECT id, seq, (SELECT sql FROM sqlite_schema WHERE name = 'audit_unchanged') AS sql
         FROM audit WHERE type = 'test.altered' ORDER BY seq LIMIT 1`,
      )
      .get()
    const set = (actor: string) => {
      raw.run('DROP TRIGGER audit_unchanged')
      raw.query('UPDATE audit SET actor = ? WHERE seq = ?').run(actor, row?.seq ?? 0)
      raw.run(row?.sql ?? '')
    }
    set('operator')
    const broken = await run('audit verify -o json')
    set('internal')
    raw.close()
    expect(broken.status).toBe(10)
    expect(JSON.parse(broken.stdout)).toMatchObject({ ok: false, error: { code: 'audit_broken' } })
    expect((await run('audit verify')).status).toBe(0)
  })

  test('a client with audit:read reads the chain, a support person and a user do not', async () => {
    const page = await call(instance.system.url.auth, 'GET /admin/audit/chain?size=2', { headers: as.operator })
    expect(page.body.items.length).toBe(2)
    const user = await registerUser(instance.system)
    const refused = await call(instance.system.url.auth, 'GET /admin/audit/chain', {
      headers: as.bearer(user.tokens.access_token),
    })
    expect(refused.status).toBe(403)
    const { body } = await call(
      instance.system.url.auth,
      `GET /admin/audit/chain?type=x&cursor=${page.body.next_cursor}`,
      {
        headers: as.operator,
      },
    )
    expect(body.code).toBe('validation_failed')
  })
})

describe('while AUDIT_RETENTION removes rows', () => {
  /** Runs a line against a server at which the rows before a moment go before the second page of the chain is read. */
  async function runWhileTrimmed(line: string, before: number) {
    const store = await openAuthStore({ dataDir: instance.system.dataDir })
    let chainPages = 0
    const server = Bun.serve({
      port: 0,
      async fetch(request) {
        const { pathname, search } = new URL(request.url)
        if (pathname.endsWith('/admin/audit/chain') && ++chainPages === 2) {
          const trimmed = { ...AUTH_ROW, id: Bun.randomUUIDv7(), at: Date.now() }
          await store.trimAudit(before, Date.now(), (detail) => ({ ...trimmed, detail: { ...detail } }))
          await store.removeTrimmedAudit()
        }
        return await fetch(`${instance.system.url.auth}${pathname}${search}`, { headers: request.headers })
      },
    })
    try {
      return await run(line, { env: { AUTH_URL: server.url.origin } })
    } finally {
      await server.stop(true)
      await store.close()
    }
  }
  const AUTH_ROW = { type: 'audit.trimmed', userId: null, actor: 'auth', ip: null, requestId: null }
  /** Adds rows of several pages. @returns the moment before the last ones */
  async function pagesWritten(): Promise<number> {
    await written('test.removed', 450)
    await Bun.sleep(2)
    const moment = Date.now()
    await written('test.left', 250)
    return moment
  }

  test('verify starts over, and finds the chain intact', async () => {
    const { status, stdout } = await runWhileTrimmed('audit verify -o json', await pagesWritten())
    // The rows that are left, and the one that says which are not.
    expect([status, JSON.parse(stdout)]).toMatchObject([0, { ok: true, rows: 251 }])
  })

  test('an export that misses rows is not complete, and can be repeated', async () => {
    const { status, stderr } = await runWhileTrimmed('audit export', await pagesWritten())
    expect([status, stderr]).toEqual([7, expect.stringContaining('Rows were removed')])
    expect(await verify((await exported()).text)).toMatchObject({ status: 0, from_beginning: true })
  })

  test('an export of one type misses none that are not due', async () => {
    const { status, stdout } = await runWhileTrimmed('audit export --type test.left', await pagesWritten())
    expect(status).toBe(0)
    expect(await verify(stdout, '--filtered')).toMatchObject({ status: 0 })
  })
})

test('an exported file needs no running service to be verified', async () => {
  const { text } = await exported()
  const path = fileWith(text)
  const { status } = await run(`audit verify ${path} --url http://127.0.0.1:9`)
  expect([status, readFileSync(path, 'utf8') === text]).toEqual([0, true])
})
