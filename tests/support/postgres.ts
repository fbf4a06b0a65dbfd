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
  pid: number
  /** Creates an empty database and gives its address. */
  newDatabase(): Promise<string>
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
    // The tests lose nothing when the machine loses its power.
    fsync: 'off',
    synchronous_commit: 'off',
    full_page_writes: 'off',
    ...settings,
  }
  const log = join(home, 'log')
  const server = Bun.spawn(
    [
      ...asUser,
      join(bin, 'postgres'),
      '-D',
      data,
      ...Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
    ],
    { cwd: home, env, stdin: 'ignore', stdout: 'ignore', stderr: Bun.file(log) },
  )
  const addressOf = (database: string) => `postgres://ch202@127.0.0.1:${port}/${database}`
  const end = Date.now() + START_PATIENCE
  while (!(await answers(addressOf('postgres')))) {
    if (Date.now() > end || server.exitCode !== null)
      throw new Error(`PostgreSQL does not start: ${readFileSync(log, 'utf8')}`)
    await Bun.sleep(25)
  }

  let databases = 0
  return {
    port,
    pid: server.pid,
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
