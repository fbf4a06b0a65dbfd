import { openUsersStore } from '../../db/users/store.ts'
import type { Clock } from '../kit/clock.ts'
import { type FeedSource, RevocationSubscriber } from '../kit/feed/revocation-subscriber.ts'
import { documentedPaths, serviceApp } from '../kit/http/app.ts'
import { guard } from '../kit/http/guard.ts'
import { health } from '../kit/http/health.ts'
import { openApiDocument } from '../kit/http/openapi/document.ts'
import { Readiness } from '../kit/http/readiness.ts'
import { type Runtime, type Service, serviceRuntime } from '../kit/http/runtime.ts'
import { swagger } from '../kit/http/swagger.ts'
import type { Log } from '../kit/log.ts'
import { Nodes } from '../kit/nodes/nodes.ts'
import { Outbox } from '../kit/outbox/outbox.ts'
import { addOutboxMetrics } from '../kit/outbox/waiting.ts'
import type { EventType } from '../kit/schema/events.ts'
import type { UsersContext } from './context.ts'
import { STREAMS, usersRoutes } from './index.ts'
import { Outboxes, sendBatchToAuth, sendDeletion, sendToAuth } from './outbox.ts'
import type { AuthPeer, DeletionListener } from './peers.ts'
import { usersV0 } from './routes/v0.ts'
import { SearchMerging } from './search-merging.ts'
import type { UsersStore } from './store.ts'

const NAME = 'users'
/** Milliseconds that a start waits for the first page of the revocation feed. */
const FIRST_PAGE_TIMEOUT = 1000

/** Further paths of `POST /users`. */
const ALIASES = { '/user/register': '/users', '/api/v1/user/register': '/users' }

/** Builds the users service. @throws DatabaseError */
export async function usersService(
  runtime: Runtime,
  { auth, feed, listeners }: { auth: AuthPeer; feed: FeedSource; listeners: readonly DeletionListener[] },
): Promise<Service> {
  const { clock, config, hasher, random, tags, version } = runtime
  const { clientAddress, description, log, metrics } = serviceRuntime(NAME, runtime)
  const store = await openUsersStore(config)
  const nodes = new Nodes({ store, description, clock, log })
  const outboxes = outboxesFor({ store, nodes, clock, log }, auth, listeners, () => revocations.silence)
  const revocations = new RevocationSubscriber({
    name: `${NAME}-${random.id()}`,
    source: feed,
    clock,
    log,
    maxLag: config.revocationMaxLag,
  })
  const isSubscribed = (type: EventType) => revocations.isSubscribed(type)
  const { lacksSecondFactor } = auth
  const context: UsersContext = { store, clock, random, hasher, outboxes, isSubscribed, lacksSecondFactor, log, config }
  const { internalKeys, metricsKeys, mfa, operatorKeys, supportRole } = config
  const guarded = guard({
    tokens: revocations,
    internalKeys,
    operatorKeys,
    metricsKeys,
    supportRole,
    mfa,
    clientAddress,
    clock,
  })
  const targets = ['auth', ...outboxes.subscribers]
  const reads = targets.map((target) => [target, () => store.waitingNotices(target)] as const)
  addOutboxMetrics(metrics, clock, Object.fromEntries(reads))

  const routes = usersRoutes(context, guarded)
  const probe = () => store.probe()
  const lease = { holder: revocations, code: 'auth_unavailable' } as const
  const readiness = new Readiness({ unavailable: 'users_unavailable', probe, nodes, lease })
  const assertReady = () => readiness.assert()
  routes.use(health({ service: NAME, version, clock, metrics, guard: guarded, probe, assertReady }))
  const root = usersV0(context, guarded)
  const paths = () => documentedPaths({ routes, root })
  routes.use(swagger(guarded, () => openApiDocument('Ch202 users', version, paths(), tags)))
  const app = serviceApp(
    { log, clock, random, metrics, corsOrigins: config.corsOrigins, streams: STREAMS },
    { routes, root, aliases: ALIASES },
  )
  const merging = new SearchMerging(store, log)
  return {
    name: NAME,
    app,
    guard: guarded,
    paths,
    probe,
    assertReady,
    async start() {
      await nodes.start()
      outboxes.start()
      await revocations.start(FIRST_PAGE_TIMEOUT)
      merging.start()
      readiness.begin()
    },
    release: () => readiness.end(),
    async stop() {
      await Promise.all([outboxes.stop(), revocations.stop(), merging.stop()])
      await nodes.stop()
      await store.close()
    },
  }
}

function outboxesFor(
  options: { store: UsersStore; nodes: Nodes; clock: Clock; log: Log },
  auth: AuthPeer,
  listeners: readonly DeletionListener[],
  silence: () => number,
): Outboxes {
  const { store } = options
  return new Outboxes(
    new Outbox({ ...options, target: 'auth', send: sendToAuth(store, auth), batch: sendBatchToAuth(store, auth) }),
    listeners.map((listener) => new Outbox({ ...options, target: listener.name, send: sendDeletion(listener) })),
    listeners.map(({ name }) => name),
    silence,
  )
}
