import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { newEmail, PASSWORD } from '../support/actors.ts'
import { eventually } from '../support/eventually.ts'
import { as, call } from '../support/http.ts'
import { launch, ownSettings, type Running, runTool, temporary } from '../support/tool.ts'

// Processes start slowly on a busy machine; what has to be quick is measured.
setDefaultTimeout(120_000)

const folder = temporary('logs')
const started = new Set<Running>()
afterAll(() => {
  for (const running of started) running.signal('SIGKILL')
  folder.remove()
})

/** The running command, to be ended after a failed test too. */
function begin(command: string[], env: Record<string, string>): Running {
  const running = launch(command, { env })
  started.add(running)
  running.ended.finally(() => started.delete(running))
  return running
}

const FULL = 10 * 1024 * 1024

async function served(env: Record<string, string>): Promise<Running> {
  const running = begin([process.execPath, 'cli/main.ts', 'serve'], env)
  await running.printed(/ready at/)
  return running
}

/** Every line of every file, as text. */
function kept(dataDir: string): string[] {
  const logs = join(dataDir, 'logs')
  return readdirSync(logs)
    .flatMap((name) => readFileSync(join(logs, name), 'utf8').split('\n'))
    .filter((line) => line !== '')
}

const jsonLines = (text: string) => text.split('\n').filter((line) => line.startsWith('{'))

describe('the log of the services', () => {
  test('is also in files, complete after a stop, and a full file is rotated', async () => {
    const dataDir = folder.fresh()
    const logs = join(dataDir, 'logs')
    mkdirSync(logs, { recursive: true, mode: 0o700 })
    const old = `{"level":"info","time":"2026-01-01T00:00:00.000Z","service":"auth","event":"old"}\n`
    writeFileSync(join(logs, 'auth.log'), old.repeat(Math.ceil(FULL / old.length)))
    for (const age of [1, 2, 3, 4]) writeFileSync(join(logs, `auth.log.${age}`), `${age}\n`)
    const env = ownSettings(dataDir)
    const running = await served(env)
    const requests = Array.from({ length: 300 }, () => call(env.CH202_URL ?? '', 'GET /auth/me'))
    await Promise.all(requests)
    running.signal('SIGTERM')
    const { status, stdout } = await running.ended
    expect(status).toBe(0)

    const [first] = readFileSync(join(logs, 'auth.log.1'), 'utf8').split('\n', 1)
    expect(first).toBe(old.trimEnd())
    expect([2, 3, 4].map((age) => readFileSync(join(logs, `auth.log.${age}`), 'utf8'))).toEqual(['1\n', '2\n', '3\n'])
    expect(readdirSync(logs).filter((name) => name.startsWith('auth'))).toHaveLength(5)
    for (const age of [1, 2, 3, 4]) rmSync(join(logs, `auth.log.${age}`))
    const printed = jsonLines(stdout)
    expect(printed.filter((line) => line.includes('"route":"/auth/me"'))).toHaveLength(300)
    expect(kept(dataDir).sort()).toEqual(printed.sort())
    for (const name of readdirSync(logs)) expect(statSync(join(logs, name)).mode & 0o777).toBe(0o600)
  })

  test.each(['process.exit(0)', 'throw new Error()'])('is complete in the file after %s', async (end) => {
    const dataDir = folder.fresh()
    mkdirSync(dataDir)
    const settings = JSON.stringify({ dataDir, logLevel: 'info', logFormat: 'json' })
    const code = `import { openLog } from './services/kit/log.ts'
      const log = openLog('auth', ${settings})
      for (let count = 0; count < 9; count++) log.info({ event: 'last', count })
      ${end}`
    const { stdout } = await launch([process.execPath, '-e', code]).ended
    expect(jsonLines(stdout)).toHaveLength(9)
    expect(kept(dataDir)).toEqual(jsonLines(stdout))
  })

  test('is JSON in the files while the output is text, and obeys LOG_LEVEL', async () => {
    const dataDir = folder.fresh()
    const env = ownSettings(dataDir, { LOG_FORMAT: 'pretty', LOG_LEVEL: 'warn', AMQP_URL: 'amqp://127.0.0.1:9' })
    const running = await served(env)
    await call(env.CH202_URL ?? '', 'GET /health')
    await running.printed(/amqp\.lost/)
    running.signal('SIGTERM')
    const { stdout } = await running.ended
    expect(jsonLines(stdout)).toEqual([])
    const lines = kept(dataDir).map((line) => JSON.parse(line))
    expect(lines.map(({ event }) => event)).toContain('amqp.lost')
    expect(lines.filter(({ level }) => !['warn', 'error'].includes(level))).toEqual([])
    expect(existsSync(join(dataDir, 'logs/ch202.log'))).toBe(false)
  })

  test('may fail: requests are answered with a full disk or without the directory', async () => {
    const dataDir = folder.fresh()
    const logs = join(dataDir, 'logs')
    mkdirSync(logs, { recursive: true })
    symlinkSync('/dev/full', join(logs, 'ch202.log'))
    const env = ownSettings(dataDir)
    const running = await served(env)
    const health = async (times: number) => {
      for (let n = 0; n < times; n++) expect((await call(env.CH202_URL ?? '', 'GET /health')).status).toBe(200)
    }
    const linesOf = (event: string) => jsonLines(running.stdout()).filter((line) => line.includes(`"event":"${event}"`))
    /** Longer than lines wait to be written; that they could not be written again shows nowhere. */
    const flushed = () => Bun.sleep(2000)
    await health(3)
    await running.printed(/log\.file_failed/)
    await health(3)
    await flushed()
    expect(linesOf('log.file_failed')).toHaveLength(1)
    expect(JSON.parse(linesOf('log.file_failed')[0] ?? '')).toMatchObject({ service: 'ch202', err: { code: 'ENOSPC' } })

    rmSync(logs, { recursive: true })
    await health(2)
    await running.printed(/log\.lines_lost/)
    // The six requests, and the line about the failure.
    expect(JSON.parse(linesOf('log.lines_lost')[0] ?? '').count).toBe(7)
    expect(statSync(logs).mode & 0o777).toBe(0o700)
    // Removed while the file is open.
    await eventually(() => kept(dataDir).some((line) => line.includes('log.lines_lost')))
    rmSync(logs, { recursive: true })
    await health(1)
    await eventually(() => existsSync(join(logs, 'ch202.log')))
    running.signal('SIGTERM')
    expect((await running.ended).status).toBe(0)
    const after = kept(dataDir).map((line) => JSON.parse(line))
    expect(after.filter(({ service }) => service === 'ch202').map(({ event }) => event)).toEqual(['request'])
  })
})

