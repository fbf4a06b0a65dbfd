import { join } from 'node:path'
import { openAuthStore } from '../../db/auth/store.ts'
import { DAY, MINUTE, SECOND } from '../kit/clock.ts'
import { documentedPaths, serviceApp } from '../kit/http/app.ts'
import { guard } from '../kit/http/guard.ts'
import { health } from '../kit/http/health.ts'
import { openApiDocument } from '../kit/http/openapi/document.ts'
import { Readiness } from '../kit/http/readiness.ts'
import { type Runtime, type Service, serviceRuntime } from '../kit/http/runtime.ts'
import { swagger } from '../kit/http/swagger.ts'
import type { Log } from '../kit/log.ts'
import { Nodes } from '../kit/nodes/nodes.ts'
import { withTimeout } from '../kit/timeout.ts'
import { LocalTokenCheck } from '../kit/tokens/check.ts'
import { Revocations } from '../kit/tokens/revocations.ts'
import { Codes, Sealing } from '../kit/tokens/sealing.ts'
import { CacheStatistics } from './accounts/statistics.ts'
import { AuditChaining } from './audit/chaining.ts'
import { AuditRetention } from './audit/retention.ts'
import { composeMail } from './challenges/compose.ts'
import { Erasures } from './erasure/erasures.ts'
import { resealTotps } from './factors/reseal.ts'
import { authRoutes, FORM_PATHS, READ_PATHS } from './index.ts'
import { KeyRing } from './keys/ring.ts'
import { KeyRotation } from './keys/rotation.ts'
import { recordTokenLife } from './keys/token-life.ts'
import { LoginLimits } from './login/limits.ts'
import { Notices } from './mail/notices.ts'
import { MailQueue } from './mail/queue.ts'
import { mailTexts } from './mail/texts/texts.ts'
import { fileMailer, type Mailer, smtpMailer } from './mail/transport.ts'
import { type AuthCounters, addAuthMetrics, authCounters } from './metrics/metrics.ts'
import { BackChannel } from './oauth/back-channel.ts'
import { clientOf } from './oauth/client-authentication.ts'
import { ClientKeys } from './oauth/client-keys.ts'
import { serverMetadata } from './oauth/metadata.ts'
import type { UsersPeer } from './peers.ts'
import type { AuthServices } from './routes/auth-services.ts'
import { authV0 } from './routes/v0.ts'
import { GraceHeartbeat } from './sessions/grace.ts'
import { holdsSession } from './sessions/logout.ts'
import { NodeTokenCheck } from './sessions/node-tokens.ts'
import { RevocationFeed } from './sessions/revocation-feed.ts'
import type { AuthStore } from './store/index.ts'
import { EventDispatcher } from './webhooks/dispatcher.ts'

const NAME = 'auth'
/** The longest time for which a start waits for users to send what auth missed. */
const CATCH_UP = 4 * SECOND
const TIDY_EVERY = MINUTE
/** How long mails that were sent or have failed are kept. */
const MAILS_KEPT = 30 * DAY
/** The lease of the node that deletes what has expired. */
const TIDY = 'tidy'
/** Routes that answer while this service catches up: the other services need them, or they report its health. */
const ALLOWED_WHILE_STARTING = /^(\/api\/v1)?\/(auth\/(sync|revocations|audit|validate-token)|health|metrics)/

/** Paths that clients of two older API documents call, each with the route that answers. */
const LEGACY_PATHS = {
  '/register': '/auth/register',
  '/login': '/auth/login',
  '/refresh': '/auth/refresh',
  '/token/refresh': '/auth/token/refresh',
  '/logout': '/auth/logout',
  '/validate-token': '/auth/validate-token',
  '/password-reset': '/auth/password-reset-request',
  '/whoami': '/auth/me',
}

/**
 * Builds the auth service: opens its database, its keys and the revocation feed. It sends mails and events once started.
 * @param mailer without it, the one that the settings name
 * @throws DatabaseError; InternalError when CH202_SECRET does not open the signing keys
 */
