import type { AnyElysia } from 'elysia'
import { serviceApp } from './kit/http/app.ts'
import { health } from './kit/http/health.ts'
import { openApiDocument } from './kit/http/openapi/document.ts'
import type { Runtime, Service } from './kit/http/runtime.ts'
import { swagger } from './kit/http/swagger.ts'
import { Metrics } from './kit/process/metrics.ts'

/** The app of a process that serves several services: their common health, metrics and OpenAPI document. */
export function combinedApp(runtime: Runtime, services: readonly Service[]): AnyElysia {
  const { clock, config, random, tags, version } = runtime
  const log = runtime.log('ch202')
  const metrics = new Metrics('ch202', runtime.metrics)
  const [first] = services
  if (!first) throw new Error('There is no service to combine')
  const routes = health({
    service: 'ch202',
    version,
    clock,
    metrics,
    guard: first.guard,
    probe: async () => {
      await Promise.all(services.map(({ probe }) => probe()))
    },
    assertReady: async () => {
      await Promise.all(services.map((service) => service.assertReady()))
    },
  })
  const paths = () => Object.assign({}, ...services.map((part) => part.paths()))
  routes.use(swagger(first.guard, () => openApiDocument('Ch202', version, paths(), tags)))
  return serviceApp({ log, clock, random, metrics, corsOrigins: config.corsOrigins }, { routes })
}