type Fields = Record<string, unknown>
const line = (minute: number, service: string, event: string, more: Fields = {}) =>
  `${JSON.stringify({ level: 'info', time: `2026-11-20T10:${String(minute).padStart(2, '0')}:00.000Z`, service, event, ...more })}\n`

/** A data directory with log files written by the test. */
function withLogs(files: Record<string, string>): { env: Record<string, string>; path: (name: string) => string } {
  const dataDir = folder.fresh()
  mkdirSync(join(dataDir, 'logs'), { recursive: true })
  const path = (name: string) => join(dataDir, 'logs', name)
  for (const [name, text] of Object.entries(files)) writeFileSync(path(name), text)
  return { env: { CH202_DATA_DIR: dataDir }, path }
}

describe('ch202 logs', () => {
  const { env } = withLogs({
    'auth.log.2': line(1, 'auth', 'a1'),
    'auth.log.1': `${line(3, 'auth', 'a3', { level: 'error', err: { type: 'Error', at: ['x'] } })}half a li`,
    'auth.log': `${line(5, 'auth', 'a5', { request_id: 'r-1' })}not JSON\n{"time":1}\nnull\n`,
    'users.log': line(2, 'users', 'u2', { level: 'warn' }) + line(4, 'users', 'u4', { request_id: 'r-1', status: 404 }),
    'modules.log': line(6, 'modules', 'm6', { message: 'r-1' }) + line(7, 'modules', 'm\u001b[2J7'),
    'stray.txt': line(1, 'auth', 'stray'),
  })
  const itemsOf = (stdout: string) => JSON.parse(stdout).items.map(({ event }: { event: string }) => event)
  const events = (stdout: string) => jsonLines(stdout).map((text) => JSON.parse(text).event)

  const rows: [words: string[], found: string[]][] = [
    [[], ['a1', 'u2', 'a3', 'u4', 'a5', 'm6', 'm\u001b[2J7']],
    [['auth'], ['a1', 'a3', 'a5']],
    [
      ['users', 'modules'],
      ['u2', 'u4', 'm6', 'm\u001b[2J7'],
    ],
    [
      ['--level', 'warn'],
      ['u2', 'a3'],
    ],
    [['--level', 'error', 'users'], []],
    [
      ['--request-id', 'r-1'],
      ['u4', 'a5'],
    ],
    [
      ['--since', '2026-11-20T10:05:00Z'],
      ['a5', 'm6', 'm\u001b[2J7'],
    ],
    [['--since', '2099-01-01'], []],
  ]
  test.each(rows)('%j', async (words, expected) => {
    for (const [form, read] of [['json', itemsOf] as const, ['jsonl', events] as const]) {
      const ended = await runTool(['logs', ...words, '-o', form], { env })
      expect([ended.status, ended.stderr, read(ended.stdout)]).toEqual([0, '', expected])
    }
  })

  test('--since takes a duration back from now', async () => {
    const ago = (minutes: number) => new Date(Date.now() - minutes * 60_000).toISOString()
    const at = (minutes: number) => line(0, 'auth', `${minutes}m`, { time: ago(minutes) })
    const { env } = withLogs({ 'auth.log': at(20) + at(9) + at(1) })
    expect(events((await runTool(['logs', '--since', '10m', '-o', 'jsonl'], { env })).stdout)).toEqual(['9m', '1m'])
  })

  test('prints lines of text, and the other forms', async () => {
    const outputOf = async (...words: string[]) => (await runTool(['logs', ...words], { env })).stdout
    expect(await outputOf('users')).toBe(
      [
        '2026-11-20T10:02:00.000Z warn  users   u2',
        '2026-11-20T10:04:00.000Z info  users   u4 request_id=r-1 status=404',
        '',
      ].join('\n'),
    )
    expect(await outputOf('modules')).not.toContain('\u001b')
    expect(await outputOf('users', '--fields', 'event,status', '-o', 'csv')).toBe('event,status\nu2,\nu4,404\n')
    expect(await outputOf('-o', 'ids')).toBe('r-1\nr-1\n')
    const terminal = await launch(['script', '-qec', `${process.execPath} cli/main.ts logs users`, '/dev/null'], {
      env: { ...env, NO_COLOR: '', TERM: 'xterm' },
    }).ended
    expect(terminal.stdout).toContain('\u001b[33mwarn \u001b[0m')
  })

  test('says so if there are no logs', async () => {
    const empty = folder.fresh()
    const { status, stderr, stdout } = await runTool(['logs'], { env: { CH202_DATA_DIR: empty } })
    expect([status, stdout, stderr]).toEqual([0, '', `Nothing has been logged in ${empty} yet\n`])
    const json = await runTool(['logs', '-o', 'json'], { env: { CH202_DATA_DIR: empty } })
    expect([json.status, JSON.parse(json.stdout)]).toEqual([0, { items: [] }])
    expect(existsSync(empty)).toBe(false)
  })

  test.each([
    [['mail'], 'There is no service mail'],
    [['--since', 'soon'], '--since takes'],
    [['--since', '2026'], '--since takes'],
    [['--level', 'loud'], 'loud'],
    [['--url', 'https://id.example.org'], '--url'],
  ])('%j is a wrong use', async (words, text) => {
    const { status, stderr, stdout } = await runTool(['logs', ...words], { env })
    expect([status, stdout, stderr]).toEqual([2, '', expect.stringContaining(text)])
  })
})

