import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import {
  appendFileSync,
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { dirname, join } from 'node:path'
import { FakeUsers, type Point } from '../fixtures/fake-users.ts'
import { logIn, PASSWORD } from '../support/actors.ts'
import { eventually } from '../support/eventually.ts'
import { as, call } from '../support/http.ts'
import { processes } from '../support/processes.ts'
import { openShell } from '../support/shell.ts'
import type { System } from '../support/system.ts'
import { type Ended, launch, ROOT, type Running, runTool, temporary } from '../support/tool.ts'
import { sliced, WHOLE } from '../support/whole.ts'

setDefaultTimeout(120_000)

const FIXTURES = join(ROOT, 'tests', 'fixtures')
const HASH = await Bun.password.hash(PASSWORD, { algorithm: 'bcrypt', cost: 4 })
const folder = temporary('import')
let system: System
let other: System
/** An import that waits for a stopped service, started early so that no test waits for it. */
let leftAlone: { path: string; running: Running }
/** Two long imports, also started early: one with progress, one with --quiet. */
let long: { done: Promise<Ended[]>; stop(): void }
const envOf = (one: System): Record<string, string> => ({
  CH202_URL: one.url.users,
  OPERATOR_API_KEY: as.operator['x-api-key'],
  XDG_STATE_HOME: folder.path,
})

beforeAll(async () => {
  leftAlone = await leaveAlone()
  long = await beginLong()
  const start = () => processes('together', { RATE_LIMIT: 'off' })
  ;[system, other] = await Promise.all([start(), start()])
})
afterAll(async () => {
  long?.stop()
  try {
    leftAlone.running.signal('SIGKILL')
  } catch {
    // It has ended, as it should.
  }
  await Promise.all([system.stop(), other.stop(), leftAlone.running.ended])
  folder.remove()
})

const users = (words: string[], env = envOf(system), stdin?: string) =>
  runTool(['users', ...words], { env, ...(stdin === undefined ? {} : { stdin }) })
const importing = (words: string[], stdin?: string) => users(['import', ...words, '-o', 'json'], envOf(system), stdin)
const countsOf = ({ stdout }: Ended) => {
  const { duration_ms, ...counts } = JSON.parse(stdout)
  expect(duration_ms).toBeNumber()
  return counts
}
const counts = (some: Record<string, number | boolean>) => {
  const all = { created: 0, updated: 0, unchanged: 0, skipped: 0, failed: 0, ...some }
  const total = all.created + all.updated + all.unchanged + all.skipped + all.failed
  return { changed: all.created + all.updated > 0, total, ...all }
}
const read = async (email: string) =>
  (await call(system.url.users, `GET /users/by-email/${encodeURIComponent(email)}`, { headers: as.operator })).body
const file = (name: string, text: string) => {
  const path = join(folder.path, name)
  writeFileSync(path, text)
  return path
}
const linesIn = (path: string) =>
  readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))

/** Starts an import whose service stops after the first batch. */
async function leaveAlone() {
  const fake = new FakeUsers()
  await fake.start()
  fake.trouble = (number, at) => {
    if (number === 2 && at === 'before') fake.stop()
    return undefined
  }
  const lines = Array.from({ length: 500 }, (_, n) =>
    JSON.stringify({ email: `l${n}@left.example.org`, password: PASSWORD }),
  )
  const path = file('left.jsonl', lines.join('\n'))
  const env = { CH202_URL: fake.url, OPERATOR_API_KEY: 'key', XDG_STATE_HOME: folder.path }
  return { path, running: launch([process.execPath, 'cli/main.ts', 'users', 'import', path], { env }) }
}

/** A service that takes `milliseconds` for each request, and a file that needs two requests. */
async function slow(name: string, milliseconds: number) {
  const fake = new FakeUsers()
  await fake.start()
  fake.trouble = (_, at) => (at === 'half' ? Bun.sleep(milliseconds).then(() => undefined) : undefined)
  const lines = Array.from({ length: 400 }, (_, n) =>
    JSON.stringify({ email: `s${n}@slow.example.org`, password: PASSWORD }),
  )
  const env = { CH202_URL: fake.url, OPERATOR_API_KEY: 'key', XDG_STATE_HOME: join(folder.path, name) }
  return { fake, env, path: file(`${name}.jsonl`, lines.join('\n')) }
}

/** Starts imports of more than five seconds, which print progress without a terminal. */
async function beginLong() {
  const both = await Promise.all(['told', 'quiet'].map((name) => slow(name, 2600)))
  const running = both.map(({ env, path }, at) =>
    launch([process.execPath, 'cli/main.ts', 'users', 'import', path, '-o', 'json', ...(at === 1 ? ['-q'] : [])], {
      env,
    }),
  )
  const done = Promise.all(running.map(({ ended }) => ended))
  return { done, stop: () => both.forEach(({ fake }) => void fake.stop()) }
}

// This test is the first, while there are no users. Later tests read the users that it imports.
test('every command of docs/migrate/import.md does as printed', async () => {
  const here = temporary('import-page')
  try {
    cpSync(FIXTURES, here.path, { recursive: true })
    const text = readFileSync(join(ROOT, 'docs/migrate/import.md'), 'utf8')
    const examples = [...text.matchAll(/^```\n([\s\S]*?)^```$/gm)].flatMap(([, block = '']) =>
      block.split(/^\$ /m).slice(1),
    )
    expect(examples.length).toBeGreaterThan(7)
    for (const example of examples) {
      const [line = '', ...output] = example.trimEnd().split('\n')
      const command = `ch202() { "${process.execPath}" "${ROOT}/cli/main.ts" "$@"; }; ${line}`
      const env = { ...envOf(system), XDG_STATE_HOME: here.path }
      const done = await launch(['sh', '-c', command], { env, cwd: here.path }).ended
      expect([line, (done.stderr + done.stdout).trimEnd().split('\n')]).toEqual([
        line,
        output.length > 0 ? output : [''],
      ])
      expect([line, done.status]).toEqual([line, /, [1-9]\d* (failed|cannot)/.test(example) ? 8 : 0])
    }
  } finally {
    here.remove()
  }
})

