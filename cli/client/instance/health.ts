import { type Connection, PLACES, type Place } from '../connection.ts'
import { type Answer, ask, WHOLE } from './answer.ts'

/** How a service does. */
export interface Health extends Record<string, unknown> {
  service: Place
  status: 'ok' | 'failed'
  version: string | null
  uptime_s: number | null
  /** How long the answer took, in milliseconds. */
  latency_ms: number | null
  /** How long a write and a read through the database took, as the service measured it. */
  db_latency_ms: number | null
  address: string
  message: string
  /** How the password cache does: auth alone has one. */
  cache: Record<string, unknown> | null
}

/** Asks every service how it does. */
export function healthOfAll({ addresses }: Connection, debug: boolean): Promise<Health[]> {
  // Behind a proxy, or in one process, one answers for all.
  const one = new Set(PLACES.map((place) => addresses[place].value)).size === 1
  return Promise.all(PLACES.map((place) => healthOf(place, addresses[place].value, one, debug)))
}

async function healthOf(service: Place, address: string, oneForAll: boolean, debug: boolean): Promise<Health> {
  const paths = ['/health', '/health/db', ...(service === 'auth' ? ['/health/cache'] : [])]
  const [process, database, cache] = await Promise.all(paths.map((path) => ask(address + path, debug)))
  const message = [
    processFault(process, service, oneForAll),
    fault(database, 'the database'),
    fault(cache, 'the password cache'),
  ]
  const said = message.find((text) => text !== undefined)
  const { body = {}, status = 0, took = null } = process ?? {}
  return {
    service,
    status: said === undefined ? 'ok' : 'failed',
    version: textIn(body.version),
    uptime_s: numberIn(body.uptime_s),
    latency_ms: status === 0 ? null : took,
    db_latency_ms: numberIn(database?.body.latency_ms),
    address,
    message: said ?? '',
    cache: cache?.status === 200 ? cache.body : null,
  }
}

function processFault(answer: Answer | undefined, service: Place, oneForAll: boolean): string | undefined {
  if (answer?.status === 0) return answer.failure
  const found = answer?.body.service
  if (answer?.status !== 200 || answer.body.status !== 'ok' || typeof found !== 'string')
    return `what answers is no service of Ch202 (status ${answer?.status})`
  return found === service || found === WHOLE || oneForAll ? undefined : `${found} answers there`
}

function fault(answer: Answer | undefined, what: string): string | undefined {
  if (answer === undefined || answer.status === 200) return undefined
  return `${what}: ${answer.failure ?? textIn(answer.body.code) ?? `status ${answer.status}`}`
}

function textIn(value: unknown): string | null {
  return typeof value === 'string' ? value : null
}

function numberIn(value: unknown): number | null {
  return typeof value === 'number' ? value : null
}
