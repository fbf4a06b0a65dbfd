import type { Caller } from '../services/kit/caller.ts'

export type { Caller }

/**
 * Who may; any one of those named is enough.
 * - `anyone`: no credential is needed. Alone, none is looked at; beside others, one that is sent must be good.
 * - `user`: an access token.
 * - `operator`: an access token with the role ADMIN, or the operator key where the guard was given it.
 * - `internal`: the internal key.
 */
export type Who = 'anyone' | 'user' | 'operator' | 'internal'

export interface Rule {
  auth: Who | readonly Who[]
  /**
   * The id of a module: a user must have it on, and every role that it requires. Keys act for no user and pass; so does
   * an administrator's token where `auth` names `operator`. Never text of the request: each id that is named is followed.
   */
  module?: string | undefined
}

export interface CheckOptions extends Rule {
  /** The address that the connection comes from, as the server knows it, for `caller.ip`. */
  address?: string | null | undefined
}

/** Either the caller, or the answer that the request gets instead of what it asked for. */
export type Checked = { caller: Caller; response?: undefined } | { caller?: undefined; response: Response }

/** What of Hono's context a middleware needs. */
export interface MiddlewareContext {
  req: { raw: Request }
  set(key: 'caller', value: Caller): void
}

export type Middleware = (context: MiddlewareContext, next: () => Promise<void>) => Promise<Response | undefined>

export interface Guard {
  /**
   * Whether auth has told all there is. Waits for its first word, at most a second; false when it has not come: then
   * the guard goes on trying by itself, and asks auth about each token until it has.
   */
  ready(): Promise<boolean>
  /** Says who sent a request and whether they may, without touching its body. Never rejects on what was sent. */
  check(request: Request, options: CheckOptions): Promise<Checked>
  /** The same as a middleware of Hono: refuses, or sets `caller` and goes on. */
  require(rule: Rule): Middleware
  /** Stops following. Every token is answered 503 from then on. */
  close(): Promise<void>
}

/** A line of the log: nothing in it is a secret, and nothing was copied from a request. */
export interface LogLine {
  event: string
  /** Whose feed it is of: `auth`, or `modules/` and the module's id. */
  target?: string
  /** Why, in words of the guard's own, or an error's name and code. */
  reason?: string
}

export interface Log {
  info(line: LogLine): void
  warn(line: LogLine): void
}

export interface GuardOptions {
  /** The base address of auth, or of the whole where one process serves all three. */
  url: string
  /** The internal key of the instance. Of several the first is sent and all are accepted, as `INTERNAL_API_KEY` has it. */
  internalKey: string | readonly string[]
  /** The operator key, where an operator may come with it. Without it only a token with the role ADMIN is an operator's. */
  operatorKey?: string | readonly string[] | undefined
  /** The base address of modules, where it is another than the one that auth publishes. */
  modulesUrl?: string | undefined
  /** What stands first in the name under which auth knows this follower: letters, digits, `.`, `_` and `-`. Default `guard`. */
  name?: string
  /** Milliseconds without a word from auth after which no token is accepted any more. Default 30,000, at least 1000. */
  maxLag?: number
  /** Proxies whose `X-Forwarded-For` is believed: addresses and networks (`10.0.0.0/8`). */
  trustedProxies?: readonly string[]
  /** How the instance is called. Default: directly, past every proxy of the environment. */
  fetch?: (request: Request) => Promise<Response>
  /** Default: warnings as JSON lines on standard error. */
  log?: Log
}
