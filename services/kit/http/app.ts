import type { TSchema } from '@sinclair/typebox'
import { type AnyElysia, Elysia, type ValidationError } from 'elysia'
import type { Caller } from '../caller.ts'
import type { Clock } from '../clock.ts'
import { DatabaseUnavailable } from '../database-unavailable.ts'
import { InternalError, type Log } from '../log.ts'
import { Problem } from '../problem.ts'
import type { Metrics } from '../process/metrics.ts'
import type { Random } from '../random.ts'
import { trim, trimmedFields } from '../schema/schema.ts'
import { bodyProblem, type Rule, type Taken, unknownFields, validationProblem } from '../schema/validation.ts'
import { allowedMethods } from './allowed-methods.ts'
import { readBody } from './body.ts'
import { isGuard, type RequestState } from './guard.ts'
import { oauthBody } from './oauth-error.ts'
import { type Paths, pathsOf } from './openapi/document.ts'
import { addProblemHeaders, requestIdOf } from './problem-response.ts'
import { pathOf } from './request-url.ts'
import { addHeaders, jsonResponse } from './response-headers.ts'

/** The server's own limit, above what `readBody` counts: it answers without a body and before any code runs. */
export const SERVER_BODY_MAX = 32 * 1024 * 1024

const VERSIONED = '/api/v1'

export interface ServiceOptions {
  log: Log
  clock: Clock
  random: Random
  metrics: Metrics
  corsOrigins: readonly string[]
  /** Calls of OAuth: they take a form as well as JSON, and their problems are also those of RFC 6749. */
  forms?: readonly string[]
  /** Routes that read their body themselves, once the caller is known to be one who may: of lines (`readLines`). */
  streams?: readonly string[]
  /** Paths of a POST that changes nothing, and that no limit counts. */
  reads?: readonly string[]
}

export interface Routes {
  /** Served under `/api/v1`, and at the root wherever `root` doesn't have the same path. */
  routes: AnyElysia
  /** Served at the root alone: the old contract. */
  root?: AnyElysia
  /** Further paths of routes, whole, and the route that each is another name of. */
  alsoAt?: Readonly<Record<string, string>>
}

/** Paths of the services and the operators among themselves: no page of another origin reads them. */
const NOT_FOR_PAGES =
  /^(\/api\/v1)?\/(admin|metrics|[a-z0-9]+\/sync\/|auth\/(introspect|revocations|audit)|users\/(verify-credentials|password-hashes|announcements|export|import|[^/]+\/password(-hash|-changed)?\/?$)|modules\/users(\/|$))/

/** Are asked four times a second by each who follows them: only their failures are worth a line. */
const FEEDS = ['/auth/revocations', '/modules/sync/feed']

/** What the hooks of one request share: Elysia's context is one object from the first hook to the last. */
interface Shared extends RequestState {
  /** Of the address, as it was sent. */
  path: string
  startedAt: number
  answered?: boolean
  /** Once the guard knows. */
  caller?: Caller
  code?: string
}

/** What `onError` sees of a request. */
type Failed = Pick<Shared, 'caller' | 'fault'> & {
  request: Request
  route: string
  body: unknown
  query: unknown
  params: Record<string, string>
  code: unknown
  error: unknown
}

/**
 * Puts a service's app together: the request id, the headers, the reading of bodies, the one form of every error, the
 * log line and the measures around its routes. The hooks come first, because a hook covers only what comes after it.
 * @throws Error when a route doesn't say who may call it
 */
