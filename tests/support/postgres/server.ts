import { chmodSync, chownSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SQL } from 'bun'
import { removeAtTheEnd } from '../remove-at-the-end.ts'
import { freePort } from '../servers/ports.ts'
import { asUser, isRoot, NOBODY, type PostgresSource, postgresPrograms } from './programs.ts'

const START_PATIENCE = 60_000
/** Lines that a server is given to end when the tests end: they may be killed at any time. */
const END = 'pid=$(head -n 1 "$1/data/postmaster.pid") && kill -QUIT "$pid"; sleep 0.2'

/** A PostgreSQL server that runs for the tests. */
export interface PostgresServer {
  port: number
  /** The address of a database, for the server's superuser. */
  addressOf(database: string): string
  /** Creates a database and gives its address. @param template the database of which it is a copy; else it is empty */
  newDatabase(template?: string): Promise<string>
  /** Runs statements as the server's superuser, one after the other. @returns the rows of the last */
  run(database: string, ...statements: string[]): Promise<unknown[][]>
  /** Kills the server. `start` starts it again with its data. */
  kill(): Promise<void>
  start(): Promise<void>
  /** Stops every process of the server where it is, so that it keeps its connections and answers nothing. */
  freeze(): void
  thaw(): void
  stop(): Promise<void>
}

/**
 * Starts a server with an empty data directory on a free port. It takes one to three seconds. It ends with the process of
 * the tests, in whichever way that ends.
 * @param source whose programs; Debian's programs are replaced by those of npm when they are missing
 * @throws Error when no server is installed, or with its log when it does not start
 */
export async function startPostgres(
  settings: Record<string, string> = {},
  source: PostgresSource = 'debian',
): Promise<PostgresServer> {
  const home = mkdtempSync(join(tmpdir(), 'ch202-postgres-'))
  chmodSync(home, 0o700)
  const removal = removeAtTheEnd(home, END)
  const { bin, env } = postgresPrograms(source, home)
  if (isRoot) chownSync(home, NOBODY, NOBODY)
  const data = join(home, 'data')
  const init = ['-D', data, '-U', 'ch202', '-A', 'trust', '-E', 'UTF8', '--locale=C.UTF-8', '--no-sync']
  const initialization = Bun.spawn([...asUser, join(bin, 'initdb'), ...init], {
    cwd: home,
    env,
    stdout: 'ignore',
    stderr: 'pipe',
  })
  const initErrors = await new Response(initialization.stderr).text()
  if ((await initialization.exited) !== 0) throw new Error(`initdb: ${initErrors}`)

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
  /** Sends a signal to every process of the server. A process that stands still starts no others. */
  const signal = (name: 'SIGSTOP' | 'SIGCONT') => {
    server.kill(name)
    for (const pid of childrenOf(server.pid))
      try {
        process.kill(pid, name)
      } catch (error) {
        // It has ended meanwhile.
        if ((error as { code?: string }).code !== 'ESRCH') throw error
      }
  }
  const run = async (database: string, ...statements: string[]) => {
    const sql = new SQL({ url: addressOf(database), max: 1 })
    try {
      let rows: unknown[][] = []
      for (const statement of statements) rows = [...(await sql.unsafe(statement).values())]
      return rows
    } finally {
      await sql.close()
    }
  }

  let databases = 0
  return {
    port,
    addressOf,
    run,
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
    async newDatabase(template = 'template1') {
      const name = `test${++databases}`
      // Copying the files takes half the time of writing them to the log, which is not synced here.
      await run('postgres', `CREATE DATABASE ${name} TEMPLATE ${template} STRATEGY FILE_COPY`)
      return addressOf(name)
    },
    async stop() {
      server.kill('SIGINT')
      await server.exited
      rmSync(home, { recursive: true, force: true })
      removal.cancel()
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
