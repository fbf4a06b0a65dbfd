import { authRoutes, FORMS } from './auth/index.ts'
import { authV0 } from './auth/routes/v0.ts'
import { ModuleGates } from './kit/access/module-gate.ts'
import { documentedPaths } from './kit/http/app.ts'
import { guard } from './kit/http/guard.ts'
import { health } from './kit/http/health.ts'
import { type OpenApiDocument, openApiDocument } from './kit/http/openapi/document.ts'
import { modulesRoutes } from './modules/index.ts'
import { usersRoutes } from './users/index.ts'
import { usersV0 } from './users/routes/v0.ts'

/** The routes are made to be read, and never called: what they would work with is not there. */
const UNUSED = undefined as never

/** The document of all three services, without one of them running. */
export function documentation(version: string): OpenApiDocument {
  const clock = { now: () => 0, monotonic: () => 0 }
  const modules = new ModuleGates({ name: 'documentation', source: UNUSED, clock, log: UNUSED })
  const guarded = guard({ tokens: UNUSED, modules, internalKeys: [], operatorKeys: [], clientAddress: UNUSED })
  const common = health({ service: 'ch202', version, clock, metrics: UNUSED, guard: guarded, probe: UNUSED })
  return openApiDocument('Ch202', version, {
    ...documentedPaths({ routes: common }),
    ...documentedPaths({ routes: authRoutes(UNUSED, UNUSED, guarded), root: authV0(UNUSED, guarded) }, FORMS),
    ...documentedPaths({ routes: usersRoutes(UNUSED, guarded), root: usersV0(UNUSED, guarded) }),
    ...documentedPaths({ routes: modulesRoutes(UNUSED, guarded) }),
  })
}
