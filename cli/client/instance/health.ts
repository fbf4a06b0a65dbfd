import { SERVICE_NAMES, SERVICES_WITH_DATABASE, type ServiceName } from '../../../services/registry.ts'
import { COMBINED_APP, type ProbeResult, probe } from './probe.ts'

type Addresses = Record<ServiceName, { value: string }>

/** Health of a service, as `ch202 health` prints it. */
export interface Health extends Record<string, unknown> {
  service: ServiceName
  status: 'ok' | 'failed'
  version: string | null
  uptime_s: number | null
  /** Response time in milliseconds. */
  latency_ms: number | null
  /** Milliseconds for a write and a read in the database, measured by the service; null for a service without one. */
  db_latency_ms: number | null
  address: string
  message: string
  /** State of the password cache; null for services other than auth. */
  cache: Record<string, unknown> | null
}

/** Checks the health of services. */
export function healthOf(services: readonly ServiceName[], addresses: Addresses, debug: boolean): Promise<Health[]> {
  // Behind a proxy or in one process, all services share one address.
  const isShared = new Set(SERVICE_NAMES.map((service) => addresses[service].value)).size === 1
  return Promise.all(services.map((service) => healthAt(service, addresses[service].value, isShared, debug)))
}

async function healthAt(service: ServiceName, address: string, isShared: boolean, debug: boolean): Promise<Health> {
  const probeIf = async (applies: boolean, path: string) => (applies ? await probe(address + path, debug) : undefined)
  const hasDatabase = SERVICES_WITH_DATABASE.includes(service)
  const [process, database, cache, readiness] = await Promise.all([
    probe(`${address}/health`, debug),
    probeIf(hasDatabase, '/health/db'),
    probeIf(service === 'auth', '/health/cache'),
    probeIf(!hasDatabase, '/health/ready'),
  ])
  const faults = [
    processFault(process, service, isShared),
    partFault(database, 'the database'),
    partFault(cache, 'the password cache'),
    partFault(readiness, 'not ready'),
  ]
  const failure = faults.find((fault) => fault !== undefined)
  const { body, latencyMs, status } = process
  return {
    service,
    status: failure === undefined ? 'ok' : 'failed',
    version: textIn(body.version),
    uptime_s: numberIn(body.uptime_s),
    latency_ms: status === 0 ? null : latencyMs,
    db_latency_ms: numberIn(database?.body.latency_ms),
    address,
    message: failure ?? '',
    cache: cache?.status === 200 ? cache.body : null,
  }
}

function processFault(answer: ProbeResult, service: ServiceName, isShared: boolean): string | undefined {
  if (answer.status === 0) return answer.failure
  const name = answer.body.service
  if (answer.status !== 200 || answer.body.status !== 'ok' || typeof name !== 'string')
    return `not a Ch202 service (status ${answer.status})`
  return name === service || name === COMBINED_APP || isShared ? undefined : `the service at this address is ${name}`
}

function partFault(answer: ProbeResult | undefined, part: string): string | undefined {
  if (answer === undefined || answer.status === 200) return undefined
  return `${part}: ${answer.failure ?? textIn(answer.body.code) ?? `status ${answer.status}`}`
}

function textIn(value: unknown): string | null {
  return typeof value === 'string' ? value : null
}

function numberIn(value: unknown): number | null {
  return typeof value === 'number' ? value : null
}
