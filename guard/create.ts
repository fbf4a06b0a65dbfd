import { randomUUID } from 'node:crypto'
import { accessControl, requireAccess } from '../services/kit/access/access.ts'
import { ModuleGates } from '../services/kit/access/module-gate.ts'
import type { Caller } from '../services/kit/caller.ts'
import { ClientAddress } from '../services/kit/client-address.ts'
import { systemClock } from '../services/kit/clock.ts'
import { RevocationSubscriber } from '../services/kit/feed/revocation-subscriber.ts'
import { addProblemHeaders, requestIdOf } from '../services/kit/messages/problem-response.ts'
import { Problem } from '../services/kit/problem.ts'
import { feedSource } from './auth.ts'
import { Instance } from './instance.ts'
import { followerLog } from './log.ts'
import { moduleFeedSource } from './modules.ts'
import { accessOf, settingsOf } from './settings.ts'
import type { CheckOptions, Guard, GuardOptions } from './types.ts'

/** How long `ready` waits for the first word of auth. */
const FIRST_WORD = 1000

const random = { id: () => randomUUID() }

/**
 * The guard of Ch202's own services, for one that stands elsewhere. It begins to follow auth at once, and goes on until
 * `close`: access tokens are decided here, with the keys and the revocations that auth tells, and without a call per
 * request.
 * @throws TypeError when an option is not valid
 */
export function createGuard(options: GuardOptions): Guard {
  const settings = settingsOf(options)
  const { internalKeys, maxLag, name, operatorKeys, trustedProxies, url } = settings
  const clientAddress = new ClientAddress(trustedProxies)
  const instance = new Instance(settings)
  // A service of ours starts with the instance; this one finds it there, or says at once that it does not.
  const comingUp = 0
  const following = { name: `${name}-${randomUUID()}`, clock: systemClock, log: followerLog(settings.log), comingUp }
  const follower = new RevocationSubscriber({ ...following, source: feedSource(instance, url), maxLag })
  const gates = new ModuleGates({ ...following, source: moduleFeedSource(instance, settings) })
  const refuseWhenClosed = () => {
    // Auth waits for no one who has stopped to listen.
    if (instance.isClosed) throw new Problem('auth_unavailable')
  }
  const tokens: RevocationSubscriber['check'] = (token) => {
    refuseWhenClosed()
    const said = follower.check(token)
    return said instanceof Promise ? said.finally(refuseWhenClosed) : said
  }
  const { identify, stranger } = accessControl({ tokens: { check: tokens }, internalKeys, operatorKeys, clientAddress })
  const started = Promise.all([follower.start(FIRST_WORD), gates.start(FIRST_WORD)])

  const admit = async (request: Request, requestId: string, rule: CheckOptions): Promise<Caller> => {
    const { headers } = request
    const { address, module } = rule
    const access = accessOf(rule)
    const caller = await identify(
      headers,
      stranger(headers, () => address ?? null, requestId),
      access,
    )
    requireAccess(caller, access)
    if (module !== undefined) await gates.of(module).admit(caller, access)
    return { ...caller, ip: caller.ip, userAgent: caller.userAgent }
  }

  const guard: Guard = {
    async ready() {
      await started
      return Number.isFinite(follower.staleness)
    },
    async check(request, rule) {
      const requestId = requestIdOf(request.headers, random)
      try {
        return { caller: await admit(request, requestId, rule) }
      } catch (error) {
        if (!(error instanceof Problem)) throw error
        return { response: refusal(error, requestId) }
      }
    },
    require(rule) {
      // What is wrong with it is said at once.
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
      await Promise.all([follower.stop(), gates.stop()])
    },
  }
  return guard
}

function refusal(problem: Problem, requestId: string): Response {
  const headers: Record<string, string> = {}
  addProblemHeaders(headers, problem, requestId)
  return new Response(JSON.stringify(problem.body(requestId)), { status: problem.status, headers })
}
