import { createHash, timingSafeEqual } from 'node:crypto'
import { ADMIN, type Caller, type Way } from '../caller.ts'
import type { ClientAddress } from '../client-address.ts'
import type { Clock } from '../clock.ts'
import { type Locale, preferredLocale } from '../locale.ts'
import { Problem } from '../problem.ts'
import { type TokenCheck, tokenProblem, type ValidGrantToken, type Verdict } from '../tokens/check.ts'
import { BROWSER_HEADER, type Browser, readBrowser } from './browser.ts'
import { secondFactorMissing } from './recent.ts'
import { type Scope, scopesIn, type UserScope, userScopesIn } from './scopes.ts'

/**
 * The callers that a route admits; any one of those listed is enough.
 * - `anyone`: no credential is needed. Alone, credentials are ignored; beside others, a credential must be valid if sent.
 * - `user`: an access token.
 * - `operator`: the operator key, or an access token with the role ADMIN.
 * - `support`: an access token with the role of the setting SUPPORT_ROLE. The function behind the route asks `mayHelp`
 *   about each user whom the request names.
 * - `internal`: the key that the services use for calls to each other.
 * - `scraper`: the key for metrics, which opens nothing else, in the header of keys or as a Bearer, as Prometheus sends it; and the
 *   operator key as a Bearer.
 * - `holder`: a refresh token of a live session in the body, whatever access token is beside it.
 * - `client`: a client that authenticates itself in the request, if it has one of the scopes that the route admits (RFC 7662,
 *   2.1).
 * - `scope:…`: a client's token with this scope. No other entry admits a client's token, except `anyone` alone.
 * - `app:…`: the token that an app has for a user, with this scope. The caller is the user, without the rights of their roles. No
 *   other entry admits such a token, except `anyone` alone.
 */
export type Access = readonly (
  | 'anyone'
  | 'user'
  | 'operator'
  | 'support'
  | 'internal'
  | 'scraper'
  | 'holder'
  | 'client'
  | `scope:${Scope}`
  | `app:${UserScope}`
)[]

export interface AccessOptions {
  tokens: TokenCheck
  internalKeys: readonly string[]
  operatorKeys: readonly string[]
  /** The keys that open what names `scraper`. Everything else refuses them like any unknown key. */
  metricsKeys?: readonly string[]
  /** The role that makes a user a support person. Undefined: no role does. */
  supportRole?: string | undefined
  /** The users whose access tokens must show a second factor before they open what is for operators and support persons. */
  mfa?: 'optional' | 'admins' | 'all'
  clientAddress: ClientAddress
  clock: Clock
}

/** A request before its credential is checked. */
export interface Arrival {
  request: Pick<Request, 'headers' | 'method' | 'url'>
  requestId: string
  /** When it arrived, in milliseconds of the monotonic clock. */
  startedAt: number
  /** The address of the connection; null for a call within the process. */
  address(): string | null
}

/** Identifies callers by their credentials: the part that the guard of a service and `ch202/guard` have in common. */
export function accessControl(options: AccessOptions) {
  const { internalKeys, metricsKeys = [], operatorKeys, tokens } = options
  const isInternal = keyMatcher(internalKeys)
  const isOperator = keyMatcher(operatorKeys)
  const isScraper = keyMatcher(metricsKeys)
  const callerOf = (arrival: Arrival, identity: Identity) => new IdentifiedCaller(arrival, identity, options)
  const bearerCaller = (arrival: Arrival, verdict: Verdict) => callerOf(arrival, identityOf(verdict, options))

  return {
    /** The caller of a request whose credential is not checked. */
    anonymousCaller: (arrival: Arrival): Caller => callerOf(arrival, ANYONE),

    /** The caller of a request in which a client has authenticated itself. */
    clientCaller: (arrival: Arrival, client: ClientIdentity): Caller => callerOf(arrival, ofClient(client)),

    /**
     * The caller of a request, by its credential.
     * @throws Problem when the credential is missing or not valid
     */
    identify: (arrival: Arrival, access: readonly string[]): Caller | Promise<Caller> => {
      if (access.length === 1 && access[0] === 'anyone') return callerOf(arrival, ANYONE)

      const { headers } = arrival.request
      const key = headers.get('x-api-key')
      if (key !== null) {
        if (isOperator(key)) return callerOf(arrival, OPERATOR)
        if (isInternal(key)) return callerOf(arrival, INTERNAL)
        if (access.includes('scraper') && isScraper(key)) return callerOf(arrival, SCRAPER)
        throw new Problem('invalid_api_key')
      }

      const authorization = headers.get('authorization')
      if (authorization === null) {
        if (access.includes('anyone')) return callerOf(arrival, ANYONE)
        const takesKeyAlone = access.includes('internal') && !access.includes('user') && !access.includes('operator')
        throw new Problem(takesKeyAlone ? 'invalid_api_key' : 'missing_token')
      }
      const token = bearerToken(authorization)
      if (access.includes('scraper')) {
        if (isOperator(token)) return callerOf(arrival, OPERATOR)
        if (isScraper(token)) return callerOf(arrival, SCRAPER)
      }

      const verdict = tokens.check(token)
      return verdict instanceof Promise
        ? verdict.then((awaited) => bearerCaller(arrival, awaited))
        : bearerCaller(arrival, verdict)
    },
  }
}

