import { afterAll, beforeAll, setDefaultTimeout } from 'bun:test'
import { ofEachService } from '../../services/registry.ts'
import { PATIENCE } from './eventually.ts'
import { clientOf } from './http.ts'
import type { System } from './system.ts'

/** Starts a system: `inProcess`, `inProcessApart`, or one of `overProcesses`. */
export type Start<Started extends System = System> = (env?: Record<string, string>) => Promise<Started>

/** Starts a system for all tests of the `describe` that calls it, and gives a client for each service. */
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
