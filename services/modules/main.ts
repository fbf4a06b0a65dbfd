import { openModulesStore } from '../../db/modules/store.ts'
import { type FeedSource, RevocationSubscriber } from '../kit/feed/revocation-subscriber.ts'
import { documentedPaths, service } from '../kit/http/app.ts'
import { guard } from '../kit/http/guard.ts'
import { health } from '../kit/http/health.ts'
import { openApiDocument } from '../kit/http/openapi/document.ts'
import { swagger } from '../kit/http/openapi/swagger.ts'
import { type Runtime, type Service, serviceRuntime } from '../kit/http/runtime.ts'
import { auditOf } from '../kit/outbox/audit.ts'
import type { Event } from '../kit/outbox/events.ts'
import { type Notice, Outbox } from '../kit/outbox/outbox.ts'
import { ModuleFeed } from './feed.ts'
import { modulesRoutes } from './index.ts'
import type { ModulesContext } from './library.ts'
import type { AuthPeer, UsersPeer } from './peers.ts'

const NAME = 'modules'
/** How long a start waits for the first word of auth. */
const FIRST_WORD = 1000
const TIDY_EVERY = 60_000

/** Puts the modules service together. @throws DatabaseError */
export async function modulesService(
  runtime: Runtime,
  { auth, feed, users }: { auth: AuthPeer; feed: FeedSource; users: UsersPeer },
): Promise<Service> {
  const { clock, config, random, version } = runtime
  const { clientAddress, log, metrics } = serviceRuntime(NAME, runtime)
  const store = await openModulesStore(config)
  const outbox = new Outbox({
    target: 'auth',
    store,
    clock,
    log,
    send: tellAuth(auth),
  })
  const follower = new RevocationSubscriber({
    name: `${NAME}-${random.id()}`,
    source: feed,
    clock,
    log,
    maxLag: config.revocationMaxLag,
  })
  const { internalKeys, operatorKeys } = config
  const guarded = guard({ tokens: follower, internalKeys, operatorKeys, clientAddress })
  metrics.gauge('outbox_pending', 'Notices that others have not acknowledged', () => store.countNotices())

  const moduleFeed = new ModuleFeed({ store, clock })
  const wants: ModulesContext['wants'] = (type) => follower.wants(type)
  const routes = modulesRoutes({ store, clock, random, users, outbox, feed: moduleFeed, wants }, guarded)
  routes.use(health({ service: NAME, version, clock, metrics, guard: guarded, probe: () => store.probe() }))
  const paths = () => documentedPaths({ routes })
  routes.use(swagger(guarded, () => openApiDocument('Ch202 modules', version, paths())))
  const app = service({ log, clock, random, metrics, corsOrigins: config.corsOrigins }, { routes })
  let tidying: ReturnType<typeof setInterval> | undefined
  return {
    name: NAME,
    app,
    guard: guarded,
    paths,
    probe: () => store.probe(),
    async start() {
      outbox.start()
      tidying = setInterval(() => moduleFeed.prune(), TIDY_EVERY)
      await follower.start(FIRST_WORD)
    },
    release: () => moduleFeed.close(),
    async stop() {
      clearInterval(tidying)
      await Promise.all([outbox.stop(), follower.stop()])
      await store.close()
    },
  }
}

function tellAuth(auth: AuthPeer): (notice: Notice) => Promise<void> {
  return async (notice) => {
    if (notice.kind === 'event') await auth.recordEvents([notice.payload as unknown as Event])
    else await auth.recordAudit(auditOf(notice))
  }
}
