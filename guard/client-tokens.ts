import { SECOND, systemClock } from '../services/kit/clock.ts'
import { ASSERTION_TYPE, signAssertion } from './client-assertion.ts'
import type { Received, Sent } from './exchange.ts'
import { NoAnswer } from './no-answer.ts'
import type { Client } from './settings.ts'

/** The scopes that a guard needs: for the feed of auth, and for that of a module. */
export type Scope = 'introspect' | 'modules:read'

/** The part of its life after which a token is renewed. */
const RENEWED_AFTER = 0.75
/** Milliseconds for which auth is not asked again after it refused the client: a guard that goes on must not burden it. */
const PAUSE = 2 * SECOND

interface Token {
  text: string
  /** Monotonic milliseconds. */
  renewAt: number
  expiresAt: number
}

/** A refusal, and until when auth is not asked again, in monotonic milliseconds. */
interface Refusal {
  error: NoAnswer
  until: number
}

type Send = (url: string, sent: Sent) => Promise<Received>

/**
 * The tokens that the client of a guard has for itself (RFC 6749, 4.4). Each has one scope: a service gets a token that opens no
 * route of another.
 */
export class ClientTokens {
  private readonly tokens = new Map<Scope, Token>()
  private readonly requests = new Map<Scope, Promise<Token>>()
  private readonly refusals = new Map<Scope, Refusal>()
  private issuer: string | undefined

  /** @param url the base address of auth */
  constructor(
    private readonly client: Client,
    private readonly url: string,
    private readonly send: Send,
  ) {}

  /** Whether auth refused the client at the last request for such a token. */
  isRefused(scope: Scope): boolean {
    return this.refusals.has(scope)
  }

  /** Forgets a token that a service has refused. */
  forget(scope: Scope): void {
    this.tokens.delete(scope)
  }

  /**
   * Returns a token that is valid now, and renews it in time. Calls at once share a request.
   * @throws NoAnswer, or the reason for which the call to auth failed
   */
  async token(scope: Scope): Promise<string> {
    const current = this.tokens.get(scope)
    const now = systemClock.monotonic()
    if (current && now < current.renewAt) return current.text
    try {
      return (await this.renewed(scope)).text
    } catch (error) {
      const isUsable = current && now < current.expiresAt && !this.isRefused(scope)
      if (isUsable) return current.text
      throw error
    }
  }

  private renewed(scope: Scope): Promise<Token> {
    let request = this.requests.get(scope)
    if (!request) {
      request = this.request(scope).finally(() => this.requests.delete(scope))
      this.requests.set(scope, request)
    }
    return request
  }

  private async request(scope: Scope): Promise<Token> {
    const earlier = this.refusals.get(scope)
    const sentAt = systemClock.monotonic()
    if (earlier && sentAt < earlier.until) throw earlier.error
    const { body, status } = await this.send(`${this.url}/oauth/token`, await this.tokenRequest(scope))
    const refusal = refusalOf(status, scope)
    if (refusal) {
      this.tokens.delete(scope)
      this.refusals.set(scope, { error: refusal, until: systemClock.monotonic() + PAUSE })
      throw refusal
    }
    const { access_token: text, expires_in } = (body ?? {}) as { access_token?: unknown; expires_in?: unknown }
    if (typeof text !== 'string' || !/^[\x21-\x7e]+$/.test(text) || typeof expires_in !== 'number')
      throw new NoAnswer(`${AT_TOKEN} gave no token: it answered ${status}`)
    const life = expires_in * SECOND
    const token = { text, renewAt: sentAt + life * RENEWED_AFTER, expiresAt: sentAt + life }
    this.tokens.set(scope, token)
    this.refusals.delete(scope)
    return token
  }

  private async tokenRequest(scope: Scope): Promise<Sent> {
    const { client } = this
    const parameters = new URLSearchParams({ grant_type: 'client_credentials', scope })
    const headers: Record<string, string> = { 'content-type': 'application/x-www-form-urlencoded' }
    if (client.secret !== undefined) headers.authorization = basic(client.id, client.secret)
    else {
      parameters.set('client_id', client.id)
      parameters.set('client_assertion_type', ASSERTION_TYPE)
      parameters.set('client_assertion', signAssertion(client, await this.audience()))
    }
    return { headers, body: parameters.toString() }
  }

  /** The issuer of the instance, which assertions must name. */
  private async audience(): Promise<string> {
    if (this.issuer !== undefined) return this.issuer
    const { body, status } = await this.send(`${this.url}/.well-known/oauth-authorization-server`, { headers: {} })
    const { issuer } = (body ?? {}) as { issuer?: unknown }
    if (typeof issuer !== 'string') throw new NoAnswer(`Auth published no issuer: it answered ${status}`)
    this.issuer = issuer
    return issuer
  }
}

const AT_TOKEN = 'Auth at /oauth/token'

/** The error of an answer that another attempt at once would not change. */
function refusalOf(status: number, scope: Scope): NoAnswer | undefined {
  if (status === 400)
    return new NoAnswer(`${AT_TOKEN} refused the client: it needs the grant client_credentials and the scope ${scope}`)
  if (status === 401)
    return new NoAnswer(`${AT_TOKEN} refused the client: it is unknown or disabled, or its credentials are wrong`)
  if (status === 404)
    return new NoAnswer('Auth has no /oauth/token: it is of an earlier version, and needs internalKey')
  return undefined
}

/** RFC 6749, 2.3.1: each part form-encoded, then by RFC 7617. */
function basic(id: string, secret: string): string {
  const [, encodedId = ''] = new URLSearchParams({ id }).toString().split('=')
  const [, encodedSecret = ''] = new URLSearchParams({ secret }).toString().split('=')
  return `Basic ${Buffer.from(`${encodedId}:${encodedSecret}`).toString('base64')}`
}
