import { type Context, type DocumentDecoration, Elysia } from 'elysia'
import { type Access, type AccessOptions, accessControl, requireAccess } from '../access/access.ts'
import type { ModuleGate, ModuleGates } from '../access/module-gate.ts'
import type { Caller } from '../caller.ts'
import type { Problem } from '../problem.ts'
import type { Rule } from '../schema/validation.ts'
import { isTokenProblem } from '../tokens/check.ts'

export interface GuardOptions extends AccessOptions {
  /** Needed where a route names a module. */
  modules?: ModuleGates
  /** Needed where a route is for a `holder`: whether a body holds a refresh token of a live session. */
  holdsSession?: (body: unknown) => Promise<boolean>
  /** What a request must wait for while the service is still coming up; nothing once it is. */
  whenReady?: (route: string) => Promise<void> | undefined
}

/** What the root of the app leaves for the guard with each request, before the route is known. */
export interface RequestState {
  requestId: string
  /** The other end of the connection. Gives null for a call within the process. */
  address: () => string | null
  /** Why the body could not be read, or what in it will not do. */
  fault?: Problem
  /** What was read of the body. */
  body?: unknown
}

/** What the guard leaves in the context. */
interface Passed {
  /** Whoever asks, as far as is known. */
  caller: Caller
  /** That of the module that the route names. */
  gate?: ModuleGate
}

/**
 * The macro `auth`, which every route must name (the app refuses to be built otherwise). It runs before the body is
 * looked at: a caller who may not gets 401 or 403 whatever was sent. In the handler `caller` says who it is.
 * Beside it `module` may name a module: then users pass for whom it is on (see `ModuleGate.pass`).
 */
export function guard(options: GuardOptions) {
  const { identify, stranger } = accessControl(options)

  /** A refresh token is enough by itself: an access token beside it that is not good makes it no worse. */
  const identifyHolder = async (headers: Headers, body: unknown, caller: Caller, access: Access) => {
    try {
      await identify(headers, caller, access)
    } catch (error) {
      if (!isTokenProblem(error) || !(await options.holdsSession?.(body))) throw error
    }
  }

  // Its type is what it is for: before any handler runs the guard has put the caller there. A hook of the framework's
  // that gives it to the handler costs half a microsecond.
  return new Elysia().decorate('caller', undefined as unknown as Caller).macro({
    auth: (access: Access) => ({
      // For the documentation.
      detail: { 'x-access': access } as DocumentDecoration,
      // The framework awaits a hook when its text says that it is asynchronous, and not because it gave a promise: one
      // that is not awaited has let the request pass.
      transform: asGuard(async (context) => {
        const { request, route } = context
        const up = options.whenReady?.(route)
        if (up) await up
        const arrival = context as unknown as RequestState & Passed
        // Kept before it is let pass: the log says whose a refused request was.
        arrival.caller = stranger(request.headers, arrival.address, arrival.requestId)
        // The context is not passed on: the framework would then make all of it for every request.
        if (access.includes('holder')) await identifyHolder(request.headers, arrival.body, arrival.caller, access)
        else {
          const known = identify(request.headers, arrival.caller, access)
          arrival.caller = known instanceof Promise ? await known : known
        }
        requireAccess(arrival.caller, access)
        if (arrival.gate) await arrival.gate.admit(arrival.caller, access)
        if (arrival.fault) throw arrival.fault
      }),
    }),
    // See `Rule`.
    rules: (rule: Rule) => ({ detail: { 'x-rules': rule } as DocumentDecoration }),
    module: (id: string) => ({
      detail: { 'x-module': id } as DocumentDecoration,
      introspect: (route: object) => setGate(route, gateFor(id, options.modules)),
    }),
  })
}

/** @throws Error where the guard can't know for whom a module is on */
function gateFor(id: string, modules: ModuleGates | undefined): ModuleGate {
  if (!modules) throw new Error(`A route names the module ${id}, and the guard was given no \`modules\``)
  return modules.of(id)
}

/** What a route says of its callers, before or after the macro `auth` has been applied to it, and its hooks. */
interface Route {
  auth?: Access
  detail?: { 'x-access'?: Access }
  transform?: unknown
}

/**
 * Has the guard of a route look at the gate. The hook that tells it stands before the guard's own, in whichever order
 * the route names `auth` and `module`.
 * @throws Error where someone would pass who is no user
 */
function setGate(route: Route, gate: ModuleGate): void {
  const access = route.auth ?? route.detail?.['x-access'] ?? []
  if (!access.includes('user') || access.includes('anyone'))
    throw new Error(`A route names the module ${gate.id}: its \`auth\` must name \`user\`, and not \`anyone\``)
  const hook = (context: object) => {
    ;(context as Passed).gate = gate
  }
  route.transform = [hook, ...[route.transform ?? []].flat()]
}

const guards = new WeakSet<object>()

function asGuard(hook: (context: Pick<Context, 'request' | 'route'>) => Promise<void>) {
  guards.add(hook)
  return hook
}

/** Whether a hook of a route is the guard's: the app is not built where one has none. */
export function isGuard(hook: object): boolean {
  return guards.has(hook)
}