describe('an export of another product', () => {
  const rows: [file: string, format: string, counts: Record<string, number>, stderr: RegExp[]][] = [
    ['auth0-import.json', 'auth0', { created: 5, failed: 1 }, [/^✗ 6: .* not supported: md5 \(/m]],
    [
      'keycloak-realm.json',
      'keycloak',
      { created: 6, failed: 3, factors_added: 1 },
      [/^✗ 7: The email is missing/m, /^✗ 8: .* not supported: md5 \(/m, /^✗ 9: Service account of a client/m],
    ],
    ['supabase-users.json', 'supabase', { created: 1 }, [/^! Imported without a password: 1/m]],
  ]
  test.each(rows)('%s is read', async (name, format, expected, warnings) => {
    const done = await importing([join(FIXTURES, name), '--format', format])
    expect(countsOf(done)).toEqual(counts(expected))
    expect(done.status).toBe(expected.failed ? 8 : 0)
    for (const line of warnings) expect(done.stderr).toMatch(line)
    // No part of a hash is printed.
    expect(done.stderr + done.stdout).not.toMatch(/\$2|\$argon|[A-Za-z0-9+/]{30}/)
  })

  test('gives the same report in a dry run, which writes nothing', async () => {
    const text = readFileSync(join(FIXTURES, 'keycloak-realm.json'), 'utf8').replaceAll('@keycloak', '@dry')
    // The API refuses invalid emails and hashes; a dry run reports them without it.
    const path = file(
      'dry.json',
      text.replace('cy@dry', 'cy dry').replace('hashIterations\\":27500', 'hashIterations\\":99999999'),
    )
    const errors = join(folder.path, 'dry.errors')
    const dry = await importing([path, '--format', 'keycloak', '--dry-run', '--errors', errors])
    expect([dry.status, countsOf(dry)]).toEqual([8, { dry_run: true, ready: 4, failed: 5, total: 9, changed: false }])
    expect(linesIn(errors).map(({ code, place }) => [place, code])).toEqual([
      [2, 'validation_failed'],
      [3, 'validation_failed'],
      [7, 'unreadable'],
      [8, 'unreadable'],
      [9, 'unreadable'],
    ])
    expect((await read('ana@dry.example.org')).code).toBe('user_not_found')
  })

  const people: [email: string, fields: Record<string, unknown>][] = [
    ['ana@auth0.example.org', { name: null, email_verified: true, roles: ['USER'], status: 'active' }],
    ['bo@auth0.example.org', { email_verified: false }],
    [
      'cy@auth0.example.org',
      {
        username: 'cy.auth0',
        name: 'Cy Öz',
        roles: ['USER', 'EDITOR'],
        status: 'disabled',
        created_at: '2019-12-06T18:36:12.412Z',
        metadata: { roles: ['owner'] },
        app_metadata: { roles: ['editor', 'admin'] },
      },
    ],
    ['di@auth0.example.org', { name: null, username: null, created_at: '2020-02-02T10:00:00.000Z' }],
    ['eve@auth0.example.org', { name: 'Eve Lima' }],
    [
      'ana@keycloak.example.org',
      { username: null, name: 'Ana Lima', roles: ['USER', 'STORE_MANAGER'], created_at: '2024-05-01T09:30:00.123Z' },
    ],
    ['bo@keycloak.example.org', { name: 'Bo Öz', roles: ['USER'], email_verified: false }],
    ['cy@keycloak.example.org', { roles: ['USER'] }],
    ['ed@keycloak.example.org', { status: 'disabled', username: null }],
    ['fay@keycloak.example.org', { username: 'fay' }],
    [
      'ana@supabase.example.org',
      {
        id: 'f76629c5-a070-4bbc-9918-64beaea48848',
        name: 'Ana "the, first" Lima',
        roles: ['USER', 'EDITOR'],
        email_verified: true,
        created_at: '2024-05-01T09:30:00.123Z',
        metadata: { full_name: 'Ana "the, first" Lima', roles: ['owner'] },
        app_metadata: { roles: ['editor', 'admin'], provider: 'email' },
      },
    ],
    ['bo@supabase.example.org', { status: 'disabled', email_verified: false }],
    ['eve@supabase.example.org', { id: 'f76629c5-a070-4bbc-9918-64beaea48860', name: 'Eve' }],
    ['ana@firebase.example.org', { name: 'Ana Lima', email_verified: true, created_at: '2024-05-01T09:30:00.123Z' }],
    ['bo@firebase.example.org', { roles: ['USER', 'EDITOR'], status: 'disabled' }],
    ['di@firebase.example.org', { name: 'Di "the, last" Öz', status: 'active' }],
    ['eve@firebase.example.org', { name: 'Eve', roles: ['USER', 'EDITOR'], status: 'disabled' }],
  ]
  test.each(people)('keeps the fields of %s', async (email, fields) => {
    expect(await read(email)).toMatchObject(fields)
  })

  const logins: [kind: string, email: string, password: string, code: string | null][] = [
    ['bcrypt', 'ana@auth0.example.org', PASSWORD, null],
    ['bcrypt, in its other field', 'fay@auth0.example.org', PASSWORD, null],
    ['argon2', 'gus@auth0.example.org', PASSWORD, null],
    ['PBKDF2 with SHA-1, from Auth0', 'hal@auth0.example.org', 'Test@123', null],
    ['scrypt', 'ina@auth0.example.org', PASSWORD, null],
    ['argon2 of Keycloak', 'ana@keycloak.example.org', PASSWORD, 'second_factor_required'],
    ['PBKDF2 with SHA-256', 'bo@keycloak.example.org', PASSWORD, null],
    ['PBKDF2 with SHA-512', 'cy@keycloak.example.org', PASSWORD, null],
    ['PBKDF2 with SHA-1, of an old Keycloak', 'di@keycloak.example.org', PASSWORD, null],
    ['bcrypt of Supabase', 'ana@supabase.example.org', PASSWORD, null],
    ['scrypt of Firebase', 'ana@firebase.example.org', 'mytestpassword', null],
    ['scrypt of Firebase, from its CSV', 'di@firebase.example.org', 'mytestpassword', null],
    ['scrypt of Firebase in the other base64', 'bo@firebase.example.org', 'mytestpassword', 'account_disabled'],
    ['none, from Auth0', 'di@auth0.example.org', PASSWORD, 'invalid_credentials'],
    ['none, from Keycloak', 'fay@keycloak.example.org', PASSWORD, 'invalid_credentials'],
    ['none, from Supabase', 'cy@supabase.example.org', PASSWORD, 'invalid_credentials'],
  ]
  test.each(sliced(logins, 2))('has a password hash that works: %s', async (_kind, email, password, code) => {
    const wrong = await logIn(system, email, `${password}.`)
    expect([wrong.status, wrong.body.code]).toEqual([401, 'invalid_credentials'])
    const right = await logIn(system, email, password)
    expect([right.status, right.body.code]).toEqual(code ? [expect.any(Number), code] : [200, undefined])
  })

  test('can contain administrators, if a flag accepts them', async () => {
    const path = file(
      'admins.json',
      JSON.stringify([{ email: 'root@auth0.example.org', app_metadata: { roles: ['admin'] } }]),
    )
    const { stderr } = await importing([path, '--format', 'auth0', '--keep-admins'])
    expect(stderr).not.toContain('Administrators')
    expect((await read('root@auth0.example.org')).roles).toEqual(['USER', 'ADMIN'])
  })
})

describe('JSONL and CSV', () => {
  const people = [
    { email: 'torture1@example.org', name: 'a "quoted", cell; with 🎉', roles: ['USER', 'EDITOR'] },
    { email: 'torture2@example.org', name: '=1+1', roles: [] },
    { email: 'torture3@example.org', name: '', username: 'tor-ture.3', email_verified: true },
    { email: 'torture4@example.org', name: ' spaces , and ; ', status: 'disabled' },
    { email: 'torture5@example.org', name: 'null' },
    {
      email: 'torture7@example.org',
      locale: 'ru',
      metadata: { 'a, "b"': ['\n;\t', null, { '=1+1': '🎉' }] },
      app_metadata: { a: '[]', b: [[], {}] },
    },
    { email: "o'torture6@example.org", created_at: '2020-01-01T00:00:00.001Z', updated_at: '2021-01-01T00:00:00.000Z' },
  ].map((person) => ({ ...person, password_hash: HASH }))

  test.each(['jsonl', 'csv'])('an import reads the %s of an export', async (format) => {
    const records = people.map((person) => JSON.stringify({ ...person, email: `${format}.${person.email}` }))
    const uniqueRecords = format === 'csv' ? records.map((line) => line.replace('tor-ture', 'tor-csv')) : records
    expect((await importing(['-', '--format', 'jsonl'], uniqueRecords.join('\n'))).status).toBe(0)
    const exported = await users(['export', '--format', format, '--with-hashes'])
    expect([exported.status, exported.stderr]).toEqual([0, ''])
    const imported = await runTool(['users', 'import', '-', '--format', format, '--on-conflict', 'skip'], {
      env: envOf(other),
      stdin: exported.stdout,
    })
    expect([imported.status, imported.stderr]).toEqual([0, ''])
    const again = await users(['export', '--format', format, '--with-hashes'], envOf(other))
    const lines = (text: string) =>
      text.split('\n').filter((line) => line.includes(`${format}.`) && line.includes('torture'))
    expect(lines(again.stdout)).toEqual(lines(exported.stdout))
    expect(lines(again.stdout)).toHaveLength(people.length)
    expect(exported.stdout).toContain(HASH)
  })

  test('an import replaces metadata: that of an export changes nothing, and null in it is kept', async () => {
    const email = 'replaced@example.org'
    const line = (metadata: object) => JSON.stringify({ email, metadata, app_metadata: { a: null } })
    const importLine = async (text: string, format = 'jsonl') => {
      const words = ['-', '--format', format, '--on-conflict', 'update', '-o', 'json']
      return JSON.parse((await importing(words, text)).stdout)
    }
    expect(await importLine(line({ a: 1, b: { c: null } }))).toMatchObject({ created: 1 })
    expect(await importLine(line({ b: { c: null }, a: 1 }))).toMatchObject({ unchanged: 1 })
    expect(await importLine(line({ b: 2 }))).toMatchObject({ updated: 1 })
    expect(await read(email)).toMatchObject({ app_metadata: { a: null } })
    expect((await read(email)).metadata).toEqual({ b: 2 })
    const cells = (metadata: string) => `email,metadata\n${email},${metadata}\n`
    expect(await importLine(cells(''), 'csv')).toMatchObject({ unchanged: 1 })
    expect(await importLine(cells('{}'), 'csv')).toMatchObject({ updated: 1 })
    for (const cell of ['x', '"{""a"":"', '['.repeat(40).concat(']'.repeat(40)), '1', '[]', '"""{}"""'])
      expect([cell, await importLine(cells(cell), 'csv')]).toMatchObject([cell, { failed: 1 }])
    expect((await read(email)).metadata).toEqual({})
  })

  test('metadata of other products that do not fit are left out, and counted', async () => {
    const user = {
      email: 'large@auth0.example.org',
      user_metadata: { a: 'x'.repeat(9000) },
      app_metadata: { plan: 'pro' },
    }
    const first = await importing(['-', '--format', 'auth0'], JSON.stringify(user))
    expect(first.stderr).toMatch(/^! .*metadata.*: 1 \(/im)
    expect((await read(user.email)).metadata).toEqual({})
    expect((await read(user.email)).app_metadata).toEqual({ plan: 'pro' })
    const keycloak = JSON.stringify({ users: [{ email: 'attr@keycloak.example.org', attributes: { phone: ['1'] } }] })
    const second = await importing(['-', '--format', 'keycloak'], keycloak)
    expect(second.stderr).toMatch(/^! .*attributes.*: 1 \(/im)
    expect((await read('attr@keycloak.example.org')).metadata).toEqual({})
  })

  test('an export contains hashes only with a flag', async () => {
    for (const words of [['-o', 'csv'], ['--format', 'jsonl'], []]) {
      const { status, stdout } = await users(['export', ...words])
      expect([status, stdout.length > 100, stdout.includes('$2')]).toEqual([0, true, false])
      expect(stdout.startsWith(words[1] === 'csv' ? 'id,email,username,name,roles,' : '{"id":')).toBe(true)
    }
  })

  test('an export is one JSON value with -o json, and has one form only', async () => {
    const lines = (await users(['export'])).stdout.trimEnd().split('\n')
    const { status, stdout } = await users(['export', '-o', 'json'])
    expect([status, JSON.parse(stdout)]).toEqual([0, { items: lines.map((line) => JSON.parse(line)) }])
    const two = await users(['export', '--format', 'csv', '-o', 'json'])
    expect([two.status, JSON.parse(two.stdout).error]).toMatchObject([2, { code: 'usage' }])
  })

  test('an export of ids has one per line', async () => {
    const { status, stdout } = await users(['export', '-o', 'ids'])
    expect([status, stdout]).toEqual([0, expect.stringMatching(/^([0-9a-f-]{36}\n)+$/)])
  })

  test('a CSV may have a byte order mark, CRLF, its own order, and line breaks in cells', async () => {
    const text = `\ufeffName,EMAIL,email_verified,roles,password_hash\r\n"Zoë, ""Z""",zoe@csv.example.org,TRUE,"USER, EDITOR",${HASH}\r\n\r\n,yan@csv.example.org,0,,${HASH}`
    expect(countsOf(await importing([file('own.csv', text)]))).toEqual(counts({ created: 2 }))
    expect(await read('zoe@csv.example.org')).toMatchObject({
      name: 'Zoë, "Z"',
      email_verified: true,
      roles: ['USER', 'EDITOR'],
    })
    expect(await read('yan@csv.example.org')).toMatchObject({ name: null, email_verified: false, roles: ['USER'] })
  })

  test('invalid rows are reported by their line', async () => {
    const rows = [
      'email,name,email_verified',
      'a@x.example.org,"two\nlines",perhaps',
      'b@x.example.org',
      '"c@x.example.org',
    ]
    const { status, stderr } = await importing([file('bad.csv', rows.join('\n')), '--dry-run'])
    expect(status).toBe(1)
    expect(stderr).toMatch(/^✗ 2: email_verified must be true or false/m)
    expect(stderr).toMatch(/^✗ 4: The row has 1 cells, but the first row has 3/m)
    expect(stderr).toMatch(/^✗ 5: A quoted cell is not closed/m)
  })

  test('a truncated JSON is reported', async () => {
    const path = file('cut.json', '[{"email":"a@cut.example.org"},{"email":"b@cut')
    const { status, stderr } = await importing([path, '--format', 'auth0', '--dry-run'])
    expect([status, stderr]).toEqual([8, expect.stringMatching(/^✗ 2: The file is incomplete/m)])
  })

  test('a value among the records that is not an object fails by itself', async () => {
    const path = file('none.json', `[null,${JSON.stringify({ email: 'a@none.example.org' })},5,"x",["y"]]`)
    for (const format of ['auth0', 'keycloak', 'supabase']) {
      const { status, stderr, stdout } = await importing([path, '--format', format, '--dry-run'])
      expect([status, JSON.parse(stdout)]).toMatchObject([8, { ready: 1, failed: 4, total: 5 }])
      for (const place of [1, 3, 4, 5])
        expect(stderr).toContain(`✗ ${place}: The record is not a JSON object (unreadable)`)
    }
  })

  test('failed records can be fixed and imported again', async () => {
    const errors = join(folder.path, 'errors.jsonl')
    writeFileSync(errors, 'from an earlier run', { mode: 0o644 })
    const text = [
      { email: 'fine@fixed.example.org', password_hash: HASH },
      { email: 'no email', password_hash: HASH },
      { email: 'FINE@fixed.example.org', password_hash: HASH },
    ]
    const lines = `${text.map((line) => JSON.stringify(line)).join('\n')}\nnot json\n`
    const first = await importing([file('to-fix.jsonl', lines), '--errors', errors])
    expect([first.status, countsOf(first)]).toEqual([8, counts({ created: 1, failed: 3 })])
    expect(first.stderr).not.toContain('✗')
    expect(statSync(errors).mode & 0o777).toBe(0o600)
    expect(linesIn(errors)).toEqual([
      { place: 2, code: 'validation_failed', message: 'email must be an email', record: text[1] },
      { place: 3, code: 'email_taken', message: 'Email is taken', record: text[2] },
      { place: 4, code: 'unreadable', message: 'The line is not a JSON object' },
    ])
    const fixed = readFileSync(errors, 'utf8')
      .replace('no email', 'no-longer-wrong@fixed.example.org')
      .replace('FINE@', 'other@')
    const again = await importing([file('fixed.jsonl', fixed)])
    expect(countsOf(again)).toEqual(counts({ created: 2, failed: 1 }))
  })

  test('a record that is nested too deeply fails by itself', async () => {
    const deep = `{"email":"deep@fixed.example.org","name":${'['.repeat(100_000)}${']'.repeat(100_000)}}`
    const after = JSON.stringify({ email: 'after-deep@fixed.example.org', password_hash: HASH })
    const run = await importing([file('deep.jsonl', `${deep}\n${after}\n`)])
    expect([run.status, countsOf(run)]).toEqual([8, counts({ created: 1, failed: 1 })])
    expect(run.stderr).toMatch(/^✗ 1: The record is nested too deeply \(unreadable\)$/m)
  })

  test('--on-conflict decides about an email that exists', async () => {
    const lines = (name: string) =>
      ['one', 'two']
        .map((who) => JSON.stringify({ email: `${who}@there.example.org`, name, password_hash: HASH }))
        .join('\n')
    const run = (name: string, ...words: string[]) => importing(['-', '--format', 'jsonl', ...words], lines(name))
    expect((await run('A')).status).toBe(0)
    const table: [string, string[], number, Record<string, number>][] = [
      ['A', [], 1, { failed: 2 }],
      ['B', ['--on-conflict', 'skip'], 0, { skipped: 2 }],
      ['A', ['--on-conflict', 'update'], 0, { unchanged: 2 }],
      ['B', ['--on-conflict', 'update'], 0, { updated: 2 }],
    ]
    for (const [name, words, status, expected] of table) {
      const done = await run(name, ...words)
      expect([words, done.status, countsOf(done)]).toEqual([words, status, counts(expected)])
    }
  })

  test('a record without a password keeps that of the existing user', async () => {
    const before = { email: 'keeps@example.org', password_hash: HASH }
    await importing(['-', '--format', 'jsonl'], JSON.stringify(before))
    const path = file('keeps.json', JSON.stringify([{ email: before.email, given_name: 'New' }]))
    const done = await importing([path, '--format', 'auth0', '--on-conflict', 'update'])
    expect(countsOf(done)).toEqual(counts({ updated: 1 }))
    expect((await logIn(system, before.email)).status).toBe(200)
  })
})

describe('a usage error', () => {
  const none = () => join(folder.path, 'none.csv')
  const rows: [string, () => string[], RegExp][] = [
    ['a file name without a known extension', () => [file('x.json', '[]')], /--format jsonl\|csv/],
    ['standard input without a format', () => ['-'], /--format jsonl\|csv/],
    ['no such file', () => [none()], /no such file/],
    ['a directory', () => [folder.path, '--format', 'csv'], /is a directory, not a file/],
    ['a device', () => ['/dev/null', '--format', 'csv'], /pipe it to standard input/],
    ['an unknown format', () => [none(), '--format', 'ldap'], /Allowed choices are jsonl, csv/],
    ['Firebase without its parameters', () => [file('f.json', '[]'), '--format', 'firebase'], /hash_config/],
    [
      'parameters of another algorithm',
      () => [
        file('f.json', '[]'),
        '--format',
        'firebase',
        '--hash-config',
        file('h', 'algorithm: BCRYPT, base64_signer_key: c2VjcmV0'),
      ],
      /algorithm must be SCRYPT/,
    ],
    ['--resume with standard input', () => ['-', '--format', 'csv', '--resume'], /cannot be read again/],
    [
      'the file as its errors',
      () => [file('e.csv', 'email\n'), '--errors', file('e.csv', 'email\n')],
      /imported file itself/,
    ],
    ['an unknown column', () => [file('c.csv', 'email,nickname\n')], /nickname.* is not one of/],
    ['a CSV without email', () => [file('c.csv', 'id,name\n')], /no column email/],
    ['a column twice', () => [file('c.csv', 'email,Email\n')], /email twice/],
    ['--dry-run with --resume', () => [file('c.csv', 'email\n'), '--dry-run', '--resume'], /cannot be combined/],
  ]
  test.each(sliced(rows, 4))('%s is refused', async (_what, words, message) => {
    const { status, stderr, stdout } = await importing(words())
    expect([status, stderr + stdout]).toEqual([2, expect.stringMatching(message)])
    expect(stderr + stdout).not.toContain('c2VjcmV0')
  })
})

describe('a long import', () => {
  /** Runs an import in a terminal, with its data in a file, so that only the rest is on the screen. */
  const atTerminal = async (name: string, words: string, more: Record<string, string> = {}) => {
    const { env, fake, path } = await slow(name, 250)
    const shell = openShell(name, { ...env, ...more })
    try {
      const { status, screen } = await shell.inTerminal(`ch202 users import ${path} ${words} > told`).ended
      return { status, screen, stdout: readFileSync(join(shell.path, 'told'), 'utf8') }
    } finally {
      fake.stop()
      shell.close()
    }
  }
  const BAR = /\[2K\[█+ *\] \d+ users \(\d+%\), \d+\/s/

  test('shows a progress bar at a terminal, removes it, and keeps it out of the data', async () => {
    const [withBar, quiet, dumb] = await Promise.all([
      atTerminal('bar', '-o json'),
      atTerminal('no-bar', '-o json --quiet'),
      atTerminal('dumb', '-o json', { TERM: 'dumb' }),
    ])
    for (const { status, stdout } of [withBar, quiet, dumb])
      expect([status, JSON.parse(stdout)]).toMatchObject([0, { created: 400, total: 400 }])
    expect(withBar.screen).toMatch(BAR)
    expect(withBar.screen).toEndWith('\r\x1b[2K')
    expect([quiet.screen, dumb.screen]).toEqual(['', ''])
  })

  test('prints a line every five seconds without a terminal, and none with --quiet', async () => {
    const [withProgress, quiet] = (await long.done) as [Ended, Ended]
    for (const { status, stdout } of [withProgress, quiet])
      expect([status, JSON.parse(stdout)]).toMatchObject([0, { created: 400, total: 400 }])
    expect(withProgress.stderr).toMatch(/^\d+ users \(\d+%\), \d+\/s\n$/)
    expect(quiet.stderr).toBe('')
  })

  test('takes no more memory for a larger file', async () => {
    const fake = new FakeUsers()
    await fake.start()
    const env = { CH202_URL: fake.url, OPERATOR_API_KEY: 'key', XDG_STATE_HOME: folder.path }
    const name = 'x'.repeat(8000)
    const lines = Array.from(
      { length: 15_000 },
      (_, n) => `{"email":"m${n}@m.example.org","password_hash":"h","name":"${name}"}`,
    )
    const path = file('many.jsonl', lines.join('\n'))
    const megabytes = () =>
      Number(/^VmHWM:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${running.pid}/status`, 'utf8'))?.[1]) / 1024
    let peak = 0
    fake.trouble = (_, at) => {
      if (at === 'after') peak = megabytes()
      return undefined
    }
    const running = launch([process.execPath, 'cli/main.ts', 'users', 'import', path, '-o', 'json'], { env })
    const done = await running.ended
    fake.stop()
    expect([done.status, JSON.parse(done.stdout).created]).toEqual([0, 15_000])
    expect([peak > 50, peak < 220, peak]).toEqual([true, true, peak])
  })
})

describe('an import that is stopped', () => {
  // Plain passwords are sent in batches of 200: two full batches and a part of a third.
  const PEOPLE = 500
  const emailOf = (n: number) => `p${n}@fake.example.org`
  const fill = (fake: FakeUsers) => {
    for (let n = 0; n < PEOPLE; n += 3)
      fake.put({ email: emailOf(n), name: n % 2 ? `N${n}` : 'another', password: PASSWORD })
  }
  /** A third of the users exist, half of these unchanged; some records are double, and some are invalid. */
  const lineOf = (n: number, ids: boolean) => {
    const id = ids && n % 3 ? { id: `0198c7a2-7f3e-7c21-8d5b-${n.toString(16).padStart(12, '0')}` } : {}
    if (n % 50 === 7) return { email: emailOf(n), ...id, password: '' }
    if (n % 50 === 8) return { email: emailOf(n - 2), name: 'twice', password: PASSWORD }
    return { ...id, email: emailOf(n), name: `N${n}`, password: PASSWORD }
  }
  const textOf = (ids: boolean) =>
    Array.from({ length: PEOPLE }, (_, n) => `${JSON.stringify(lineOf(n, ids))}\n`).join('')
  let next = 0

  /** Runs the tool on a file until it completes, however often it is killed. */
  const run = async (mode: string, ids: boolean, trouble?: (pid: () => number) => FakeUsers['trouble']) => {
    const fake = new FakeUsers()
    await fake.start()
    fill(fake)
    const path = file(`stopped${next++}.jsonl`, textOf(ids))
    const errors = `${path}.errors`
    const env = { CH202_URL: fake.url, OPERATOR_API_KEY: 'key', XDG_STATE_HOME: folder.path }
    let pid = 0
    let ended = 0
    fake.trouble = trouble?.(() => pid)
    try {
      for (let words = [path, '--on-conflict', mode, '--errors', errors]; ; words = [path, '--resume']) {
        const running = launch([process.execPath, 'cli/main.ts', 'users', 'import', ...words, '-o', 'json'], { env })
        pid = running.pid
        const done = await running.ended
        if (done.status === null && ended++ < 5) {
          // The same state as after a kill between the errors and the journal.
          if (existsSync(errors)) appendFileSync(errors, '{"place":0}\n')
          continue
        }
        expect([done.status, done.stderr]).toEqual([8, ''])
        return { counts: countsOf(done), errors: linesIn(errors), state: fake.state(), ended, requests: fake.requests }
      }
    } finally {
      fake.stop()
    }
  }
  const uninterruptedRuns = new Map<string, ReturnType<typeof run>>()
  const uninterrupted = (mode: string, ids: boolean) => {
    const key = `${mode} ${ids}`
    const result = uninterruptedRuns.get(key) ?? run(mode, ids)
    uninterruptedRuns.set(key, result)
    return result
  }

  const points: [mode: string, request: number, point: Point, ids: boolean][] = [
    ['fail', 1, 'half', false],
    ['fail', 2, 'before', false],
    ['fail', 2, 'after', true],
    ['skip', 1, 'after', true],
    ['skip', 2, 'half', false],
    ['update', 2, 'half', false],
    ['update', 3, 'half', true],
    ['update', 4, 'after', false],
  ]
  const same = async (mode: string, ids: boolean, result: Awaited<ReturnType<typeof run>>) => {
    const expected = await uninterrupted(mode, ids)
    expect(result.counts).toEqual(expected.counts)
    expect(result.errors).toEqual(expected.errors)
    expect(result.state).toEqual(expected.state)
  }

  const kill = async (pid: number): Promise<'cut'> => {
    // The response so far may arrive or not: both happen.
    await Bun.sleep(20)
    process.kill(pid, 'SIGKILL')
    return 'cut'
  }

  test.each(sliced(points, 8, ([mode]) => mode))(
    'by a kill (%s, request %d, %s) continues with the same result',
    async (mode, request, point, ids) => {
      let killed = false
      const result = await run(mode, ids, (pid) => (number, at) => {
        if (killed || number !== request || at !== point) return undefined
        killed = true
        return kill(pid())
      })
      expect(result.ended).toBe(1)
      await same(mode, ids, result)
    },
  )

  test.each(
    sliced(
      points.filter((_, n) => n % 2 === 1),
      2,
    ),
  )('by a lost response (%s, request %d, %s) sends the request again', async (mode, request, point, ids) => {
    let lost = 0
    const result = await run(mode, ids, () => (number, at) => {
      if (number !== request || at !== point) return undefined
      lost++
      return 'cut'
    })
    expect([result.ended, lost]).toEqual([0, 1])
    await same(mode, ids, result)
  })

  test('by Ctrl-C ends between batches, and prints how to continue', async () => {
    const fake = new FakeUsers()
    await fake.start()
    const path = file('interrupted.jsonl', textOf(false))
    const env = { CH202_URL: fake.url, OPERATOR_API_KEY: 'key', XDG_STATE_HOME: folder.path }
    try {
      const running = launch([process.execPath, 'cli/main.ts', 'users', 'import', path, '--on-conflict', 'skip'], {
        env,
      })
      fake.trouble = (number, at) => {
        if (number === 2 && at === 'half') running.signal('SIGINT')
        return undefined
      }
      const { status, stderr, stdout } = await running.ended
      expect([status, stdout]).toEqual([130, ''])
      expect(stderr).toMatch(/^✗ Stopped, after 4\d\d records \(interrupted\)$/m)
      expect(stderr).toContain(`→ ch202 users import ${path} --resume\n`)
      expect(fake.requests).toBe(2)
      const again = await runTool(['users', 'import', path, '--resume', '-o', 'json'], { env })
      expect([again.status, JSON.parse(again.stdout).total]).toEqual([8, PEOPLE])
      // The import is complete; another run sends nothing and reports the same.
      const requests = fake.requests
      const over = await runTool(['users', 'import', path, '--resume', '-o', 'json'], { env })
      expect([over.status, countsOf(over)]).toEqual([8, countsOf(again)])
      expect(fake.requests).toBe(requests)
    } finally {
      fake.stop()
    }
  })

  /** Imports a file until Ctrl-C in the second request, with a HOME that is not writable. */
  const interrupted = async (fake: FakeUsers, path: string, HOME: string) => {
    const env = { CH202_URL: fake.url, OPERATOR_API_KEY: 'key', HOME, XDG_STATE_HOME: '' }
    const running = launch([process.execPath, 'cli/main.ts', 'users', 'import', path, '--on-conflict', 'skip'], { env })
    fake.trouble = (number, at) => {
      if (number === 2 && at === 'half') running.signal('SIGINT')
      return undefined
    }
    const resume = () => runTool(['users', 'import', path, '--resume', '-o', 'json'], { env })
    return { ...(await running.ended), resume }
  }

  test.each(sliced(['/proc', '/dev/null'], 2))('R27: with HOME=%s keeps its journal beside the file', async (home) => {
    const fake = new FakeUsers()
    await fake.start()
    const path = join(folder.fresh(), 'people.jsonl')
    mkdirSync(dirname(path))
    writeFileSync(path, textOf(false))
    const journals = () => readdirSync(dirname(path)).filter((name) => name !== 'people.jsonl')
    try {
      const { resume, status, stderr } = await interrupted(fake, path, home)
      const [journal = ''] = journals()
      expect([status, journals(), journal]).toEqual([
        130,
        [journal],
        expect.stringMatching(/^people\.jsonl\.[0-9a-f]{8}\.ch202-journal$/),
      ])
      expect(stderr).toContain(`! The import journal is ${join(dirname(path), journal)}\n`)
      expect(stderr).toContain(`→ ch202 users import ${path} --resume\n`)
      expect(statSync(join(dirname(path), journal)).mode & 0o777).toBe(0o600)
      const done = await resume()
      expect([done.status, JSON.parse(done.stdout).total]).toEqual([8, PEOPLE])
      // A journal that other users can write is ignored, because it says how to import.
      chmodSync(join(dirname(path), journal), 0o666)
      expect((await resume()).stderr).toMatch(/starting from the beginning|^! The import journal/)
      expect(journals()).toEqual([journal])
    } finally {
      fake.stop()
    }
  })

  test('R27: continues without a journal if none can be written, and says so once', async () => {
    const fake = new FakeUsers()
    await fake.start()
    // A name for a journal beside the file would be too long.
    const path = file(`${'long'.repeat(61)}.jsonl`, textOf(false))
    try {
      const { status, stderr } = await interrupted(fake, path, '/proc')
      expect(status).toBe(130)
      expect(
        stderr.match(/^! The import journal cannot be written \(ENOENT\): \/proc.*cannot be resumed if it stops$/gm),
      ).toHaveLength(1)
      const again = `ch202 users import ${path} --format jsonl --on-conflict skip`
      expect(stderr).toContain(`→ ${again}\n`)
      fake.trouble = undefined
      const env = { CH202_URL: fake.url, OPERATOR_API_KEY: 'key', HOME: '/proc', XDG_STATE_HOME: '' }
      const done = await runTool([...again.split(' ').slice(1), '-o', 'json'], { env })
      expect([done.status, JSON.parse(done.stdout).total]).toEqual([8, PEOPLE])
    } finally {
      fake.stop()
    }
  })

  /** Whether a process has a handler of SIGINT. */
  const listens = (pid: number) => {
    const caught = /^SigCgt:\s*([0-9a-f]+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
    return (BigInt(`0x${caught ?? 0}`) & 2n) !== 0n
  }

  test.each([[[]], [['--dry-run']]])('by Ctrl-C does not wait for standard input (%j)', async (words) => {
    const fake = new FakeUsers()
    await fake.start()
    const command = [process.execPath, 'cli/main.ts', 'users', 'import', '-', '--format', 'jsonl', ...words]
    const env = { PATH: process.env.PATH ?? '', CH202_URL: fake.url, OPERATOR_API_KEY: 'key', NO_COLOR: '1' }
    const child = Bun.spawn(command, { cwd: ROOT, env, stdin: 'pipe', stdout: 'ignore', stderr: 'pipe' })
    try {
      for (let n = 1; n <= 500; n++) child.stdin.write(`${JSON.stringify({ email: emailOf(n), password: PASSWORD })}\n`)
      await child.stdin.flush()
      if (words.length === 0) await eventually(() => fake.requests === 2 || undefined)
      // Before it has a handler, the signal itself would end the process.
      else await eventually(() => listens(child.pid) || undefined)
      child.kill('SIGINT')
      expect(await child.exited).toBe(130)
      const message =
        words.length === 0 ? '→ ch202 users import - --format jsonl --on-conflict skip' : 'nothing was imported'
      expect(await new Response(child.stderr).text()).toContain(message)
    } finally {
      child.kill('SIGKILL')
      fake.stop()
    }
  })

  test('does not continue with another file or other options', async () => {
    const fake = new FakeUsers()
    await fake.start()
    const path = file('changed.jsonl', textOf(false))
    const env = { CH202_URL: fake.url, OPERATOR_API_KEY: 'key', XDG_STATE_HOME: folder.path }
    try {
      fake.trouble = (number, at) => {
        if (number === 2 && at === 'before') process.kill(running.pid, 'SIGKILL')
        return undefined
      }
      const running = launch([process.execPath, 'cli/main.ts', 'users', 'import', path], { env })
      expect((await running.ended).status).toBe(null)
      const journals = join(folder.path, 'ch202', 'imports')
      for (const name of readdirSync(journals)) {
        expect(statSync(join(journals, name)).mode & 0o777).toBe(0o600)
        expect(readFileSync(join(journals, name), 'utf8')).not.toMatch(/@|correct horse/)
      }
      const resume = (...words: string[]) => runTool(['users', 'import', path, '--resume', ...words], { env })
      const otherwise = await resume('--on-conflict', 'skip')
      expect([otherwise.status, otherwise.stderr]).toEqual([2, expect.stringContaining('another --on-conflict')])
      appendFileSync(path, '\n')
      const changed = await resume()
      expect([changed.status, changed.stderr]).toEqual([
        1,
        expect.stringContaining('has changed since the import was started'),
      ])
      fake.trouble = undefined
      const anew = await runTool(['users', 'import', path, '--on-conflict', 'skip'], { env })
      expect([anew.status, anew.stderr]).toEqual([8, expect.stringContaining('--resume would continue it')])
    } finally {
      fake.stop()
    }
  })

  test('by a service that is down exits 7', async () => {
    const env = { CH202_URL: 'http://127.0.0.1:9', OPERATOR_API_KEY: 'key', XDG_STATE_HOME: folder.path }
    const { status, stderr } = await runTool(['users', 'import', file('away.jsonl', textOf(false))], { env })
    expect([status, stderr]).toEqual([7, expect.stringContaining('→ ch202 start')])
  })

  test('by a service that goes down waits, and then prints how to continue', async () => {
    const { path, running } = leftAlone
    const { status, stderr } = await running.ended
    expect([status, stderr]).toEqual([7, expect.stringMatching(/, after 200 records \(unreachable\)$/m)])
    expect(stderr).toContain(`→ ch202 users import ${path} --resume\n`)
  })

  test('by an overloaded service sends the refused lines again', async () => {
    const fake = new FakeUsers()
    await fake.start()
    fake.overloaded = 3
    const env = { CH202_URL: fake.url, OPERATOR_API_KEY: 'key', XDG_STATE_HOME: folder.path }
    try {
      const path = file(
        'busy.jsonl',
        [1, 2, 3, 4].map((n) => JSON.stringify({ email: emailOf(n), password: PASSWORD })).join('\n'),
      )
      const done = await runTool(['users', 'import', path, '-o', 'json'], { env })
      expect([done.status, countsOf(done), fake.people.size]).toEqual([0, counts({ created: 4 }), 4])
    } finally {
      fake.stop()
    }
  })

  test('by kills at any moment loses and doubles no user in a real service', async () => {
    const MANY = WHOLE ? 4500 : 1500
    const people = Array.from({ length: MANY }, (_, n) =>
      JSON.stringify({ email: `k${n}@kill.example.org`, password_hash: HASH }),
    )
    const path = file('kills.jsonl', people.join('\n'))
    let status: number | null = null
    let last: Ended | undefined
    for (let round = 0; status === null; round++) {
      const running = launch([process.execPath, 'cli/main.ts', 'users', 'import', path, '--resume', '-o', 'json'], {
        env: envOf(system),
      })
      // Each run lasts longer than the one before, so that the import completes.
      const timer = setTimeout(() => running.signal('SIGKILL'), 100 + round * 120 + Math.random() * 150)
      last = await running.ended
      clearTimeout(timer)
      status = last.status
    }
    expect([status, countsOf(last as Ended)]).toEqual([0, counts({ created: MANY })])
    const { stdout } = await users(['export'])
    const lines = stdout.split('\n').filter((line) => line.includes('@kill.example.org'))
    expect(lines.map((line) => JSON.parse(line).email)).toEqual(people.map((line) => JSON.parse(line).email))
  })
})

describe('an export', () => {
  const completeLine = '{"id":"1","email":"a@example.org"}\n'
  /** The last chunk of a body says that the body is complete. */
  const LAST_CHUNK = '0\r\n\r\n'
  const rows: [how: string, text: string, ending: string][] = [
    ['cut in a line', `${completeLine}{"id":"2","em`, ''],
    ['cut between lines', completeLine, ''],
    ['complete as a body but ends without a line break', `${completeLine}{"id":"2"}`, LAST_CHUNK],
  ]
  test.each(rows)('that is %s is reported', async (_, text, ending) => {
    const served = createServer((socket) => {
      socket.on('error', () => undefined)
      socket.once('data', () => {
        const chunk = `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`
        socket.write(
          `HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n${chunk}${ending}`,
        )
        setTimeout(() => socket.destroy(), 50)
      })
    })
    await new Promise<void>((resolve) => served.listen(0, '127.0.0.1', resolve))
    const { port } = served.address() as AddressInfo
    const env = { CH202_URL: `http://127.0.0.1:${port}`, OPERATOR_API_KEY: 'key' }
    const [done, json] = await Promise.all([users(['export'], env), users(['export', '-o', 'json'], env)])
    served.close()
    expect([done.status, done.stdout]).toEqual([7, completeLine])
    expect(done.stderr).toContain('its output is incomplete')
    // The JSON is complete, and contains the failure.
    const { items, ...rest } = JSON.parse(json.stdout)
    expect([json.status, items, rest]).toMatchObject([7, [{ id: '1' }], { ok: false, error: { code: 'export_cut' } }])
  })

  test('whose reader closes the pipe is no failure', async () => {
    const env = { ...envOf(system), BUN: process.execPath }
    const { status, stdout } = await launch(
      ['bash', '-o', 'pipefail', '-c', '"$BUN" cli/main.ts users export | head -1'],
      {
        env,
      },
    ).ended
    expect([status, stdout.split('\n').length]).toEqual([0, 2])
  })
})
