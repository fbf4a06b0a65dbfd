import { Elysia } from 'elysia'
import type { Caller } from '../services/kit/caller.ts'
import { accessOf } from './settings.ts'
import type { CheckOptions, Guard, Rule, RuleOptions } from './types.ts'

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
interface GuardState extends RuleOptions {
  caller?: Caller
  refusal?: Response
}

const states = new WeakMap<Request, GuardState>()

/** The parts of a rule each of which admits callers, by the options of the route that names them. */
type Admitting = Pick<RuleOptions, 'auth' | 'scope'>
const admitting = new WeakMap<object, Admitting>()

/** Joins a part to the others of its route, so that the hook of the first part knows whom the second one admits. */
function joined(route: object, part: Admitting): Admitting {
  const all = Object.assign(admitting.get(route) ?? {}, part)
  admitting.set(route, all)
  return all
}

/**
 * The Elysia plugin: routes name `auth: ['user']`, `scope: 'orders:read'` or both, and optionally `module: 'billing'` and
 * `maxAge: 600`; their handlers get `caller`. A route that names both must name them in one place. A caller without access is refused before the body is read and validated.
 */
export function elysiaGuard(guard: Guard) {
  /**
   * Decides by the parts of the rule whose hooks have run so far. There is no decision before the hook of `auth` or `scope`.
   * @param rule the part of this hook: `auth` with `scope`, `module` or `maxAge`
   */
  const decide = async ({ request, server }: HookContext, rule: RuleOptions): Promise<GuardState> => {
    const previous = states.get(request) ?? {}
    const isDecided = Object.entries(rule).every(([name, value]) => previous[name as keyof RuleOptions] === value)
    if (isDecided || previous.refusal) return previous
    const state: GuardState = { ...previous, ...rule }
    const { auth, maxAge, module, scope } = state
    if ((auth ?? scope) !== undefined) {
      const address = server?.requestIP(request)?.address
      const admits = { auth, ...(scope === undefined ? {} : { scope }) } as Rule
      const options: CheckOptions = { ...admits, module, maxAge, address }
      const { caller, response } = await guard.check(request, options)
      if (caller) state.caller = caller
      else state.refusal = response
    }
    states.set(request, state)
    return state
  }

  const hooks = (rule: RuleOptions) => hooksBy(() => rule, rule)
  /** The hooks of a part that admits callers. */
  const admittingHooks = (part: Admitting) => {
    let rule = part
    const introspect = (route: object) => {
      rule = joined(route, part)
    }
    return { introspect, ...hooksBy(() => rule, part) }
  }
  const hooksBy = (ruleNow: () => RuleOptions, part: RuleOptions) => ({
    // The only hook that runs before the body is read, and only for requests with a body. The framework treats its errors
    // as errors of the body, so it leaves the body unread and the refusal to the next hook.
    parse: async ({ request, server }: HookContext) =>
      (await decide({ request, server }, ruleNow())).refusal ? {} : undefined,
    // The framework awaits a hook only if its source text is an async function.
    transform: asGuard(async ({ request, server }: HookContext) => {
      const { refusal } = await decide({ request, server }, ruleNow())
      if (refusal) throw new Refused(refusal)
    }, part),
    resolve: callerOf,
  })

  return new Elysia()
    .macro({
      auth: (auth: Exclude<RuleOptions['auth'], undefined>) => {
        accessOf({ auth })
        return admittingHooks({ auth })
      },
      scope: (scope: string) => {
        accessOf({ scope })
        return admittingHooks({ scope })
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

/** The caller of an admitted request. @throws Error when there was no decision: the route names a module or an age alone */
function callerOf({ request }: Pick<HookContext, 'request'>): { caller: Caller } {
  const caller = states.get(request)?.caller
  if (!caller) throw new Error('A route that names a module or an age must name auth too')
  return { caller }
}

/** The rules of the guard's own hooks. */
const guards = new WeakMap<object, RuleOptions>()

function asGuard<T extends object>(hook: T, rule: RuleOptions): T {
  guards.set(hook, rule)
  return hook
}

/**
 * Refuses an app with open routes: a route that names `auth` or `scope` is open to everyone if the app does not use the plugin, or
 * uses it later. The plugin calls this when an app listens; an app that only handles requests can call it itself.
 * @throws Error that names the routes
 */
export function refuseUnguarded(app: Pick<Elysia, 'routes'>): void {
  const rulesOf = ({ hooks }: Elysia['routes'][number]) => hooksOf(hooks).flatMap((hook) => guards.get(hook) ?? [])
  const open = app.routes.filter((route) => {
    const { hooks } = route
    const rules = rulesOf(route)
    const namesRule = ['auth', 'scope', 'module', 'maxAge'].some((name) => name in hooks) || rules.length > 0
    return namesRule && !rules.some(({ auth, scope }) => (auth ?? scope) !== undefined)
  })
  if (open.length > 0)
    throw new Error(
      `No guard protects ${namesOf(open)}: use the plugin before the routes, and name auth beside a module or an age`,
    )
  const withoutUser = app.routes.filter((route) => {
    const rules = rulesOf(route)
    return rules.some(({ maxAge, module }) => (module ?? maxAge) !== undefined) && !rules.some(({ auth }) => auth)
  })
  if (withoutUser.length > 0)
    throw new Error(`No user can call ${namesOf(withoutUser)}: name auth beside a module or an age, not a scope alone`)
}

function namesOf(routes: Elysia['routes']): string {
  return routes.map(({ method, path }) => `${method} ${path}`).join(', ')
}

function hooksOf(hooks: { transform?: unknown }): object[] {
  return ([hooks.transform ?? []].flat() as { fn: object }[]).map(({ fn }) => fn)
}
