import { ModuleGates } from './kit/access/module-gate.ts'
import { documentedPaths } from './kit/http/app.ts'
import { guard } from './kit/http/guard.ts'
import { health } from './kit/http/health.ts'
import { type OpenApiDocument, openApiDocument } from './kit/http/openapi/document.ts'
import { descriptorOf, SERVICE_NAMES, SERVICE_TAGS } from './registry.ts'

/** Stands in for everything that the routes would use: they are never called. */
const UNUSED = undefined as never

/** Builds the OpenAPI document of all services. No service has to run. */
export async function documentation(version: string): Promise<OpenApiDocument> {
  const clock = { now: () => 0, monotonic: () => 0 }
  const modules = new ModuleGates({ name: 'documentation', source: UNUSED, clock, log: UNUSED })
  const keys = { internalKeys: [], operatorKeys: [] }
  const guarded = guard({ tokens: UNUSED, modules, ...keys, clientAddress: UNUSED, clock })
  const unused = { metrics: UNUSED, probe: UNUSED, assertReady: UNUSED }
  const common = health({ service: 'ch202', version, clock, guard: guarded, ...unused })
  const paths = documentedPaths({ routes: common })
  for (const name of SERVICE_NAMES) {
    const documented = await descriptorOf(name).documentedRoutes?.(guarded)
    if (documented) Object.assign(paths, documentedPaths(documented, documented.forms))
  }
  return openApiDocument('Ch202', version, paths, SERVICE_TAGS)
}