/** The part of a caller that depends on the credential. */
type Identity = Omit<Caller, 'ip' | 'userAgent' | 'way' | 'locale' | 'requestId'>

const ANYONE: Identity = {
  userId: null,
  client: null,
  app: null,
  sessionId: null,
  roles: [],
  authTime: null,
  amr: [],
  operator: false,
  supportRole: null,
  internal: false,
  scraper: false,
  actor: 'anyone',
}
const OPERATOR: Identity = { ...ANYONE, operator: true, actor: 'operator' }
const INTERNAL: Identity = { ...ANYONE, internal: true, actor: 'internal' }
const SCRAPER: Identity = { ...ANYONE, scraper: true, actor: 'scraper' }

/** A client that has authenticated, and what it may do. */
export interface ClientIdentity {
  id: string
  scopes: readonly string[]
}

function ofClient({ id, scopes }: ClientIdentity): Identity {
  return { ...ANYONE, client: { id, scopes }, actor: `client:${id}` }
}

/** An app is its user, and never an operator or a support person: no user can give that to an app. */
function ofApp({ amr, authTime, clientId, grantId, roles, scopes, userId }: ValidGrantToken): Identity {
  return { ...ANYONE, userId, roles, authTime, amr, app: { clientId, grantId, scopes }, actor: `user:${userId}` }
}

/** @throws Problem when the token is not valid */
function identityOf(verdict: Verdict, { mfa = 'optional', supportRole }: AccessOptions): Identity {
  if (!verdict.valid) throw tokenProblem(verdict.reason)
  if (verdict.grantId !== undefined) return ofApp(verdict)
  if (verdict.clientId !== undefined) return ofClient({ id: verdict.clientId, scopes: verdict.scopes })
  const { amr, authTime, roles, sessionId, userId } = verdict
  const isAdmin = roles.includes(ADMIN)
  const hasMfa = amr.includes('mfa')
  const operator = isAdmin && (mfa === 'optional' || hasMfa)
  return {
    ...ANYONE,
    userId,
    sessionId,
    roles,
    authTime,
    amr,
    operator,
    supportRole:
      supportRole !== undefined && !isAdmin && roles.includes(supportRole) && (mfa !== 'all' || hasMfa)
        ? supportRole
        : null,
    actor: `user:${userId}`,
  }
}

/**
 * Reads the address, the user agent, the way and the language when they are asked for: most requests never do, and the address
 * is a system call.
 */
class IdentifiedCaller implements Caller {
  readonly userId: string | null
  readonly sessionId: string | null
  readonly app: Caller['app']
  readonly roles: readonly string[]
  readonly authTime: number | null
  readonly amr: readonly string[]
  readonly operator: boolean
  readonly supportRole: string | null
  readonly internal: boolean
  readonly scraper: boolean
  readonly client: Caller['client']
  readonly actor: string
  readonly requestId: string
  readonly #arrival: Arrival
  readonly #options: CallerOptions
  #ip: string | null | undefined
  #browser: Browser | null | undefined

  constructor(arrival: Arrival, identity: Identity, options: CallerOptions) {
    this.userId = identity.userId
    this.sessionId = identity.sessionId
    this.roles = identity.roles
    this.authTime = identity.authTime
    this.amr = identity.amr
    this.operator = identity.operator
    this.supportRole = identity.supportRole
    this.internal = identity.internal
    this.scraper = identity.scraper
    this.client = identity.client
    this.app = identity.app
    this.actor = identity.actor
    this.requestId = arrival.requestId
    this.#arrival = arrival
    this.#options = options
  }

