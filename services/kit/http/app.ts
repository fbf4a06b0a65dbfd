import type { TSchema } from '@sinclair/typebox'
import { type AnyElysia, type Context, Elysia, type ValidationError } from 'elysia'
import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import { readBody } from '../messages/body.ts'
import { oauthBody } from '../messages/oauth-error.ts'
import { addProblemHeaders, requestIdOf } from '../messages/problem-response.ts'
import { addHeaders, jsonResponse } from '../messages/response-headers.ts'
import type { Problem } from '../problem.ts'
import type { Metrics } from '../process/metrics.ts'
import type { Random } from '../random.ts'
import { trim, trimmedFields } from '../schema/schema.ts'
import { bodyProblem, type InputRule, type RouteInput, unknownFields, validationProblem } from '../schema/validation.ts'
import { allowedMethods } from './allowed-methods.ts'
import { crossOrigin } from './cors.ts'
import { problemOf } from './error-to-problem.ts'
import { isGuard } from './guard.ts'
import { type Paths, pathsOf } from './openapi/document.ts'
import { requestLogger } from './request-log.ts'
import { type RequestState, withState } from './request-state.ts'
import { pathOf } from './request-url.ts'
import { atBothPaths, VERSIONED } from './versioned.ts'

/** Bytes. The server's own limit, above that of `readBody`: the server answers without a body and before any code runs. */
export const SERVER_BODY_MAX = 32 * 1024 * 1024

export interface AppOptions {
  log: Log
  clock: Clock
  random: Random
  metrics: Metrics
  corsOrigins: readonly string[]
  /** Routes of OAuth: they accept forms as well as JSON, and their problems follow RFC 6749 too. */
  forms?: readonly string[]
  /** Routes that read their body themselves (`readLines`), after the guard has admitted the caller. */
  streams?: readonly string[]
  /** Paths whose POST changes nothing and has no rate limit. */
  reads?: readonly string[]
}

export interface Routes {
  /** Served under `/api/v1`, and at the root unless `root` has the same path. */
  routes: AnyElysia
  /** Served at the root only: the API of version 0.0.1. */
  root?: AnyElysia
  /** Further full paths, each with the route that it is an alias of. */
  aliases?: Readonly<Record<string, string>>
}

/** The part of an error hook's context that decides which problem it is. */
type FailedRequest = Pick<RequestState, 'caller' | 'bodyProblem'> & {
  request: Request
  route: string
  body: unknown
  query: unknown
  params: Record<string, string>
  code: unknown
  error: unknown
}

/**
 * Builds the app of a service around its routes: the request id, the headers, the reading of bodies, the one format of
 * errors, the log line and the metrics. The hooks come first, because a hook only covers routes that come after it.
 *
 * No hook passes its whole context to a function: the framework would then parse the query, headers, cookies and body of
 * every request (`tests/code/hot-reads.test.ts`).
 * @throws Error when a route does not name its callers
 */
