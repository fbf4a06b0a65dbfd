import { openModulesStore } from '../../db/modules/store.ts'
import { type FeedSource, RevocationSubscriber } from '../kit/feed/revocation-subscriber.ts'
import { documentedPaths, serviceApp } from '../kit/http/app.ts'
import { guard } from '../kit/http/guard.ts'
import { health } from '../kit/http/health.ts'
import { openApiDocument } from '../kit/http/openapi/document.ts'
import { Readiness } from '../kit/http/readiness.ts'
import { type Runtime, type Service, serviceRuntime } from '../kit/http/runtime.ts'
import { swagger } from '../kit/http/swagger.ts'
import { Nodes } from '../kit/nodes/nodes.ts'
import { auditEventOf } from '../kit/outbox/audit.ts'
import type { Event } from '../kit/outbox/events.ts'
import { type Notice, Outbox } from '../kit/outbox/outbox.ts'
import { addOutboxMetrics } from '../kit/outbox/waiting.ts'
import type { EventType } from '../kit/schema/events.ts'
import { ModuleFeed } from './feed.ts'
import { modulesRoutes } from './index.ts'
import type { AuthPeer, UsersPeer } from './peers.ts'

const NAME = 'modules'
/** Milliseconds that a start waits for the first page of the revocation feed. */
const FIRST_PAGE_TIMEOUT = 1000
/** Milliseconds between two searches for subscribers that stopped polling. */
const PRUNE_INTERVAL = 60_000

/** Builds the modules service. @throws DatabaseError */
export async function modulesService(
  runtime: Runtime,
  { auth, feed, users }: { auth: AuthPeer; feed: FeedSource; users: UsersPeer },
): Promise<Service> {
  const { clock, config, random, tags, version } = runtime
  const { clientAddress, description, log, metrics } = serviceRuntime(NAME, runtime)
  const store = await openModulesStore(config)
  const nodes = new Nodes({ store, description, clock, log })
  const outbox = new Outbox({
    target: 'auth',
    store,
    nodes,
    clock,
    log,
    send: sendTo(auth),
  })
  const revocations = new RevocationSubscriber({
    name: `${NAME}-${random.id()}`,
    source: feed,
    clock,
    log,
    maxLag: config.revocationMaxLag,
  })
  const { internalKeys, metricsKeys, mfa, operatorKeys } = config
  const guarded = guard({ tokens: revocations, internalKeys, operatorKeys, metricsKeys, mfa, clientAddress, clock })
  addOutboxMetrics(metrics, clock, { auth: () => store.waitingNotices('auth') })

  const moduleFeed = new ModuleFeed({ store, clock, log })
  const isSubscribed = (type: EventType) => revocations.isSubscribed(type)
  const routes = modulesRoutes({ store, clock, random, users, outbox, feed: moduleFeed, isSubscribed }, guarded)
  const probe = () => store.probe()
  const lease = { holder: revocations, code: 'auth_unavailable' } as const
  const readiness = new Readiness({ unavailable: 'modules_unavailable', probe, nodes, lease })
  const assertReady = () => readiness.assert()
  routes.use(health({ service: NAME, version, clock, metrics, guard: guarded, probe, assertReady }))
  const paths = () => documentedPaths({ routes })
  routes.use(swagger(guarded, () => openApiDocument('Ch202 modules', version, paths(), tags)))
  const app = serviceApp({ log, clock, random, metrics, corsOrigins: config.corsOrigins }, { routes })
  const prune = () => {
    moduleFeed.prune().catch((error) => log.error({ event: 'tidy.failed', err: error }))
  }
  let pruning: ReturnType<typeof setInterval> | undefined
  return {
    name: NAME,
    app,
    guard: guarded,
    paths,
    probe,
    assertReady,
    async start() {
      await nodes.start()
      outbox.start()
      moduleFeed.start()
      pruning = setInterval(prune, PRUNE_INTERVAL)
      await revocations.start(FIRST_PAGE_TIMEOUT)
      readiness.begin()
    },
    release() {
      readiness.end()
      moduleFeed.close()
    },
    async stop() {
      clearInterval(pruning)
      await Promise.all([outbox.stop(), revocations.stop(), moduleFeed.stop()])
      await nodes.stop()
      await store.close()
    },
  }
}

function sendTo(auth: AuthPeer): (notice: Notice) => Promise<void> {
  return async (notice) => {
    if (notice.kind === 'event') await auth.recordEvents([notice.payload as unknown as Event])
    else await auth.recordAudit(auditEventOf(notice))
  }
}