  get ip(): string | null {
    // A service calls on behalf of a client whose address only that service knows.
    if (this.internal) return null
    if (this.#ip === undefined) {
      const { address, request } = this.#arrival
      const browser = this.#pagesBrowser()
      this.#ip = browser
        ? browser.ip
        : this.#options.clientAddress.of(address(), () => request.headers.get('x-forwarded-for'))
    }
    return this.#ip
  }

  get userAgent(): string | null {
    const browser = this.#pagesBrowser()
    return browser ? browser.userAgent : this.#arrival.request.headers.get('user-agent')
  }

  get way(): Way {
    return this.#pagesBrowser() ? 'pages' : 'api'
  }

  get locale(): Locale | null {
    return preferredLocale(this.#arrival.request.headers.get('accept-language')) ?? null
  }

  /** The browser that the pages call for; null: the pages do not call. A header that is not theirs is ignored. */
  #pagesBrowser(): Browser | null {
    if (this.#browser !== undefined) return this.#browser
    const { request, startedAt } = this.#arrival
    const { clock, internalKeys } = this.#options
    const value = this.internal ? null : request.headers.get(BROWSER_HEADER)
    if (value === null) this.#browser = null
    else {
      const path = URL.parse(request.url)?.pathname ?? ''
      // The time of the arrival: a request may wait before anyone asks for its browser.
      const now = clock.now() - (clock.monotonic() - startedAt)
      this.#browser = readBrowser(internalKeys, value, { method: request.method, path, now })
    }
    return this.#browser
  }
}

type CallerOptions = Pick<AccessOptions, 'clientAddress' | 'clock' | 'internalKeys'>

/** @throws Problem `forbidden`, or `reauthentication_required` with a second factor, when the caller may not call a route */
export function requireAccess(caller: Caller, access: readonly string[]): void {
  if (caller.client) {
    requireScope(caller.client, scopesIn(access))
    return
  }
  if (caller.app) {
    requireApp(caller.app, access)
    return
  }
  const isAllowed =
    (caller.userId !== null && access.includes('user')) ||
    (caller.operator && (access.includes('operator') || access.includes('scraper'))) ||
    (caller.supportRole !== null && access.includes('support')) ||
    (caller.internal && access.includes('internal')) ||
    (caller.scraper && access.includes('scraper')) ||
    access.includes('anyone')
  if (isAllowed) return
  // An administrator who must show a second factor and has not: the answer says so, and a client can ask for it.
  if (caller.roles.includes(ADMIN) && !caller.operator && access.includes('operator')) throw secondFactorMissing()
  throw new Problem('forbidden')
}

/** Only a rule of a service in another repository admits every app (`app`): which ones get tokens for it, its operator decides. */
function requireApp(app: { scopes: readonly string[] }, access: readonly string[]): void {
  if (!access.includes('app')) requireScope(app, userScopesIn(access))
}

function requireScope({ scopes }: { scopes: readonly string[] }, enough: readonly string[]): void {
  if (enough.some((scope) => scopes.includes(scope))) return
  const scope = enough.length > 0 ? `, scope="${enough.join(' ')}"` : ''
  throw new Problem('insufficient_scope', { authenticate: `Bearer error="insufficient_scope"${scope}` })
}

const SCHEME = 'bearer '

/** RFC 6750: the scheme in upper or lower case, one space, the token. @throws Problem `invalid_token` for any other form */
function bearerToken(authorization: string): string {
  // The common form. A token with other characters fails its own check.
  if (authorization.startsWith('Bearer ') && authorization.charCodeAt(SCHEME.length) > 0x20)
    return authorization.slice(SCHEME.length)
  const token = authorization.slice(SCHEME.length).trimStart()
  const isBearer = authorization.slice(0, SCHEME.length).toLowerCase() === SCHEME
  if (!isBearer || token === '' || /[\s,]/.test(token)) throw new Problem('invalid_token')
  return token
}

/** Compares digests in constant time, with every key, so that timing reveals neither length nor order nor prefix. */
function keyMatcher(keys: readonly string[]): (candidate: string) => boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  const digests = keys.map(digest)
  return (candidate) => {
    const candidateDigest = digest(candidate)
    return digests.reduce((matches, keyDigest) => timingSafeEqual(candidateDigest, keyDigest) || matches, false)
  }
}
