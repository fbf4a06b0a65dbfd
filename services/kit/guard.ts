import { createHash, timingSafeEqual } from 'node:crypto'
import { type Context, type DocumentDecoration, Elysia } from 'elysia'
import { ADMIN, type Caller } from './caller.ts'
import type { ClientAddress } from './client-address.ts'
import { Problem } from './problem.ts'
import { type TokenCheck, tokenProblem, type Verdict } from './token-check.ts'

/**
 * Who may call a route; any one of those named is enough.
 * - `anyone`: no credential is needed. Alone, none is looked at; beside others, one that is sent must be good.
 * - `user`: an access token.
 * - `operator`: the operator key, or an access token with the role ADMIN.
 * - `internal`: the key that the services use among themselves.
 * - `scraper`: the operator key as a Bearer, the way Prometheus sends it.
 */
export type Access = readonly ('anyone' | 'user' | 'operator' | 'internal' | 'scraper')[]

export interface GuardOptions {
  tokens: TokenCheck
  internalKeys: readonly string[]
  operatorKeys: readonly string[]
  clientAddress: ClientAddress
  /** What a request must wait for while the service is still coming up; nothing once it is. */
  comingUp?: (route: string) => Promise<void> | undefined
}

/** What the root of the app leaves for the guard with each request, before the route is known. */
export interface Arrival {
  requestId: string
  /** Why the body could not be read. */
  fault?: Problem
}

/** The property of the context that holds the caller, as far as the guard knows it. */
interface Passed {
  caller: Caller
}

/**
 * The macro `auth`, which every route must name (the app refuses to be built otherwise). It runs before the body is
 * looked at: a caller who may not gets 401 or 403 whatever was sent. In the handler `caller` says who it is.
 */
export function guard(options: GuardOptions) {
  const isInternal = keyMatcher(options.internalKeys)
  const isOperator = keyMatcher(options.operatorKeys)

  /** Who sent the request, before anything that it shows was looked at. */
  const stranger = (request: Request, address: string | null, requestId: string): Caller => ({
    userId: null,
    sessionId: null,
    roles: [],
    operator: false,
    internal: false,
    actor: 'anyone',
    ip: options.clientAddress.of(address, request.headers.get('x-forwarded-for')),
    userAgent: request.headers.get('user-agent'),
    requestId,
  })

  /** Who it is by the credential that it shows. @throws Problem where that is not good, or there is none */
  const identify = ({ headers }: Request, arrival: Caller, access: Access): Caller | Promise<Caller> => {
    if (access.length === 1 && access[0] === 'anyone') return arrival

    const key = headers.get('x-api-key')
    if (key !== null) {
      if (isOperator(key)) return { ...arrival, operator: true, actor: 'operator' }
      // A service calls for someone whose address it knows, and this one does not.
      if (isInternal(key)) return { ...arrival, internal: true, actor: 'internal', ip: null }
      throw new Problem('invalid_api_key')
    }

    const authorization = headers.get('authorization')
    if (authorization === null) {
      if (access.includes('anyone')) return arrival
      throw new Problem(access.includes('user') || access.includes('operator') ? 'missing_token' : 'invalid_api_key')
    }
    const token = bearer(authorization)
    if (access.includes('scraper') && isOperator(token)) return { ...arrival, operator: true, actor: 'operator' }

    const verdict = options.tokens.check(token)
    return verdict instanceof Promise ? verdict.then((said) => bearerOf(said, arrival)) : bearerOf(verdict, arrival)
  }

  return new Elysia().macro({
    auth: (access: Access) => ({
      // For the documentation.
      detail: { 'x-access': access } as DocumentDecoration,
      // The framework awaits a hook when its text says that it is asynchronous, and not because it gave a promise: one
      // that is not awaited has let the request pass.
      transform: asGuard(async (context) => {
        const { request, route, server } = context
        const up = options.comingUp?.(route)
        if (up) await up
        const arrival = context as unknown as Arrival & Passed
        const address = server?.requestIP(request)?.address ?? null
        // Kept before it is let pass: the log says whose a refused request was.
        arrival.caller = stranger(request, address, arrival.requestId)
        arrival.caller = await identify(request, arrival.caller, access)
        allow(arrival.caller, access)
        if (arrival.fault) throw arrival.fault
      }),
      resolve: (context) => ({ caller: (context as unknown as Passed).caller }),
    }),
  })
}

const guards = new WeakSet<object>()

function asGuard(hook: (context: Pick<Context, 'request' | 'route' | 'server'>) => Promise<void>) {
  guards.add(hook)
  return hook
}

/** Whether a hook of a route is the guard's: the app is not built where one has none. */
export function isGuard(hook: object): boolean {
  return guards.has(hook)
}

function bearerOf(verdict: Verdict, arrival: Caller): Caller {
  if (!verdict.valid) throw tokenProblem(verdict.reason)
  const { roles, sessionId, userId } = verdict
  return { ...arrival, userId, sessionId, roles, operator: roles.includes(ADMIN), actor: `user:${userId}` }
}

/** @throws Problem `forbidden` */
function allow(caller: Caller, access: Access): void {
  const allowed =
    (caller.userId !== null && access.includes('user')) ||
    (caller.operator && (access.includes('operator') || access.includes('scraper'))) ||
    (caller.internal && access.includes('internal')) ||
    access.includes('anyone')
  if (!allowed) throw new Problem('forbidden')
}

const SCHEME = 'bearer '

/** RFC 6750: the scheme's name in any case, one space, the token. */
function bearer(authorization: string): string {
  const token = authorization.slice(SCHEME.length).trimStart()
  const isOne = authorization.slice(0, SCHEME.length).toLowerCase() === SCHEME && token !== '' && !/[\s,]/.test(token)
  if (!isOne) throw new Problem('invalid_token')
  return token
}

/** Compares digests in constant time, with every key, so that neither length nor order nor prefix can be timed. */
function keyMatcher(keys: readonly string[]): (presented: string) => boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  const digests = keys.map(digest)
  return (presented) => {
    const candidate = digest(presented)
    return digests.reduce((matches, known) => timingSafeEqual(candidate, known) || matches, false)
  }
}
