import { join } from 'node:path'
import { openAuthStore } from '../../db/auth/store.ts'
import { documentedPaths, service } from '../kit/http/app.ts'
import { guard } from '../kit/http/guard.ts'
import { health } from '../kit/http/health.ts'
import { openApiDocument } from '../kit/http/openapi/document.ts'
import { swagger } from '../kit/http/openapi/swagger.ts'
import { type Runtime, type Service, serviceRuntime } from '../kit/http/runtime.ts'
import { LocalTokenCheck } from '../kit/tokens/check.ts'
import { Revocations } from '../kit/tokens/revocations.ts'
import { composeEmailChange } from './challenges/email-change.ts'
import { composeReset } from './challenges/password-reset.ts'
import type { AuthContext } from './context.ts'
import { authRoutes, FORMS, READS } from './index.ts'
import { KeyRing } from './keys/ring.ts'
import { KeyRotation } from './keys/rotation.ts'
import { Codes, Sealing } from './keys/sealing.ts'
import { LoginLimits } from './login/limits.ts'
import { MAIL_OUTCOMES, MailQueue } from './mail/queue.ts'
import { fileMailer, type Mailer, smtpMailer } from './mail/transport.ts'
import type { UsersPeer } from './peers.ts'
import { authV0 } from './routes/v0.ts'
import { GraceHeartbeat } from './sessions/grace.ts'
import { RevocationFeed } from './sessions/revocation-feed.ts'
import { holdsSession } from './sessions/sessions.ts'
import { EventDispatcher } from './webhooks/dispatcher.ts'

const NAME = 'auth'
const CATCH_UP = 2000
const TIDY_EVERY = 60_000
/** What the others need while this service catches up, and what tells that it is there. */
const OPEN_AT_ONCE = /^(\/api\/v1)?\/(auth\/(sync|revocations|audit|validate-token)|health|metrics)/

/** The paths of the clients of two of the documents, which know no prefix. */
const BARE = {
  '/register': '/auth/register',
  '/login': '/auth/login',
  '/refresh': '/auth/refresh',
  '/token/refresh': '/auth/token/refresh',
  '/logout': '/auth/logout',
  '/validate-token': '/auth/validate-token',
  '/password-reset': '/auth/password-reset-request',
  '/whoami': '/auth/me',
}

