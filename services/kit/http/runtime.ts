import type { AnyElysia } from 'elysia'
import { ClientAddress } from '../client-address.ts'
import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import type { Hasher } from '../passwords/hasher.ts'
import type { Config } from '../process/config.ts'
import { Metrics, type MetricsRegistry } from '../process/metrics.ts'
import type { Random } from '../random.ts'
import type { guard } from './guard.ts'
import type { Paths } from './openapi/document.ts'

/** What a process gives each of its services. */
export interface Runtime {
  config: Config
  clock: Clock
  random: Random
  /** One for the process: the services of one process share its cores. */
  hasher: Hasher
  metrics: MetricsRegistry
  log(service: string): Log
  version: string
  /** The chapters of the services in the OpenAPI document, with a sentence about each. */
  tags: Record<string, string>
}

/** A service that has been put together and can be started and stopped. */
export interface Service {
  name: string
  app: AnyElysia
  guard: ReturnType<typeof guard>
  /** What the documentation says of its paths. */
  paths(): Paths
  /** Writes a row and reads it back. @throws when the database doesn't take it */
  probe(): Promise<void>
  /** Begins what runs beside the requests. Resolves when the service is ready to decide about them. */
  start(): Promise<void>
  /** Stops what `start` began, and closes the database. No request comes any more. */
  stop(): Promise<void>
  /** Answers what is held open, so that the server can stop. */
  release(): void
}

/** What every service is made with. */
export function serviceRuntime(name: string, { config, log, metrics }: Runtime) {
  return {
    log: log(name),
    metrics: new Metrics(name, metrics),
    clientAddress: new ClientAddress(config.trustedProxies),
  }
}