export function service(options: ServiceOptions, { routes, root, alsoAt = {} }: Routes): AnyElysia {
  const { log, clock, random, metrics } = options
  const both = (paths: readonly string[] = []) => new Set(paths.flatMap((path) => [path, VERSIONED + path]))
  const forms = both(options.forms)
  const streams = both(options.streams)
  const reads = both(options.reads)
  const feeds = both(FEEDS)

  /** Once for each request: what an error is answered with comes by both ways. */
  const answered = (shared: Shared, method: string, route: string, status: number) => {
    if (shared.answered) return
    shared.answered = true
    const ms = clock.monotonic() - shared.startedAt
    metrics.request(method, route, status, ms)
    const level = status < 400 && feeds.has(route) ? 'debug' : 'info'
    log[level](() => ({
      event: 'request',
      requestId: shared.requestId,
      method,
      route,
      status,
      ms: Math.round(ms * 10) / 10,
      ...(shared.caller?.ip ? { ip: shared.caller.ip } : {}),
      ...(shared.caller?.userId ? { userId: shared.caller.userId } : {}),
      ...(shared.code === undefined ? {} : { code: shared.code }),
    }))
  }

  /** The address of the connection: a system call, and what only reads hardly ever wants to know it. */
  const addressOf = (request: Request, path: string): (() => string | null) => {
    const ask = () => app.server?.requestIP(request)?.address ?? null
    if (request.method === 'GET' || reads.has(path)) return ask
    // At once where limits count by it: of a connection that has been closed meanwhile nothing is known.
    const address = ask()
    return () => address
  }

  const app = new Elysia({
    normalize: false,
    serve: { maxRequestBodySize: SERVER_BODY_MAX },
    // Or a host of fewer than four letters (`http://api/…`) is taken for the beginning of the path.
    handler: { standardHostname: false },
  })
    .onRequest((context) => {
      const shared = context as unknown as Shared
      shared.startedAt = clock.monotonic()
      shared.requestId = requestIdOf(context.request.headers, random)
      shared.address = addressOf(context.request, shared.path)
      // A preflight is answered before any other hook.
      if (options.corsOrigins.length > 0) addHeaders(context.set.headers, shared.requestId)
    })
    .onParse(async (context) => {
      const shared = context as unknown as Shared
      const { request, route } = context
      if (streams.has(route)) return {}
      const body = await readBody(request, forms.has(route))
      const taken = takenBy(request.method, route)
      const value = body.value ?? {}
      trim(value, taken.trimmed)
      // Where no body is declared every field is one that no one knows; nothing else would say so.
      const fields = taken.body ? [] : Object.keys(value)
      if ('problem' in body) shared.fault = body.problem
      else if (fields.length > 0) shared.fault = unknownFields(fields)
      return value
    })
    .onError((context) => {
      const shared = context as unknown as Shared
      const path = pathOf(context.request.url)
      const { body, caller, code, error, fault, params, query, request, route } = shared as unknown as Failed
      // The context is not passed on: the framework would then make all of it for every request.
      const problem = toProblem({ body, caller, code, error, fault, params, query, request, route }, path)
      shared.code = problem.code
      if (problem.status >= 500)
        log[problem.status === 500 ? 'error' : 'warn']({
          event: 'request.failed',
          requestId: shared.requestId,
          route: context.route,
          code: problem.code,
          err: problem.cause ?? problem,
        })
      const { set } = context
      set.status = problem.status
      addProblemHeaders(set.headers, problem, shared.requestId)
      answered(shared, context.request.method, context.route ?? '', problem.status)
      const answer = forms.has(path.replace(/\/$/, ''))
        ? oauthBody(problem, shared.requestId)
        : problem.body(shared.requestId)
      return new Response(JSON.stringify(answer), { status: problem.status })
    })
    .mapResponse((context) => {
      const shared = context as unknown as Shared
      const { request, responseValue, route, set } = context
      answered(shared, request.method, route, Number(set.status ?? 200))
      const answer = jsonResponse(responseValue, set, shared.requestId)
      if (!answer) addHeaders(set.headers, shared.requestId)
      return answer
    })

  let taken: Map<string, Taken> | undefined
  const takenBy = (method: string, route: string): Taken => {
    taken ??= new Map(app.routes.map(({ hooks, method, path }) => [`${method} ${path}`, takenOf(hooks)]))
    return taken.get(`${method} ${route}`) ?? NOTHING_TAKEN
  }
  const toProblem = (context: Failed, path: string): Problem => {
    const { body, caller, code, error, fault, params, query, request, route } = context
    // Without a caller the guard has not let it pass.
    if (caller) {
      const [taken, by] = [takenBy(request.method, route), { caller, params, request }]
      if (fault && error === fault) return bodyProblem(fault, { body, query }, taken, by)
      if (code === 'VALIDATION') return validationProblem(error as ValidationError, taken, by)
    }
    return problemOf(error, code, () => allowedMethods(served(), path))
  }
  // Without the catch-all that answers preflights: it would make every unknown path one that exists.
  const served = () => app.routes.filter(({ method }) => method !== 'OPTIONS')
  if (options.corsOrigins.length > 0) app.use(crossOrigin(options.corsOrigins))
  app.group(VERSIONED, (versioned) => versioned.use(routes)).use(routes)
  if (root) app.use(root)
  for (const [path, of] of Object.entries(alsoAt)) alias(app, routes, path, of)
  refuseUnguarded(app)
  return app
}

