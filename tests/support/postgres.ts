import { chmodSync, chownSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SQL } from 'bun'
import { freePort } from './settings.ts'

/** Debian's package `postgresql-15` puts its programs here, by major version. */
const DEBIAN = '/usr/lib/postgresql'
/** The user `nobody`: PostgreSQL refuses to run as root. */
const NOBODY = 65534
const START_PATIENCE = 60_000

/** A PostgreSQL server that runs for the tests. */
export interface PostgresServer {
  port: number
  /** Creates an empty database and gives its address. */
  newDatabase(): Promise<string>
  /** Kills the server. `start` starts it again with its data. */
  kill(): Promise<void>
  start(): Promise<void>
  /** Stops every process of the server where it is, so that it keeps its connections and answers nothing. */
  freeze(): void
  thaw(): void
  stop(): Promise<void>
}

/** The directory of the server's programs. @throws Error when there is none: tests that need a server then fail */
function programs(): string {
  const versions = existsSync(DEBIAN) ? readdirSync(DEBIAN).sort((a, b) => Number(b) - Number(a)) : []
  const found = versions.map((version) => join(DEBIAN, version, 'bin')).find((bin) => existsSync(join(bin, 'postgres')))
  if (!found) throw new Error('No PostgreSQL server was found: apt-get install postgresql-15')
  return found
}

/** Starts a server with an empty data directory on a free port. It takes one to three seconds. */
export async function startPostgres(settings: Record<string, string> = {}): Promise<PostgresServer> {
  const bin = programs()
  const home = mkdtempSync(join(tmpdir(), 'ch202-postgres-'))
  const isRoot = process.getuid?.() === 0
  if (isRoot) chownSync(home, NOBODY, NOBODY)
  chmodSync(home, 0o700)
  const asUser = isRoot ? ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'] : []
  const env = { PATH: process.env.PATH ?? '', LC_ALL: 'C.UTF-8' }
  const data = join(home, 'data')
  const init = ['-D', data, '-U', 'ch202', '-A', 'trust', '-E', 'UTF8', '--locale=C.UTF-8', '--no-sync']
  const initialized = Bun.spawn([...asUser, join(bin, 'initdb'), ...init], {
    cwd: home,
    env,
    stdout: 'ignore',
    stderr: 'pipe',
  })
  const initErrors = await new Response(initialized.stderr).text()
  if ((await initialized.exited) !== 0) throw new Error(`initdb: ${initErrors}`)

  const port = freePort()
  const all = {
    port: String(port),
    listen_addresses: '127.0.0.1',
    unix_socket_directories: home,
    max_connections: '200',
    shared_buffers: '32MB',
    // Tests kill the server, but never the machine: what the system has is safe.
    fsync: 'off',
    full_page_writes: 'off',
    ...settings,
  }
  const log = join(home, 'log')
  const addressOf = (database: string) => `postgres://ch202@127.0.0.1:${port}/${database}`
  const options = Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const launch = () =>
    Bun.spawn([...asUser, join(bin, 'postgres'), '-D', data, ...options], {
      cwd: home,
      env,
      stdin: 'ignore',
      stdout: 'ignore',
      stderr: Bun.file(log),
    })
  let server = launch()
  const ready = async () => {
    const end = Date.now() + START_PATIENCE
    while (!(await answers(addressOf('postgres')))) {
      if (Date.now() > end || server.exitCode !== null)
        throw new Error(`PostgreSQL does not start: ${readFileSync(log, 'utf8')}`)
      await Bun.sleep(25)
    }
  }
  await ready()
  /** Sends a signal to every process of the server. */
  const signal = (name: 'SIGSTOP' | 'SIGCONT') => {
    for (const pid of [server.pid, ...childrenOf(server.pid)]) process.kill(pid, name)
  }

  let databases = 0
  return {
    port,
    async kill() {
      const children = childrenOf(server.pid)
      server.kill('SIGKILL')
      await server.exited
      // They end when they miss the first process; a new server waits for them.
      while (children.some((pid) => existsSync(`/proc/${pid}`))) await Bun.sleep(10)
    },
    async start() {
      server = launch()
      await ready()
    },
    freeze: () => signal('SIGSTOP'),
    thaw: () => signal('SIGCONT'),
    async newDatabase() {
      const name = `test${++databases}`
      const sql = new SQL({ url: addressOf('postgres'), max: 1 })
      try {
        await sql.unsafe(`CREATE DATABASE ${name}`)
      } finally {
        await sql.close()
      }
      return addressOf(name)
    },
    async stop() {
      server.kill('SIGINT')
      await server.exited
      rmSync(home, { recursive: true, force: true })
    },
  }
}

async function answers(url: string): Promise<boolean> {
  const sql = new SQL({ url, max: 1, connectionTimeout: 1 })
  try {
    await sql.unsafe('SELECT 1')
    return true
  } catch {
    return false
  } finally {
    await sql.close()
  }
}

/** The processes that a process has started. */
function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number)
}
