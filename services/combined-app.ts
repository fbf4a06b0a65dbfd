import type { AnyElysia } from 'elysia'
import { service } from './kit/http/app.ts'
import { health } from './kit/http/health.ts'
import { openApiDocument } from './kit/http/openapi/document.ts'
import type { Runtime, Service } from './kit/http/runtime.ts'
import { swagger } from './kit/http/swagger.ts'
import { Metrics } from './kit/process/metrics.ts'

/** Where one process serves several services: what is asked of all of them together. */
export function wholeApp(runtime: Runtime, services: readonly Service[]): AnyElysia {
  const { clock, config, random, version } = runtime
  const log = runtime.log('ch202')
  const metrics = new Metrics('ch202', runtime.metrics)
  const [first] = services
  if (!first) throw new Error('There is no service to be asked about')
  const routes = health({
    service: 'ch202',
    version,
    clock,
    metrics,
    guard: first.guard,
    probe: async () => {
      await Promise.all(services.map((one) => one.probe()))
    },
  })
  routes.use(
    swagger(first.guard, () =>
      openApiDocument('Ch202', version, Object.assign({}, ...services.map((one) => one.paths()))),
    ),
  )
  return service({ log, clock, random, metrics, corsOrigins: config.corsOrigins }, { routes })
}
