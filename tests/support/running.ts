import { afterAll, beforeAll, setDefaultTimeout } from 'bun:test'
import { ofEachService } from '../../services/registry.ts'
import { type Answer, call, type Name, type System, startSystem, type Way } from './system.ts'

export type Options = NonNullable<Parameters<typeof call>[2]>
export type Client = (request: string, options?: Options) => Promise<Answer>

/** A system for all tests of the `describe` that this stands in, and a client for each of its services. */
export function running(way: Way, env: Record<string, string> = {}) {
  let system: System
  // Restarts take their time on a busy machine.
  setDefaultTimeout(20_000)
  beforeAll(async () => {
    system = await startSystem(way, env)
  })
  afterAll(() => system?.stop())
  const client =
    (name: Name): Client =>
    (request, options) => {
      const [method, path] = request.split(' ')
      return call(system.url[name], `${method} /api/v1${path}`, options)
    }
  return {
    get system() {
      return system
    },
    ...ofEachService(client),
  }
}

/** A body as a form sends it (RFC 7009 and RFC 7662 ask for one). */
export function form(fields: Record<string, string>, headers: Record<string, string> = {}): Options {
  return {
    body: new URLSearchParams(fields).toString(),
    headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
  }
}