/** Serves what a route answers to a POST or a GET at another path too. */
function alias(app: AnyElysia, routes: AnyElysia, path: string, of: string): void {
  const route = routes.routes.find((candidate) => candidate.path === of && candidate.method !== 'DELETE')
  if (!route) throw new Error(`${path} stands for ${of}, which is not served`)
  const { handler, hooks, method } = route
  app.route(method, path, handler as never, { ...hooks, detail: { ...hooks.detail, hide: true } })
}

/** The paths of a service, as its documentation has them: each once, under the prefix, and what only the root has. */
export function documentedPaths({ routes, root }: Routes, forms: readonly string[] = []): Paths {
  const app = new Elysia().group(VERSIONED, (versioned) => versioned.use(routes))
  if (root) app.use(root)
  return pathsOf(
    app,
    forms.map((path) => VERSIONED + path),
  )
}

/** A route without `auth` would be open to everyone, and so would one whose app never got the guard. */
function refuseUnguarded(app: AnyElysia): void {
  for (const { method, path, hooks } of app.routes) {
    const transforms = [(hooks as { transform?: { fn: object }[] }).transform ?? []].flat()
    const guarded = transforms.some(({ fn }) => isGuard(fn))
    if (!guarded && method !== 'OPTIONS') throw new Error(`${method} ${path} does not say who may call it`)
  }
}

/** Exact origins only, and none for the paths that no page needs. */
function crossOrigin(origins: readonly string[]) {
  const known = new Set(origins)
  // Loaded where it is set.
  const { cors } = require('@elysiajs/cors') as typeof import('@elysiajs/cors')
  return cors({
    origin: (request: Request) =>
      known.has(request.headers.get('origin') ?? '') && !NOT_FOR_PAGES.test(pathOf(request.url)),
    methods: ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'],
    allowedHeaders: [
      ...['authorization', 'content-type', 'x-request-id'],
      // What libraries add by themselves: W3C Trace Context and Baggage, and the mark of older HTTP clients.
      ...['traceparent', 'tracestate', 'baggage', 'x-requested-with'],
    ],
    exposeHeaders: ['x-request-id', 'retry-after', 'location', 'www-authenticate', 'x-ch202-stale'],
    credentials: true,
    maxAge: 600,
  })
}

const NOTHING_TAKEN: Taken = { trimmed: [] }

function takenOf({ body, detail }: { body?: TSchema; detail?: { 'x-rules'?: Rule } }): Taken {
  return { body, rule: detail?.['x-rules'], trimmed: body ? trimmedFields(body) : [] }
}

/** Every failure has a code from the dictionary; what the framework says of its own is replaced. */
function problemOf(error: unknown, code: unknown, allowed: () => string[]): Problem {
  if (error instanceof Problem) return error
  if (code === 'NOT_FOUND') {
    const methods = allowed()
    if (methods.length > 0) return new Problem('method_not_allowed', { allow: methods.join(', ') })
    return new Problem('not_found')
  }
  // Its text holds what was sent.
  if (code === 'VALIDATION')
    return new Problem('internal_error', { cause: new InternalError('Validated before the guard') })
  if (code === 'PARSE') return new Problem('malformed_json')
  if (error instanceof DatabaseUnavailable) return new Problem('database_unavailable', { cause: error, retryAfter: 1 })
  return new Problem('internal_error', {
    cause: error instanceof Error ? error : new InternalError('A thrown value is no error'),
  })
}
