import { Elysia } from 'elysia'
import type { FeedSource } from '../kit/feed/revocation-subscriber.ts'
import { documentedPaths, serviceApp } from '../kit/http/app.ts'
import { guard } from '../kit/http/guard.ts'
import { processHealth } from '../kit/http/health.ts'
import { type Runtime, type Service, serviceRuntime } from '../kit/http/runtime.ts'
import { Problem } from '../kit/problem.ts'
import { Codes, Sealing } from '../kit/tokens/sealing.ts'
import type { PagesPeer } from '../peers/pages.ts'
import { loadAssets } from './assets/assets.ts'
import { pagesApp } from './index.ts'
import { cookieNames } from './request/cookies.ts'
import { SealedCookies } from './request/session-cookie.ts'

const NAME = 'web'

/**
 * Builds the service of the pages. It keeps nothing: a session is in the sealed cookie of its browser.
 * @throws Error with a message for the operator when a file of theirs cannot be served
 */
export async function webService(
  runtime: Runtime,
  { feed, pages: peer }: { feed: FeedSource; pages: PagesPeer },
): Promise<Service> {
  const { clock, config, random, version } = runtime
  const { clientAddress, log, metrics } = serviceRuntime(NAME, runtime)
  const { internalKeys, metricsKeys, mfa, operatorKeys, secrets } = config
  // For metrics alone, which nobody waits for: auth is asked about each token.
  const tokens = { check: (token: string) => feed.validate(token) }
  const guarded = guard({ tokens, internalKeys, operatorKeys, metricsKeys, mfa, clientAddress, clock })
  let isRunning = false
  const assertReady = async () => {
    if (!isRunning || !(await peer.isReady())) throw new Problem('auth_unavailable')
  }
  const routes = new Elysia({ normalize: false }).use(
    processHealth({ service: NAME, version, clock, metrics, guard: guarded, assertReady }),
  )
  const app = serviceApp({ log, clock, random, metrics, corsOrigins: config.corsOrigins }, { routes })
  const context = {
    config,
    clock,
    random,
    clientAddress,
    peer,
    cookies: new SealedCookies(new Sealing(secrets, random, 'cookies of the pages')),
    names: cookieNames(config.publicUrl),
    formCodes: new Codes(secrets, 'forms of the pages'),
    assets: loadAssets(config),
  }
  return {
    name: NAME,
    app,
    pages: pagesApp(context, { log, metrics }),
    guard: guarded,
    paths: () => documentedPaths({ routes }),
    // There is no database: a process of all services asks the others.
    async probe() {},
    assertReady,
    async start() {
      isRunning = true
    },
    release() {
      isRunning = false
    },
    async stop() {},
  }
}
