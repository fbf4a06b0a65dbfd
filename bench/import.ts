import { Database } from 'bun:sqlite'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { usersMigrations } from '../db/users/migrations.ts'
import { OPERATOR_KEY } from '../tests/harness.ts'
import { ownSettings, ROOT } from '../tests/processes.ts'

// How many users with a hash a second `POST /users/import` takes, beside what SQLite takes of the same rows at all:
//   bun run bench/import.ts [--users 200000] [--at-once 1,2,4] [--apart] [--profile <directory>]

const BODY_MAX = 1024 * 1024
/** Rows in one transaction, on both sides. */
const ROWS = 500
const PASSWORD = 'correct horse battery'

const { values } = parseArgs({
  options: {
    users: { type: 'string', default: '200000' },
    'at-once': { type: 'string', default: '2' },
    apart: { type: 'boolean', default: false },
    profile: { type: 'string' },
  },
})
const USERS = Number(values.users)

interface Line {
  email: string
  username: string
  name: string
  password_hash: string
}

/** A user like those of an export: each field differs from all others. */
function lineOf(n: number): Line {
  const hash = Bun.hash(String(n)).toString(36).padStart(13, '0')
  return {
    email: `${hash.slice(0, 7)}.${n}@example.org`,
    username: `u${n}.${hash.slice(7)}`,
    name: `Ana ${hash} de Vries`,
    password_hash: `$2b$10$${`${hash}${n}`.padEnd(53, 'abcdefghij')}`,
  }
}

/** Bodies just under 1 MiB, with how many lines each has. */
function* bodies(users: number): Generator<{ body: string; lines: number }> {
  let text: string[] = []
  let size = 0
  for (let n = 0; n < users; n++) {
    const line = `${JSON.stringify(lineOf(n))}\n`
    if (size + line.length > BODY_MAX) {
      yield { body: text.join(''), lines: text.length }
      text = []
      size = 0
    }
    text.push(line)
    size += line.length
  }
  yield { body: text.join(''), lines: text.length }
}

interface Server {
  url: Record<'auth' | 'users', string>
  pids: number[]
  stop(): Promise<void>
}

