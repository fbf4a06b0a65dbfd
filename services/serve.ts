import type { Server } from 'bun'
import type { AnyElysia } from 'elysia'
import { version } from '../package.json'
import type { Mailer } from './auth/mail/transport.ts'
import { combinedApp } from './combined-app.ts'
import { systemClock, timestamp } from './kit/clock.ts'
import { listen } from './kit/http/listen.ts'
import type { Runtime, Service } from './kit/http/runtime.ts'
import { InternalError, openLog } from './kit/log.ts'
import { callDirectly } from './kit/outgoing.ts'
import { PasswordHasher } from './kit/passwords/hasher.ts'
import { atOneAddress, type Config } from './kit/process/config.ts'
import { addHashQueueMetrics, Metrics, MetricsRegistry } from './kit/process/metrics.ts'
import { systemRandom } from './kit/random.ts'
import type { Link } from './peers/link.ts'
import { createPeers, type Peers } from './peers/peers.ts'
import {
  DELETION_SUBSCRIBERS,
  isWholeApi,
  SERVICE_NAMES,
  SERVICE_TAGS,
  SERVICES,
  type ServiceName,
} from './registry.ts'
import { router } from './router.ts'
import { writeRunFiles } from './run-files.ts'

/** Milliseconds that a stop waits for active requests. With the steps after that, a stop takes at most 10 s. */
const DRAIN_TIMEOUT = 8000

export interface Served {
  /** The address that takes requests. */
  url: string
  services: readonly ServiceName[]
  /** The apps that are served: every route with its schemas. The combined app comes first when there are several. */
  apps: readonly AnyElysia[]
  /** Takes no new requests, finishes the active ones and closes everything, within 10 seconds. */
  stop(): Promise<void>
}

/** Replacements, for tests. */
export interface ServeOptions {
  runtime?: Partial<Runtime>
  mailer?: Mailer
}

/**
 * Serves some services in this process on one port: a single service at its own address, several at CH202_URL, or where
 * the settings say to listen. They call each other in memory, and services of other processes at their addresses.
 * @throws DatabaseError; InternalError; Error with a message for the operator when the port can't be opened
 */
export async function serve(
  settings: Config<ServiceName>,
  names: readonly ServiceName[] = SERVICE_NAMES,
  { runtime: overrides = {}, mailer }: ServeOptions = {},
): Promise<Served> {
  const config = isWholeApi(names) ? atOneAddress(settings, names) : settings
  const address = names.length === 1 && names[0] ? config.listen[names[0]] : config.listenAll
  // Only the owner may read the files that a service creates, those that SQLite creates beside its database included.
  process.umask(0o077)

  const services: Service[] = []
  const link = linkFinder(config, names, services)
  const { server, answerWith, closeConnections } = listen(address, config.idleTimeout)
  const url = address.replace(/:0$/, `:${server.port}`)
  const runtime = { ...newRuntime(config, url, names), ...overrides }
  addHashQueueMetrics(runtime.metrics, runtime.hasher)
  try {
    const peers = { ...createPeers(link, DELETION_SUBSCRIBERS), ...(mailer ? { mailer } : {}) }
    for (const name of names) services.push(await build(name, runtime, peers))
    for (const service of services) addReadiness(service, runtime)
  } catch (error) {
    await server.stop(true)
    for (const service of services) await service.stop()
    throw error
  }
  const apps = services.map(({ app }) => app)
  if (apps.length > 1) apps.unshift(combinedApp(runtime, services))
  const pages = services.flatMap((service) => service.pages ?? [])
  for (const app of [...apps, ...pages]) app.server = server
  answerWith(router(apps, pages[0]))
  await Promise.all(services.map((service) => service.start()))
  const removeRunFiles = writeRunFiles(config.dataDir, names, { url, startedAt: timestamp(runtime.clock.now()) })
  return {
    url,
    services: names,
    apps,
    stop() {
      removeRunFiles()
      closeConnections()
      return stop(server, services)
    },
  }
}

function newRuntime(config: Config, address: string, names: readonly ServiceName[]): Runtime {
  const log = (service: string) => openLog(service, config, { showsService: names.length > 1 })
  return {
    config,
    clock: systemClock,
    random: systemRandom,
    hasher: new PasswordHasher(config, log('hasher')),
    metrics: new MetricsRegistry(),
    log,
    version,
    address,
    tags: SERVICE_TAGS,
  }
}

/**
 * Returns a function that finds the way to a service: in memory when this process serves it, over HTTP otherwise.
 * @param services filled while the services are built
 */
function linkFinder(config: Config<ServiceName>, names: readonly ServiceName[], services: readonly Service[]) {
  const key = config.internalKeys[0] ?? ''
  return (name: ServiceName): Link =>
    names.includes(name)
      ? { url: 'http://localhost', key, fetch: (request) => appOf(services, name).handle(request) }
      : { url: config.addresses[name], key, fetch: (request) => callDirectly(request) }
}

function appOf(services: readonly Service[], name: ServiceName): AnyElysia {
  const service = services.find((candidate) => candidate.name === name)
  if (!service) throw new InternalError(`The service ${name} is not built yet`)
  return service.app
}

async function build(name: ServiceName, runtime: Runtime, peers: Peers): Promise<Service> {
  const buildService = await SERVICES[name].load()
  return await buildService(runtime, peers)
}

/** Adds whether a service should get requests, as `GET /health/ready` says it. */
function addReadiness({ assertReady, name }: Service, { metrics }: Runtime): void {
  new Metrics(name, metrics).gauge('ch202_ready', '1: the service should get requests; 0: it should not', () =>
    assertReady().then(
      () => 1,
      () => 0,
    ),
  )
}

async function stop(server: Server<undefined>, services: readonly Service[]): Promise<void> {
  for (const service of services) service.release()
  // Closes idle connections, and waits for the active requests.
  const end = performance.now() + DRAIN_TIMEOUT
  server.stop()
  while (server.pendingRequests > 0 && performance.now() < end) await Bun.sleep(5)
  await server.stop(true)
  // Services that deliver notices stop before the services that receive them.
  for (const name of SERVICE_NAMES.toReversed()) await services.find((service) => service.name === name)?.stop()
}
