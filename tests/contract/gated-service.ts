import { Elysia, t } from 'elysia'
import { ModuleGates } from '../../services/kit/access/module-gate.ts'
import { ClientAddress } from '../../services/kit/client-address.ts'
import { systemClock } from '../../services/kit/clock.ts'
import { RevocationSubscriber } from '../../services/kit/feed/revocation-subscriber.ts'
import { serviceApp } from '../../services/kit/http/app.ts'
import { guard } from '../../services/kit/http/guard.ts'
import { silentLog } from '../../services/kit/log.ts'
import { Metrics, MetricsRegistry } from '../../services/kit/process/metrics.ts'
import { systemRandom } from '../../services/kit/random.ts'
import { feedSource } from '../../services/peers/auth.ts'
import { moduleFeedSource } from '../../services/peers/modules.ts'
import { type Answer, call, type Options } from '../support/http.ts'
import { INTERNAL_KEY, type Name, OPERATOR_KEY } from '../support/settings.ts'
import type { System } from '../support/system.ts'

/** A small service built on `services/kit`, with every route behind a module. */
export interface GatedService {
  /** Sends `GET /<path>`. @returns 200 or the code of the refusal */
  get(path: string, headers: Record<string, string>): Promise<number | string>
  answer(request: string, options: Options): Promise<Answer>
  /** The paths that it has requested from modules, except the polls. */
  lookups: string[]
  /** The number of polls that it has sent to modules. */
  polls: number
  stop(): Promise<void>
}

/** The callers that each kind of route accepts. */
const ACCESS = {
  users: ['user'],
  operators: ['user', 'operator'],
  services: ['user', 'internal'],
} as const

interface GatedServiceOptions {
  /** Addresses in place of those of the system. */
  urls?: Partial<Record<Name, string>>
  /** Sends the calls to the other services: over HTTP by default, in memory if they run in this process. */
  send?(request: Request, name: Name): Response | Promise<Response>
}

/**
 * Starts the service.
 * @param modules the ids of its modules: each has the routes `/<id>/users`, `/<id>/operators` and `/<id>/services`
 */
export async function startGatedService(
  system: Pick<System, 'url'>,
  modules: readonly string[],
  { urls = {}, send = (request) => fetch(request) }: GatedServiceOptions = {},
): Promise<GatedService> {
  const url = { ...system.url, ...urls }
  const seen = { lookups: [] as string[], polls: 0 }
  const link = (name: Name) => ({
    url: url[name],
    key: INTERNAL_KEY,
    fetch: (request: Request) => {
      const { pathname } = new URL(request.url)
      if (pathname.endsWith('/modules/sync/feed')) seen.polls++
      else if (name === 'modules') seen.lookups.push(pathname)
      return send(request, name)
    },
  })
  const kit = { clock: systemClock, log: silentLog }
  const name = `gated-${systemRandom.id()}`
  const tokens = new RevocationSubscriber({ ...kit, name, source: feedSource(link('auth')), maxLag: 30_000 })
  const gates = new ModuleGates({ ...kit, name, source: moduleFeedSource(link('modules')) })
  const guarded = guard({
    tokens,
    modules: gates,
    internalKeys: [INTERNAL_KEY],
    operatorKeys: [OPERATOR_KEY],
    clientAddress: new ClientAddress([]),
    clock: systemClock,
  })
  const routes = new Elysia({ normalize: false }).use(guarded)
  for (const module of modules)
    for (const [path, auth] of Object.entries(ACCESS))
      routes.get(`/${module}/${path}`, ({ caller }) => caller.actor, { auth, module, response: t.String() })
  // A route may name the two in either order.
  for (const module of modules)
    routes.post(`/${module}/bodies`, () => 'done', { module, auth: ['user'], body: t.Object({ name: t.String() }) })
  const metrics = new Metrics('gated', new MetricsRegistry())
  const app = serviceApp({ ...kit, random: systemRandom, metrics, corsOrigins: [] }, { routes })
  const server = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: (request) => app.handle(request) })
  await Promise.all([tokens.start(1000), gates.start(1000)])

  const answer: GatedService['answer'] = (request, options) => call(server.url.origin, request, options)
  return Object.assign(seen, {
    answer,
    async get(path: string, headers: Record<string, string>) {
      const { body, status } = await answer(`GET /${path}`, { headers })
      return status === 200 ? 200 : (body.code as string)
    },
    async stop() {
      await server.stop(true)
      await Promise.all([tokens.stop(), gates.stop()])
    },
  })
}
