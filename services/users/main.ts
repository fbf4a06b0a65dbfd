import { openUsersStore } from '../../db/users/store.ts'
import { type FeedSource, RevocationSubscriber } from '../kit/feed/revocation-subscriber.ts'
import { documentedPaths, service } from '../kit/http/app.ts'
import { guard } from '../kit/http/guard.ts'
import { health } from '../kit/http/health.ts'
import { openApiDocument } from '../kit/http/openapi/document.ts'
import { swagger } from '../kit/http/openapi/swagger.ts'
import { type Runtime, type Service, serviceRuntime } from '../kit/http/runtime.ts'
import type { EventType } from '../kit/outbox/events.ts'
import { Outbox } from '../kit/outbox/outbox.ts'
import { STREAMS, usersRoutes } from './index.ts'
import { Outboxes, sendBatchToAuth, sendDeletion, sendToAuth } from './outbox.ts'
import type { AuthPeer, DeletionListener } from './peers.ts'
import { SearchMerging } from './search-merging.ts'
import type { UsersContext } from './users.ts'
import { usersV0 } from './v0.ts'

const NAME = 'users'
/** How long a start waits for the first word of auth. */
const FIRST_WORD = 1000

const REGISTER = { '/user/register': '/users', '/api/v1/user/register': '/users' }

/** Puts the users service together. @throws DatabaseError */
export async function usersService(
  runtime: Runtime,
  { auth, feed, listeners }: { auth: AuthPeer; feed: FeedSource; listeners: readonly DeletionListener[] },
): Promise<Service> {
  const { clock, config, hasher, random, version } = runtime
  const { clientAddress, log, metrics } = serviceRuntime(NAME, runtime)
  const store = await openUsersStore(config)
  const outbox = { store, clock, log }
  const announcements = new Outboxes(
    new Outbox({ ...outbox, target: 'auth', send: sendToAuth(store, auth), together: sendBatchToAuth(store, auth) }),
    listeners.map((listener) => new Outbox({ ...outbox, target: listener.name, send: sendDeletion(listener) })),
  )
  const follower = new RevocationSubscriber({
    name: `${NAME}-${random.id()}`,
    source: feed,
    clock,
    log,
    maxLag: config.revocationMaxLag,
  })
  const wants = (type: EventType) => follower.wants(type)
  const context: UsersContext = { store, clock, random, hasher, announcements, wants, log, config }
  const { internalKeys, operatorKeys } = config
  const guarded = guard({ tokens: follower, internalKeys, operatorKeys, clientAddress })
  metrics.gauge('outbox_pending', 'Notices that others have not acknowledged', () => store.countNotices())
  metrics.gauge('hash_queue_length', 'Password hashes that wait for their turn', () => hasher.waiting)

  const routes = usersRoutes(context, guarded)
  routes.use(health({ service: NAME, version, clock, metrics, guard: guarded, probe: () => store.probe() }))
  const root = usersV0(context, guarded)
  const paths = () => documentedPaths({ routes, root })
  routes.use(swagger(guarded, () => openApiDocument('Ch202 users', version, paths())))
  const app = service(
    { log, clock, random, metrics, corsOrigins: config.corsOrigins, streams: STREAMS },
    { routes, root, alsoAt: REGISTER },
  )
  const merging = new SearchMerging(store, log)
  return {
    name: NAME,
    app,
    guard: guarded,
    paths,
    probe: () => store.probe(),
    async start() {
      announcements.start()
      await follower.start(FIRST_WORD)
      merging.start()
    },
    release: () => undefined,
    async stop() {
      await Promise.all([announcements.stop(), follower.stop(), merging.stop()])
      await store.close()
    },
  }
}