describe('ch202 logs -f', () => {
  const follow = (env: Record<string, string>, ...words: string[]) =>
    begin([process.execPath, 'cli/main.ts', 'logs', '-f', '-o', 'jsonl', ...words], env)
  const eventsOf = (running: Running) => jsonLines(running.stdout()).map((text) => JSON.parse(text).event)
  const shows = (running: Running, ...events: string[]) =>
    eventually(() => (eventsOf(running).length >= events.length ? true : undefined))
      .catch(() => undefined)
      .then(() => expect(eventsOf(running)).toEqual(events))

  test('follows rotated, truncated and deleted files and a new service, each line once', async () => {
    const { env, path } = withLogs({ 'auth.log': line(1, 'auth', 'a1') })
    const running = follow(env)
    const seen = ['a1']
    const showsNext = (...events: string[]) => {
      seen.push(...events)
      return shows(running, ...seen)
    }
    await showsNext()
    appendFileSync(path('auth.log'), line(2, 'auth', 'a2').slice(0, 30))
    appendFileSync(path('auth.log'), line(2, 'auth', 'a2').slice(30))
    await showsNext('a2')
    // Rotated twice between two reads, with lines that were still written to the older file.
    appendFileSync(path('auth.log'), line(3, 'auth', 'a3'))
    renameSync(path('auth.log'), path('auth.log.2'))
    appendFileSync(path('auth.log.2'), line(4, 'auth', 'a4'))
    writeFileSync(path('auth.log.1'), line(5, 'auth', 'a5'))
    // Longer than what follows the truncation, which then shows whenever the file is read next.
    writeFileSync(path('auth.log'), line(6, 'auth', 'a6', { message: 'm'.repeat(200) }))
    await showsNext('a3', 'a4', 'a5', 'a6')
    writeFileSync(path('users.log'), line(7, 'users', 'u7'))
    await showsNext('u7')
    truncateSync(path('auth.log'))
    appendFileSync(path('auth.log'), line(8, 'auth', 'a8'))
    await showsNext('a8')
    rmSync(path('users.log'))
    writeFileSync(path('users.log'), line(9, 'users', 'u9'))
    await showsNext('u9')
    running.signal('SIGINT')
    const { status, stderr } = await running.ended
    expect([status, stderr]).toEqual([130, ''])
  })

  test('begins with the last ten lines, or with all since a time', async () => {
    const numbers = Array.from({ length: 14 }, (_, n) => n)
    const { env, path } = withLogs({ 'auth.log': numbers.map((n) => line(n, 'auth', `a${n}`)).join('') })
    const [last, since] = [follow(env), follow(env, '--since', '2026-11-20T10:01:00Z')]
    await shows(last, ...numbers.slice(4).map((n) => `a${n}`))
    await shows(since, ...numbers.slice(1).map((n) => `a${n}`))
    appendFileSync(path('auth.log'), line(20, 'auth', 'next'))
    await last.printed(/next/)
    for (const running of [last, since]) running.signal('SIGINT')
    await Promise.all([last.ended, since.ended])
  })

  test('waits for files that do not exist yet, and exits 0 when its reader has closed the pipe', async () => {
    const dataDir = folder.fresh()
    const running = launch(
      ['bash', '-c', `set -o pipefail; "${process.execPath}" cli/main.ts logs -f --level warn | head -n 1`],
      { env: { CH202_DATA_DIR: dataDir } },
    )
    let ended = false
    running.ended.then(() => {
      ended = true
    })
    mkdirSync(join(dataDir, 'logs'), { recursive: true })
    while (!ended) {
      appendFileSync(
        join(dataDir, 'logs/auth.log'),
        line(1, 'auth', 'quiet') + line(2, 'auth', 'loud', { level: 'warn' }),
      )
      await Bun.sleep(50)
    }
    const { status, stdout } = await running.ended
    expect([status, stdout]).toEqual([0, '2026-11-20T10:02:00.000Z warn  auth    loud\n'])
  })
})

