import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Server } from 'bun'
import type { AnyElysia } from 'elysia'
import { version } from '../package.json'
import type { Mailer } from './auth/mail/transport.ts'
import { authService } from './auth/main.ts'
import { wholeApp } from './combined-app.ts'
import type { ModuleFeedSource } from './kit/access/module-gate.ts'
import { systemClock, timestamp } from './kit/clock.ts'
import type { FeedSource } from './kit/feed/revocation-subscriber.ts'
import { listen } from './kit/http/listen.ts'
import { pathOf } from './kit/http/request-url.ts'
import type { Runtime, Service } from './kit/http/runtime.ts'
import { openLog } from './kit/log.ts'
import { direct } from './kit/outgoing.ts'
import { PasswordHasher } from './kit/passwords/hasher.ts'
import { Problem } from './kit/problem.ts'
import { atOneAddress, type Config } from './kit/process/config.ts'
import { MetricsRegistry } from './kit/process/metrics.ts'
import { systemRandom } from './kit/random.ts'
import { HEAR_OF_DELETED, SERVICE_NAMES, type ServiceName } from './kit/services.ts'
import { modulesService } from './modules/main.ts'
import {
  authClientForModules,
  authClientForUsers,
  deletionListenersForUsers,
  feedSource,
  type Link,
  moduleFeedSource,
  usersClientForAuth,
  usersClientForModules,
} from './peers.ts'
import { usersService } from './users/main.ts'

/** How long a stop waits for the requests under way: with what comes after it, no more than ten seconds. */
const STOP_PATIENCE = 8000

export interface Served {
  /** Where it takes requests. */
  url: string
  services: readonly ServiceName[]
  /** What it serves: every route with its schemas. */
  apps: readonly AnyElysia[]
  /** Takes no new requests, finishes those under way, and closes everything; within 10 seconds. */
  stop(): Promise<void>
}

export interface ServeOptions {
  runtime?: Partial<Runtime>
  mailer?: Mailer
}

/**
 * Serves the services named, in this process and on one port: a single one on its own address, several on CH202_URL.
 * Those that run elsewhere are called at their addresses, those here in memory.
 * @throws DatabaseError; Fault; Error with a message for the operator when the port can't be had
 */
export async function serve(
  settings: Config,
  names: readonly ServiceName[] = SERVICE_NAMES,
  { runtime: given = {}, mailer }: ServeOptions = {},
): Promise<Served> {
  const together = names.length === SERVICE_NAMES.length
  const config = together ? atOneAddress(settings) : settings
  const address = names.length === 1 && names[0] ? config.addresses[names[0]] : config.url
  const logOf = (service: string) => openLog(service, config, names.length > 1)
  const runtime: Runtime = {
    config,
    clock: systemClock,
    random: systemRandom,
    hasher: new PasswordHasher(config, logOf('hasher')),
    metrics: new MetricsRegistry(),
    log: logOf,
    version,
    ...given,
  }
  // Every file that a service makes is its owner's alone, those that SQLite makes beside its database too.
  process.umask(0o077)

  const services: Service[] = []
  const link = (name: ServiceName): Link => {
    const key = config.internalKeys[0] ?? ''
    return names.includes(name)
      ? { url: 'http://localhost', key, fetch: (request) => appOf(services, name).handle(request) }
      : { url: config.addresses[name], key, fetch: (request) => direct(request) }
  }
  const { server, answerWith, closeConnections } = listen(address, config.idleTimeout)
  try {
    const others = { link, feed: feedSource(link('auth')), moduleFeed: moduleFeedSource(link('modules')) }
    for (const name of names) services.push(await BUILD[name](runtime, { ...others, ...(mailer ? { mailer } : {}) }))
  } catch (error) {
    await server.stop(true)
    for (const service of services) await service.stop()
    throw error
  }
  const apps = services.map(({ app }) => app)
  if (apps.length > 1) apps.unshift(wholeApp(runtime, services))
  for (const app of apps) app.server = server
  answerWith(router(apps))
  await Promise.all(services.map((service) => service.start()))
  const url = address.replace(/:0$/, `:${server.port}`)
  const forget = announce(config.dataDir, names, url, timestamp(runtime.clock.now()))
  return { url, services: names, apps, stop: () => stop(server, services, forget, closeConnections) }
}

