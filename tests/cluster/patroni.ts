import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SQL } from 'bun'
import { eventually } from '../support/eventually.ts'
import { asUser, isRoot, NOBODY } from '../support/postgres/programs.ts'
import type { SystemDatabase } from '../support/postgres/system-database.ts'
import { removeAtTheEnd } from '../support/remove-at-the-end.ts'
import { freePort } from '../support/servers/ports.ts'
import { ROOT } from '../support/tool.ts'
import { isAlive, processesOf, signal } from './signals.ts'

const PAGE = 'docs/operate/high-availability.md'
const PACKAGES = ['patroni', 'python3-etcd', 'etcd-server', 'haproxy', 'postgresql-15']
const PROGRAMS = ['/usr/bin/patroni', '/usr/bin/etcd', '/usr/sbin/haproxy', '/usr/lib/postgresql/15/bin/postgres']
/** Lines that end all processes when the tests end. */
const END = `kill -KILL $(cat "$1"/*/pid); for f in "$1"/*/data/postmaster.pid; do p=$(head -n 1 "$f"); \
kill -KILL "$p" $(cat "/proc/$p/task/$p/children" | tr "\\n" " "); done; sleep 0.2`

/** Installs what is missing of Debian's packages. @throws Error with the output of apt-get when that fails */
async function installPatroni(): Promise<void> {
  if (PROGRAMS.every((path) => existsSync(path))) return
  const run = async (...words: string[]) => {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
    const child = Bun.spawn(['apt-get', ...words], { env, stdin: 'ignore', stdout: 'pipe', stderr: 'pipe' })
    const [output, errors] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()])
    if ((await child.exited) !== 0) throw new Error(`apt-get ${words.join(' ')} failed:\n${output}${errors}`)
  }
  await run('update')
  await run('install', '-y', '--no-install-recommends', ...PACKAGES)
}

/** The text of a file as the page for operators has it: a block whose first line names it. */
function fileInPage(path: string): string {
  const page = readFileSync(join(ROOT, PAGE), 'utf8')
  const block = [...page.matchAll(/^```\w*\n# (\S+?)[, ]?.*\n([\s\S]*?)^```$/gm)].find(([text]) =>
    text.split('\n')[1]?.startsWith(`# ${path}`),
  )
  if (!block?.[2]) throw new Error(`${PAGE} has no file ${path}`)
  return block[2]
}

/** Replaces a text that must be there. */
function replaced(text: string, from: string | RegExp, to: string): string {
  if (!new RegExp(from).test(text)) throw new Error(`${PAGE} has no ${from}`)
  return text.replaceAll(from, to)
}

const NAMES = ['a', 'b', 'c'] as const
type MachineName = (typeof NAMES)[number]

interface Ports {
  postgres: number
  rest: number
  etcd: number
  peers: number
}

/** One of three machines: Patroni and its PostgreSQL. Its etcd is a process apart. */
export class Machine {
  private patroni: Bun.Subprocess | undefined

  constructor(
    readonly name: MachineName,
    readonly home: string,
    readonly ports: Ports,
  ) {}

  start(): void {
    this.patroni = launch(this.home, ['/usr/bin/patroni', join(this.home, 'config.yml')])
  }

  /** Kills the first process of PostgreSQL, as a crash does. */
  killPostgres(): void {
    signal(this.postmaster, 'SIGKILL')
  }

  /** Kills everything at once. */
  async kill(): Promise<void> {
    const pids = this.pids()
    for (const pid of pids) signal(pid, 'SIGKILL')
    await this.patroni?.exited
    while (pids.some(isAlive)) await Bun.sleep(5)
  }

  freeze(): void {
    for (const pid of this.pids()) signal(pid, 'SIGSTOP')
  }

  thaw(): void {
    for (const pid of this.pids()) signal(pid, 'SIGCONT')
  }

  private get postmaster(): number {
    const file = join(this.home, 'data/postmaster.pid')
    return existsSync(file) ? Number(readFileSync(file, 'utf8').split('\n')[0]) : 0
  }

  /** Patroni comes first: it would start another server. */
  private pids(): number[] {
    return [...processesOf(this.patroni?.pid), ...processesOf(this.postmaster)]
  }
}

