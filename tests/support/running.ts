import { afterAll, beforeAll, setDefaultTimeout } from 'bun:test'
import { ofEachService } from '../../services/registry.ts'
import { PATIENCE } from './eventually.ts'
import { clientOf } from './http.ts'
import type { System } from './system.ts'

/** Starts a system, as `inProcess`, `inProcessApart` and `overProcesses(layout)` do. @param env settings */
export type Start<Started extends System = System> = (env?: Record<string, string>) => Promise<Started>

/**
 * Starts a system before the tests of the `describe` that calls it, and stops it after them.
 * @param env settings
 * @returns the system, and for each service a client of its paths under `/api/v1`
 * @example
 * const here = running(inProcess, { RATE_LIMIT: 'off' })
 * test('…', async () => {
 *   const user = await registerUser(here.system)
 *   await here.auth('GET /auth/me', { headers: as.bearer(user.tokens.access_token) })
 * })
 */
export function running<Started extends System>(start: Start<Started>, env: Record<string, string> = {}) {
  let system: Started
  setDefaultTimeout(2 * PATIENCE)
  beforeAll(async () => {
    system = await start(env)
  }, PATIENCE)
  afterAll(() => system?.stop(), PATIENCE)
  return {
    get system() {
      return system
    },
    ...ofEachService((name) => clientOf(() => system.url[name])),
  }
}