/** What a service may be put together with. */
interface Others {
  link(name: ServiceName): Link
  /** What auth tells everyone who checks tokens. */
  feed: FeedSource
  /** What modules tells everyone who has a route that names a module. */
  moduleFeed: ModuleFeedSource
  mailer?: Mailer
}

/** How each service is put together: those that need more of the others than the two feeds are given it here. */
const BUILD: Record<ServiceName, (runtime: Runtime, others: Others) => Service | Promise<Service>> = {
  auth: (runtime, { link, mailer }) =>
    authService(runtime, { users: usersClientForAuth(link('users')), ...(mailer ? { mailer } : {}) }),
  users: (runtime, { link, feed }) =>
    usersService(runtime, {
      auth: authClientForUsers(link('auth')),
      feed,
      listeners: deletionListenersForUsers(HEAR_OF_DELETED, link),
    }),
  modules: (runtime, { link, feed }) =>
    modulesService(runtime, {
      auth: authClientForModules(link('auth')),
      feed,
      users: usersClientForModules(link('users')),
    }),
}

function appOf(services: readonly Service[], name: ServiceName): AnyElysia {
  const service = services.find((candidate) => candidate.name === name)
  if (!service) throw new Problem(name === 'users' ? 'users_unavailable' : 'auth_unavailable')
  return service.app
}

/**
 * One service takes every request; of several, each takes the paths that begin with one of its own first parts, and
 * what is asked of every service (its health, its metrics) is asked of the whole.
 */
function router(apps: readonly AnyElysia[]): (request: Request) => Response | Promise<Response> {
  const [first, ...others] = apps
  if (!first) throw new Error('There is nothing to serve')
  if (others.length === 0) return (request) => first.fetch(request)
  const owners = new Map<string, AnyElysia>()
  for (const app of apps)
    for (const { path } of app.routes) {
      const part = firstPart(path)
      // The first of them is the whole: it keeps what all the others have too.
      if (!owners.has(part)) owners.set(part, app)
    }
  owners.delete('')
  const exact = new Map(others.flatMap((app) => app.routes.map(({ path }) => [path, app] as const)))
  for (const { path } of first.routes) exact.set(path, first)
  return (request) => {
    const path = pathOf(request.url)
    return (exact.get(path) ?? owners.get(firstPart(path)) ?? first).fetch(request)
  }
}

function firstPart(path: string): string {
  const start = path.startsWith('/api/v1/') ? '/api/v1/'.length : 1
  const end = path.indexOf('/', start)
  return path.slice(start, end < 0 ? undefined : end)
}

/** When the system began this process, in its own ticks: that tells it from a later one of the same id. */
function processStart(): number | undefined {
  try {
    // The name stands in brackets and may hold anything; what follows the last one is numbers (proc_pid_stat(5)).
    const stat = readFileSync('/proc/self/stat', 'latin1')
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19])
  } catch {
    return undefined
  }
}

/** Where the tool finds what runs here. */
function announce(dataDir: string, names: readonly ServiceName[], url: string, startedAt: string): () => void {
  const directory = join(dataDir, 'run')
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const running = { url, pid: process.pid, started_at: startedAt, process_start: processStart() }
  for (const service of names)
    writeFileSync(join(directory, `${service}.json`), `${JSON.stringify({ service, ...running })}\n`, { mode: 0o600 })
  return () => {
    for (const name of names) rmSync(join(directory, `${name}.json`), { force: true })
  }
}

async function stop(
  server: Server<undefined>,
  services: readonly Service[],
  forget: () => void,
  closeConnections: () => void,
): Promise<void> {
  forget()
  closeConnections()
  for (const service of services) service.release()
  // Idle connections are cut; it is the requests under way that are waited for.
  const end = performance.now() + STOP_PATIENCE
  server.stop()
  while (server.pendingRequests > 0 && performance.now() < end) await Bun.sleep(5)
  await server.stop(true)
  // Those that tell others stop before those that are told.
  for (const name of SERVICE_NAMES.toReversed()) await services.find((service) => service.name === name)?.stop()
}
