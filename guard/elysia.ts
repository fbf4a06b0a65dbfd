import { Elysia } from 'elysia'
import type { Caller } from '../services/kit/caller.ts'
import { accessOf } from './settings.ts'
import type { Guard, Rule } from './types.ts'

/** An error that the framework answers with the guard's response. */
class Refused extends Error {
  constructor(private readonly response: Response) {
    super('Refused by the guard')
    this.name = 'Refused'
  }

  toResponse(): Response {
    return this.response
  }
}

interface HookContext {
  request: Request
  server: { requestIP(request: Request): { address: string } | null } | null
}

/** The state of a request between its hooks: the parts of the rule whose hooks have run so far, and the decision. */
interface GuardState extends Partial<Rule> {
  caller?: Caller
  refusal?: Response
}

const states = new WeakMap<Request, GuardState>()

/**
 * The Elysia plugin: routes name `auth: ['user']` and optionally `module: 'billing'` and `maxAge: 600`; their handlers get
 * `caller`. A caller without access is refused before the body is read and validated.
 */
export function elysiaGuard(guard: Guard) {
  /**
   * Decides by the parts of the rule whose hooks have run so far. There is no decision before the hook of `auth`.
   * @param rule the part of this hook: `auth`, `module` or `maxAge`
   */
  const decide = async ({ request, server }: HookContext, rule: Partial<Rule>): Promise<GuardState> => {
    const previous = states.get(request) ?? {}
    const isDecided = Object.entries(rule).every(([name, value]) => previous[name as keyof Rule] === value)
    if (isDecided || previous.refusal) return previous
    const state: GuardState = { ...previous, ...rule }
    const { auth, maxAge, module } = state
    if (auth !== undefined) {
      const address = server?.requestIP(request)?.address
      const { caller, response } = await guard.check(request, { auth, module, maxAge, address })
      if (caller) state.caller = caller
      else state.refusal = response
    }
    states.set(request, state)
    return state
  }

  const hooks = (rule: Partial<Rule>) => ({
    // The only hook that runs before the body is read, and only for requests with a body. The framework treats its errors
    // as errors of the body, so it leaves the body unread and the refusal to the next hook.
    parse: async ({ request, server }: HookContext) =>
      (await decide({ request, server }, rule)).refusal ? {} : undefined,
    // The framework awaits a hook only if its source text is an async function.
    transform: asGuard(async ({ request, server }: HookContext) => {
      const { refusal } = await decide({ request, server }, rule)
      if (refusal) throw new Refused(refusal)
    }, rule),
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
      maxAge: (maxAge: number) => {
        accessOf({ auth: 'user', maxAge })
        return hooks({ maxAge })
      },
    })
    .onStart((app) => refuseUnguarded(app))
}

/** The caller of an admitted request. @throws Error when there was no decision: the route names a module or an age without `auth` */
function callerOf({ request }: Pick<HookContext, 'request'>): { caller: Caller } {
  const caller = states.get(request)?.caller
  if (!caller) throw new Error('A route that names a module or an age must name auth too')
  return { caller }
}

/** The rules of the guard's own hooks. */
const guards = new WeakMap<object, Partial<Rule>>()

function asGuard<T extends object>(hook: T, rule: Partial<Rule>): T {
  guards.set(hook, rule)
  return hook
}

/**
 * Refuses an app with open routes: a route that names `auth` is open to everyone if the app does not use the plugin, or
 * uses it later. The plugin calls this when an app listens; an app that only handles requests can call it itself.
 * @throws Error that names the routes
 */
export function refuseUnguarded(app: Pick<Elysia, 'routes'>): void {
  const open = app.routes.filter(({ hooks }) => {
    const rules = hooksOf(hooks).flatMap((hook) => guards.get(hook) ?? [])
    const namesRule = 'auth' in hooks || 'module' in hooks || 'maxAge' in hooks || rules.length > 0
    return namesRule && !rules.some(({ auth }) => auth !== undefined)
  })
  if (open.length === 0) return
  const names = open.map(({ method, path }) => `${method} ${path}`).join(', ')
  throw new Error(
    `No guard protects ${names}: use the plugin before the routes, and name auth beside a module or an age`,
  )
}

function hooksOf(hooks: { transform?: unknown }): object[] {
  return ([hooks.transform ?? []].flat() as { fn: object }[]).map(({ fn }) => fn)
}