export function serviceApp(options: AppOptions, { routes, root, aliases = {} }: Routes): AnyElysia {
  const { log, clock, random } = options
  const forms = atBothPaths(options.forms)
  const streams = atBothPaths(options.streams)
  const reads = atBothPaths(options.reads)
  const logRequest = requestLogger(options)

  /** Reads the address of the connection, a system call that most reads never need. */
  const addressOf = (request: Request, path: string): (() => string | null) => {
    const readAddress = () => app.server?.requestIP(request)?.address ?? null
    if (request.method === 'GET' || reads.has(path)) return readAddress
    // Read at once when rate limits need it: it is unknown after the connection is closed.
    const address = readAddress()
    return () => address
  }

  const app = new Elysia({
    normalize: false,
    serve: { maxRequestBodySize: SERVER_BODY_MAX },
    // Otherwise a host of fewer than four letters (`http://api/…`) counts as the beginning of the path.
    handler: { standardHostname: false },
  })
    .onRequest(
      withState((context: Pick<Context, 'request' | 'set'> & RequestState) => {
        const { path, request, set } = context
        const requestId = requestIdOf(request.headers, random)
        context.startedAt = clock.monotonic()
        context.requestId = requestId
        context.address = addressOf(request, path)
        // A preflight is answered before any other hook runs.
        if (options.corsOrigins.length > 0) addHeaders(set.headers, requestId)
      }),
    )
    .onParse(
      withState(async (context: Pick<Context, 'request' | 'route'> & RequestState) => {
        const { request, route } = context
        if (streams.has(route)) return {}
        const body = await readBody(request, { acceptsForm: forms.has(route) })
        const input = inputOf(request.method, route)
        const value = body.value ?? {}
        trim(value, input.trimmed)
        // A route without a body schema takes no fields. The framework would ignore them.
        const fields = input.body ? [] : Object.keys(value)
        if ('problem' in body) context.bodyProblem = body.problem
        else if (fields.length > 0) context.bodyProblem = unknownFields(fields)
        return value
      }),
    )
    .onError(
      withState((context: FailedRequest & Pick<Context, 'set'> & RequestState) => {
        const { body, bodyProblem, caller, code, error, params, query, request, requestId, route = '', set } = context
        const path = pathOf(request.url)
        const problem = toProblem({ body, bodyProblem, caller, code, error, params, query, request, route }, path)
        context.problemCode = problem.code
        // One without a cause was decided, such as `overloaded`: the line of the request says it.
        if (problem.status === 500 || (problem.status > 500 && problem.cause !== undefined))
          log[problem.status === 500 ? 'error' : 'warn']({
            event: 'request.failed',
            requestId,
            route,
            code: problem.code,
            err: problem.cause ?? problem,
          })
        set.status = problem.status
        addProblemHeaders(set.headers, problem, requestId)
        if (!context.isLogged)
          logRequest({
            caller,
            problemCode: problem.code,
            requestId,
            startedAt: context.startedAt,
            method: request.method,
            route,
            status: problem.status,
          })
        context.isLogged = true
        const answer = forms.has(path.replace(/\/$/, '')) ? oauthBody(problem, requestId) : problem.body(requestId)
        return new Response(JSON.stringify(answer), { status: problem.status })
      }),
    )
    .mapResponse(
      withState((context: Pick<Context, 'request' | 'route' | 'set'> & { responseValue: unknown } & RequestState) => {
        const { caller, isLogged, problemCode, request, requestId, responseValue, route, set, startedAt } = context
        if (!isLogged)
          logRequest({
            caller,
            problemCode,
            requestId,
            startedAt,
            method: request.method,
            route,
            status: Number(set.status ?? 200),
          })
        context.isLogged = true
        const response = jsonResponse(responseValue, set, requestId)
        if (!response) addHeaders(set.headers, requestId)
        return response
      }),
    )

  let inputs: Map<string, RouteInput> | undefined
  const inputOf = (method: string, route: string): RouteInput => {
    inputs ??= new Map(app.routes.map(({ hooks, method, path }) => [`${method} ${path}`, routeInput(hooks)]))
    return inputs.get(`${method} ${route}`) ?? NO_INPUT
  }
  const toProblem = (failed: FailedRequest, path: string): Problem => {
    const { body, caller, code, error, params, query, request, route } = failed
    // Without a caller the guard has not admitted the request.
    if (caller) {
      const [input, sender] = [inputOf(request.method, route), { caller, params, request }]
      if (failed.bodyProblem && error === failed.bodyProblem)
        return bodyProblem(failed.bodyProblem, { body, query }, input, sender)
      if (code === 'VALIDATION') return validationProblem(error as ValidationError, input, sender)
    }
    return problemOf(error, code, () => allowedMethods(servedRoutes(), path))
  }
  // Without the catch-all for preflights, which would make every unknown path an existing one.
  const servedRoutes = () => app.routes.filter(({ method }) => method !== 'OPTIONS')
  if (options.corsOrigins.length > 0) app.use(crossOrigin(options.corsOrigins))
  app.group(VERSIONED, (versioned) => versioned.use(routes)).use(routes)
  if (root) app.use(root)
  for (const [path, route] of Object.entries(aliases)) addAlias(app, routes, path, route)
  refuseUnguarded(app)
  return app
}

/** Serves a route's GET or POST at another path too. @throws Error when there is no such route */
function addAlias(app: AnyElysia, routes: AnyElysia, path: string, of: string): void {
  const route = routes.routes.find((candidate) => candidate.path === of && candidate.method !== 'DELETE')
  if (!route) throw new Error(`${path} is an alias of ${of}, which is not served`)
  const { handler, hooks, method } = route
  app.route(method, path, handler as never, { ...hooks, detail: { ...hooks.detail, hide: true } })
}

/** The paths of a service for its documentation: each once, under the prefix, and the paths that only the root has. */
export function documentedPaths({ routes, root }: Routes, forms: readonly string[] = []): Paths {
  const app = new Elysia().group(VERSIONED, (versioned) => versioned.use(routes))
  if (root) app.use(root)
  return pathsOf(
    app,
    forms.map((path) => VERSIONED + path),
  )
}

/** A route without `auth` would be open to everyone, and so would a route whose app never used the guard. */
function refuseUnguarded(app: AnyElysia): void {
  for (const { method, path, hooks } of app.routes) {
    const transforms = [(hooks as { transform?: { fn: object }[] }).transform ?? []].flat()
    const isGuarded = transforms.some(({ fn }) => isGuard(fn))
    if (!isGuarded && method !== 'OPTIONS') throw new Error(`${method} ${path} does not name its callers (\`auth\`)`)
  }
}

const NO_INPUT: RouteInput = { trimmed: [] }

function routeInput({ body, detail }: { body?: TSchema; detail?: { 'x-rules'?: InputRule } }): RouteInput {
  return { body, rule: detail?.['x-rules'], trimmed: body ? trimmedFields(body) : [] }
}