export async function authService(
  runtime: Runtime,
  { users, mailer }: { users: UsersPeer; mailer?: Mailer },
): Promise<Service> {
  const { clock, config, random, tags, version } = runtime
  const { clientAddress, description, log, metrics } = serviceRuntime(NAME, runtime)
  const texts = mailTexts(config)
  const store = await openAuthStore(config, { amqp: config.amqpUrl !== undefined })
  const nodes = new Nodes({ store, description, clock, log })
  const sender = mailer ?? openMailer(runtime, log)
  const counters = authCounters(metrics)
  const mails = new MailQueue({
    store,
    nodes,
    clock,
    log,
    mailer: sender,
    count: counters.mail,
    compose: (request) => composeMail({ ...context, texts }, request),
  })
  const services = await openServices(runtime, { store, nodes, users, log, mails, counters })
  const { context, dispatcher, erasures, feed, heartbeat, revocations, rotation } = services
  const { keyRing } = context
  const backChannel = new BackChannel({ store, nodes, clock, random, log, keyRing, issuer: context.issuer, config })
  const chaining = new AuditChaining({ store, nodes, log })
  const retention = new AuditRetention({ store, clock, random, log, retention: config.auditRetention })
  const { internalKeys, metricsKeys, mfa, operatorKeys, supportRole } = config
  let catchingUp: Promise<void> | undefined
  const guarded = guard({
    tokens: context.tokens,
    internalKeys,
    operatorKeys,
    metricsKeys,
    supportRole,
    mfa,
    clientAddress,
    clock,
    holdsSession: (body) => holdsSession(context, body),
    authenticateClient: (authorization, body) => clientOf(context, authorization, body),
    whenReady: (route) => (catchingUp && !ALLOWED_WHILE_STARTING.test(route) ? catchingUp : undefined),
  })
  addAuthMetrics(metrics, { clock, config, keyRing, revocations, store })

  const routes = authRoutes(context, guarded)
  const probe = () => store.probe()
  const lease = feed.subscription ? ({ holder: feed.subscription, code: 'database_unavailable' } as const) : undefined
  const readiness = new Readiness({ unavailable: 'auth_unavailable', probe, nodes, lease })
  const assertReady = () => readiness.assert()
  routes.use(health({ service: NAME, version, clock, metrics, guard: guarded, probe, assertReady }))
  const root = authV0(context, guarded)
  const paths = () => documentedPaths({ routes, root }, FORM_PATHS)
  routes.use(swagger(guarded, () => openApiDocument('Ch202 auth', version, paths(), tags)))
  const app = serviceApp(
    {
      log,
      clock,
      random,
      metrics,
      corsOrigins: config.corsOrigins,
      forms: FORM_PATHS,
      reads: READ_PATHS,
    },
    { routes, root, aliases: LEGACY_PATHS },
  )
  const tidy = () => {
    const now = clock.now()
    Promise.all([
      feed.prune(),
      // Two nodes that do it at once, when one froze in it, do no harm: what has expired is deleted once.
      ...(nodes.holds(TIDY)
        ? [
            // In this order: a grant that is gone before its session tells its app nothing.
            store.forgetExpired(now).then(() => store.forgetGrants(now)),
            store.forgetFailures(now),
            store.forgetRefusedLogins(),
            store.forgetChallenges(now),
            store.forgetFactors(now),
            store.forgetMails(now - MAILS_KEPT),
            dispatcher.tidy(),
            backChannel.tidy(),
            retention.tidy(),
            erasures.tidy(),
          ]
        : []),
    ]).catch((error) => log.error({ event: 'tidy.failed', err: error }))
  }
  let tidying: ReturnType<typeof setInterval> | undefined
  return {
    name: NAME,
    app,
    guard: guarded,
    paths,
    probe,
    assertReady,
    async start() {
      await nodes.start()
      chaining.start()
      // Refresh tokens that were used before the restart may still be in their grace.
      heartbeat.start()
      feed.subscription?.start()
      catchingUp = catchUp(users)
      await catchingUp
      catchingUp = undefined
      mails.start()
      await dispatcher.start()
      backChannel.start()
      // Only a further value of CH202_SECRET can have sealed some of them.
      if (config.secrets.length > 1) await resealTotps(context)
      if (await nodes.claim(TIDY)) void erasures.tidy().then(() => retention.tidy())
      rotation.start()
      tidying = setInterval(tidy, TIDY_EVERY)
      readiness.begin()
    },
    release() {
      readiness.end()
      feed.close()
    },
    async stop() {
      clearInterval(tidying)
      heartbeat.stop()
      await rotation.stop()
      await feed.subscription?.stop()
      await Promise.all([mails.stop(), dispatcher.stop(), backChannel.stop(), retention.stop(), erasures.stop()])
      await chaining.stop()
      await nodes.stop()
      sender.close()
      await store.recordHeartbeat(clock.now()).catch((error) => log.error({ event: 'alive.failed', err: error }))
      await store.close()
    },
  }
}