interface Member {
  name: MachineName
  role: 'leader' | 'sync_standby' | 'replica'
  state: string
}

/** Three machines with Patroni, etcd, and HAProxy before them. */
export interface PatroniCluster {
  database: SystemDatabase
  /** The machine with the primary. */
  leader(): Promise<Machine>
  /** Waits until one machine is the primary, another one its synchronous standby, and all run. */
  settle(): Promise<void>
  /** Makes the synchronous standby the primary, as an operator plans it. */
  switchOver(): Promise<void>
  /** Changes a setting that all machines share. */
  configure(settings: Record<string, unknown>): Promise<void>
  stop(): Promise<void>
}

/** Starts the configuration of the page, and creates a database for the services. It takes about 20 seconds. */
export async function startPatroni(): Promise<PatroniCluster> {
  await installPatroni()
  const home = mkdtempSync(join(tmpdir(), 'ch202-patroni-'))
  chmodSync(home, 0o711)
  const removal = removeAtTheEnd(home, END)
  const folder = (name: string) => {
    const path = join(home, name)
    mkdirSync(path, { mode: 0o700 })
    if (isRoot) chownSync(path, NOBODY, NOBODY)
    return path
  }
  const machines = NAMES.map((name) => {
    const ports = { postgres: freePort(), rest: freePort(), etcd: freePort(), peers: freePort() }
    return new Machine(name, folder(name), ports)
  })
  /** Puts the ports of this machine in the place of the addresses of the three. */
  const here = (text: string) =>
    machines.reduce(
      (result, { ports }, at) =>
        result
          .replaceAll(`10.0.0.${at + 1}:5432 check port 8008`, `127.0.0.1:${ports.postgres} check port ${ports.rest}`)
          .replaceAll(`10.0.0.${at + 1}:5432`, `127.0.0.1:${ports.postgres}`)
          .replaceAll(`10.0.0.${at + 1}:8008`, `127.0.0.1:${ports.rest}`)
          .replaceAll(`10.0.0.${at + 1}:2379`, `127.0.0.1:${ports.etcd}`)
          .replaceAll(`10.0.0.${at + 1}:2380`, `127.0.0.1:${ports.peers}`),
      text,
    )
  /** Makes the file of the first machine that of another one: lines that list all machines stay. */
  const fileOf = (path: string, at: number) =>
    fileInPage(path)
      .split('\n')
      .map((line) => (line.includes(',') ? line : line.replace('10.0.0.1:', `10.0.0.${at + 1}:`)))
      .map((line) => line.replace(/^(name: |ETCD_NAME=)a$/, `$1${NAMES[at]}`))
      .join('\n')

  const processes: Bun.Subprocess[] = []
  for (const [at, { name }] of machines.entries()) {
    const directory = folder(`etcd-${name}`)
    const text = replaced(here(fileOf('/etc/default/etcd', at)), '/var/lib/etcd', join(directory, 'member'))
    processes.push(launch(directory, ['/usr/bin/etcd'], Object.fromEntries(text.trim().split('\n').map(setting))))
  }
  for (const [at, machine] of machines.entries()) {
    let text = here(fileOf('/etc/patroni/config.yml', at))
    text = replaced(text, '/var/lib/postgresql/15/ch202', join(machine.home, 'data'))
    text = replaced(text, '/var/lib/postgresql/patroni.pgpass', join(machine.home, 'pgpass'))
    text = replaced(text, '/var/run/postgresql', machine.home)
    text = replaced(text, '10.0.0.0/24', '127.0.0.0/8')
    writeFileSync(join(machine.home, 'config.yml'), text)
    machine.start()
  }
  const entry = freePort()
  const proxy = folder('haproxy')
  const configuration = replaced(
    here(fileInPage('/etc/haproxy/haproxy.cfg')),
    'bind 127.0.0.1:5432',
    `bind 127.0.0.1:${entry}`,
  )
  writeFileSync(join(proxy, 'haproxy.cfg'), configuration)
  processes.push(launch(proxy, ['/usr/sbin/haproxy', '-db', '-f', join(proxy, 'haproxy.cfg')]))

  const members = async (): Promise<Member[]> => {
    for (const { ports } of machines) {
      const signal = AbortSignal.timeout(2000)
      const answer = await fetch(`http://127.0.0.1:${ports.rest}/cluster`, { signal }).catch(() => undefined)
      if (answer?.ok) return ((await answer.json()) as { members: Member[] }).members
    }
    return []
  }
  const leader = async () => {
    const name = (await members()).find(({ role }) => role === 'leader')?.name
    const machine = machines.find((candidate) => candidate.name === name)
    if (!machine) throw new Error('No machine is the primary')
    return machine
  }
  const asPostgres = `postgres://postgres:password-of-postgres@127.0.0.1:${entry}/postgres`
  const run = async (...statements: string[]) => {
    const sql = new SQL({ url: asPostgres, max: 1 })
    try {
      let rows: unknown[][] = []
      for (const statement of statements) rows = [...(await sql.unsafe(statement).values())]
      return rows
    } finally {
      await sql.close({ timeout: 0 })
    }
  }
  const settle = async () => {
    await eventually(async () => {
      const all = await members()
      const count = (role: string) => all.filter((member) => member.role === role).length
      const isReady = all.length === NAMES.length && all.every(({ state }) => /^(running|streaming)$/.test(state))
      return isReady && count('leader') === 1 && count('sync_standby') === 1
    })
    await eventually(() => run('SELECT 1').then(Boolean, () => false))
  }
  /** Sends a request to Patroni of the primary. */
  const ask = async (method: string, path: string, body: object) => {
    const { ports } = await leader()
    const answer = await fetch(`http://127.0.0.1:${ports.rest}${path}`, { method, body: JSON.stringify(body) })
    if (!answer.ok) throw new Error(`Patroni, ${path}: ${answer.status} ${await answer.text()}`)
  }

  const cluster: PatroniCluster = {
    database: databaseAt(`postgres://ch202:password@127.0.0.1:${entry}/ch202`, run),
    leader,
    settle,
    async switchOver() {
      const all = await members()
      const nameOf = (role: Member['role']) => all.find((member) => member.role === role)?.name
      await ask('POST', '/switchover', { leader: nameOf('leader'), candidate: nameOf('sync_standby') })
    },
    configure: (settings) => ask('PATCH', '/config', settings),
    async stop() {
      for (const machine of machines) {
        machine.thaw()
        await machine.kill()
      }
      for (const child of processes) child.kill('SIGKILL')
      await Promise.all(processes.map(({ exited }) => exited))
      rmSync(home, { recursive: true, force: true })
      removal.cancel()
    },
  }
  try {
    await settle()
    await run(`CREATE ROLE ch202 LOGIN PASSWORD 'password'`, 'CREATE DATABASE ch202 OWNER ch202')
  } catch (error) {
    const logs = machines.map(({ home: path }) => readFileSync(join(path, 'log'), 'utf8').slice(-2000))
    await cluster.stop()
    throw new Error(`Patroni does not start: ${error}\n${logs.join('\n')}`)
  }
  return cluster
}

function setting(line: string): [name: string, value: string] {
  const at = line.indexOf('=')
  return [line.slice(0, at), line.slice(at + 1)]
}

/** Starts a process whose output goes to a file of its directory. */
function launch(home: string, words: string[], env: Record<string, string> = {}): Bun.Subprocess {
  const child = Bun.spawn([...asUser, ...words], {
    cwd: home,
    env: { PATH: process.env.PATH ?? '', HOME: home, LC_ALL: 'C.UTF-8', ...env },
    stdin: 'ignore',
    stdout: Bun.file(join(home, 'output')),
    stderr: Bun.file(join(home, 'log')),
  })
  writeFileSync(join(home, 'pid'), `${child.pid}\n`)
  return child
}

function databaseAt(address: string, run: SystemDatabase['run']): SystemDatabase {
  const refuse = async () => {
    throw new Error('All services have the same role')
  }
  const remove = async () => undefined
  return { name: 'ch202', adminUrl: address, addressOf: () => address, run, disconnect: refuse, admit: refuse, remove }
}
