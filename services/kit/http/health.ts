import { Elysia, t } from 'elysia'
import type { Clock } from '../clock.ts'
import { Problem } from '../problem.ts'
import type { Metrics } from '../process/metrics.ts'
import { described } from '../schema/described.ts'
import { number, strict } from '../schema/schema.ts'
import type { guard } from './guard.ts'
import { operation } from './openapi/operation.ts'

export interface HealthOptions {
  service: string
  version: string
  clock: Clock
  metrics: Metrics
  guard: ReturnType<typeof guard>
  /** Writes a row and reads it back. @throws when the database fails */
  probe(): Promise<void>
  /** Resolves if the process should get requests. @throws Problem with a status of 503 otherwise */
  assertReady(): Promise<void>
}

const STATUS = t.Literal('ok', { description: 'Always `ok`: a failure is an error' })
const up = strict({
  status: STATUS,
  service: t.String({ description: 'The name of the service', examples: ['auth'] }),
  version: t.String({ description: 'The version of Ch202', examples: ['1.0.0'] }),
  uptime_s: described(number(), 'Seconds since the start of the process', 3600),
})
const database = strict({
  status: STATUS,
  latency_ms: described(number(), 'How long the check took, in milliseconds', 0.4),
})

const ready = strict({ status: STATUS })

/** `GET /health/db`, and what `processHealth` has: the same on every service with a database. */
export function health(options: HealthOptions) {
  const { clock } = options
  return new Elysia()
    .use(options.guard)
    .use(processHealth(options))
    .get(
      '/health/db',
      async () => {
        const startedAt = clock.monotonic()
        try {
          await options.probe()
        } catch (cause) {
          throw new Problem('database_unavailable', { cause })
        }
        return { status: 'ok' as const, latency_ms: Math.round((clock.monotonic() - startedAt) * 100) / 100 }
      },
      {
        auth: ['anyone'],
        response: database,
        detail: operation('health', { summary: 'Check the database', description: 'Writes a row and reads it back.' }),
      },
    )
}

/** `GET /health`, `GET /health/ready` and `GET /metrics`, the same on every service. */
export function processHealth(options: Omit<HealthOptions, 'probe'>) {
  const { clock, metrics, service, version } = options
  const startedAt = clock.monotonic()
  return new Elysia()
    .use(options.guard)
    .get(
      '/health',
      () => ({
        status: 'ok' as const,
        service,
        version,
        uptime_s: Math.floor((clock.monotonic() - startedAt) / 1000),
      }),
      {
        auth: ['anyone'],
        response: up,
        detail: operation('health', 'Check the process'),
      },
    )
    .get(
      '/health/ready',
      async () => {
        await options.assertReady()
        return { status: 'ok' as const }
      },
      {
        auth: ['anyone'],
        response: ready,
        detail: operation(
          'health',
          {
            summary: 'Check whether to send requests here',
            description:
              'For load balancers. 503 while this node starts or stops, has no lease on the revocation feed, or has no ' +
              'database. Answers within about a second, also when the database is frozen.',
          },
          'auth_unavailable',
          'users_unavailable',
          'modules_unavailable',
        ),
      },
    )
    .get(
      '/metrics',
      async ({ set }) => {
        set.headers['content-type'] = 'text/plain; version=0.0.4; charset=utf-8'
        return await metrics.text()
      },
      {
        auth: ['operator', 'scraper', 'scope:metrics'],
        response: t.String({ examples: ['# TYPE ch202_http_request_duration_seconds histogram'] }),
        detail: operation('health', { summary: 'Get metrics', description: 'In the text format of Prometheus.' }),
      },
    )
}
