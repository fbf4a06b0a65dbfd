import type { AnyElysia } from 'elysia'
import { ClientAddress } from '../client-address.ts'
import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import { type NodeDescription, processName } from '../nodes/nodes.ts'
import type { Hasher } from '../passwords/hasher.ts'
import type { Config } from '../process/config.ts'
import { Metrics, type MetricsRegistry } from '../process/metrics.ts'
import type { Random } from '../random.ts'
import type { guard } from './guard.ts'
import type { Paths } from './openapi/document.ts'

/** The parts that the services of one process share. */
export interface Runtime {
  config: Config
  clock: Clock
  random: Random
  /** Shared, because the services of a process share its cores. */
  hasher: Hasher
  metrics: MetricsRegistry
  log(service: string): Log
  version: string
  /** The address at which the process listens. */
  address: string
  /** The chapters of the services in the OpenAPI document, with a sentence about each. */
  tags: Record<string, string>
}

/** A service that can be started and stopped. */
export interface Service {
  name: string
  app: AnyElysia
  /** The pages for people, which `web` has. Its app has the paths of all services. */
  pages?: AnyElysia
  guard: ReturnType<typeof guard>
  /** Its paths, for the documentation. */
  paths(): Paths
  /** Writes a row and reads it back. @throws when the database fails */
  probe(): Promise<void>
  /** Resolves if this node of the service should get requests. @throws Problem with a status of 503 otherwise */
  assertReady(): Promise<void>
  /** Starts the background work. Resolves when the service is ready for requests. */
  start(): Promise<void>
  /** Stops the background work and closes the database. To be called after the last request. */
  stop(): Promise<void>
  /** Answers the requests that are held open, so that the server can stop. */
  release(): void
}

/** The log, the metrics, the client addresses and the description of a service. */
export function serviceRuntime(name: string, { address, config, log, metrics, version }: Runtime) {
  const description: NodeDescription = { process: processName(process.pid), address, version }
  return {
    description,
    log: log(name),
    metrics: new Metrics(name, metrics),
    clientAddress: new ClientAddress(config.trustedProxies),
  }
}
