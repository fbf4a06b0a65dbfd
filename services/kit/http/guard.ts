import { type Context, type DocumentDecoration, Elysia } from 'elysia'
import {
  type Access,
  type AccessOptions,
  type Arrival,
  accessControl,
  type ClientIdentity,
  requireAccess,
} from '../access/access.ts'
import type { ModuleGate, ModuleGates } from '../access/module-gate.ts'
import type { Caller } from '../caller.ts'
import type { InputRule } from '../schema/validation.ts'
import { isTokenProblem } from '../tokens/check.ts'
import { type RequestState, withState } from './request-state.ts'

export interface GuardOptions extends AccessOptions {
  /** Needed when a route names a module. */
  modules?: ModuleGates
  /** Whether a body holds a refresh token of a live session. Needed when a route allows a `holder`. */
  holdsSession?: (body: unknown) => Promise<boolean>
  /**
   * Authenticates a client by what is in its request; undefined: nothing is. Needed when a route allows a `client`.
   * @throws Problem when the credentials are wrong
   */
  authenticateClient?: (authorization: string | null, body: unknown) => Promise<ClientIdentity | undefined>
  /** Resolves when the service can answer a route; undefined when it is ready. */
  whenReady?: (route: string) => Promise<void> | undefined
}

/**
 * Builds the plugin whose macros say who may call a route:
 * - `auth`, which every route must name (the app refuses to be built otherwise), lists the callers. The check runs before
 *   the body is validated: a caller without access gets 401 or 403, whatever they sent. Handlers get `caller`;
 * - `module` admits only users who have that module enabled (see `ModuleGate.admit`);
 * - `rules` names the `InputRule` of a route.
 */
export function guard(options: GuardOptions) {
  const { anonymousCaller, clientCaller, identify } = accessControl(options)

  /** Identifies a caller whose refresh token is enough: an invalid access token beside a valid refresh token is ignored. */
  const identifyHolder = async (arrival: Arrival, access: Access, body: unknown): Promise<Caller> => {
    try {
      return await identify(arrival, access)
    } catch (error) {
      if (!isTokenProblem(error) || !(await options.holdsSession?.(body))) throw error
      return anonymousCaller(arrival)
    }
  }

  /** Identifies a client that authenticates itself, if there is no key and no Bearer. */
  const identifyClient = async (arrival: Arrival, access: Access, body: unknown): Promise<Caller> => {
    const { headers } = arrival.request
    const authorization = headers.get('authorization')
    const isOther = headers.has('x-api-key') || /^bearer /i.test(authorization ?? '')
    const client = isOther ? undefined : await options.authenticateClient?.(authorization, body)
    return client ? clientCaller(arrival, client) : await identify(arrival, access)
  }

  const identifyBy = (arrival: Arrival, access: Access, body: unknown) => {
    if (access.includes('holder')) return identifyHolder(arrival, access, body)
    if (access.includes('client')) return identifyClient(arrival, access, body)
    return identify(arrival, access)
  }

  // Declared for its type only: the guard sets `caller` before any handler runs. The framework's own hook for this
  // (`resolve`) costs half a microsecond.
  return new Elysia().decorate('caller', undefined as unknown as Caller).macro({
    auth: (access: Access) => ({
      // For the documentation.
      detail: { 'x-access': access } as DocumentDecoration,
      // The framework awaits a hook only if its source text is an async function, whatever it returns. A request would
      // pass a hook that is not awaited.
      transform: asGuard(async (context) => {
        const { address, body, bodyProblem, gate, request, requestId, route, startedAt } = context
        const ready = options.whenReady?.(route)
        if (ready) await ready
        const arrival = { request, requestId, startedAt, address }
        // Set before the check: the log reports the address of a refused request too.
        context.caller = anonymousCaller(arrival)
        const identified = identifyBy(arrival, access, body)
        const caller = identified instanceof Promise ? await identified : identified
        context.caller = caller
        requireAccess(caller, access)
        if (gate) await gate.admit(caller, access)
        if (bodyProblem) throw bodyProblem
      }),
    }),
    rules: (rule: InputRule) => ({ detail: { 'x-rules': rule } as DocumentDecoration }),
    module: (id: string) => ({
      detail: { 'x-module': id } as DocumentDecoration,
      introspect: (route: object) => setGate(route, gateFor(id, options.modules)),
    }),
  })
}

/** @throws Error when the guard has no source for the module */
function gateFor(id: string, modules: ModuleGates | undefined): ModuleGate {
  if (!modules) throw new Error(`A route names the module ${id}, and the guard has no \`modules\``)
  return modules.of(id)
}

/** A route as `introspect` gets it: before or after the macro `auth` was applied. */
interface Route {
  auth?: Access
  detail?: { 'x-access'?: Access }
  transform?: unknown
}

/**
 * Makes the guard of a route check the gate of a module. The hook that sets the gate runs before the guard's own,
 * whichever of `auth` and `module` the route names first.
 * @throws Error when the route also admits callers who are not users
 */
function setGate(route: Route, gate: ModuleGate): void {
  const access = route.auth ?? route.detail?.['x-access'] ?? []
  if (!access.includes('user') || access.includes('anyone'))
    throw new Error(`A route names the module ${gate.id}: its \`auth\` must name \`user\`, and not \`anyone\``)
  const hook = withState((context: object & RequestState) => {
    context.gate = gate
  })
  route.transform = [hook, ...[route.transform ?? []].flat()]
}

const guards = new WeakSet<object>()

type GuardContext = Pick<Context, 'body' | 'request' | 'route'>

function asGuard(hook: (context: GuardContext & RequestState) => Promise<void>) {
  guards.add(hook)
  return withState(hook)
}

/** Whether a hook of a route is the guard's. The app refuses to be built with a route that has none. */
export function isGuard(hook: object): boolean {
  return guards.has(hook)
}
