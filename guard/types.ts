import type { Caller } from '../services/kit/caller.ts'

export type { Caller }

/**
 * A kind of caller. A rule lists one or several, and admits any of those listed.
 * - `anyone`: no credential is needed. Alone, credentials are ignored; beside others, a credential must be valid if sent.
 * - `user`: an access token. That of an app too, if the guard has a `resource` and the token is for it.
 * - `operator`: an access token with the role ADMIN, or the operator key if the guard has it.
 * - `internal`: the internal key.
 */
export type Who = 'anyone' | 'user' | 'operator' | 'internal'

/** The callers that a route admits: `auth`, `scope`, or both. */
export interface RuleOptions {
  /** The kinds of callers. May be left out beside `scope`: then only clients are admitted. */
  auth?: Who | readonly Who[] | undefined
  /**
   * A scope, such as `orders:read`: admits the token that a client has for itself, if it has the scope. `caller.client` is
   * the client, and `caller.userId` null. Without a scope no client is admitted. The token that an app has for a user needs the
   * scope too: `caller.app` is then the app, and `caller.userId` the user.
   */
  scope?: string | undefined
  /**
   * The id of a module: a user must have it enabled, and every role that it requires. Keys and clients are no users and
   * pass; so does an administrator's token if `auth` names `operator`. Never use text of a request: the guard subscribes to the feed
   * of every id that it is given.
   */
  module?: string | undefined
  /**
   * The seconds since the user authenticated, at most; a refresh does not count. Otherwise the answer is 401
   * `reauthentication_required` (RFC 9470), and `POST /auth/reauthenticate` gives a token that is admitted. Keys and clients
   * pass.
   */
  maxAge?: number | undefined
}

/** A rule names `auth` or `scope`. */
export type Rule = RuleOptions & ({ auth: Who | readonly Who[] } | { scope: string })

export type CheckOptions = Rule & {
  /** The client's address of the connection, as the server knows it, for `caller.ip`. */
  address?: string | null | undefined
}

/** Either the caller, or the response that refuses the request. */
export type Checked = { caller: Caller; response?: undefined } | { caller?: undefined; response: Response }

/** The part of Hono's context that a middleware needs. */
export interface MiddlewareContext {
  req: { raw: Request }
  set(key: 'caller', value: Caller): void
}

/** A Hono middleware. */
export type Middleware = (context: MiddlewareContext, next: () => Promise<void>) => Promise<Response | undefined>

export interface Guard {
  /**
   * Whether the guard has received the first complete page of auth's feed. Waits for it, at most a second. If it returns
   * false, the guard keeps trying by itself, and asks auth about each token until then.
   */
  ready(): Promise<boolean>
  /**
   * Identifies the caller and checks their access, without reading the body. Every request gets a caller or a response.
   * @throws TypeError when `options` are not valid
   */
  check(request: Request, options: CheckOptions): Promise<Checked>
  /** The same as a Hono middleware: it refuses the request, or sets `caller` and continues. */
  require(rule: Rule): Middleware
  /** Ends the subscriptions. Afterwards every token gets a 503. */
  close(): Promise<void>
}

/** A log line. It contains no secret, and no text of a request. */
export interface LogLine {
  event: string
  /** The feed: `auth`, or `modules/` and the id of a module. */
  target?: string
  /** The reason, in the guard's own words, or the name and code of an error. */
  reason?: string
}

export interface Log {
  info(line: LogLine): void
  warn(line: LogLine): void
}

/** A client that authenticates with a secret (`client_secret_basic`). */
export interface SecretClient {
  id: string
  secret: string
  privateKey?: undefined
}

/** A client that authenticates with a key whose public part is at its `jwks_uri` (`private_key_jwt`). */
export interface PrivateKeyClient {
  id: string
  /** PEM, or a JWK. */
  privateKey: string | { kty: string; kid?: string; [member: string]: unknown }
  /** The algorithm, if it shall be checked: it is that of the key. */
  alg?: 'EdDSA' | 'ES256' | 'RS256' | undefined
  /** The `kid` of the key in the JWKS. Default: the one in the JWK. Needed if the JWKS has several keys of the algorithm. */
  kid?: string | undefined
  secret?: undefined
}

export type GuardClient = SecretClient | PrivateKeyClient

/** How a guard proves to the instance who it is: exactly one of the two. */
export type GuardCredentials =
  | { client: GuardClient; internalKey?: undefined }
  | { internalKey: string | readonly string[]; client?: undefined }

export interface GuardOptions {
  /** The base address of auth, or of the process if one serves all services. */
  url: string
  /** The client of this service at the instance, with the scope `introspect`, and `modules:read` if a rule names a module. */
  client?: GuardClient | undefined
  /**
   * The internal key of the instance, in place of `client`. It opens every internal route. Of several keys the first is sent
   * and all are accepted, as in `INTERNAL_API_KEY`.
   */
  internalKey?: string | readonly string[] | undefined
  /**
   * The name of this service in the tokens of clients and apps (RFC 8707), as it stands in the `resources` of the clients that
   * call it. Only tokens for it are accepted; without it, only clients' own tokens that name no resource.
   */
  resource?: string | undefined
  /** The operator key, if operators may use it here. Otherwise only a token with the role ADMIN makes an operator. */
  operatorKey?: string | readonly string[] | undefined
  /**
   * The setting `MFA` of the instance. With `admins` or `all`, the role ADMIN makes an operator only in a session with a second
   * factor, as in the services of Ch202. Default `optional`.
   */
  mfa?: 'optional' | 'admins' | 'all' | undefined
  /** The base address of modules, if it differs from the one that auth publishes. */
  modulesUrl?: string | undefined
  /** The beginning of this subscriber's name at auth: letters, digits, `.`, `_` and `-`. Default `guard`. */
  name?: string
  /** Milliseconds without contact to auth after which no token is accepted. Default 30,000, at least 1000. */
  maxLag?: number
  /** Proxies whose `X-Forwarded-For` is trusted: addresses and networks (`10.0.0.0/8`). */
  trustedProxies?: readonly string[]
  /** Calls the instance. Default: directly, without the proxies of the environment. */
  fetch?: (request: Request) => Promise<Response>
  /** Default: warnings as JSON lines on standard error. */
  log?: Log
}
