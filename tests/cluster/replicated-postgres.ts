import { appendFileSync, chmodSync, chownSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SQL } from 'bun'
import { PATIENCE } from '../support/eventually.ts'
import { asUser, isRoot, NOBODY, type PostgresPrograms, postgresPrograms } from '../support/postgres/programs.ts'
import { removeAtTheEnd } from '../support/remove-at-the-end.ts'
import { freePort } from '../support/servers/ports.ts'
import { isAlive, processesOf, signal } from './signals.ts'

/** The user of the services, of the tests and of the replication. */
const USER = 'ch202'
/** Lines that end a server when the tests end, also one that is frozen. */
const END =
  'p=$(head -n 1 "$1/data/postmaster.pid") && kill -KILL "$p" $(cat "/proc/$p/task/$p/children" | tr "\\n" " "); sleep 0.2'

/**
 * Settings of every server, in its file: `pg_rewind` reads them there, and needs the hints. Tests kill servers, but never the
 * machine: what the system has is safe.
 */
const SETTINGS = `
max_connections = 200
shared_buffers = 32MB
fsync = off
wal_log_hints = on
wal_keep_size = 256MB
wal_sender_timeout = 5s
wal_receiver_timeout = 5s
`

/** How a server becomes a standby of another one: its differences are copied (`pg_rewind`), or everything. */
export type Rebuild = 'rewind' | 'copy'

/** One server of a pair: Debian's PostgreSQL with a data directory of its own. */
export class ReplicatedServer {
  readonly port = freePort()
  private readonly home: string
  private readonly programs: PostgresPrograms
  private readonly removal: { cancel(): void }
  private server: Bun.Subprocess | undefined

  constructor() {
    this.home = mkdtempSync(join(tmpdir(), 'ch202-pair-'))
    chmodSync(this.home, 0o700)
    if (isRoot) chownSync(this.home, NOBODY, NOBODY)
    this.programs = postgresPrograms('debian', this.home)
    this.removal = removeAtTheEnd(this.home, END)
  }

  /** Creates an empty data directory, and starts. */
  async startEmpty(): Promise<void> {
    await this.program(
      'initdb',
      '-D',
      this.data,
      '-U',
      USER,
      '-A',
      'trust',
      '-E',
      'UTF8',
      '--locale=C.UTF-8',
      '--no-sync',
    )
    appendFileSync(join(this.data, 'postgresql.conf'), SETTINGS)
    await this.start()
  }

  /** Becomes the standby of `primary`, and starts. Rebuilt by `rewind`, it keeps the data that both have. */
  async startAsStandbyOf(primary: ReplicatedServer, how: Rebuild): Promise<void> {
    const source = ['-h', '127.0.0.1', '-p', String(primary.port), '-U', USER]
    if (how === 'rewind') {
      // It compares timelines by the last checkpoint.
      await primary.run('postgres', 'CHECKPOINT')
      const connection = `host=127.0.0.1 port=${primary.port} user=${USER} dbname=postgres`
      await this.program('pg_rewind', '-D', this.data, `--source-server=${connection}`, '-R', '--no-sync')
    } else {
      rmSync(this.data, { recursive: true, force: true })
      await this.program('pg_basebackup', '-D', this.data, ...source, '-X', 'stream', '-c', 'fast', '-R', '--no-sync')
    }
    // When it is promoted, no standby is there that its commits could wait for.
    appendFileSync(join(this.data, 'postgresql.auto.conf'), "synchronous_standby_names = ''\n")
    await this.start()
  }

  /** Lets every commit wait for the standby from now on. Resolves when it is connected and has everything. */
  async waitForStandby(): Promise<void> {
    await this.run('postgres', "ALTER SYSTEM SET synchronous_standby_names = '*'", 'SELECT pg_reload_conf()')
    await this.until("SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'")
  }

  promote(): Promise<unknown> {
    return this.run('postgres', 'SELECT pg_promote(true, 60)')
  }

  /** Waits until a query has a row. */
  async until(query: string): Promise<void> {
    const end = performance.now() + PATIENCE
    while ((await this.run('postgres', query)).length === 0) {
      if (performance.now() > end) throw new Error(`No row within ${PATIENCE / 1000} s: ${query}`)
      await Bun.sleep(20)
    }
  }

  addressOf(database: string): string {
    return `postgres://${USER}@127.0.0.1:${this.port}/${database}`
  }

  /** Runs statements, one after the other. @returns the rows of the last */
  async run(database: string, ...statements: string[]): Promise<unknown[][]> {
    const sql = new SQL({ url: this.addressOf(database), max: 1 })
    try {
      let rows: unknown[][] = []
      for (const statement of statements) rows = [...(await sql.unsafe(statement).values())]
      return rows
    } finally {
      await sql.close({ timeout: 0 })
    }
  }

  /** Kills all processes of the server at once, as the loss of its machine does. */
  async kill(): Promise<void> {
    const pids = processesOf(this.server?.pid)
    for (const pid of pids) signal(pid, 'SIGKILL')
    await this.server?.exited
    this.server = undefined
    while (pids.some(isAlive)) await Bun.sleep(5)
  }

  /** Stops all processes of the server where they are: they keep their connections, and answer nothing. */
  freeze(): void {
    for (const pid of processesOf(this.server?.pid)) signal(pid, 'SIGSTOP')
  }

  thaw(): void {
    for (const pid of processesOf(this.server?.pid)) signal(pid, 'SIGCONT')
  }

  async stop(): Promise<void> {
    await this.kill()
    rmSync(this.home, { recursive: true, force: true })
    this.removal.cancel()
  }

  private get data(): string {
    return join(this.home, 'data')
  }

  private async start(): Promise<void> {
    const settings = {
      port: this.port,
      listen_addresses: '127.0.0.1',
      unix_socket_directories: this.home,
    }
    const log = join(this.home, 'log')
    const options = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
    const server = Bun.spawn([...asUser, join(this.programs.bin, 'postgres'), '-D', this.data, ...options], {
      cwd: this.home,
      env: this.programs.env,
      stdin: 'ignore',
      stdout: 'ignore',
      stderr: Bun.file(log),
    })
    this.server = server
    const end = performance.now() + PATIENCE
    while (!(await this.run('postgres', 'SELECT 1').catch(() => undefined))) {
      if (performance.now() > end || server.exitCode !== null)
        throw new Error(`PostgreSQL does not start: ${readFileSync(log, 'utf8')}`)
      await Bun.sleep(20)
    }
  }

  private async program(name: string, ...words: string[]): Promise<void> {
    const child = Bun.spawn([...asUser, join(this.programs.bin, name), ...words], {
      cwd: this.home,
      env: this.programs.env,
      stdin: 'ignore',
      stdout: 'ignore',
      stderr: 'pipe',
    })
    const errors = await new Response(child.stderr).text()
    if ((await child.exited) !== 0) throw new Error(`${name}: ${errors}`)
  }
}
