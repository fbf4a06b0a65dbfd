import { randomUUID } from 'node:crypto'
import { accessControl, requireAccess } from '../services/kit/access/access.ts'
import { ModuleGates } from '../services/kit/access/module-gate.ts'
import { requireRecent } from '../services/kit/access/recent.ts'
import type { Caller } from '../services/kit/caller.ts'
import { ClientAddress } from '../services/kit/client-address.ts'
import { SECOND, systemClock } from '../services/kit/clock.ts'
import { RevocationSubscriber } from '../services/kit/feed/revocation-subscriber.ts'
import { addProblemHeaders, requestIdOf } from '../services/kit/messages/problem-response.ts'
import { Problem } from '../services/kit/problem.ts'
import type { Verdict } from '../services/kit/tokens/check.ts'
import { feedSource } from './auth.ts'
import { Instance } from './instance.ts'
import { subscriberLog } from './log.ts'
import { moduleFeedSource } from './modules.ts'
import { accessOf, settingsOf } from './settings.ts'
import type { CheckOptions, Guard, GuardCredentials, GuardOptions } from './types.ts'

/** Milliseconds that `ready` waits for the first page of each feed. */
const FIRST_PAGE_TIMEOUT = 1000

const FOR_ANOTHER = { valid: false, reason: 'signature' } as const

const random = { id: () => randomUUID() }

/**
 * Creates a guard: the checks of Ch202's own services, for a service in another repository. The guard subscribes to
 * auth's feed from now until `close`, and checks access tokens with the keys and revocations of the feed, without a call
 * per request.
 * @throws TypeError when an option is not valid
 */
export function createGuard(options: GuardOptions & GuardCredentials): Guard {
  const settings = settingsOf(options)
  const { internalKeys, maxLag, mfa, name, operatorKeys, resource, trustedProxies } = settings
  const instance = new Instance(settings)
  const subscription = {
    name: `${name}-${randomUUID()}`,
    clock: systemClock,
    log: subscriberLog(settings.log),
    // Logs a missing feed at once: only Ch202's own services start together with auth.
    startupGrace: 0,
  }
  const subscriber = new RevocationSubscriber({
    ...subscription,
    source: feedSource(instance, settings),
    maxLag,
    resource,
  })
  const gates = new ModuleGates({ ...subscription, source: moduleFeedSource(instance, settings) })
  const refuseWhenCutOff = () => {
    // Auth does not wait for a subscriber that has stopped, or whose client it refuses: it may miss revocations.
    if (instance.isClosed || instance.isRefused) throw new Problem('auth_unavailable')
  }
  /** The token of an app that names no resource is for Ch202. A service without a name must not act on it. */
  const refuseNameless = (verdict: Verdict): Verdict =>
    verdict.valid && verdict.grantId !== undefined && resource === undefined ? FOR_ANOTHER : verdict
  const check: RevocationSubscriber['check'] = (token) => {
    refuseWhenCutOff()
    const verdict = subscriber.check(token)
    return verdict instanceof Promise ? verdict.then(refuseNameless).finally(refuseWhenCutOff) : refuseNameless(verdict)
  }
  const clientAddress = new ClientAddress(trustedProxies)
  const { identify } = accessControl({
    tokens: { check },
    internalKeys,
    operatorKeys,
    mfa,
    clientAddress,
    clock: systemClock,
  })
  const started = Promise.all([subscriber.start(FIRST_PAGE_TIMEOUT), gates.start(FIRST_PAGE_TIMEOUT)])

  const admit = async (request: Request, requestId: string, rule: CheckOptions): Promise<Caller> => {
    const { address = null, maxAge, module } = rule
    const access = accessOf(rule)
    const arrival = { request, requestId, startedAt: systemClock.monotonic(), address: () => address }
    const caller = await identify(arrival, access)
    requireAccess(caller, access)
    if (module !== undefined) await gates.of(module).admit(caller, access)
    if (maxAge !== undefined) requireRecent(caller, maxAge * SECOND, systemClock.now())
    // A plain record: what the request has beside the credential is read when it is asked for.
    const { ip, locale, userAgent, way } = caller
    return { ...caller, ip, userAgent, way, locale }
  }

  const guard: Guard = {
    async ready() {
      await started
      return Number.isFinite(subscriber.staleness)
    },
    async check(request, rule) {
      const requestId = requestIdOf(request.headers, random)
      try {
        return { caller: await admit(request, requestId, rule) }
      } catch (error) {
        if (!(error instanceof Problem)) throw error
        return { response: problemResponse(error, requestId) }
      }
    },
    require(rule) {
      // An invalid rule throws here, not at the first request.
      accessOf(rule)
      if (rule.module !== undefined) gates.of(rule.module)
      return async (context, next) => {
        const { caller, response } = await guard.check(context.req.raw, rule)
        if (response) return response
        context.set('caller', caller)
        await next()
        return undefined
      }
    },
    async close() {
      instance.close()
      await Promise.all([subscriber.stop(), gates.stop()])
    },
  }
  return guard
}

function problemResponse(problem: Problem, requestId: string): Response {
  const headers: Record<string, string> = {}
  addProblemHeaders(headers, problem, requestId)
  return new Response(JSON.stringify(problem.body(requestId)), { status: problem.status, headers })
}
