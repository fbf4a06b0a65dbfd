import { createHash, timingSafeEqual } from 'node:crypto'
import { ADMIN, type Caller } from '../caller.ts'
import type { ClientAddress } from '../client-address.ts'
import { Problem } from '../problem.ts'
import { type TokenCheck, tokenProblem, type Verdict } from '../tokens/check.ts'

/**
 * Who may call a route; any one of those named is enough.
 * - `anyone`: no credential is needed. Alone, none is looked at; beside others, one that is sent must be good.
 * - `user`: an access token.
 * - `operator`: the operator key, or an access token with the role ADMIN.
 * - `internal`: the key that the services use among themselves.
 * - `scraper`: the operator key as a Bearer, the way Prometheus sends it.
 * - `holder`: a refresh token of a live session in the body, whatever access token stands beside it.
 */
export type Access = readonly ('anyone' | 'user' | 'operator' | 'internal' | 'scraper' | 'holder')[]

export interface AccessOptions {
  tokens: TokenCheck
  internalKeys: readonly string[]
  operatorKeys: readonly string[]
  clientAddress: ClientAddress
}

/** Says who sent a request and whether they may: what the guard of a service and `ch202/guard` have in common. */
export function accessControl(options: AccessOptions) {
  const isInternal = keyMatcher(options.internalKeys)
  const isOperator = keyMatcher(options.operatorKeys)

  return {
    /**
     * Who sent the request, before anything that it shows was looked at.
     * @param address gives that of the connection; null for a call within the process
     */
    stranger: (headers: Headers, address: () => string | null, requestId: string): Caller =>
      new Stranger(requestId, headers, () => options.clientAddress.of(address(), () => headers.get('x-forwarded-for'))),

    /**
     * Who it is by the credential that it shows; `arrival` becomes that.
     * @throws Problem where that is not good, or there is none
     */
    identify: (headers: Headers, arrival: Caller, access: Access): Caller | Promise<Caller> => {
      if (access.length === 1 && access[0] === 'anyone') return arrival

      const key = headers.get('x-api-key')
      if (key !== null) {
        if (isOperator(key)) return Object.assign(arrival, OPERATOR)
        if (isInternal(key)) return Object.assign(arrival, INTERNAL)
        throw new Problem('invalid_api_key')
      }

      const authorization = headers.get('authorization')
      if (authorization === null) {
        if (access.includes('anyone')) return arrival
        throw new Problem(access.includes('user') || access.includes('operator') ? 'missing_token' : 'invalid_api_key')
      }
      const token = bearer(authorization)
      if (access.includes('scraper') && isOperator(token)) return Object.assign(arrival, OPERATOR)

      const verdict = options.tokens.check(token)
      return verdict instanceof Promise ? verdict.then((said) => bearerOf(said, arrival)) : bearerOf(verdict, arrival)
    },
  }
}

/** Where it is and by which program it asks is found out when someone wants to know, which is not so of most requests. */
class Stranger implements Caller {
  userId: string | null = null
  sessionId: string | null = null
  roles: readonly string[] = []
  operator = false
  internal = false
  actor = 'anyone'
  readonly #headers: Headers
  readonly #address: () => string | null
  #ip: string | null | undefined

  constructor(
    readonly requestId: string,
    headers: Headers,
    address: () => string | null,
  ) {
    this.#headers = headers
    this.#address = address
  }

  get ip(): string | null {
    // A service calls for someone whose address it knows, and this one does not.
    if (this.internal) return null
    if (this.#ip === undefined) this.#ip = this.#address()
    return this.#ip
  }

  get userAgent(): string | null {
    return this.#headers.get('user-agent')
  }
}

const OPERATOR: Partial<Caller> = { operator: true, actor: 'operator' }
const INTERNAL: Partial<Caller> = { internal: true, actor: 'internal' }

function bearerOf(verdict: Verdict, arrival: Caller): Caller {
  if (!verdict.valid) throw tokenProblem(verdict.reason)
  arrival.userId = verdict.userId
  arrival.sessionId = verdict.sessionId
  arrival.roles = verdict.roles
  arrival.operator = verdict.roles.includes(ADMIN)
  arrival.actor = `user:${verdict.userId}`
  return arrival
}

/** @throws Problem `forbidden` */
export function requireAccess(caller: Caller, access: Access): void {
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
  // As nearly everyone writes it. What else may stand in it, no token has.
  if (authorization.startsWith('Bearer ') && authorization.charCodeAt(SCHEME.length) > 0x20)
    return authorization.slice(SCHEME.length)
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
