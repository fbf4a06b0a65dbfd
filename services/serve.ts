import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { AnyElysia } from 'elysia'
import type { Server } from 'bun'
import { version } from '../package.json'
import { authService } from './auth/main.ts'
import type { Mailer } from './auth/mailer.ts'
import { systemClock, timestamp } from './kit/clock.ts'
import { type Config, atOneAddress } from './kit/config.ts'
import { PasswordHasher } from './kit/hasher.ts'
import { openLog } from './kit/log.ts'
import { Problem } from './kit/problem.ts'
import { systemRandom } from './kit/random.ts'
import type { Runtime, Service } from './kit/runtime.ts'
import { SERVER_BODY_MAX } from './kit/service.ts'
import { modulesService } from './modules/main.ts'
import { authOfModules, authOfUsers, feedSource, type Link, modulesOfUsers, usersOfAuth, usersOfModules } from './peers.ts'
import { usersService } from './users/main.ts'

export const SERVICES = ['auth', 'users', 'modules'] as const
export type ServiceName = (typeof SERVICES)[number]

/** How long a stop waits for the requests under way. */
const STOP_PATIENCE = 10_000

export interface Served {
  /** Where it takes requests. */
  url: string
  services: readonly ServiceName[]
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
  names: readonly ServiceName[] = SERVICES,
  { runtime: given = {}, mailer }: ServeOptions = {},
): Promise<Served> {
  const together = names.length === SERVICES.length
  const config = together ? atOneAddress(settings) : settings
  const address = names.length === 1 && names[0] ? addressOf(config, names[0]) : config.url
  const runtime: Runtime = {
    config,
    clock: systemClock,
    random: systemRandom,
    hasher: new PasswordHasher(config, openLog('hasher', config)),
    log: (service) => openLog(service, config),
    version,
    ...given,
  }
  // Every file that a service makes is its owner's alone, those that SQLite makes beside its database too.
  process.umask(0o077)

  const services: Service[] = []
  const link = (name: ServiceName): Link => ({
    url: addressOf(config, name),
    key: config.internalKeys[0] ?? '',
    fetch: names.includes(name) ? (request) => appOf(services, name).handle(request) : (request) => fetch(request),
  })
  const server = listen(address, services)
  try {
    for (const name of names) services.push(await build(name, runtime, link, mailer))
  } catch (error) {
    await server.stop(true)
    for (const service of services) await service.stop()
    throw error
  }
  for (const { app } of services) app.server = server
  await Promise.all(services.map((service) => service.start()))
  const url = address.replace(/:0$/, `:${server.port}`)
  const forget = announce(config.dataDir, names, url, timestamp(runtime.clock.now()))
  return { url, services: names, stop: () => stop(server, services, forget) }
}

async function build(
  name: ServiceName,
  runtime: Runtime,
  link: (name: ServiceName) => Link,
  mailer: Mailer | undefined,
): Promise<Service> {
  if (name === 'auth') return authService(runtime, { users: usersOfAuth(link('users')), ...(mailer ? { mailer } : {}) })
  const feed = feedSource(link('auth'))
  if (name === 'users')
    return usersService(runtime, { auth: authOfUsers(link('auth')), feed, modules: modulesOfUsers(link('modules')) })
  return modulesService(runtime, { auth: authOfModules(link('auth')), feed, users: usersOfModules(link('users')) })
}

function addressOf(config: Config, name: ServiceName): string {
  return { auth: config.authUrl, users: config.usersUrl, modules: config.modulesUrl }[name]
}

function appOf(services: readonly Service[], name: ServiceName): AnyElysia {
  const service = services.find((candidate) => candidate.name === name)
  if (!service) throw new Problem(name === 'users' ? 'users_unavailable' : 'auth_unavailable')
  return service.app
}

/** The port is taken first: two instances on one directory must not both open its databases. */
function listen(address: string, services: readonly Service[]): Server<undefined> {
  const { hostname, port, protocol } = new URL(address)
  const route = router(services)
  try {
    return Bun.serve({
      hostname: hostname.replace(/^\[|\]$/g, ''),
      port: port || (protocol === 'https:' ? 443 : 80),
      maxRequestBodySize: SERVER_BODY_MAX,
      idleTimeout: 30,
      fetch: (request) => route(request),
    })
  } catch (error) {
    const busy = (error as { code?: unknown }).code === 'EADDRINUSE'
    throw new Error(
      busy
        ? `${address} is in use: another program, or another Ch202, listens there. Stop it, or set another address`
        : `${address} cannot be listened on: ${error instanceof Error ? error.message : 'unknown error'}`,
      { cause: error },
    )
  }
}

/** One service takes every request; of several, each takes the paths that begin with one of its own first parts. */
function router(services: readonly Service[]): (request: Request) => Response | Promise<Response> {
  const owners = new Map<string, AnyElysia>()
  let known = 0
  return (request) => {
    const [first] = services
    if (services.length > known) {
      known = services.length
      for (const { app } of services)
        for (const { path } of app.routes) {
          const part = firstPart(path)
          if (!owners.has(part)) owners.set(part, app)
        }
    }
    if (!first) return new Response(null, { status: 503, headers: { 'retry-after': '1' } })
    if (services.length === 1) return first.app.fetch(request)
    return (owners.get(firstPart(pathOf(request.url))) ?? first.app).fetch(request)
  }
}

function pathOf(url: string): string {
  const start = url.indexOf('/', url.indexOf('://') + 3)
  return start < 0 ? '/' : url.slice(start)
}

function firstPart(path: string): string {
  return /^(?:\/api\/v1)?\/([^/?#]*)/.exec(path)?.[1] ?? ''
}

/** Where the tool finds what runs here. */
function announce(dataDir: string, names: readonly ServiceName[], url: string, startedAt: string): () => void {
  const directory = join(dataDir, 'run')
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  for (const name of names)
    writeFileSync(
      join(directory, `${name}.json`),
      `${JSON.stringify({ service: name, url, pid: process.pid, started_at: startedAt })}\n`,
      { mode: 0o600 },
    )
  return () => {
    for (const name of names) rmSync(join(directory, `${name}.json`), { force: true })
  }
}

async function stop(server: Server<undefined>, services: readonly Service[], forget: () => void): Promise<void> {
  forget()
  for (const service of services) service.release()
  // Idle connections are cut; it is the requests under way that are waited for.
  const end = performance.now() + STOP_PATIENCE
  server.stop()
  while (server.pendingRequests > 0 && performance.now() < end) await Bun.sleep(5)
  await server.stop(true)
  // Those that tell others stop before those that are told.
  for (const name of ['modules', 'users', 'auth'])
    await services.find((service) => service.name === name)?.stop()
}
