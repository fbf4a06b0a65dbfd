import { copyFileSync, existsSync, mkdtempSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { AnyElysia } from 'elysia'
import type { Mailer } from '../../services/auth/mail/transport.ts'
import type { Clock } from '../../services/kit/clock.ts'
import { type Log, openLog } from '../../services/kit/log.ts'
import { logFile } from '../../services/kit/log-file.ts'
import { PasswordHasher } from '../../services/kit/passwords/hasher.ts'
import { readConfig } from '../../services/kit/process/config.ts'
import { SERVICE_NAMES, SERVICES } from '../../services/registry.ts'
import { type Served, serve } from '../../services/serve.ts'
import { PATIENCE } from './eventually.ts'
import { type DatabaseKind, databaseKind, newSystemDatabase, type SystemDatabase } from './postgres/system-database.ts'
import { type Layout, type Name, newAddresses, systemSettings } from './settings.ts'

/**
 * A running Ch202 with real files in a directory of its own and real HTTP ports. Tests get one in one of these ways:
 *
 * - `running(inProcess)`, the usual way: for one `describe`, all services in the process of the tests, at one address.
 * - `running(inProcessApart)`: an address for each service. They call each other over HTTP, and a test can kill one of
 *   them and start it again.
 * - `running(overProcesses('apart'))`: real processes, for what a process alone shows: signals, kills, memory.
 * - `openInstance` (shell.ts): a process and a shell in which `ch202` operates it.
 *
 * All of them have SQLite files, or a PostgreSQL database after `useDatabases('postgres')` (system-database.ts).
 *
 * `inProcess` and `processes` also take options, such as a clock or a preloaded module. A test that needs a system for
 * itself calls one of them, and `stop` at its end.
 */
export interface System {
  layout: Layout
  dataDir: string
  /** The base address of each service. */
  url: Record<Name, string>
  /** The PostgreSQL database; undefined with SQLite files. */
  database?: SystemDatabase | undefined
  /** The nodes of each service, where `url` is that of a balancer before several. */
  nodes?: Record<Name, readonly { url: string }[]>
  /** The log lines so far. */
  output(): string
  /**
   * Ends one service as a crash does; in the layout `together`, all of them. In process it stops, and its databases are
   * as they were before: nothing that it writes while it stops is kept.
   */
  kill(name: Name): Promise<void>
  /** Stops one service in an orderly way; in the layout `together`, all of them. */
  terminate(name: Name): Promise<unknown>
  /** Starts a service that was stopped, with the same files. */
  start(name: Name): Promise<void>
  /** Stops everything and removes the files. */
  stop(): Promise<void>
}

type Replacement = (
  env: Record<string, string>,
  options: Pick<InProcessOptions, 'clock' | 'settingsOf'>,
) => Promise<System>

let replacement: Replacement | undefined

/**
 * Starts other systems where tests ask for one in their process, from now on: for another run of the same tests. Those
 * that pass a mailer, or use an app, need their process and fail.
 * @param start undefined: none any more
 */
export function replaceInProcess(start: Replacement | undefined): void {
  replacement = start
}

export interface InProcessSystem extends System {
  /** The app of a service that runs, for what HTTP does not show. */
  app(name: Name): AnyElysia
}

export interface InProcessOptions {
  layout?: Layout
  databases?: DatabaseKind
  clock?: Clock
  mailer?: Mailer
  /** The host in `PUBLIC_URL`, which leads to the pages of this system. */
  publicHost?: string
  /** More settings of one service, read at each of its starts. In the layout `together` they are those of all. */
  settingsOf?(name: Name): Partial<Record<string, string>>
}

/** The umask before the first system was started: `serve` changes it, and the last system that stops restores it. */
let umaskBefore = 0
let openSystems = 0

/** Starts what replaces systems in the process of the tests (`replaceInProcess`), or else calls `start`. */
export function replaceable(start: (env?: Record<string, string>) => Promise<System>): typeof start {
  return (env = {}) => (replacement ? replacement(env, {}) : start(env))
}

/** The addresses of the nodes of a service: usually of its only one. */
export function nodeAddresses({ nodes, url }: Pick<System, 'nodes' | 'url'>, name: Name): string[] {
  return nodes?.[name].map((node) => node.url) ?? [url[name]]
}

/** Serves all services from this process, or starts what replaces that (`replaceInProcess`). */
export async function inProcess(
  env: Record<string, string> = {},
  options: InProcessOptions = {},
): Promise<InProcessSystem> {
  if (!replacement) return await inThisProcess(env, options)
  if (options.mailer) throw new Error('A mailer is of one process')
  const app = () => {
    throw new Error('The apps are those of other processes')
  }
  return { ...(await replacement(env, options)), app }
}

/**
 * Serves all services from this process. The layout `apart` gives each a port and an address of its own, so that they
 * call each other over HTTP and can be stopped one by one.
 * @param env settings, as the environment of a process has them
 */
export async function inThisProcess(
  env: Record<string, string> = {},
  {
    layout = 'together',
    databases = databaseKind(),
    clock,
    mailer,
    publicHost,
    settingsOf = () => ({}),
  }: InProcessOptions = {},
): Promise<InProcessSystem> {
  const directory = mkdtempSync(join(tmpdir(), 'ch202-'))
  const addresses = newAddresses(layout)
  const settings = systemSettings(directory, addresses, env)
  if (publicHost !== undefined) settings.PUBLIC_URL = withHost(addresses.url.web, publicHost)
  const config = readConfig(settings, SERVICES)
  const lines: string[] = []
  const log = (service: string): Log => openLog(service, config, { output: { write: (line) => void lines.push(line) } })
  const served = new Map<string, Served>()
  const database = databases === 'postgres' && !env.DATABASE_URL ? await newSystemDatabase(layout) : undefined
  const databaseSettings = (name: Name) => (database ? { DATABASE_URL: database.addressOf(name) } : {})
  if (openSystems++ === 0) umaskBefore = process.umask()

  const keyOf = (name: Name) => (layout === 'together' ? 'all' : name)
  const system: InProcessSystem = {
    layout,
    database,
    dataDir: config.dataDir,
    url: addresses.url,
    output: () => lines.join(''),
    app(name) {
      const one = served.get(keyOf(name))
      // With several services the first app combines the others.
      const app = one?.apps[one.apps.length - one.services.length + one.services.indexOf(name)]
      if (!app) throw new Error(`${name} is not running`)
      return app
    },
    async start(name) {
      if (served.has(keyOf(name))) return
      const read = readConfig({ ...settings, ...databaseSettings(name), ...settingsOf(name) }, SERVICES)
      const serviceConfig = { ...read, databasePatience: PATIENCE }
      const hasher = new PasswordHasher(serviceConfig, log('hasher'))
      const runtime = { log, hasher, ...(clock ? { clock } : {}) }
      const names = layout === 'together' ? SERVICE_NAMES : [name]
      served.set(keyOf(name), await serve(serviceConfig, names, { runtime, ...(mailer ? { mailer } : {}) }))
    },
    async kill(name) {
      if (database) {
        await database.disconnect(name)
        await system.terminate(name)
        return await database.admit(name)
      }
      const restore = copyDatabases(config.dataDir, layout === 'together' ? SERVICE_NAMES : [name])
      await system.terminate(name)
      restore()
    },
    async terminate(name) {
      const running = served.get(keyOf(name))
      served.delete(keyOf(name))
      await running?.stop()
    },
    async stop() {
      // One after the other, each would wait for a poll of the next.
      await Promise.all(SERVICE_NAMES.toReversed().map((name) => system.terminate(name)))
      if (--openSystems === 0) process.umask(umaskBefore)
      flushLogs(config.dataDir)
      await database?.remove()
      rmSync(directory, { recursive: true, force: true })
    },
  }
  try {
    await Promise.all((layout === 'together' ? (['auth'] as const) : SERVICE_NAMES).map(system.start))
  } catch (error) {
    await system.stop()
    throw error
  }
  return system
}

/** The address at another host, with the same port. */
export function withHost(url: string, host: string): string {
  return `http://${host}:${new URL(url).port}`
}

/** Serves all services from this process, each at an address of its own. */
export function inProcessApart(env: Record<string, string> = {}): Promise<InProcessSystem> {
  return inProcess(env, { layout: 'apart' })
}

const LOGGERS = [...SERVICE_NAMES, 'hasher']
const NO_EVENTS = { failed: () => undefined, resumed: () => undefined }

/** Writes the buffered lines of the log files now: their timers would find the directory removed. */
function flushLogs(dataDir: string): void {
  for (const name of LOGGERS) logFile(dataDir, name, NO_EVENTS).flush()
}

/** Copies the databases as a crash leaves them. @returns a function that puts the copies in the place of the files */
function copyDatabases(dataDir: string, names: readonly Name[]): () => void {
  const files = names.flatMap((name) => ['', '-wal', '-shm'].map((end) => join(dataDir, `${name}.sqlite${end}`)))
  // SQLite rebuilds the index in shared memory (-shm) from the log.
  const copied = files.filter((file) => !file.endsWith('-shm') && existsSync(file))
  for (const file of copied) copyFileSync(file, `${file}.crash`)
  return () => {
    for (const file of files) rmSync(file, { force: true })
    for (const file of copied) renameSync(`${file}.crash`, file)
  }
}