async function startServer(dataDir: string): Promise<Server> {
  const env = ownSettings(dataDir, { LOG_LEVEL: 'warn', BCRYPT_COST: '10' })
  const { CH202_URL = '', AUTH_URL = '', USERS_URL = '' } = env
  const profile = values.profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${values.profile}`]
  const children = (values.apart ? [['auth'], ['users'], ['modules']] : [[]]).map((names) =>
    Bun.spawn([process.execPath, ...profile, 'cli/main.ts', 'serve', ...names], {
      ...{ cwd: ROOT, env, stdin: 'ignore', stdout: 'ignore', stderr: 'inherit' },
    }),
  )
  const url = values.apart ? { auth: AUTH_URL, users: USERS_URL } : { auth: CH202_URL, users: CH202_URL }
  for (const base of Object.values(url))
    while (!(await fetch(`${base}/health`).catch(() => null))?.ok) {
      if (children.some(({ exitCode }) => exitCode !== null)) throw new Error('The server has not started')
      await Bun.sleep(20)
    }
  return {
    url,
    pids: children.map(({ pid }) => pid),
    async stop() {
      for (const child of children) child.kill('SIGTERM')
      await Promise.all(children.map(({ exited }) => exited))
    },
  }
}

/** In MiB: of all processes together, the most that each has had. */
function peakMemory({ pids }: Server): number {
  const peaks = pids.map((pid) => Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]))
  return Math.round(peaks.reduce((sum, peak) => sum + peak, 0) / 1024)
}

/** Seconds of CPU that the processes have used; the kernel counts them in hundredths. */
function cpuTime({ pids }: Server): number {
  const ticks = pids.map((pid) => {
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.split(' ') ?? []
    return Number(fields[11]) + Number(fields[12])
  })
  return ticks.reduce((sum, own) => sum + own, 0) / 100
}

const operator = { 'x-api-key': OPERATOR_KEY }

async function importAll(server: Server, users: number, atOnce: number): Promise<void> {
  const waiting = bodies(users)
  const worker = async () => {
    for (const { body, lines } of waiting) {
      const answer = await fetch(`${server.url.users}/api/v1/users/import?on_conflict=skip`, {
        method: 'POST',
        headers: { ...operator, 'content-type': 'application/x-ndjson' },
        body,
      })
      const results = (await answer.text()).split('"status":"created"').length - 1
      if (results !== lines) throw new Error(`${results} of ${lines} were created: ${answer.status}`)
    }
  }
  await Promise.all(Array.from({ length: atOnce }, worker))
}

async function waitingNotices({ url }: Server): Promise<number> {
  const text = await (
    await fetch(`${url.users}/metrics`, { headers: { authorization: `Bearer ${OPERATOR_KEY}` } })
  ).text()
  return Number(/outbox_pending\{service="users"\} (\d+)/.exec(text)?.[1])
}

/** Logs in again and again until told to end; gives the milliseconds that each login took. */
function logins(server: Server, email: string): { end(): Promise<number[]> } {
  let going = true
  const times: number[] = []
  const loop = async () => {
    while (going) {
      const began = performance.now()
      const answer = await fetch(`${server.url.auth}/api/v1/auth/login`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ email, password: PASSWORD }),
      })
      if (!answer.ok) throw new Error(`A login was answered with ${answer.status}`)
      await answer.text()
      times.push(performance.now() - began)
      await Bun.sleep(50)
    }
  }
  const done = loop()
  return {
    async end() {
      going = false
      await done
      return times.sort((a, b) => a - b)
    },
  }
}

/**
 * Rows a second into the same tables with the same indexes, with nothing around them.
 * @param together whether the rows of a transaction come in one statement, or one by one
 */
function limit(path: string, users: number, together: boolean): number {
  const database = new Database(path, { create: true, strict: true })
  database.run('PRAGMA journal_mode = WAL')
  database.run('PRAGMA synchronous = FULL')
  for (const { sql } of usersMigrations) database.run(sql)
  const columns = `id, email, email_key, username, name, roles, is_admin, status, email_verified, password_hash, version,
    sessions_from, session_kept, all_sessions_from, tokens_from, change, created_at, updated_at`
  const given = (value: (place: number) => string) =>
    `${[0, 1, 2, 3, 4].map(value)}, '["USER"]', 0, 'active', 0, ${value(5)}, 1, 1, NULL, 1, 1, ${[6, 7, 8].map(value)}`
  const one = database.query(`INSERT INTO users (${columns}) VALUES (${given(() => '?')})`)
  const all = database.query(`
    INSERT INTO users (${columns}) SELECT ${given((place) => `value->>${place}`)} FROM json_each(?)`)
  const group = database.transaction((from: number, to: number) => {
    const rows = Array.from({ length: to - from }, (_, index) => {
      const { email, username, name, password_hash } = lineOf(from + index)
      const now = Date.now()
      return [Bun.randomUUIDv7(), email, email, username, name, password_hash, from + index + 1, now, now]
    })
    if (together) all.run(JSON.stringify(rows))
    else for (const row of rows) one.run(...row)
  })
  const began = performance.now()
  for (let n = 0; n < users; n += ROWS) group.immediate(n, Math.min(n + ROWS, users))
  const rate = users / ((performance.now() - began) / 1000)
  database.close()
  return rate
}

async function round(directory: string, atOnce: number): Promise<void> {
  const best = limit(join(directory, `together-${atOnce}.sqlite`), USERS, true)
  const plain = limit(join(directory, `one-by-one-${atOnce}.sqlite`), USERS, false)
  const dataDir = join(directory, `data-${atOnce}`)
  const server = await startServer(dataDir)
  try {
    const email = 'someone@example.org'
    await fetch(`${server.url.users}/api/v1/users`, {
      method: 'POST',
      headers: { ...operator, 'content-type': 'application/json' },
      body: JSON.stringify({ email, password: PASSWORD }),
    })
    const idle = logins(server, email)
    await Bun.sleep(1000)
    const calm = await idle.end()

    const meanwhile = logins(server, email)
    const began = performance.now()
    const cpuBefore = cpuTime(server)
    await importAll(server, USERS, atOnce)
    const took = (performance.now() - began) / 1000
    const cpu = cpuTime(server) - cpuBefore
    const left = await waitingNotices(server)
    while ((await waitingNotices(server)) > 0) await Bun.sleep(500)
    const told = (performance.now() - began) / 1000
    const cpuTold = cpuTime(server) - cpuBefore
    const busy = await meanwhile.end()

    const rate = USERS / took
    const of = (times: number[], share: number) => Math.round(times[Math.floor(times.length * share)] ?? 0)
    console.log(
      [
        `${atOnce} at once`,
        `${Math.round(rate)} users/s`,
        `limit ${Math.round(best)} in one statement, ${Math.round(plain)} row by row`,
        `ratio ${(rate / best).toFixed(2)} and ${(rate / plain).toFixed(2)}`,
        `server ${Math.round((cpu / USERS) * 1e6)} µs of CPU a user, ${Math.round((cpuTold / USERS) * 1e6)} with auth`,
        `peak ${peakMemory(server)} MiB`,
        `notices left ${left}, told after ${told.toFixed(1)} s (${Math.round(USERS / told)}/s)`,
        `logins: p50 ${of(calm, 0.5)} ms idle, ${of(busy, 0.5)} busy, p99 ${of(busy, 0.99)}, worst ${of(busy, 1 - 1e-9)}`,
      ].join(' · '),
    )
  } finally {
    await server.stop()
  }
}

const directory = mkdtempSync(join(tmpdir(), 'ch202-bench-'))
try {
  for (const atOnce of values['at-once'].split(',')) await round(directory, Number(atOnce))
} finally {
  rmSync(directory, { recursive: true, force: true })
}