/** Puts the auth service together. @throws DatabaseError; Fault when CH202_SECRET does not open the signing keys */
export async function authService(
  runtime: Runtime,
  { users, mailer }: { users: UsersPeer; mailer?: Mailer },
): Promise<Service> {
  const { clock, config, hasher, random, version } = runtime
  const { clientAddress, log, metrics } = serviceRuntime(NAME, runtime)
  const store = await openAuthStore(config, { amqp: config.amqpUrl !== undefined })
  const issuer = config.issuer ?? (await keptIssuer(store, config.addresses.auth))
  await store.setFact('issuer', issuer)
  const servedBefore = (await store.signingKeys()).length > 0
  const sealing = new Sealing(config.secrets, random)
  const keyRing = await KeyRing.open(store, sealing, clock)
  const revocations = new Revocations()
  const { audience } = config
  const expected = { issuer, audience, key: (kid: string) => keyRing.publicKey(kid) }
  const tokens = new LocalTokenCheck(expected, revocations, clock)
  const jwks = () => keyRing.jwks()
  const wanted = () => [...store.wanted()]
  const feed = new RevocationFeed({ store, clock, revocations, issuer, audience, jwks, wanted, servedBefore })
  await feed.open()
  await store.resume(clock.now(), config.refreshReuseGrace)

  const outside = new EventDispatcher({ store, clock, random, log, config, sealing, feed, version })
  const rotation = new KeyRotation({ clock, config, feed, keyRing, log, random, store, tokens })
  const context: AuthContext = {
    store,
    clock,
    random,
    hasher,
    users,
    keyRing,
    rotation,
    feed,
    tokens,
    outside,
    sealing,
    codes: new Codes(config.secrets, 'refresh tokens'),
    resetCodes: new Codes(config.secrets, 'password reset links'),
    limits: new LoginLimits(store, clock, config.hashQueue, config.rateLimit),
    graceClock: new GraceHeartbeat(store, clock, log, config.refreshReuseGrace),
    cacheUse: { hits: 0, misses: 0, lastSyncAt: null, pending: 0 },
    log,
    config,
    issuer,
  }
  const sender = mailer ?? openMailer(runtime, log)
  const mails = new MailQueue({
    store,
    clock,
    log,
    mailer: sender,
    count: metrics.counter('ch202_mails_total', 'Attempts to send a mail, by outcome', 'outcome', MAIL_OUTCOMES),
    compose: { password_reset: (request) => composeReset(context, request), email_changed: composeEmailChange },
  })
  const { internalKeys, operatorKeys } = config
  let catchingUp: Promise<void> | undefined
  const guarded = guard({
    tokens,
    internalKeys,
    operatorKeys,
    clientAddress,
    holdsSession: (body) => holdsSession(context, body),
    comingUp: (route) => (catchingUp && !OPEN_AT_ONCE.test(route) ? catchingUp : undefined),
  })
  metrics.gauge('hash_queue_length', 'Password hashes that wait for their turn', () => hasher.waiting)
  metrics.gauge('password_cache_entries', 'Users in the password cache', () => store.countAccounts())
  metrics.gauge('deliveries_pending', 'Events on their way to the outside', async () => {
    return (await store.countDeliveries()).pending
  })
  metrics.gauge('deliveries_dead', 'Events that could not be delivered', async () => {
    return (await store.countDeliveries()).dead
  })
  metrics.gauge('ch202_mails_waiting', 'Mails that have not gone out yet', () => store.countMailRequests())
  metrics.gauge('revocations_live', 'What is revoked and has not expired', () => revocations.size)

  const routes = authRoutes(context, mails, guarded)
  routes.use(health({ service: NAME, version, clock, metrics, guard: guarded, probe: () => store.probe() }))
  const root = authV0(context, guarded)
  const paths = () => documentedPaths({ routes, root }, FORMS)
  routes.use(swagger(guarded, () => openApiDocument('Ch202 auth', version, paths())))
  const app = service(
    {
      log,
      clock,
      random,
      metrics,
      corsOrigins: config.corsOrigins,
      forms: FORMS,
      reads: READS,
    },
    { routes, root, alsoAt: BARE },
  )
  const tidy = () => {
    feed.prune()
    const now = clock.now()
    Promise.all([store.forgetExpired(now), store.forgetFailures(now), store.forgetResets(now), outside.tidy()]).catch(
      (error) => log.error({ event: 'tidy.failed', err: error }),
    )
  }
  let tidying: ReturnType<typeof setInterval> | undefined
  return {
    name: NAME,
    app,
    guard: guarded,
    paths,
    probe: () => store.probe(),
    async start() {
      // A grace of the run before goes on in this one.
      context.graceClock.run()
      catchingUp = catchUp(users)
      await catchingUp
      catchingUp = undefined
      mails.start()
      await outside.start()
      rotation.start()
      tidying = setInterval(tidy, TIDY_EVERY)
    },
    release: () => feed.close(),
    async stop() {
      clearInterval(tidying)
      context.graceClock.stop()
      await rotation.stop()
      await Promise.all([mails.stop(), outside.stop()])
      sender.close()
      await store.markAlive(clock.now()).catch((error) => log.error({ event: 'alive.failed', err: error }))
      await store.close()
    },
  }
}

/**
 * What tokens were issued under so far; at the first start the base address of auth. It does not change under the tokens
 * when an address does, or when ISSUER is no longer set.
 */
async function keptIssuer(store: AuthContext['store'], address: string): Promise<string> {
  return (await store.fact('issuer')) ?? address
}

/** Users tells what this service missed while it was down; with users down it goes on with what it knows. */
async function catchUp(users: UsersPeer): Promise<void> {
  const told = users.catchUp().catch(() => undefined)
  await Promise.race([told, Bun.sleep(CATCH_UP)])
}

function openMailer({ clock, config, random }: Runtime, log: Parameters<typeof fileMailer>[2]['log']): Mailer {
  if (config.smtpUrl !== undefined) return smtpMailer(config.smtpUrl, config.mailFrom)
  const directory = join(config.dataDir, 'mail')
  log.info({ event: 'mail.files', message: 'SMTP_URL is not set: mails are written as files', file: 'mail/' })
  return fileMailer(directory, config.mailFrom, { clock, random, log })
}
