import { chmodSync, chownSync, existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { eventually } from '../eventually.ts'
import { removeAtTheEnd } from '../remove-at-the-end.ts'
import { freePort } from '../servers/ports.ts'
import { asUser, isRoot, NOBODY } from './programs.ts'

const PGBOUNCER = '/usr/sbin/pgbouncer'

export interface Pooler {
  /** The address of a database behind the pooler. @param address its address at the server */
  addressOf(address: string): string
  stop(): Promise<void>
}

/**
 * Starts PgBouncer in transaction mode: each transaction may run on another connection of the server. It refuses
 * parameters of a connection other than `application_name`, and prepared statements fail.
 * @param port of the server
 * @throws Error when PgBouncer is not installed, or with its log when it does not start
 */
export async function startPooler(port: number): Promise<Pooler> {
  if (!existsSync(PGBOUNCER)) throw new Error(`PgBouncer is not installed (${PGBOUNCER}): apt-get install pgbouncer`)
  const home = mkdtempSync(join(tmpdir(), 'ch202-pgbouncer-'))
  const listenPort = freePort()
  const at = (name: string) => join(home, name)
  writeFileSync(at('users.txt'), '"ch202" ""\n"plain" ""\n')
  writeFileSync(
    at('pgbouncer.ini'),
    `[databases]
* = host=127.0.0.1 port=${port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${listenPort}
unix_socket_dir =
auth_type = trust
auth_file = ${at('users.txt')}
; Looks up the roles of the processes, which tests create.
auth_user = ch202
; Tries again soon after the server refused a role, as it does while a test keeps a process away.
server_login_retry = 0.1
pidfile = ${at('pid')}
pool_mode = transaction
default_pool_size = 6
max_client_conn = 500
server_idle_timeout = 2
`,
  )
  chmodSync(home, 0o700)
  if (isRoot) for (const path of [home, at('users.txt'), at('pgbouncer.ini')]) chownSync(path, NOBODY, NOBODY)
  const removal = removeAtTheEnd(home, 'kill -KILL "$(cat "$1/pid")"')
  const log = at('log')
  const pooler = Bun.spawn([...asUser, PGBOUNCER, at('pgbouncer.ini')], {
    cwd: home,
    env: { PATH: process.env.PATH ?? '' },
    stdin: 'ignore',
    stdout: 'ignore',
    stderr: Bun.file(log),
  })
  await eventually(() => pooler.exitCode !== null || listens(listenPort))
  if (pooler.exitCode !== null) throw new Error(`PgBouncer does not start: ${readFileSync(log, 'utf8')}`)
  return {
    addressOf(address) {
      const url = new URL(address)
      url.port = String(listenPort)
      url.searchParams.set('prepare', 'false')
      return url.href
    },
    async stop() {
      pooler.kill('SIGKILL')
      await pooler.exited
      removal.cancel()
    },
  }
}

async function listens(port: number): Promise<boolean> {
  try {
    const socket = await Bun.connect({ hostname: '127.0.0.1', port, socket: { data: () => undefined } })
    socket.end()
    return true
  } catch {
    return false
  }
}