interface Parts {
  counters: AuthCounters
  log: Log
  mails: MailQueue
  nodes: Nodes
  store: AuthStore
  users: UsersPeer
}

/** Opens the keys and the feed, and builds what the functions of auth take. @throws DatabaseError, InternalError */
async function openServices(
  { clock, config, hasher, random, version }: Runtime,
  { counters, log, mails, nodes, store, users }: Parts,
) {
  const issuer = config.issuer ?? (await storedIssuer(store, config.addresses.auth))
  await store.setFact('issuer', issuer)
  await recordTokenLife(store, config.jwtExpire)
  const servedBefore = (await store.signingKeys()).length > 0
  const sealing = new Sealing(config.secrets, random)
  const keyRing = await KeyRing.open({ store, sealing, clock, tokenAlg: config.tokenAlg })
  const revocations = new Revocations()
  const { audience } = config
  const expected = { issuer, audience, key: (kid: string) => keyRing.accessTokenKey(kid) }
  const local = new LocalTokenCheck(expected, revocations, clock)
  const feed = new RevocationFeed({
    store,
    clock,
    log,
    revocations,
    issuer,
    audience,
    jwks: () => keyRing.accessTokenJwks(),
    subscribedTypes: () => store.subscribedTypes(),
    servedBefore,
    node: `${NAME}-${random.id()}`,
    async reloadKeys() {
      await keyRing.reload()
      local.clearCache()
    },
    reloadSubscribedTypes: (seq) => store.reloadSubscribedTypes(seq),
  })
  await feed.open()
  const { subscription } = feed
  if (subscription) store.trustSubscribedTypes(() => subscription.hasLease)
  const tokens = subscription ? new NodeTokenCheck({ local, subscription, maxLag: config.revocationMaxLag }) : local
  await store.resumeGrace(clock.now(), config.refreshReuseGrace)

  const dispatcher = new EventDispatcher({
    store,
    nodes,
    clock,
    random,
    log,
    config,
    sealing,
    feed,
    version,
    count: counters.delivery,
  })
  const rotation = new KeyRotation({ clock, config, feed, keyRing, log, nodes, random, store, tokens: local })
  const limits = new LoginLimits(store, clock, config.hashQueue, config.rateLimit)
  const erasures = new Erasures({ store, clock, random, log, refused: limits.refused })
  const heartbeat = new GraceHeartbeat(store, clock, log, config.refreshReuseGrace)
  const context: AuthServices = {
    store,
    clock,
    random,
    hasher,
    users,
    keyRing,
    rotation,
    feed,
    tokens,
    dispatcher,
    sealing,
    refreshCodes: new Codes(config.secrets, 'refresh tokens'),
    // The name is that of the first use: links in mails that are on their way stay valid.
    challengeCodes: new Codes(config.secrets, 'password reset links'),
    passkeyCodes: new Codes(config.secrets, 'passkey challenges'),
    mails,
    notices: new Notices(mails, clock, random),
    limits,
    erasures,
    heartbeat,
    cacheStatistics: new CacheStatistics(),
    countLogin: counters.login,
    log,
    config,
    issuer,
    tokenEndpoint: serverMetadata({ config, issuer }).token_endpoint,
    clientKeys: new ClientKeys(clock, { privateHosts: config.oauthPrivateHosts }),
  }
  return { context, dispatcher, erasures, feed, heartbeat, revocations, rotation }
}

/**
 * Returns the issuer of the tokens that exist; at the first start, the base address of auth. It must not change under the
 * tokens when an address changes, or when ISSUER is no longer set.
 */
async function storedIssuer(store: AuthStore, address: string): Promise<string> {
  return (await store.fact('issuer')) ?? address
}

/** Makes users send what auth missed while it was down. If users is down too, auth starts with what it has. */
async function catchUp(users: UsersPeer): Promise<void> {
  await withTimeout(
    users.catchUp().catch(() => undefined),
    CATCH_UP,
  )
}

/** Opens the mailer that the settings name: an SMTP server, or files. */
function openMailer({ clock, config, random }: Runtime, log: Log): Mailer {
  if (config.smtpUrl !== undefined) return smtpMailer(config.smtpUrl, config.mailFrom)
  const directory = join(config.dataDir, 'mail')
  log.info({ event: 'mail.files', message: 'SMTP_URL is not set: mails are written as files', file: 'mail/' })
  return fileMailer(directory, config.mailFrom, { clock, random, log })
}