describe('a request', () => {
  const dataDir = folder.fresh()
  const env = ownSettings(dataDir)
  let running: Running
  beforeAll(async () => {
    running = await served(env)
  })
  afterAll(async () => {
    running.signal('SIGTERM')
    await running.ended
  })

  test('is logged with its user and address, even if it was refused', async () => {
    const base = env.CH202_URL ?? ''
    const registration = await call(base, 'POST /api/v1/auth/register', {
      body: { email: newEmail(), password: PASSWORD },
    })
    const headers = as.bearer(registration.body.tokens.access_token)
    const responses = [
      await call(base, 'GET /api/v1/auth/me', { headers }),
      await call(base, 'GET /api/v1/users', { headers }),
      await call(base, 'GET /api/v1/users'),
    ]
    const lineOf = async (id: string) => {
      const { stdout } = await runTool(['logs', '--request-id', id, '-o', 'jsonl'], { env })
      return jsonLines(stdout)
        .map((text) => JSON.parse(text))
        .find(({ route }) => /me$|users$/.test(route))
    }
    const ids = responses.map((answer) => answer.headers.get('x-request-id') ?? '')
    const lines = await Promise.all(ids.map((id) => eventually(() => lineOf(id))))
    expect(lines.map(({ ip, status, user_id }) => [status, ip, user_id])).toEqual([
      [200, '127.0.0.1', registration.body.id],
      [403, '127.0.0.1', registration.body.id],
      [401, '127.0.0.1', undefined],
    ])
  })

  test('has the same id in every service that it reached', async () => {
    const id = 'registration-of-ana'
    const body = { email: newEmail(), password: PASSWORD }
    await call(env.CH202_URL ?? '', 'POST /api/v1/auth/register', { body, headers: { 'x-request-id': id } })
    const linesOfRequest = await eventually(async () => {
      const { stdout } = await runTool(['logs', '--request-id', id, '-o', 'jsonl'], { env })
      const lines = jsonLines(stdout).map((text) => JSON.parse(text))
      return lines.length >= 3 ? lines : undefined
    })
    // Users sends its row of the audit to auth at any time.
    const routes = linesOfRequest.map(({ route, service }) => `${service} ${route}`)
    expect(routes.filter((route) => !route.endsWith('/audit'))).toEqual([
      'users /api/v1/users',
      'auth /api/v1/auth/register',
    ])
    expect(routes).toContain('auth /api/v1/auth/audit')
  })
})
