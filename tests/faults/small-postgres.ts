import { chmodSync, closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SQL } from 'bun'
import { eventually } from '../support/eventually.ts'
import { asUser, isRoot, postgresPrograms } from '../support/postgres/programs.ts'
import { removeAtTheEnd } from '../support/remove-at-the-end.ts'
import { freePort } from '../support/servers/ports.ts'

/** A PostgreSQL server whose data directory is on a disk that a test can fill and clear. */
export interface SmallPostgres {
  addressOf(database: string): string
  fill(): void
  free(): void
  stop(): Promise<void>
}

/** Mebibytes: room for an empty server, its log and some growth. */
const SIZE = 192
/** PostgreSQL refuses to run as root, also as the root of a namespace. */
const [OUTSIDE, INSIDE] = isRoot
  ? [['unshare', '--mount'], asUser]
  : [
      ['unshare', '--map-root-user', '--mount'],
      ['unshare', '--user', '--map-user=65534'],
    ]

/**
 * Starts a server on a tmpfs in a mount namespace of its own, which ends with the server: no mount is left.
 * @throws Error with what was printed when no such namespace can be created, or the server does not start
 */
export async function startSmallPostgres(): Promise<SmallPostgres> {
  const home = mkdtempSync(join(tmpdir(), 'ch202-small-'))
  chmodSync(home, 0o755)
  const links = mkdtempSync(join(tmpdir(), 'ch202-small-'))
  chmodSync(links, 0o755)
  const { bin, env } = postgresPrograms('debian', links)
  const port = freePort()
  const settings = {
    port,
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    shared_buffers: '16MB',
    min_wal_size: '32MB',
    max_wal_size: '64MB',
    autovacuum: 'off',
    fsync: 'off',
  }
  const options = Object.entries(settings).map(([name, value]) => `-c ${name}='${value}'`)
  const as = INSIDE.join(' ')
  const script = `
    mount -t tmpfs -o size=${SIZE}m,mode=777 tmpfs '${home}' || exit
    ${as} '${bin}/initdb' -D '${home}/data' -U ch202 -A trust -E UTF8 --locale=C.UTF-8 --no-sync --wal-segsize=4 || exit
    exec ${as} '${bin}/postgres' -D '${home}/data' ${options.join(' ')}`
  const server = Bun.spawn([...OUTSIDE, 'sh', '-c', script], {
    cwd: '/',
    env,
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  })
  const removal = removeAtTheEnd(links, `kill -QUIT ${server.pid}; rmdir '${home}'`)
  let printed = ''
  for (const stream of [server.stdout, server.stderr])
    (async () => {
      const decoder = new TextDecoder()
      for await (const chunk of stream) printed += decoder.decode(chunk, { stream: true })
    })()
  const addressOf = (database: string) => `postgres://ch202@127.0.0.1:${port}/${database}`
  await eventually(async () => {
    if (server.exitCode !== null) throw new Error(`PostgreSQL on a small disk does not start: ${printed}`)
    const sql = new SQL({ url: addressOf('postgres'), max: 1, connectionTimeout: 1 })
    return sql.unsafe('SELECT 1').then(
      () => sql.close().then(() => true),
      () => sql.close().then(() => false),
    )
  })
  const ballast = join(`/proc/${server.pid}/root`, home, 'ballast')
  return {
    addressOf,
    fill() {
      const file = openSync(ballast, 'a')
      for (let step = 1024 * 1024; step >= 1; ) {
        try {
          if (writeSync(file, Buffer.alloc(step)) < step) step = Math.floor(step / 2)
        } catch {
          step = Math.floor(step / 2)
        }
      }
      closeSync(file)
    },
    free: () => rmSync(ballast),
    async stop() {
      server.kill('SIGINT')
      await server.exited
      removal.cancel()
      for (const directory of [home, links]) rmSync(directory, { recursive: true, force: true })
    },
  }
}
