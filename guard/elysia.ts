import { Elysia } from 'elysia'
import type { Caller } from '../services/kit/caller.ts'
import { accessOf } from './settings.ts'
import type { Guard, Rule } from './types.ts'

/** What the framework answers with when it is thrown. */
class Refused extends Error {
  constructor(private readonly response: Response) {
    super('Refused by the guard')
    this.name = 'Refused'
  }

  toResponse(): Response {
    return this.response
  }
}

interface Arrival {
  request: Request
  server: { requestIP(request: Request): { address: string } | null } | null
}

/** What is known of a request between its hooks: what its route has named so far, and what came of it. */
interface Passed extends Partial<Rule> {
  caller?: Caller
  refused?: Response
}

const passed = new WeakMap<Request, Passed>()

/**
 * The plugin of Elysia: routes name `auth: ['user']` and perhaps `module: 'billing'`, and in their handlers `caller`
 * says who it is. A caller who may not is refused before the body is read, and so before it is validated.
 */
export function elysiaGuard(guard: Guard) {
  /** Decides by all that the route has named; without `auth` there is nothing to decide by yet. */
  const take = async ({ request, server }: Arrival, named: Partial<Rule>): Promise<Passed> => {
    const before = passed.get(request) ?? {}
    const isKnown = Object.entries(named).every(([name, value]) => before[name as keyof Rule] === value)
    if (isKnown || before.refused) return before
    const now: Passed = { ...before, ...named }
    const { auth, module } = now
    if (auth !== undefined) {
      const address = server?.requestIP(request)?.address
      const { caller, response } = await guard.check(request, { auth, module, address })
      if (caller) now.caller = caller
      else now.refused = response
    }
    passed.set(request, now)
    return now
  }

  const hooks = (named: Partial<Rule>) => ({
    // The only hook before the body is read, and only where there is one. What it throws is taken for a fault of the
    // body, so it leaves the refusal to the next hook and the body unread.
    parse: async (context: Arrival) => ((await take(context, named)).refused ? {} : undefined),
    // The framework awaits a hook when its text says that it is asynchronous.
    transform: asGuard(async (context: Arrival) => {
      const { refused } = await take(context, named)
      if (refused) throw new Refused(refused)
    }, named),
    resolve: callerOf,
  })

  return new Elysia()
    .macro({
      auth: (auth: Rule['auth']) => {
        accessOf({ auth })
        return hooks({ auth })
      },
      module: (module: string) => {
        accessOf({ auth: 'user', module })
        return hooks({ module })
      },
    })
    .onStart((app) => refuseUnguarded(app))
}

/** Of a request that was let pass. @throws Error where no one has looked: the route names a module, and not who may */
function callerOf({ request }: Pick<Arrival, 'request'>): { caller: Caller } {
  const caller = passed.get(request)?.caller
  if (!caller) throw new Error('A route that names a module names auth too')
  return { caller }
}

/** What a hook that is ours was made of. */
const guards = new WeakMap<object, Partial<Rule>>()

function asGuard<T extends object>(hook: T, named: Partial<Rule>): T {
  guards.set(hook, named)
  return hook
}

/**
 * A route that names `auth` in an app that never got the plugin, or got it later, would be open to everyone. The plugin
 * looks at each app that listens; one that is only handed requests may look by itself.
 * @throws Error that names the routes
 */
export function refuseUnguarded(app: Pick<Elysia, 'routes'>): void {
  const open = app.routes.filter(({ hooks }) => {
    const ours = hooksOf(hooks).flatMap((hook) => guards.get(hook) ?? [])
    const isMeant = 'auth' in hooks || 'module' in hooks || ours.length > 0
    return isMeant && !ours.some(({ auth }) => auth !== undefined)
  })
  if (open.length === 0) return
  const names = open.map(({ method, path }) => `${method} ${path}`).join(', ')
  throw new Error(`No guard stands before ${names}: use the plugin before the routes, and name auth beside a module`)
}

function hooksOf(hooks: { transform?: unknown }): object[] {
  return ([hooks.transform ?? []].flat() as { fn: object }[]).map(({ fn }) => fn)
}
